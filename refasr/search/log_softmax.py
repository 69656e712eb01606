"""Log-softmax in a written order of sums, so that both twins of a search rank hypotheses by the same bits."""

import numpy as np

from refasr import checks, numerics

F32 = np.float32


def ordered_sum(x):
    """Sums of rows from the first element to the last. Parameters: x, float32 [B, N], N >= 1. Returns float32 [B]."""
    return np.add.accumulate(x, axis=1)[:, -1].copy()


def log_softmax(z):
    """Log-probabilities from logits, row by row.

        logp = (z - max z) - ln sum exp(z - max z)

    Parameters
    ----------
    z : float32 [B, V], V >= 1

    Returns
    -------
    float32 [B, V]

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: inside the kernels of `scorer_fast` and `integer_scorer_fast`, compared there. Cost: B*V exponentials.
    """
    checks.array("z", z, F32, (None, None))
    below = z - z.max(axis=1, keepdims=True)
    mass = ordered_sum(numerics.exp(below.ravel()).reshape(z.shape))
    return below - numerics.log(mass)[:, None]
