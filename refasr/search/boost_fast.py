"""Numba twin of `refasr.search.boost`, and the two scalars with which the search's kernels walk an automaton."""

import numpy as np

from refasr.jit import kernel, scalar
from refasr.search import boost
from refasr.twins import BITS, twin_of


@scalar
def advance_state(automaton, state, label):
    """`boost.advance` for kernels, unchecked. Returns (int32, float64)."""
    after = automaton.next_state[state, label]
    delta = (automaton.hope[after] - automaton.hope[state]) + automaton.at_once[after]
    if automaton.starts_word[label]:
        delta = delta + automaton.pending[state]
    return after, delta


@scalar
def finish_state(automaton, state):
    """`boost.finish` for kernels, unchecked. Returns float64."""
    return automaton.pending[state] - automaton.hope[state]


@kernel
def _score(automaton, labels, scores):
    state, total = np.int32(boost.START), np.float64(0.0)
    for i in range(labels.size):
        state, delta = advance_state(automaton, state, labels[i])
        total += delta
        scores[i] = total
    scores[labels.size] = total + finish_state(automaton, state)


def _cost(automaton, labels):
    return 4 * labels.size, 30 * labels.size    # a look-up and four additions a unit; nothing is read twice


@twin_of(boost.score_units, agree=BITS, cost=_cost)
def score_units(automaton, labels):
    boost.check_scoring(automaton, labels)
    scores = np.empty(labels.size + 1)
    _score(automaton, labels, scores)
    return scores
