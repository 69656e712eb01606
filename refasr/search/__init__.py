"""From encodings to units: the searches."""
