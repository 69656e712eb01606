"""The matrix product: nearly all of the arithmetic of training."""

import numpy as np

from refasr import checks


def product(a, b):
    """Matrix product.

        c[m, n] = sum_k a[m, k] b[k, n]

    Parameters
    ----------
    a : float32 [M, K]
    b : float32 [K, N]

    Returns
    -------
    float32 [M, N]

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BOUND, the K products are added in another order. Cost: M*K*N MAC.
    """
    checks.array("a", a, np.float32, (None, None))
    checks.array("b", b, np.float32, (a.shape[1], None))
    return a @ b
