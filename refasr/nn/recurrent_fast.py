"""Numba twin of `refasr.nn.recurrent`: all frames of a chunk in one call, so that Python costs little beside the products."""

import numpy as np

from refasr.jit import kernel
from refasr.nn import lstm
from refasr.nn import recurrent as reference
from refasr.nn.layer_norm import EPSILON
from refasr.nn.layer_norm_fast import _forward
from refasr.nn.lstm import LstmState
from refasr.nn.lstm_fast import _gate_errors, _step
from refasr.twins import BOUND, twin_of

F32 = np.float32
EPS = float(np.finfo(F32).eps)


@kernel
def _recurrent(x, h, c, wx, wh, bias, gain, shift, y):
    """`h` [1, N] and `c` [N] hold the state, and are brought up to date."""
    width = c.size
    a, cell_tanh = np.empty(4 * width, np.float32), np.empty(width, np.float32)
    normalised, reciprocal = np.empty((1, width), np.float32), np.empty(1, np.float32)
    for t in range(x.shape[0]):
        _step(x[t], h[0], c, wx, wh, bias, a, h[0], c, cell_tanh)
        _forward(h, gain, shift, y[t : t + 1], normalised, reciprocal)


def _norm_error(h, h_error, gain, bias):
    """Largest error of a normalised row whose inputs may be off by h_error. Parameters: h, h_error, gain, bias.

    The centred row moves by at most q, the variance by v; the reciprocal deviation is then between its values at the ends.
    """
    wide, n = h.astype(np.float64), h.size
    h_error = h_error + (2 * n + 2) * EPS * np.abs(wide).max()  # of the mean's own sum, and of the difference
    centred, q = np.abs(wide - wide.mean()), h_error + h_error.mean()
    variance, epsilon = np.mean(centred**2), float(EPSILON)
    v = np.mean(2 * centred * q + q * q) + (2 * n + 4) * EPS * variance
    reciprocal, largest, least = (1 / np.sqrt(max(0.0, s) + epsilon) for s in (variance, variance - v, variance + v))
    error = q * largest + centred * max(largest - reciprocal, reciprocal - least) + 8 * EPS * (centred + q) * largest
    return error * np.abs(gain) + 4 * EPS * np.abs(bias) + 1e-37


def _recurrent_bound(x, state, weights, gain, bias):
    """The error of each step, given that of the state before it."""
    terms = (x.shape[1] + state.h.size + 4) * 2 * EPS
    h_error, c_error, rows = np.zeros(state.h.size), np.zeros(state.h.size), []
    for frame in x:
        a = frame @ weights.input + state.h @ weights.recurrent + weights.bias
        size = np.abs(frame) @ np.abs(weights.input) + np.abs(state.h) @ np.abs(weights.recurrent) + np.abs(weights.bias)
        gates = lstm.activate(a)
        h, c, cell_tanh = lstm.next_cell(gates, state.c)
        a_error = terms * size + h_error @ np.abs(weights.recurrent)
        h_error, c_error = _gate_errors(a_error, gates, state.c, c_error, cell_tanh)
        state = LstmState(h, c)
        rows.append(_norm_error(h, 2 * h_error + 1e-37, gain, bias))
    return np.array(rows).reshape(len(x), h_error.size), LstmState(2 * h_error + 1e-37, 2 * c_error + 1e-37)


@twin_of(reference.recurrent_layer, agree=BOUND(_recurrent_bound, "sums in another order, carried along by the recurrence"))
def recurrent_layer(x, state, weights, gain, bias):
    reference.check_recurrent(x, state, weights, gain, bias)
    y, h, c = np.empty((len(x), state.h.size), F32), state.h[None].copy(), state.c.copy()
    _recurrent(x, h, c, *weights, gain, bias, y)
    return y, LstmState(h[0], c)
