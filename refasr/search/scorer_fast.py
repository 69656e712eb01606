"""Numba twins of `refasr.search.scorer`, and the scalar functions that the beam search's kernel is made of."""

import numpy as np

from refasr.jit import kernel, scalar
from refasr.nn.layer_norm import EPSILON
from refasr.numerics_fast import exp32, log32, sigmoid32, tanh32
from refasr.search import scorer as reference
from refasr.twins import BITS, twin_of

F32 = np.float32
ONE, ZERO = F32(1), F32(0)
AT_ONCE = 4  # rows of a matrix in one pass over the sums: fewer loads and stores, the same order


@scalar
def add_product(x, weights, out):
    """out += x W, one term after the other."""
    depth, width = weights.shape
    whole = depth // AT_ONCE * AT_ONCE
    for k in range(0, whole, AT_ONCE):
        a, b, c, d = x[k], x[k + 1], x[k + 2], x[k + 3]
        for j in range(width):
            out[j] = (((out[j] + a * weights[k, j]) + b * weights[k + 1, j]) + c * weights[k + 2, j]) + d * weights[k + 3, j]
    for k in range(whole, depth):
        a = x[k]
        for j in range(width):
            out[j] += a * weights[k, j]


@scalar
def sum_in_order(x):
    total = x[0]
    for i in range(1, x.size):
        total += x[i]
    return total


@scalar
def squares_in_order(x):
    total = x[0] * x[0]
    for i in range(1, x.size):
        total += x[i] * x[i]
    return total


@scalar
def text_step(label, h_before, c_before, scorer, gates, text, h, c):
    """One hypothesis; `gates` [4P] is room to work in, `h` and `c` may be the state before."""
    width = h.size
    gates[:] = scorer.bias
    add_product(h_before, scorer.recurrent, gates)
    add_product(scorer.table[label], scorer.input, gates)
    for j in range(width):
        gates[j] = sigmoid32(gates[j])
    for j in range(width, 2 * width):
        gates[j] = sigmoid32(gates[j])
    for j in range(2 * width, 3 * width):
        gates[j] = tanh32(gates[j])
    for j in range(3 * width, 4 * width):
        gates[j] = sigmoid32(gates[j])
    for j in range(width):
        c[j] = gates[width + j] * c_before[j] + gates[j] * gates[2 * width + j]
        h[j] = gates[3 * width + j] * tanh32(c[j])
    normal = gates[:width]
    mean = sum_in_order(h) / F32(width)
    for j in range(width):
        normal[j] = h[j] - mean
    reciprocal = ONE / np.sqrt(squares_in_order(normal) / F32(width) + EPSILON)
    for j in range(width):
        normal[j] = normal[j] * reciprocal * scorer.gain[j] + scorer.shift[j]
    text[:] = ZERO
    add_product(normal, scorer.text, text)


@scalar
def score_units(audio, text, scorer, hidden, logp):
    """One hypothesis in one frame; `hidden` [J] is room to work in."""
    for j in range(audio.size):
        hidden[j] = tanh32(audio[j] + text[j])
    logp[:] = scorer.output_bias
    add_product(hidden, scorer.output, logp)
    peak = logp[0]
    for v in range(1, logp.size):
        peak = max(peak, logp[v])
    mass = ZERO
    for v in range(logp.size):
        logp[v] -= peak
    mass = exp32(logp[0])
    for v in range(1, logp.size):
        mass += exp32(logp[v])
    shift = log32(mass)
    for v in range(logp.size):
        logp[v] -= shift


@kernel
def _texts(labels, h, c, scorer, text, h_after, c_after):
    gates = np.empty(4 * h.shape[1], np.float32)
    for b in range(labels.size):
        text_step(labels[b], h[b], c[b], scorer, gates, text[b], h_after[b], c_after[b])


@kernel
def _scores(audio, text, scorer, logp):
    hidden = np.empty(audio.size, np.float32)
    for b in range(text.shape[0]):
        score_units(audio, text[b], scorer, hidden, logp[b])


@twin_of(reference.next_text, agree=BITS)
def next_text(labels, h, c, scorer):
    reference.check_text(labels, h, c, scorer)
    text, h_after, c_after = np.empty((labels.size, scorer.text.shape[1]), F32), np.empty_like(h), np.empty_like(c)
    _texts(labels, h, c, scorer, text, h_after, c_after)
    return text, h_after, c_after


@twin_of(reference.unit_scores, agree=BITS)
def unit_scores(audio, text, scorer):
    reference.check_scores(audio, text, scorer)
    logp = np.empty((len(text), scorer.output.shape[1]), F32)
    _scores(audio, text, scorer, logp)
    return logp
