"""Network layers, forward and backward adjacent; time-critical ones have a `_fast` twin."""
