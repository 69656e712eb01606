"""Strategies for the phrase automaton and its twin: phrases of three letters, so that they overlap and fail often."""

import numpy as np
from cases_nn import sometimes_spoilt
from hypothesis import strategies as st

from refasr.search import boost

MARK, N_UNITS = 1, 5    # 2, 3 and 4 are letters
LETTERS = st.lists(st.sampled_from([MARK, 2, 2, 3, 3, 4]), max_size=6)
WORDS = LETTERS.map(lambda letters: np.array([MARK, *letters], np.int32))
WEIGHTS = st.sampled_from([1.0, 0.5, 2.25, 0.1, 0.0, -1.0, -3.7, 100.0])
PREFIXES = st.lists(WORDS.map(lambda units: units[:3]), max_size=3).map(tuple)
UNPAID = st.sampled_from([0.0, 0.0, 1.0, 1.5, 2.625, 7.0, 512.0])
PHRASES = st.lists(st.builds(boost.Phrase, WORDS, WEIGHTS, PREFIXES, unpaid=UNPAID), max_size=8)
SHERPA_PHRASES = st.lists(st.builds(boost.Phrase, st.lists(st.integers(1, N_UNITS - 1), min_size=1, max_size=5).map(
    lambda units: np.array(units, np.int32)), WEIGHTS, unpaid=st.just(0.0)), max_size=8)
RULES = st.sampled_from([dict(word_starts=(MARK,)), dict(word_starts=(MARK, 4)), dict(whole_words=False),
                         dict(whole_words=False, strict=False)])


@st.composite
def texts(draw, phrases):
    """Labels made of pieces of the phrases and of single units, so that phrases do occur. Parameters: draw, phrases."""
    pieces = [list(units) for phrase in phrases for units in (phrase.units, *phrase.prefixes)] + [[1], [2], [3], [4]]
    chosen = draw(st.lists(st.sampled_from(pieces), max_size=8))
    labels = [int(unit) for piece in chosen for unit in piece[: draw(st.integers(1, 8))]]
    return np.array(labels, np.int32)


def automaton(draw):
    """Parameters: draw. Returns (phrases, rules, Automaton)."""
    rules = draw(RULES)
    phrases = draw(PHRASES if rules.get("whole_words", True) else SHERPA_PHRASES)
    return phrases, rules, boost.build(phrases, N_UNITS, **rules)


def scoring(draw):
    """Arguments of `score_units`, with labels out of range and states that are none. Parameters: draw. Returns a tuple."""
    phrases, _, built = automaton(draw)
    labels = draw(texts(phrases))
    hostile = draw(st.sampled_from([None] * 8 + [0, -1, N_UNITS, 2**31 - 1, -2**31]))
    if hostile is not None:
        labels = np.append(labels, np.int32(hostile))
    state = draw(st.sampled_from([None] * 8 + [-1, len(built.hope), 2**31 - 1]))
    if state is not None:
        built.next_state[-1, -1] = state
    value = draw(st.sampled_from([None] * 8 + [np.nan, np.inf, -np.inf]))
    if value is not None:
        built.hope[draw(st.integers(0, len(built.hope) - 1))] = value
    return built, labels


def empty(draw):
    """An automaton without a state or without units. Parameters: draw. Returns the arguments of `score_units`."""
    n_states, n_units = draw(st.sampled_from([(0, 0), (0, 4), (1, 0), (1, 1), (2, 1)]))
    scores = [np.zeros(n_states) for _ in range(3)]
    return boost.Automaton(np.zeros((n_states, n_units), np.int32), *scores, np.zeros(n_units, np.bool_)), np.zeros(0, np.int32)


CASES = {"refasr.search.boost.score_units": st.integers(0, 9).flatmap(
    lambda choice: sometimes_spoilt(scoring) if choice else sometimes_spoilt(empty))}
