"""Lattices: many ranked readings of one utterance in one small graph; pruning, n-best lists, confidences, files."""
