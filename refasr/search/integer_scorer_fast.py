"""Numba twins of `refasr.search.integer_scorer`, and the functions of rows that the beam search's kernel is made of."""

from typing import NamedTuple

import numpy as np

from refasr.compress.integer_ops_fast import cell_row, join_row, logit_row, norm_row, rescale_row
from refasr.jit import kernel, scalar
from refasr.search import integer_scorer as reference
from refasr.search.log_softmax_fast import log_softmax_row
from refasr.twins import BITS, twin_of

I8, I16, I32, F32 = np.int8, np.int16, np.int32, np.float32


class IntegerWork(NamedTuple):
    """Room for the text side of one row."""

    ax: np.ndarray         # int32 [4P]
    ah: np.ndarray         # int32 [4P]
    gates: np.ndarray      # int32 [4P]
    normal: np.ndarray     # int8 [P]
    sums: np.ndarray       # int32 [J]

    @classmethod
    def of(cls, scorer):
        """Room. Parameters: scorer (IntegerScorer). Returns an IntegerWork."""
        width, joint, _ = scorer.widths
        gates = (np.empty(4 * width, I32) for _ in range(3))
        return cls(*gates, np.empty(width, I8), np.empty(joint, I32))


@scalar
def exact_products(x, w, sums):
    """sums[n] = sum_k x[k] w[n, k]: widths written out, so that a vector instruction for pairs of products fits."""
    for n in range(w.shape[0]):
        row, total = w[n], I32(0)
        for k in range(x.size):
            total = I32(total + I32(I32(x[k]) * I32(row[k])))
        sums[n] = total


@scalar
def integer_text_rows(scorer, labels, n, work, text, h, c):
    """The first n rows take a label each; `h` and `c` are the states before, and then those after."""
    table, rescale = scorer.table, scorer.text_rescale
    for i in range(n):
        exact_products(table[labels[i]], scorer.input, work.ax)
        exact_products(h[i], scorer.recurrent, work.ah)
        cell_row(work.ax, work.ah, scorer.cell, work.gates, h[i], c[i])
        norm_row(h[i], scorer.norm, work.normal)
        exact_products(work.normal, scorer.text, work.sums)
        rescale_row(work.sums, rescale.bias, rescale.multiplier, rescale.shift, text[i])


@scalar
def integer_score_rows(scorer, audio, text, n, logp):
    """The first n hypotheses in one frame."""
    rescale, scale = scorer.output_rescale, scorer.scale[0]
    hidden, sums = np.empty(audio.size, I8), np.empty(logp.shape[1], I32)
    for i in range(n):
        join_row(audio, text[i], scorer.joint, hidden)
        exact_products(hidden, scorer.output, sums)
        logit_row(sums, rescale.bias, rescale.multiplier, rescale.shift, sums)
        for v in range(sums.size):
            logp[i, v] = F32(sums[v]) * scale
        log_softmax_row(logp[i])


@kernel
def _texts(scorer, labels, n, work, text, h, c):
    integer_text_rows(scorer, labels, n, work, text, h, c)


@kernel
def _scores(scorer, audio, text, n, logp):
    integer_score_rows(scorer, audio, text, n, logp)


@twin_of(reference.next_text, agree=BITS)
def next_text(labels, h, c, scorer):
    reference.check_text(labels, h, c, scorer)
    text, h_after, c_after = np.empty((labels.size, scorer.widths[1]), I8), h.copy(), c.copy()
    _texts(scorer, labels, labels.size, IntegerWork.of(scorer), text, h_after, c_after)
    return text, h_after, c_after


@twin_of(reference.unit_scores, agree=BITS)
def unit_scores(audio, text, scorer):
    reference.check_scores(audio, text, scorer)
    logp = np.empty((len(text), scorer.widths[2]), F32)
    _scores(scorer, audio, text, len(text), logp)
    return logp
