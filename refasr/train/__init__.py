"""Training: the corpus in memory, batches, the loop and its checkpoints; the loop knows no technique."""
