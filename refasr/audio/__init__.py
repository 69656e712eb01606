"""Samples: reading, converting, cutting and altering recordings."""
