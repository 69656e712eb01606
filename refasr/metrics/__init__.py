"""How well the recogniser hears: edit distance, error rates and their confidence intervals."""
