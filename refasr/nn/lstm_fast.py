"""Numba twins of `refasr.nn.lstm`.

One step is a matrix-vector product bound by reading the weights: four rows are added at a time, so that the sum is
loaded and stored once for four products. The sequences pack their weights once for all frames.
"""

import numpy as np

from refasr.jit import kernel
from refasr.nn import lstm as reference
from refasr.nn.lstm import LstmCache, LstmState, LstmWeights
from refasr.nn.product_fast import PANEL, ROWS, _multiply, _pack
from refasr.numerics_fast import sigmoid32, tanh32
from refasr.simd import add_outer, load_tile, store_tile, zero_tile
from refasr.twins import BOUND, twin_of

F32 = np.float32
EPS = float(np.finfo(F32).eps)
ONE = F32(1)
BLOCK = 64  # rows


@kernel
def _add_product(x, weight, out):
    """out += x W, four rows of W at a time."""
    width, whole = out.size, out.size // PANEL * PANEL
    for k in range(0, x.size, ROWS):
        for j in range(0, whole, PANEL):
            tile = load_tile(zero_tile(1, 4, 16), out, j, 0)
            for row in range(k, min(k + ROWS, x.size)):
                tile = add_outer(tile, x, row, 0, weight, row * width + j)
            store_tile(tile, out, j, 0)
    for k in range(x.size):
        for j in range(whole, width):
            out[j] += x[k] * weight[k, j]


@kernel
def _sigmoid(x):
    for j in range(x.size):
        x[j] = sigmoid32(x[j])


@kernel
def _tanh(x):
    for j in range(x.size):
        x[j] = tanh32(x[j])


@kernel
def _gates(gates, c_before, c, cell_tanh, h):
    """All of the layer after the products, for one row. In place and in slices from 0: only such loops become vectors."""
    n = h.size
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :]
    _sigmoid(gates[: 2 * n])
    _tanh(g)
    _sigmoid(o)
    for j in range(n):
        c[j] = f[j] * c_before[j] + i[j] * g[j]
        cell_tanh[j] = tanh32(c[j])
        h[j] = o[j] * cell_tanh[j]


@kernel
def _step(x, h_before, c_before, wx, wh, bias, a, h, c, cell_tanh):
    for j in range(a.size):
        a[j] = bias[j]
    _add_product(x, wx, a)
    _add_product(h_before, wh, a)
    _gates(a, c_before, c, cell_tanh, h)


@kernel
def _sequence(x, active, wx, wh, bias, gates, cells, cell_tanh, h):
    """The inputs' products are made for a block of rows at a time: many rows a panel, few enough to stay in the cache."""
    n_rows, width = h.shape
    panels_x, panels_h = _pack(wx, PANEL), _pack(wh, PANEL)
    recurrent = np.zeros((active[0], 4 * width), np.float32)
    start = np.zeros(width, np.float32)
    first, before, ready = 0, 0, 0
    for t in range(active.size):
        n = active[t]
        if ready < first + n:
            end = min(n_rows, first + max(n, BLOCK))
            _multiply(x[ready:end], panels_x, gates[ready:end])
            ready = end
        if t > 0:
            _multiply(h[before : before + n], panels_h, recurrent[:n])
        for b in range(n):
            row, add = gates[first + b], recurrent[b]
            for j in range(row.size):
                row[j] += add[j] + bias[j]
            c_before = cells[before + b] if t > 0 else start
            _gates(row, c_before, cells[first + b], cell_tanh[first + b], h[first + b])
        before = first
        first += n


@kernel
def _gates_backward(dh, dh_next, gates, c_before, cell_tanh, dc, da):
    """One row, from the gradient of its output to that of its pre-activations; `dc` goes over to the frame before."""
    n = dh.size
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :]
    di, df, dg, do = da[:n], da[n : 2 * n], da[2 * n : 3 * n], da[3 * n :]
    for j in range(n):
        dh_j = dh[j] + dh_next[j]
        dc_j = dc[j] + dh_j * o[j] * (ONE - cell_tanh[j] * cell_tanh[j])
        di[j] = dc_j * g[j] * i[j] * (ONE - i[j])
        df[j] = dc_j * c_before[j] * f[j] * (ONE - f[j])
        dg[j] = dc_j * i[j] * (ONE - g[j] * g[j])
        do[j] = dh_j * cell_tanh[j] * o[j] * (ONE - o[j])
        dc[j] = dc_j * f[j]


