"""Numba twin of `refasr.endpoint.model`: the same sums in the same order, without an array for every row."""

import numpy as np

from refasr.endpoint import model as reference
from refasr.jit import kernel
from refasr.nn.lstm import LstmState
from refasr.numerics_fast import sigmoid32, tanh32
from refasr.twins import BITS, twin_of

F32 = np.float32


@kernel
def _add_rows(total, x, weight):
    for k in range(x.size):
        for j in range(total.size):
            total[j] += x[k] * weight[k, j]


@kernel
def _cell(a, c_before, h, c):
    n = c_before.size
    for j in range(n):
        kept = sigmoid32(a[n + j]) * c_before[j]
        c[j] = kept + sigmoid32(a[j]) * tanh32(a[2 * n + j])
        h[j] = sigmoid32(a[3 * n + j]) * tanh32(c[j])


@kernel
def _dot(start, x, weight):
    total = start
    for k in range(x.size):
        total += x[k] * weight[k]
    return total


@kernel
def _finished(sound, decoder, h_before, c_before, weights, h, c, out):
    mean, scale, into, recurrent, bias, joint, joint_bias, output, output_bias = weights
    a, width = bias.copy(), h_before.size
    _add_rows(a, (sound - mean) * scale, into)
    _add_rows(a, h_before, recurrent)
    _cell(a, c_before, h, c)
    hidden = joint_bias.copy()
    _add_rows(hidden, h, joint[:width])
    _add_rows(hidden, decoder, joint[width:])
    for j in range(hidden.size):
        hidden[j] = tanh32(hidden[j])
    out[0] = sigmoid32(_dot(output_bias[0], hidden, output))


@kernel
def _complete(label, h_before, c_before, weights, h, c, out):
    table, recurrent, bias, output, output_bias = weights
    a = bias + table[label]
    _add_rows(a, h_before, recurrent)
    _cell(a, c_before, h, c)
    out[0] = _dot(output_bias[0], h, output)


def _run(loop, width, *arguments):
    out, h, c = np.empty(1, F32), np.empty(width, F32), np.empty(width, F32)
    loop(*arguments, h, c, out)
    return out, LstmState(h, c)


def _finished_cost(sound, decoder, state, weights):
    n_macs = sum(array.size for array in (weights.input, weights.recurrent, weights.joint, weights.output))
    return 2 * n_macs, 4 * n_macs


@twin_of(reference.finished, agree=BITS, cost=_finished_cost)
def finished(sound, decoder, state, weights):
    reference.check_finished(sound, decoder, state, weights)
    return _run(_finished, len(weights.recurrent), sound, decoder, *state, weights)


@twin_of(reference.complete, agree=BITS)
def complete(label, state, weights):
    reference.check_complete(label, state, weights)
    return _run(_complete, len(weights.recurrent), label, *state, weights)
