"""Numba twins of `refasr.nn.lstm`.

One step is a matrix-vector product bound by reading the weights: eight rows are added at a time, so that the sum is
loaded and stored once for eight products. The sequences pack their weights once for all frames.
"""

import numpy as np

from refasr.jit import kernel
from refasr.nn import lstm as reference
from refasr.nn.lstm import LstmCache, LstmState, LstmWeights
from refasr.nn.product_fast import PANEL, _multiply, _pack
from refasr.numerics_fast import sigmoid32, tanh32
from refasr.twins import BOUND, twin_of

F32 = np.float32
EPS = float(np.finfo(F32).eps)
ONE, ZERO = F32(1), F32(0)


@kernel
def _add_product(x, weight, out):
    """out += x W, eight rows of W at a time."""
    whole = x.size // 8 * 8
    for k in range(0, whole, 8):
        x0, x1, x2, x3, x4, x5, x6, x7 = x[k], x[k + 1], x[k + 2], x[k + 3], x[k + 4], x[k + 5], x[k + 6], x[k + 7]
        w0, w1, w2, w3 = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
        w4, w5, w6, w7 = weight[k + 4], weight[k + 5], weight[k + 6], weight[k + 7]
        for j in range(out.size):
            low = (x0 * w0[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j])
            high = (x4 * w4[j] + x5 * w5[j]) + (x6 * w6[j] + x7 * w7[j])
            out[j] += low + high
    for k in range(whole, x.size):
        xk, row = x[k], weight[k]
        for j in range(out.size):
            out[j] += xk * row[j]


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
def _copy_rows(x, out):
    for i in range(x.shape[0]):
        given, row = x[i], out[i]
        for j in range(given.size):
            row[j] = given[j]


@kernel
def _sequence(x, rows, weight, gates, cells, cell_tanh, h):
    """`weight` is Wx, Wh and the bias below one another: the layer's input is (x[t], h[t - 1], 1)."""
    batch, n_inputs, width = x.shape[1], x.shape[2], h.shape[2]
    panels = _pack(weight, PANEL)
    inputs = np.zeros((batch, n_inputs + width + 1), np.float32)
    inputs[:, -1] = ONE
    start = np.zeros(width, np.float32)
    for t in range(x.shape[0]):
        n = rows[t]
        _copy_rows(x[t, :n], inputs[:n, :n_inputs])
        _multiply(inputs[:n], panels, gates[t, :n])
        for b in range(n):
            c_before = cells[t - 1, b] if t > 0 else start
            _gates(gates[t, b], c_before, cells[t, b], cell_tanh[t, b], h[t, b])
        _copy_rows(h[t, :n], inputs[:n, n_inputs:-1])
        gates[t, n:], cells[t, n:], cell_tanh[t, n:], h[t, n:] = ZERO, ZERO, ZERO, ZERO


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
def _sequence_backward(dh, rows, weight_transposed, gates, cells, cell_tanh, dx, da):
    """`weight_transposed` holds Wh^T and, if the inputs are to get their gradient `dx`, Wx^T beside it. Fills `da` row by row."""
    n_frames, batch, width = dh.shape
    panels = _pack(weight_transposed, PANEL)
    dinputs = np.zeros((batch, weight_transposed.shape[1]), np.float32)  # of (h[t - 1], x[t])
    dc = np.zeros((batch, width), np.float32)
    start = np.zeros(width, np.float32)
    first = da.shape[0]
    for t in range(n_frames - 1, -1, -1):
        n = rows[t]
        first -= n
        for b in range(n):
            c_before = cells[t - 1, b] if t > 0 else start
            _gates_backward(dh[t, b], dinputs[b, :width], gates[t, b], c_before, cell_tanh[t, b], dc[b], da[first + b])
        _multiply(da[first : first + n], panels, dinputs[:n])
        _copy_rows(dinputs[:n, width:], dx[t, :n])


@kernel
def _transpose(x, out):
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            out[j, i] = x[i, j]


@kernel
def _weight_gradient(x, rows, h, da, dweight):
    """Of Wx, Wh and the bias below one another, from the layer's inputs (x[t], h[t - 1], 1) as columns."""
    n_inputs, first = x.shape[2], 0
    inputs = np.zeros((dweight.shape[0], da.shape[0]), np.float32)
    inputs[-1] = ONE
    for t in range(x.shape[0]):
        n = rows[t]
        _transpose(x[t, :n], inputs[:n_inputs, first : first + n])
        if t > 0:
            _transpose(h[t - 1, :n], inputs[n_inputs:-1, first : first + n])
        first += n
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