@kernel
def _sequence_backward(dh, active, wx_transposed, wh_transposed, gates, cells, cell_tanh, dx, da):
    """`dx` without rows is not wanted."""
    n_rows, width = dh.shape
    panels_x, panels_h = _pack(wx_transposed, PANEL), _pack(wh_transposed, PANEL)
    dh_next, dc = np.zeros((active[0], width), np.float32), np.zeros((active[0], width), np.float32)
    start = np.zeros(width, np.float32)
    first, done = n_rows, n_rows
    for t in range(active.size - 1, -1, -1):
        n = active[t]
        if t < active.size - 1:
            _multiply(da[first : first + active[t + 1]], panels_h, dh_next[: active[t + 1]])
        first -= n
        for b in range(n):
            row = first + b
            c_before = cells[row - active[t - 1]] if t > 0 else start
            _gates_backward(dh[row], dh_next[b], gates[row], c_before, cell_tanh[row], dc[b], da[row])
        if dx.shape[0] > 0 and (done - first >= BLOCK or t == 0):
            _multiply(da[first:done], panels_x, dx[first:done])
            done = first


@kernel
def _transpose(x, out):
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            out[j, i] = x[i, j]


@kernel
def _weight_gradient(x, active, h, da, dweight):
    """Of Wx, Wh and the bias below one another, from the layer's inputs (x[t], h[t - 1], 1) as columns."""
    n_inputs, first, before = x.shape[1], active[0], 0
    inputs = np.zeros((dweight.shape[0], da.shape[0]), np.float32)
    _transpose(x, inputs[:n_inputs])
    for t in range(1, active.size):
        n = active[t]
        _transpose(h[before : before + n], inputs[n_inputs:-1, first : first + n])
        before += active[t - 1]
        first += n
    inputs[-1] = ONE
    _multiply(inputs, _pack(da, PANEL), dweight)


def _gate_errors(a_error, gates, c_before, c_error, cell_tanh):
    """First-order error of one application of the gates: sigmoid has slope <= 1/4, tanh <= 1; 4 eps for each polynomial."""
    i, f, g, o = np.split(np.abs(gates), 4, axis=-1)
    ai, af, ag, ao = np.split(a_error, 4, axis=-1)
    di, df, dg, do = ai / 4 + 8 * EPS, af / 4 + 8 * EPS, ag + 8 * EPS, ao / 4 + 8 * EPS
    dc = (df + f * 4 * EPS) * np.abs(c_before) + f * c_error + di * g + i * (dg + 4 * EPS) + df * c_error + di * dg
    return do * np.abs(cell_tanh) + o * (dc + 8 * EPS), dc


def _step_bound(x, state, weights):
    size = np.abs(x) @ np.abs(weights.input) + np.abs(state.h) @ np.abs(weights.recurrent) + np.abs(weights.bias)
    a = x @ weights.input + state.h @ weights.recurrent + weights.bias
    gates = reference.activate(a)
    _, _, cell_tanh = reference.next_cell(gates, state.c)
    a_error = (x.size + state.h.size + 4) * 2 * EPS * size.astype(np.float64)
    dh, dc = _gate_errors(a_error, gates, state.c, np.zeros(state.c.shape), cell_tanh)
    return LstmState(2 * dh + 1e-37, 2 * dc + 1e-37)


