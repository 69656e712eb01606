"""Numba twins of `refasr.transducer.joiner`: the grid is written once and never re-read from memory."""

import numpy as np

from refasr import checks
from refasr.jit import kernel
from refasr.numerics_fast import tanh32
from refasr.transducer import joiner as reference
from refasr.twins import BITS, BOUND, twin_of

F32 = np.float32
EPS = float(np.finfo(F32).eps)
ONE = F32(1)


@kernel
def _grid(e, p, y):
    for t in range(e.shape[0]):
        for u in range(p.shape[0]):
            audio, text, out = e[t], p[u], y[t, u]
            for j in range(out.size):
                out[j] = tanh32(audio[j] + text[j])


@kernel
def _grid_backward(dy, y, de, dp):
    for t in range(y.shape[0]):
        for u in range(y.shape[1]):
            given, hidden, audio, text = dy[t, u], y[t, u], de[t], dp[u]
            for j in range(hidden.size):
                d = given[j] * (ONE - hidden[j] * hidden[j])
                audio[j] += d
                text[j] += d


def _backward_bound(dy, y):
    size = np.abs(dy.astype(np.float64)) * (1 + y.astype(np.float64) ** 2)
    return (2 * size.shape[1] + 6) * EPS * size.sum(axis=1) + 1e-37, (2 * size.shape[0] + 6) * EPS * size.sum(axis=0) + 1e-37


@twin_of(reference.join_grid, agree=BITS)
def join_grid(e, p):
    checks.array("e", e, F32, (None, None))
    checks.array("p", p, F32, (None, e.shape[1]))
    y = np.empty((len(e), len(p), e.shape[1]), F32)
    _grid(e, p, y)
    return y


@twin_of(reference.join_grid_backward, agree=BOUND(_backward_bound, "sums of U+1 and of T terms in another order"))
def join_grid_backward(dy, y):
    checks.array("dy", dy, F32, (None, None, None))
    checks.array("y", y, F32, dy.shape)
    de, dp = np.zeros((y.shape[0], y.shape[2]), F32), np.zeros(y.shape[1:], F32)
    _grid_backward(dy, y, de, dp)
    return de, dp
