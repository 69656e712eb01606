"""Numba twins of `refasr.search.scorer`, and the functions of rows that the beam search's kernel is made of."""

from typing import NamedTuple

import numpy as np

from refasr.jit import chosen_by_class, kernel, scalar
from refasr.nn.layer_norm import EPSILON
from refasr.numerics_fast import sigmoid32, tanh32
from refasr.search import integer_scorer_fast
from refasr.search import scorer as reference
from refasr.search.integer_scorer import IntegerScorer
from refasr.search.log_softmax_fast import log_softmax_row
from refasr.twins import BITS, twin_of

F32 = np.float32
ONE, ZERO = F32(1), F32(0)
AT_ONCE = 4  # rows of a matrix in one pass over the sums: fewer loads and stores, the same order


@kernel
def _add_products(x, n, weights, out):
    """out += x W for the first n rows, each sum one term after the other; two rows at once, so that weights are read once."""
    depth, width = weights.shape
    whole, paired = depth // AT_ONCE * AT_ONCE, n // 2 * 2
    for i in range(0, n, 2):
        x0, out0 = x[i], out[i]
        if i < paired:
            x1, out1 = x[i + 1], out[i + 1]
            for k in range(0, whole, AT_ONCE):
                a0, b0, c0, d0 = x0[k], x0[k + 1], x0[k + 2], x0[k + 3]
                a1, b1, c1, d1 = x1[k], x1[k + 1], x1[k + 2], x1[k + 3]
                for j in range(width):
                    p, q, r, s = weights[k, j], weights[k + 1, j], weights[k + 2, j], weights[k + 3, j]
                    out0[j] = (((out0[j] + a0 * p) + b0 * q) + c0 * r) + d0 * s
                    out1[j] = (((out1[j] + a1 * p) + b1 * q) + c1 * r) + d1 * s
        else:
            for k in range(0, whole, AT_ONCE):
                a, b, c, d = x0[k], x0[k + 1], x0[k + 2], x0[k + 3]
                for j in range(width):
                    p, q, r, s = weights[k, j], weights[k + 1, j], weights[k + 2, j], weights[k + 3, j]
                    out0[j] = (((out0[j] + a * p) + b * q) + c * r) + d * s
    for i in range(n):
        for k in range(whole, depth):
            a = x[i, k]
            for j in range(width):
                out[i, j] += a * weights[k, j]


@scalar
def fill_rows(row, n, out):
    """The first n rows of `out` become `row`."""
    for i in range(n):
        for j in range(row.size):
            out[i, j] = row[j]


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
def cell(gates, h, c, gain, shift, normal):
    """One row: from the sums of the gates to the normalised output; `c` is the state before, and then the one after."""
    width = h.size
    for j in range(2 * width):
        gates[j] = sigmoid32(gates[j])
    for j in range(2 * width, 3 * width):
        gates[j] = tanh32(gates[j])
    for j in range(3 * width, 4 * width):
        gates[j] = sigmoid32(gates[j])
    for j in range(width):
        c[j] = gates[width + j] * c[j] + gates[j] * gates[2 * width + j]
        h[j] = gates[3 * width + j] * tanh32(c[j])
    mean = sum_in_order(h) / F32(width)
    for j in range(width):
        normal[j] = h[j] - mean
    reciprocal = ONE / np.sqrt(squares_in_order(normal) / F32(width) + EPSILON)
    for j in range(width):
        normal[j] = normal[j] * reciprocal * gain[j] + shift[j]


@scalar
def float_text_rows(scorer, labels, n, work, text, h, c):
    """The first n rows take a label each; `h` and `c` are the states before, and then those after."""
    table, gates, embedded, normal = scorer.table, work.gates, work.embedded, work.normal
    for i in range(n):
        row = table[labels[i]]
        for j in range(row.size):
            embedded[i, j] = row[j]
    fill_rows(scorer.bias, n, gates)
    _add_products(h, n, scorer.recurrent, gates)
    _add_products(embedded, n, scorer.input, gates)
    for i in range(n):
        cell(gates[i], h[i], c[i], scorer.gain, scorer.shift, normal[i])
        for j in range(text.shape[1]):
            text[i, j] = ZERO
    _add_products(normal, n, scorer.text, text)


@scalar
def float_score_rows(scorer, audio, text, n, hidden, logp):
    """The first n hypotheses in one frame; `hidden` [B, J] is room to work in."""
    for i in range(n):
        for j in range(audio.size):
            hidden[i, j] = tanh32(audio[j] + text[i, j])
    fill_rows(scorer.output_bias, n, logp)
    _add_products(hidden, n, scorer.output, logp)
    for i in range(n):
        log_softmax_row(logp[i])


@scalar
def integer_score_rows(scorer, audio, text, n, hidden, logp):
    """The same in integers; needs no room."""
    integer_scorer_fast.integer_score_rows(scorer, audio, text, n, logp)


@chosen_by_class
def _text_rows(kind):
    return integer_scorer_fast.integer_text_rows if kind is IntegerScorer else float_text_rows


@chosen_by_class
def _score_rows(kind):
    return integer_score_rows if kind is IntegerScorer else float_score_rows


@scalar
def text_rows(labels, n, scorer, work, text, h, c):
    """The first n rows take a label each; `h` and `c` are the states before, and then those after."""
    _text_rows(scorer, labels, n, work, text, h, c)


@scalar
def score_rows(audio, text, n, scorer, hidden, logp):
    """The first n hypotheses in one frame; `hidden` float32 [B, J] is room to work in."""
    _score_rows(scorer, audio, text, n, hidden, logp)


class Work(NamedTuple):
    """Room for the text side of some hypotheses."""

    gates: np.ndarray       # float32 [B, 4P]
    embedded: np.ndarray    # float32 [B, E]
    normal: np.ndarray      # float32 [B, P]

    @classmethod
    def of(cls, size, scorer):
        """Room for some rows. Parameters: size, scorer. Returns a Work, or an IntegerWork for an IntegerScorer."""
        if isinstance(scorer, IntegerScorer):
            return integer_scorer_fast.IntegerWork.of(scorer)
        return cls(*(np.empty((size, width), F32) for width in (scorer.bias.size, scorer.table.shape[1], scorer.gain.size)))


@kernel
def _texts(labels, n, scorer, work, text, h, c):
    text_rows(labels, n, scorer, work, text, h, c)


@kernel
def _scores(audio, text, n, scorer, hidden, logp):
    score_rows(audio, text, n, scorer, hidden, logp)


@twin_of(reference.next_text, agree=BITS)
def next_text(labels, h, c, scorer):
    if isinstance(scorer, IntegerScorer):
        return integer_scorer_fast.next_text(labels, h, c, scorer)
    reference.check_text(labels, h, c, scorer)
    text, h_after, c_after = np.empty((labels.size, scorer.text.shape[1]), F32), h.copy(), c.copy()
    _texts(labels, labels.size, scorer, Work.of(labels.size, scorer), text, h_after, c_after)
    return text, h_after, c_after


@twin_of(reference.unit_scores, agree=BITS)
def unit_scores(audio, text, scorer):
    if isinstance(scorer, IntegerScorer):
        return integer_scorer_fast.unit_scores(audio, text, scorer)
    reference.check_scores(audio, text, scorer)
    logp = np.empty((len(text), scorer.output.shape[1]), F32)
    _scores(audio, text, len(text), scorer, np.empty_like(text), logp)
    return logp