def _sequence_bound(x, active, weights):
    outputs, cache = reference.lstm_sequence(x, active, weights)
    terms = (x.shape[1] + outputs.shape[1] + 4) * 2 * EPS
    h_before, c_before = reference.frame_before(outputs, active), reference.frame_before(cache.cells, active)
    size = np.abs(x) @ np.abs(weights.input) + np.abs(h_before) @ np.abs(weights.recurrent) + np.abs(weights.bias)
    errors = [np.empty(part.shape) for part in (outputs, *cache)]
    dh = c_error = np.zeros((active[0], outputs.shape[1]))
    for n, now in zip(active, reference.rows_by_frame(active)):
        a_error = terms * size[now] + dh[:n] @ np.abs(weights.recurrent)
        dh, c_error = _gate_errors(a_error, cache.gates[now], c_before[now], c_error[:n], cache.cell_tanh[now])
        dh, c_error = np.minimum(dh, 2), np.minimum(c_error, 2 * active.size)  # no more than the values can differ at all
        for error, value in zip(errors, (dh, a_error + 8 * EPS, c_error, c_error + 8 * EPS)):
            error[now] = 2 * value + 1e-37
    return errors[0], LstmCache(*errors[1:])


def _backward_bound(dh, x, active, outputs, cache, weights, want_dx=True):
    """The pass is linear in dh: run it on magnitudes, and allow one rounding for each product in the chain."""
    n = dh.shape[1]
    wide = LstmWeights(*(np.abs(w.astype(np.float64)) for w in weights))
    gates, cells, squashed = (np.abs(part.astype(np.float64)) for part in cache)
    before, da = reference.frame_before(cells, active), np.zeros(gates.shape)
    carried, dc = np.zeros((active[0], n)), np.zeros((active[0], n))
    for n_now, now in reversed(list(zip(active, reference.rows_by_frame(active)))):
        i, f, g, o = np.split(gates[now], 4, axis=-1)
        dh_now, dc_now, s = np.abs(dh[now]) + carried[:n_now], dc[:n_now], squashed[now]
        dc_now += dh_now * o * (1 + s**2)
        da[now] = np.concatenate([dc_now * g * i * (1 + i), dc_now * before[now] * f * (1 + f), dc_now * i * (1 + g * g),
                                  dh_now * s * o * (1 + o)], axis=-1)
        dc_now *= f
        carried[:n_now] = da[now] @ wide.recurrent.T
    roundings = 2 * EPS * ((active.size + 1) * (4 * n + 16) + len(x))
    products = (np.abs(x).T @ da, np.abs(reference.frame_before(outputs, active)).T @ da, da.sum(axis=0))
    dx = roundings * (da @ wide.input.T) + 1e-37 if want_dx else None
    return dx, LstmWeights(*(roundings * part + 1e-37 for part in products))


@twin_of(reference.lstm_step, agree=BOUND(_step_bound, "the K+N products are added in another order"))
def lstm_step(x, state, weights):
    reference.check_step(x, state, weights)
    width = state.h.size
    a, out = np.empty(4 * width, np.float32), np.empty((3, width), np.float32)
    _step(x, state.h, state.c, weights.input, weights.recurrent, weights.bias, a, out[0], out[1], out[2])
    return LstmState(out[0], out[1])


@twin_of(reference.lstm_sequence, agree=BOUND(_sequence_bound, "sums in another order, and the recurrence carries the error on"))
def lstm_sequence(x, active, weights):
    reference.check_sequence(x, active, weights)
    width = weights.recurrent.shape[0]
    gates = np.empty((len(x), 4 * width), np.float32)
    h, cells, cell_tanh = (np.empty((len(x), width), np.float32) for _ in range(3))
    _sequence(x, active, *weights, gates, cells, cell_tanh, h)
    return h, LstmCache(gates, cells, cell_tanh)


@twin_of(reference.lstm_sequence_backward, agree=BOUND(_backward_bound, "linear in dh; sums run in another order"))
def lstm_sequence_backward(dh, x, active, outputs, cache, weights, want_dx=True):
    reference.check_backward(dh, x, active, outputs, cache, weights)
    n_inputs, width = x.shape[1], dh.shape[1]
    da, dx = np.empty_like(cache.gates), np.empty((len(x) if want_dx else 0, n_inputs), np.float32)
    wx_transposed, wh_transposed = (np.ascontiguousarray(part.T) for part in weights[:2])
    _sequence_backward(dh, active, wx_transposed, wh_transposed, *cache, dx, da)
    dweight = np.empty((n_inputs + width + 1, 4 * width), np.float32)
    _weight_gradient(x, active, outputs, da, dweight)
    return dx if want_dx else None, LstmWeights(dweight[:n_inputs], dweight[n_inputs:-1], dweight[-1])
