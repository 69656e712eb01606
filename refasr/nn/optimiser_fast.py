"""Numba twin of `refasr.nn.optimiser`: one pass over memory instead of a dozen."""

import numpy as np

from refasr.jit import kernel
from refasr.nn import optimiser as reference
from refasr.nn.optimiser import STABILITY, AdamState
from refasr.twins import BITS, twin_of

ONE = np.float32(1)


@kernel
def _adam(w, g, m, v, average, constants, w2, m2, v2, average2):
    b1, b2, mean_scale, square_scale, rate, decay, keep = constants
    for i in range(w.size):
        mean = b1 * m[i] + (ONE - b1) * g[i]
        square = b2 * v[i] + (ONE - b2) * g[i] * g[i]
        moved = w[i] - rate * ((mean * mean_scale) / (np.sqrt(square * square_scale) + STABILITY) + decay * w[i])
        m2[i], v2[i], w2[i] = mean, square, moved
        average2[i] = keep * average[i] + (ONE - keep) * moved


@twin_of(reference.adam, agree=BITS)
def adam(weights, gradient, state, step, rates):
    reference.check_adam(weights, gradient, state)
    moved, mean, square, average = (np.empty_like(weights) for _ in range(4))
    constants = reference.update_constants(step, rates)
    _adam(weights, gradient, state.mean, state.square, state.average, constants, moved, mean, square, average)
    return moved, AdamState(mean, square, average)
