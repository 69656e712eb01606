"""Language models and the second pass: what the words themselves say, applied to the lattice after recognition."""
