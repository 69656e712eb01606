"""Numba twins of `refasr.compress.integer_layer`: all frames of a chunk in one kernel, the recurrent product inside it."""

import numpy as np

from refasr.compress import integer_layer as reference
from refasr.compress.integer_layer import IntegerState
from refasr.compress.integer_ops_fast import cell_row, norm_row
from refasr.hw.gemm import padded_outputs
from refasr.hw.gemm_fast import product
from refasr.jit import kernel, scalar
from refasr.simd_int8 import add_dots, start_sums, store_sums, zero_sums
from refasr.twins import BITS, twin_of

I8, I16, I32 = np.int8, np.int16, np.int32
PANEL_ROWS, PANEL_BYTES, STEPS = 64, 256, 4
FLIP = np.uint8(0x80)


@scalar
def _flip_into(x, octets):
    """Bytes become unsigned, as the dot product wants them; what is past the end meets weights of 0."""
    for k in range(x.size):
        octets[k] = np.uint8(x[k]) ^ FLIP


@scalar
def _multiply(codes, offsets, words, sums):
    """One input vector with dense weights: all panels of 64 outputs, four sums of 16 in flight."""
    n_words = words.size
    for p in range(sums.size // PANEL_ROWS):
        tile, begin = start_sums(zero_sums(4, 1), offsets, p * PANEL_ROWS, 0), p * n_words * PANEL_BYTES
        whole = n_words // STEPS * STEPS
        for k in range(0, whole, STEPS):
            tile = add_dots(tile, STEPS, codes, begin + k * PANEL_BYTES, words, k, 0)
        for k in range(whole, n_words):
            tile = add_dots(tile, 1, codes, begin + k * PANEL_BYTES, words, k, 0)
        store_sums(tile, sums, p * PANEL_ROWS, 0)


@kernel
def _frames(ax, h, c, codes, offsets, words, sums, gates, cell, norm, y):
    """`h` int8 [N] and `c` int16 [N] hold the state and are brought up to date; `words`, `sums`, `gates` are room."""
    octets = words.view(np.uint8)
    for t in range(y.shape[0]):
        _flip_into(h, octets)
        _multiply(codes, offsets, words, sums)
        cell_row(ax[t], sums, cell, gates, h, c)
        norm_row(h, norm, y[t])


@kernel
def _steps(x, h, c, input_codes, input_offsets, codes, offsets, input_words, words, ax, ah, gates, cell):
    input_octets, octets = input_words.view(np.uint8), words.view(np.uint8)
    for b in range(x.shape[0]):
        _flip_into(x[b], input_octets)
        _multiply(input_codes, input_offsets, input_words, ax)
        _flip_into(h[b], octets)
        _multiply(codes, offsets, words, ah)
        cell_row(ax, ah, cell, gates, h[b], c[b])


@kernel
def _cells(ax, ah, cell, gates, h, c):
    for b in range(c.shape[0]):
        cell_row(ax[b], ah[b], cell, gates, h[b], c[b])


def _room(weights):
    """Words of one input, and its sums. Parameters: weights (PackedWeights). Returns (uint32 [K/4], int32 [M, whole panels])."""
    return np.zeros(-(-weights.n_inputs // 4), np.uint32), np.empty(padded_outputs(weights.n_outputs), I32)


@twin_of(reference.lstm_step, agree=BITS)
def lstm_step(x, h, c, lstm):
    reference.check_step(x, h, c, lstm)
    h, c = h.copy(), c.copy()
    gates, wx, wh = np.empty(lstm.recurrent.n_outputs, I32), lstm.input, lstm.recurrent
    if len(x) == 1 and wx.layout == "dense":
        input_words, ax = _room(wx)
        words, ah = _room(wh)
        _steps(x, h, c, wx.codes, wx.offsets, wh.codes, wh.offsets, input_words, words, ax, ah, gates, lstm.cell)
    else:
        _cells(product(x, wx), product(h, wh), lstm.cell, gates, h, c)
    return h, c


@twin_of(reference.recurrent_layer, agree=BITS)
def recurrent_layer(x, state, lstm, norm):
    reference.check_layer(x, state, lstm, norm)
    y, h, c, wh = np.empty((len(x), state.h.size), I8), state.h.copy(), state.c.copy(), lstm.recurrent
    words, sums = _room(wh)
    gates = np.empty(wh.n_outputs, I32)
    _frames(product(x, lstm.input), h, c, wh.codes, wh.offsets, words, sums, gates, lstm.cell, norm, y)
    return y, IntegerState(h, c)
