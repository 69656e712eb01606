"""Numba twins of `refasr.transducer.joiner`: one audio frame at a time, so that its rows stay in the cache.

The output layer is narrow: its panels are 40 columns of 8 lanes, which wastes less of 36 units than 64 would.
"""

import numpy as np

from refasr.jit import kernel, scalar
from refasr.nn.product_fast import PANEL, ROWS, _fill_tile, _multiply, _pack
from refasr.numerics_fast import tanh32
from refasr.simd import add_outer, load_tile, store_tile, zero_tile
from refasr.transducer import joiner as reference
from refasr.twins import BOUND, twin_of

F32 = np.float32
EPS = float(np.finfo(F32).eps)
ZERO, ONE = F32(0), F32(1)
NARROW = 40


@kernel
def _hidden(audio, p, hidden):
    for u in range(p.shape[0]):
        text, out = p[u], hidden[u]
        for j in range(out.size):
            out[j] = tanh32(audio[j] + text[j])


@kernel
def _grid(e, p, output, bias, hidden, logits):
    """Every tile of logits begins as the bias, read with stride 0."""
    n_rows, whole = p.shape[0], p.shape[0] // ROWS * ROWS
    panels = _pack(output, NARROW)
    begin = _pack(bias.reshape(1, bias.size), NARROW)
    edge = np.empty((ROWS, NARROW), np.float32)
    for t in range(e.shape[0]):
        _hidden(e[t], p, hidden[t])
        for n in range(panels.shape[0]):
            for row in range(0, whole, ROWS):
                tile = load_tile(zero_tile(4, 5, 8), begin, n * NARROW, 0)
                _fill_tile(tile, ROWS, hidden[t], row, panels, n, logits[t], edge)
            for row in range(whole, n_rows):
                tile = load_tile(zero_tile(1, 5, 8), begin, n * NARROW, 0)
                _fill_tile(tile, 1, hidden[t], row, panels, n, logits[t], edge)


@kernel
def _through_tanh(dhidden, hidden, audio, dp):
    for u in range(hidden.shape[0]):
        given, y, text = dhidden[u], hidden[u], dp[u]
        for j in range(y.size):
            d = given[j] * (ONE - y[j] * y[j])
            audio[j] += d
            text[j] += d


@kernel
def _add_products(dlogits, hidden, doutput):
    """doutput += dlogits^T hidden: of one frame, and straight from its rows, which need no packing."""
    n_rows, n_units, width = dlogits.shape[0], dlogits.shape[1], hidden.shape[1]
    whole_units, whole_columns = n_units // ROWS * ROWS, width // PANEL * PANEL
    for first in range(0, whole_columns, PANEL):
        for v in range(0, whole_units, ROWS):
            tile = load_tile(zero_tile(4, 4, 16), doutput, v * width + first, width)
            for u in range(n_rows):
                tile = add_outer(tile, dlogits, u * n_units + v, 1, hidden, u * width + first)
            store_tile(tile, doutput, v * width + first, width)
    for v in range(n_units):
        for j in range(whole_columns if v < whole_units else 0, width):
            for u in range(n_rows):
                doutput[v, j] += dlogits[u, v] * hidden[u, j]


@scalar
def _is_zero(row):
    v = 0
    while v < row.size and row[v] == ZERO:
        v += 1
    return v == row.size


@kernel
def _grid_backward(dlogits, hidden, output_transposed, de, dp, doutput, dbias):
    """Far from the alignment the loss is indifferent: rows of zeros above and below the others add nothing, and are skipped."""
    panels = _pack(output_transposed, PANEL)
    dhidden = np.empty(hidden.shape[1:], np.float32)
    for t in range(hidden.shape[0]):
        first, end = 0, hidden.shape[1]
        while end > 0 and _is_zero(dlogits[t, end - 1]):
            end -= 1
        while first < end and _is_zero(dlogits[t, first]):
            first += 1
        rows, y, scratch = dlogits[t, first:end], hidden[t, first:end], dhidden[first:end]
        _multiply(rows, panels, scratch)
        _through_tanh(scratch, y, de[t], dp[first:end])
        _add_products(rows, y, doutput)
        for u in range(first, end):
            row = dlogits[t, u]
            for v in range(row.size):
                dbias[v] += row[v]


def _bound(e, p, output, output_bias):
    _, hidden = reference.join_grid(e, p, output, output_bias)
    size = np.abs(hidden.astype(np.float64)) @ np.abs(output) + np.abs(output_bias)
    return (2 * output.shape[0] + 4) * EPS * size + 1e-37, None


def _backward_bound(dlogits, hidden, output):
    n_frames, n_rows, n_units = dlogits.shape
    dz, y = np.abs(dlogits.astype(np.float64)), np.abs(hidden.astype(np.float64))
    d = (dz @ np.abs(output.T)) * (1 + y**2)
    roundings = 2 * n_units + 6
    de, dp = (roundings + 2 * n_rows) * EPS * d.sum(axis=1), (roundings + 2 * n_frames) * EPS * d.sum(axis=0)
    over_nodes = (2 * n_frames * n_rows + 4) * EPS
    doutput, dbias = np.tensordot(y, dz, axes=((0, 1), (0, 1))), dz.sum(axis=(0, 1))
    return de + 1e-37, dp + 1e-37, over_nodes * doutput + 1e-37, over_nodes * dbias + 1e-37


@twin_of(reference.join_grid, agree=BOUND(_bound, "J products are added in another order; the hidden layer is equal"))
def join_grid(e, p, output, output_bias):
    reference.check_grid(e, p, output, output_bias)
    hidden = np.empty((len(e), len(p), e.shape[1]), F32)
    logits = np.empty((len(e), len(p), output.shape[1]), F32)
    _grid(e, p, output, output_bias, hidden, logits)
    return logits, hidden


@twin_of(reference.join_grid_backward, agree=BOUND(_backward_bound, "sums over units, rows, frames and nodes in another order"))
def join_grid_backward(dlogits, hidden, output):
    reference.check_grid_backward(dlogits, hidden, output)
    (n_frames, n_rows, width), n_units = hidden.shape, output.shape[1]
    de, dp = np.zeros((n_frames, width), F32), np.zeros((n_rows, width), F32)
    doutput, dbias = np.zeros((n_units, width), F32), np.zeros(n_units, F32)
    _grid_backward(dlogits, hidden, np.ascontiguousarray(output.T), de, dp, doutput, dbias)
    return de, dp, np.ascontiguousarray(doutput.T), dbias
