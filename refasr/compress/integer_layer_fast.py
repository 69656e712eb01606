"""Numba twins of `refasr.compress.integer_layer`: all frames of a chunk in one kernel, the recurrent product inside it."""

import numpy as np

from refasr.compress import integer_layer as reference
from refasr.compress.integer_layer import IntegerState
from refasr.compress.integer_ops_fast import cell_row, lstm_cell, norm_row
from refasr.hw.gemm import padded_outputs
from refasr.hw.gemm_fast import dense_row, product
from refasr.jit import kernel
from refasr.twins import BITS, twin_of

I8, I16, I32 = np.int8, np.int16, np.int32


@kernel
def _frames(ax, h, c, codes, offsets, words, sums, gates, cell, norm, y):
    """`h` int8 [N] and `c` int16 [N] hold the state and are brought up to date; `words`, `sums`, `gates` are room."""
    for t in range(y.shape[0]):
        dense_row(codes, offsets, h, words, sums)
        cell_row(ax[t], sums, cell, gates, h, c)
        norm_row(h, norm, y[t])


@kernel
def _step(x, h, c, input_codes, input_offsets, codes, offsets, input_words, words, ax, ah, gates, cell):
    """One stream: `h` int8 [N] and `c` int16 [N] are brought up to date; from `input_words` to `gates` is room."""
    dense_row(input_codes, input_offsets, x, input_words, ax)
    dense_row(codes, offsets, h, words, ah)
    cell_row(ax, ah, cell, gates, h, c)


def _room(weights):
    """Words of one input, and its sums. Parameters: weights (PackedWeights). Returns (uint32 [K/4], int32 [M, whole panels])."""
    return np.zeros(-(-weights.n_inputs // 4), np.uint32), np.empty(padded_outputs(weights.n_outputs), I32)


@twin_of(reference.lstm_step, agree=BITS)
def lstm_step(x, h, c, lstm):
    reference.check_step(x, h, c, lstm)
    wx, wh = lstm.input, lstm.recurrent
    if len(x) != 1 or wx.layout != "dense":
        return lstm_cell(product(x, wx), product(h, wh), c, lstm.cell)
    h, c = h.copy(), c.copy()
    (input_words, ax), (words, ah), gates = _room(wx), _room(wh), np.empty(wh.n_outputs, I32)
    _step(x[0], h[0], c[0], wx.codes, wx.offsets, wh.codes, wh.offsets, input_words, words, ax, ah, gates, lstm.cell)
    return h, c


@twin_of(reference.recurrent_layer, agree=BITS)
def recurrent_layer(x, state, lstm, norm):
    reference.check_layer(x, state, lstm, norm)
    y, h, c, wh = np.empty((len(x), state.h.size), I8), state.h.copy(), state.c.copy(), lstm.recurrent
    words, sums = _room(wh)
    gates = np.empty(wh.n_outputs, I32)
    _frames(product(x, lstm.input), h, c, wh.codes, wh.offsets, words, sums, gates, lstm.cell, norm, y)
    return y, IntegerState(h, c)
