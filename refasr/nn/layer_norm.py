"""Layer normalisation, and its backward pass."""

from typing import NamedTuple

import numpy as np

from refasr import checks

EPSILON = np.float32(1e-5)


class LayerNormCache(NamedTuple):
    """What the backward pass needs: normalised rows and the reciprocal deviation of each row."""

    normalised: np.ndarray  # float32 (B, D)
    reciprocal: np.ndarray  # float32 (B,)


def layer_norm(x, gain, bias):
    """Normalise each row to mean 0 and variance 1, then scale and shift.

        n = (x - mean(x)) / sqrt(var(x) + 1e-5),  y = gain n + bias

    Parameters
    ----------
    x : float32 [B, D]     Rows.
    gain : float32 [D]     Scale of each column.
    bias : float32 [D]     Shift of each column.

    Returns
    -------
    (float32 [B, D], LayerNormCache)

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BOUND, two sums of D terms in another order. Cost: 8*B*D operations.
    Source: Ba 2016, arXiv 1607.06450, equation 4.
    """
    check_layer_norm(x, gain, bias)
    centred = x - x.mean(axis=1, keepdims=True)
    variance = np.mean(centred * centred, axis=1)
    reciprocal = np.float32(1) / np.sqrt(variance + EPSILON)
    normalised = centred * reciprocal[:, None]
    return normalised * gain + bias, LayerNormCache(normalised, reciprocal)


def layer_norm_backward(dy, cache, gain):
    """Gradients of `layer_norm`.

        dn = dy gain,  dx = (dn - mean(dn) - n mean(dn n)) / sqrt(var(x) + 1e-5)

    Parameters
    ----------
    dy : float32 [B, D]       Gradient of the output.
    cache : LayerNormCache    From the forward pass.
    gain : float32 [D]        Scale of each column.

    Returns
    -------
    (dx, dgain, dbias)        Shapes [B, D], [D], [D].

    Notes
    -----
    Twin: BOUND, sums of D and of B terms in another order.
    """
    check_layer_norm_backward(dy, cache, gain)
    dn = dy * gain
    dx = dn - dn.mean(axis=1, keepdims=True) - cache.normalised * np.mean(dn * cache.normalised, axis=1, keepdims=True)
    return dx * cache.reciprocal[:, None], np.sum(dy * cache.normalised, axis=0), dy.sum(axis=0)


def check_layer_norm(x, gain, bias):
    """Validate the forward arguments. Parameters: x, gain, bias."""
    checks.array("x", x, np.float32, (None, None))
    checks.between("D", x.shape[1], 1, 1 << 20)
    checks.array("gain", gain, np.float32, (x.shape[1],))
    checks.array("bias", bias, np.float32, (x.shape[1],))


def check_layer_norm_backward(dy, cache, gain):
    """Validate the backward arguments. Parameters: dy, cache, gain."""
    checks.array("dy", dy, np.float32, (None, None))
    checks.between("D", dy.shape[1], 1, 1 << 20)
    checks.array("cache.normalised", cache.normalised, np.float32, dy.shape)
    checks.array("cache.reciprocal", cache.reciprocal, np.float32, (dy.shape[0],))
    checks.array("gain", gain, np.float32, (dy.shape[1],))