def _sequence_bound(x, weights, active=None):
    outputs, cache = reference.lstm_sequence(x, weights, active)
    terms = (x.shape[2] + outputs.shape[2] + 4) * 2 * EPS
    h = dh = c_error = np.zeros(outputs.shape[1:])
    errors_h, errors_c, errors_gates, errors_tanh = [], [], [], []
    for t in range(len(x)):
        size = np.abs(x[t]) @ np.abs(weights.input) + np.abs(h) @ np.abs(weights.recurrent) + np.abs(weights.bias)
        a_error = terms * size + dh @ np.abs(weights.recurrent)
        c_before = cache.cells[t - 1] if t > 0 else np.zeros_like(cache.cells[0])
        dh, c_error = _gate_errors(a_error, cache.gates[t], c_before, c_error, cache.cell_tanh[t])
        h = outputs[t]
        errors_h.append(dh), errors_c.append(c_error), errors_gates.append(a_error + 8 * EPS), errors_tanh.append(c_error + 8 * EPS)
    stack = [2 * np.array(errors) + 1e-37 for errors in (errors_h, errors_gates, errors_c, errors_tanh)]
    return stack[0], LstmCache(*stack[1:])


def _backward_bound(dh, x, outputs, cache, weights, active=None, want_dx=True):
    """The pass is linear in dh: run it on magnitudes, and allow one rounding for each product in the chain."""
    n_frames, batch, n = dh.shape
    wide = LstmWeights(*(np.abs(w.astype(np.float64)) for w in weights))
    gates, cells, squashed = (np.abs(part.astype(np.float64)) for part in cache)
    running = np.arange(batch) < reference.rows_by_frame(x, active)[:, None]
    da, carried, dc = np.zeros((n_frames, batch, 4 * n)), np.zeros((batch, n)), np.zeros((batch, n))
    for t in range(n_frames - 1, -1, -1):
        i, f, g, o = np.split(gates[t], 4, axis=-1)
        before = cells[t - 1] if t > 0 else np.zeros((batch, n))
        dh_t = (np.abs(dh[t]) + carried) * running[t, :, None]
        dc = (dc + dh_t * o * (1 + squashed[t] ** 2)) * running[t, :, None]
        da[t] = np.concatenate([dc * g * i * (1 + i), dc * before * f * (1 + f), dc * i * (1 + g * g), dh_t * squashed[t] * o * (1 + o)], -1)
        dc = dc * f
        carried = da[t] @ wide.recurrent.T
    roundings = 2 * EPS * ((n_frames + 1) * (4 * n + 16) + n_frames * batch)
    dw = reference.weight_gradients(da, np.abs(x).astype(np.float64), np.abs(outputs).astype(np.float64))
    dx = roundings * (da @ wide.input.T) + 1e-37 if want_dx else None
    return dx, LstmWeights(*(roundings * part + 1e-37 for part in dw))


@twin_of(reference.lstm_step, agree=BOUND(_step_bound, "the K+N products are added in another order"))
def lstm_step(x, state, weights):
    reference.check_step(x, state, weights)
    width = state.h.size
    a, out = np.empty(4 * width, np.float32), np.empty((3, width), np.float32)
    _step(x, state.h, state.c, weights.input, weights.recurrent, weights.bias, a, out[0], out[1], out[2])
    return LstmState(out[0], out[1])


@twin_of(reference.lstm_sequence, agree=BOUND(_sequence_bound, "sums in another order, and the recurrence carries the error on"))
def lstm_sequence(x, weights, active=None):
    reference.check_sequence(x, weights, active)
    n_frames, batch, _ = x.shape
    width = weights.recurrent.shape[0]
    gates = np.empty((n_frames, batch, 4 * width), np.float32)
    h, cells, cell_tanh = (np.empty((n_frames, batch, width), np.float32) for _ in range(3))
    _sequence(x, reference.rows_by_frame(x, active), np.vstack(weights), gates, cells, cell_tanh, h)
    return h, LstmCache(gates, cells, cell_tanh)


@twin_of(reference.lstm_sequence_backward, agree=BOUND(_backward_bound, "linear in dh; sums run in another order"))
def lstm_sequence_backward(dh, x, outputs, cache, weights, active=None, want_dx=True):
    reference.check_backward(dh, x, outputs, cache, weights, active)
    rows, n_inputs, width = reference.rows_by_frame(x, active), x.shape[2], dh.shape[2]
    used = (weights.recurrent, weights.input) if want_dx else (weights.recurrent,)
    dx = np.zeros((*x.shape[:2], n_inputs if want_dx else 0), np.float32)
    da, dweight = np.empty((rows.sum(), 4 * width), np.float32), np.empty((n_inputs + width + 1, 4 * width), np.float32)
    _sequence_backward(dh, rows, np.ascontiguousarray(np.vstack(used).T), *cache, dx, da)
    _weight_gradient(x, rows, outputs, da, dweight)
    return dx if want_dx else None, LstmWeights(dweight[:n_inputs], dweight[n_inputs:-1], dweight[-1])
