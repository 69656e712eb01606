"""Numba twin of `refasr.search.fusion`, and the scalars with which the search's kernels score words."""

import numpy as np

from refasr import checks
from refasr.jit import kernel, scalar
from refasr.lattice.lattice import SCORES_A_NAT
from refasr.rescoring.ngram import STOP
from refasr.rescoring.ngram_fast import _advance
from refasr.search import fusion as reference
from refasr.search.fusion import BETWEEN, MARK, NO_WORD
from refasr.twins import BITS, twin_of


@scalar
def word_end(fusion, history, spelling):
    """`fusion.finish_word` for kernels, unchecked. Returns (int32, float64)."""
    word = fusion.word[spelling]
    if word == NO_WORD:
        return np.int32(history), 0.0
    after, logp = _advance(fusion.trie, np.int32(history), word)
    return after, np.rint((fusion.weight * logp + fusion.bonus) * SCORES_A_NAT) / SCORES_A_NAT - fusion.ahead[spelling]


@kernel
def _score(fusion, labels, scores):
    history, spelling, total = np.int32(fusion.start), np.int32(BETWEEN), 0.0
    for i in range(labels.size):
        after = fusion.next_spelling[spelling, labels[i]]
        if labels[i] == MARK:
            history, earned = word_end(fusion, history, spelling)
        else:
            earned = fusion.ahead[after] - fusion.ahead[spelling]
        total += earned
        spelling = after
        scores[i] = total
    history, earned = word_end(fusion, history, spelling)
    _, logp = _advance(fusion.trie, history, np.int32(STOP))
    scores[labels.size] = total + (earned + np.rint((fusion.weight * logp) * SCORES_A_NAT) / SCORES_A_NAT)


@twin_of(reference.score_units, agree=BITS)
def score_units(fusion, labels):
    checks.labels("labels", labels, fusion.next_spelling.shape[1])
    scores = np.empty(labels.size + 1)
    _score(fusion, labels, scores)
    return scores
