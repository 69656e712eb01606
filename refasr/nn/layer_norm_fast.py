"""Numba twins of `refasr.nn.layer_norm`: one pass a row, sums in eight lanes so that they vectorise."""

import numpy as np

from refasr.jit import kernel, scalar
from refasr.nn import layer_norm as reference
from refasr.nn.layer_norm import EPSILON, LayerNormCache
from refasr.twins import BOUND, twin_of

F32 = np.float32
EPS = float(np.finfo(F32).eps)
ZERO, ONE = F32(0), F32(1)


@scalar
def sum_lanes(x):
    whole = x.size // 8 * 8
    a, b, c, d, e, f, g, h = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    for j in range(0, whole, 8):
        a += x[j]
        b += x[j + 1]
        c += x[j + 2]
        d += x[j + 3]
        e += x[j + 4]
        f += x[j + 5]
        g += x[j + 6]
        h += x[j + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for j in range(whole, x.size):
        total += x[j]
    return total


@kernel
def _forward(x, gain, bias, y, normalised, reciprocal):
    n_rows, width = x.shape
    scratch = np.empty(width, np.float32)
    for i in range(n_rows):
        row, out, n = x[i], y[i], normalised[i]
        mean = sum_lanes(row) / F32(width)
        for j in range(width):
            n[j] = row[j] - mean
            scratch[j] = n[j] * n[j]
        scale = ONE / np.sqrt(sum_lanes(scratch) / F32(width) + EPSILON)
        reciprocal[i] = scale
        for j in range(width):
            n[j] = n[j] * scale
            out[j] = n[j] * gain[j] + bias[j]


@kernel
def _backward(dy, normalised, reciprocal, gain, dx, dgain, dbias):
    n_rows, width = dy.shape
    dn = np.empty(width, np.float32)
    product = np.empty(width, np.float32)
    for i in range(n_rows):
        row, n, out = dy[i], normalised[i], dx[i]
        for j in range(width):
            dn[j] = row[j] * gain[j]
            product[j] = dn[j] * n[j]
            dgain[j] += row[j] * n[j]
            dbias[j] += row[j]
        mean, along, scale = sum_lanes(dn) / F32(width), sum_lanes(product) / F32(width), reciprocal[i]
        for j in range(width):
            out[j] = scale * ((dn[j] - mean) - n[j] * along)


def _forward_bound(x, gain, bias):
    """Mean and variance each carry D roundings; the mean's error is amplified by the reciprocal deviation."""
    width = x.shape[1]
    wide = x.astype(np.float64)
    centred = wide - wide.mean(axis=1, keepdims=True)
    reciprocal = 1 / np.sqrt((centred**2).mean(axis=1, keepdims=True) + float(EPSILON))
    mean_error = 2 * width * EPS * np.abs(wide).mean(axis=1, keepdims=True) + EPS * np.abs(wide).max(axis=1, keepdims=True)
    # the error of the centred row moves the variance too: at most twice mean_error * mean|centred|, plus its square
    spread = (2 * mean_error * np.abs(centred).mean(axis=1, keepdims=True) + mean_error**2) * reciprocal**2
    relative = (2 * width + 8) * EPS + spread
    error = mean_error * reciprocal * (1 + relative) + np.abs(centred) * reciprocal * relative
    return error * np.abs(gain) + 4 * EPS * np.abs(bias) + 1e-37, LayerNormCache(error + 1e-37, (reciprocal * relative)[:, 0])


def _backward_bound(dy, cache, gain):
    """Running error analysis: every sum of n terms errs by n roundings of the sum of magnitudes."""
    n_rows, width = dy.shape
    size, n = np.abs(dy.astype(np.float64)), np.abs(cache.normalised.astype(np.float64))
    dn = size * np.abs(gain)
    magnitude = dn + dn.mean(axis=1, keepdims=True) + n * (dn * n).mean(axis=1, keepdims=True)
    dx = (2 * width + 8) * EPS * magnitude * np.abs(cache.reciprocal)[:, None]
    return dx + 1e-37, (2 * n_rows + 4) * EPS * (size * n).sum(axis=0) + 1e-37, (2 * n_rows + 4) * EPS * size.sum(axis=0) + 1e-37


@twin_of(reference.layer_norm, agree=BOUND(_forward_bound, "the row sums run in another order"))
def layer_norm(x, gain, bias):
    reference.check_layer_norm(x, gain, bias)
    y, normalised, reciprocal = np.empty_like(x), np.empty_like(x), np.empty(len(x), np.float32)
    _forward(x, gain, bias, y, normalised, reciprocal)
    return y, LayerNormCache(normalised, reciprocal)


@twin_of(reference.layer_norm_backward, agree=BOUND(_backward_bound, "row and column sums run in another order"))
def layer_norm_backward(dy, cache, gain):
    reference.check_layer_norm_backward(dy, cache, gain)
    dx, dgain, dbias = np.empty_like(dy), np.zeros(dy.shape[1], np.float32), np.zeros(dy.shape[1], np.float32)
    _backward(dy, cache.normalised, cache.reciprocal, gain, dx, dgain, dbias)
    return dx, dgain, dbias
