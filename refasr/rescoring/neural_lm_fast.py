"""Numba twin of `refasr.rescoring.neural_lm.spell`: the recurrent weights are packed once for all units of all texts."""

import numpy as np

from refasr.jit import kernel
from refasr.nn.lstm_fast import _gates
from refasr.nn.product_fast import PANEL, _multiply, _pack
from refasr.numerics_fast import exp32, log32
from refasr.rescoring import neural_lm as reference
from refasr.rescoring.neural_lm import LmState
from refasr.twins import BOUND, twin_of

F32 = np.float32
EPS = float(np.finfo(F32).eps)


@kernel
def _log_softmax_at(logits, label):
    highest = logits[0]
    for v in range(1, logits.size):
        highest = max(highest, logits[v])
    total = F32(0)
    for v in range(logits.size):
        total += exp32(logits[v] - highest)
    return (logits[label] - highest) - log32(total)


@kernel
def _spell(units, starts, lengths, h, c, table, wx, wh, bias, output, output_bias, logp):
    """Rows stand in the order of falling length; h and c are changed in place."""
    n_rows, width = h.shape
    panels, panels_out = _pack(wh, PANEL), _pack(output, PANEL)
    read = np.empty((table.shape[0], 4 * width), np.float32)
    _multiply(table, _pack(wx, PANEL), read)
    gates, logits = np.empty((n_rows, 4 * width), np.float32), np.empty((n_rows, output.shape[1]), np.float32)
    c_next, cell_tanh = np.empty(width, np.float32), np.empty(width, np.float32)
    n, t = n_rows, 0
    while n > 0 and lengths[n - 1] == 0:
        n -= 1
    while n > 0:
        _multiply(h[:n], panels_out, logits[:n])
        _multiply(h[:n], panels, gates[:n])
        for b in range(n):
            label = units[starts[b] + t]
            row, said, add = logits[b], gates[b], read[label]
            for v in range(row.size):
                row[v] += output_bias[v]
            logp[b] += _log_softmax_at(row, label)
            for j in range(said.size):
                said[j] += add[j] + bias[j]
            _gates(said, c[b], c_next, cell_tanh, h[b])
            for j in range(width):
                c[b, j] = c_next[j]
        t += 1
        while n > 0 and lengths[n - 1] <= t:
            n -= 1


def _bound(units, ends, state, weights):
    """Errors of products, carried from unit to unit through gates (slope at most 1/4, tanh 1) and the softmax (twice)."""
    starts = np.append(0, ends)[:-1]
    wide = [np.abs(array.astype(np.float64)) for array in weights]
    table, wx, wh, bias, output, output_bias = wide
    terms = (table.shape[1] + len(wh) + 8) * 2 * EPS
    dh, dc = np.zeros(state.h.shape), np.zeros(state.h.shape)
    dlogp, total = np.zeros(ends.size), np.zeros(ends.size)
    h, c = state.h.copy(), state.c.copy()
    for t in range(int((ends - starts).max(initial=0))):
        rows = np.flatnonzero(ends - starts > t)
        label = units[starts[rows] + t]
        logits_error = terms * (np.abs(h[rows]) @ output + output_bias) + dh[rows] @ output
        logp, after = reference.spell(label, np.arange(1, rows.size + 1, dtype=np.int32), LmState(h[rows], c[rows]), weights)
        total[rows] += np.abs(logp)
        dlogp[rows] += 2 * logits_error.max(axis=1) + (output_bias.size + 16) * EPS * (1 + np.abs(logp)) + 4 * EPS * total[rows]
        a_error = terms * (table[label] @ wx + np.abs(h[rows]) @ wh + bias) + dh[rows] @ wh + 8 * EPS
        i, f, g, o = np.split(a_error, 4, axis=1)
        dc[rows] = np.minimum(dc[rows] + np.abs(c[rows]) * f / 4 + i / 4 + g, 4e3) + 8 * EPS * (1 + np.abs(c[rows]))
        dh[rows] = np.minimum(dc[rows] + o / 4, 2) + 8 * EPS
        h[rows], c[rows] = after
    return 2 * dlogp + 1e-37, LmState(2 * dh + 1e-37, 2 * dc + 1e-37)


@twin_of(reference.spell, agree=BOUND(_bound, "sums in another order, and the recurrence carries the error on"))
def spell(units, ends, state, weights):
    reference.check_spell(units, ends, state, weights)
    starts = np.append(0, ends)[:-1]
    lengths = ends - starts
    order = np.argsort(-lengths, kind="stable")
    h, c = np.ascontiguousarray(state.h[order]), np.ascontiguousarray(state.c[order])
    logp = np.zeros(ends.size, np.float32)
    _spell(units, starts[order], lengths[order], h, c, *weights, logp)
    back = np.argsort(order, kind="stable")
    return logp[back], LmState(h[back], c[back])
