"""The affine map, and its backward pass."""

import numpy as np

from refasr import checks


def linear(x, weight, bias):
    """Affine map of the last axis.

        y = x W + b

    Parameters
    ----------
    x : float32 [B, K]         Rows to map.
    weight : float32 [K, N]    W.
    bias : float32 [N]         b.

    Returns
    -------
    float32 [B, N]

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    No twin: BLAS is the fast path. Cost: B*K*N MAC.
    """
    checks.array("x", x, np.float32, (None, weight.shape[0]))
    return x @ weight + bias


def linear_backward(dy, x, weight):
    """Gradients of `linear`.

        dx = dy W^T,  dW = x^T dy,  db = sum over rows of dy

    Parameters
    ----------
    dy : float32 [B, N]        Gradient of the output.
    x : float32 [B, K]         Input of the forward pass.
    weight : float32 [K, N]    W.

    Returns
    -------
    (dx, dweight, dbias)       Shapes of x, weight and bias.
    """
    return dy @ weight.T, x.T @ dy, dy.sum(axis=0)
