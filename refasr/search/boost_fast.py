"""Numba twin of `refasr.search.boost`, and the scalars with which the search's kernels walk an automaton.

In a loop, take the arrays out of the automaton before it: Numba counts a reference at every access to a field, which costs
ten times what the look-up does. `advance_all` does so for a hypothesis.
"""

import numpy as np

from refasr.jit import kernel, scalar
from refasr.search import boost
from refasr.twins import BITS, twin_of


@scalar
def advance_state(automaton, state, label):
    """`boost.advance` for kernels, unchecked; for one unit. Returns (int32, float64)."""
    after = automaton.next_state[state, label]
    delta = (automaton.hope[after] - automaton.hope[state]) + automaton.at_once[after]
    if automaton.starts_word[label]:
        delta = delta + automaton.pending[state]
    return after, delta


@scalar
def advance_all(automaton, state, deltas):
    """`boost.advance` for all units of a hypothesis, unchecked: fills `deltas` (float64 [V]); blank's is 0.

    The next states are the row `automaton.next_state[state]`.
    """
    next_state, hope, at_once, starts_word = automaton.next_state, automaton.hope, automaton.at_once, automaton.starts_word
    hope_here, pending = hope[state], automaton.pending[state]
    deltas[0] = 0.0
    for label in range(1, deltas.size):
        after = next_state[state, label]
        delta = (hope[after] - hope_here) + at_once[after]
        if starts_word[label]:
            delta = delta + pending
        deltas[label] = delta


@scalar
def finish_state(automaton, state):
    """`boost.finish` for kernels, unchecked. Returns float64."""
    return automaton.pending[state] - automaton.hope[state]


@kernel
def _score(automaton, labels, scores):
    next_state, hope, at_once, pending, starts_word = automaton
    state, total = np.int32(boost.START), np.float64(0.0)
    for i in range(labels.size):
        after = next_state[state, labels[i]]
        delta = (hope[after] - hope[state]) + at_once[after]
        if starts_word[labels[i]]:
            delta = delta + pending[state]
        state = after
        total += delta
        scores[i] = total
    scores[labels.size] = total + (pending[state] - hope[state])


def _cost(automaton, labels):
    return 4 * labels.size, 30 * labels.size    # a look-up and four additions a unit; nothing is read twice


@twin_of(boost.score_units, agree=BITS, cost=_cost)
def score_units(automaton, labels):
    boost.check_scoring(automaton, labels)
    scores = np.empty(labels.size + 1)
    _score(automaton, labels, scores)
    return scores
