"""Shallow fusion: an automaton that rewards phrases (names, devices) while they are being spelt, unit by unit.

What a text earns. A phrase is a sequence of units with a weight per unit (natural log), a number of units that stay unpaid and,
if wanted, prefixes ("call").

    reward(n) = weight * max(0, n - unpaid)     of the first n units of a phrase

    An occurrence of a phrase is a place in the text where its units stand, followed by the first unit of a word or by the
    end: "jon" does not occur in "jonathan". It is active if the phrase has no prefixes, or one of them stands directly
    before. An active occurrence earns the reward of all units; of phrases with the same units, the largest active one counts.
    Prefixes earn nothing. The text earns the sum over its occurrences, also where they overlap: with "jon" and "jon smith"
    the text "jon smith" earns both.

Why units stay unpaid. Almost every letter begins some phrase of an address book, so its first units are no evidence that one
is being said. Paid for, they fill the beam with beginnings, and words that have nothing to do with the book are lost before
the beginnings fail and are refunded. Short phrases are the worst: they fit by chance. `phrases.unpaid_units` says how many
units tell one phrase of a list from the others; `phrases.spell` sets it.

What a text has while it grows. The search has to see a reward before the phrase is finished, or the phrase is pruned:

    bias(text) = earned by the occurrences that the first unit of a next word has already confirmed + hope(text)
    hope(text) = largest reward(k) of all phrases whose first k units end the text (after a prefix, if it needs one), or 0

`advance` gives bias(text + unit) - bias(text), so a phrase that fails is refunded, and `finish` what is missing to the sum
that the text earns. A negative weight is allowed: the phrase is discouraged. It gives no hope, so it costs nothing until it is
confirmed, and other words that begin like it cost nothing at all.

A narrow beam may cut a phrase off: at beam 1 a hypothesis follows a hope, and when the phrase fails takes the refund and stays,
as its rivals are gone. Unpaid units let a hope begin later and no more than that. Boost with a beam of 8 or more.

With `whole_words=False` the rules are those of sherpa-onnx's context graph: every unit is paid; an occurrence counts wherever
it stands, at once; hope is that of the longest beginning of a phrase alone; phrases that begin alike share the largest weight
up to where they part.

Layout. A dense table of next states, 4 V bytes a state: the search looks up all V units of a hypothesis, which then are one
row, read in order; 10,000 names take about 70,000 states, 10 MB. Rows of failures would be shorter, but each unit would walk
a chain of them.

Source: Aho and Corasick 1975, "Efficient string matching"; k2-fsa/sherpa-onnx, csrc/context-graph.cc (behaviour only);
prefixes: Zhao 2019, "Shallow-fusion end-to-end contextual biasing".
"""

import numbers
from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.search import trie
from refasr.search.trie import START, Phrase
from refasr.transducer.units import CHARACTERS, WORD_MARK

__all__ = ["START", "Automaton", "Phrase", "advance", "build", "finish", "score_units"]
MARK = CHARACTERS.index(WORD_MARK)


class Automaton(NamedTuple):
    """Phrases, ready for the search. State 0 is the start; a state is the longest end of the text that begins some phrase.

    next_state : int32 [S, V]    State after a unit.
    hope : float64 [S]           What the unfinished phrases of a state have been given.
    at_once : float64 [S]        Earned on entering the state (sherpa's rules; zero with whole words).
    pending : float64 [S]        Earned if a word or the text ends here (whole words; zero with sherpa's rules).
    starts_word : bool [V]       Units that begin a word.
    """

    next_state: np.ndarray
    hope: np.ndarray
    at_once: np.ndarray
    pending: np.ndarray
    starts_word: np.ndarray


def build(phrases, n_units, whole_words=True, strict=True, word_starts=None):
    """Make the automaton of some phrases; nothing else depends on them, so a change between utterances is another call.

    Parameters
    ----------
    phrases : iterable of Phrase     May be none; their order does not matter.
    n_units : int                    V, with blank.
    whole_words : bool               False: sherpa's rules, without prefixes and unpaid units.
    strict : bool                    False, with sherpa's rules: a finished phrase ends the matching, as its non-strict mode.
    word_starts : None or ints       Units that begin a word; None: the word mark of a character model.

    Returns
    -------
    Automaton

    Raises
    ------
    DTypeError, ShapeError, RangeError    Naming the phrase and where it came from.

    Notes
    -----
    Cost: S*V copies. One pass a depth, each over all states of that depth.
    """
    starts_word = word_start_mask(n_units, word_starts)
    spellings = trie.expand(phrases, n_units, starts_word if whole_words else np.ones(n_units, bool))
    if not whole_words and spellings.n_prefix.any():
        raise RangeError("prefixes: got some with whole_words=False, expected none; sherpa's rules know no prefixes")
    if not whole_words and spellings.unpaid.any():
        raise RangeError("unpaid: got some with whole_words=False, expected 0; sherpa's rules pay every unit")
    if whole_words and not strict:
        raise RangeError("strict: got False with whole words, expected True; it is a choice of sherpa's rules")
    next_state, tree = trie.connect(trie.plant(spellings, n_units), n_units)
    scores = (trie.whole_word_scores(spellings, tree) if whole_words
              else trie.context_graph_scores(spellings, tree, next_state, strict))
    return Automaton(next_state, *scores, starts_word)


def word_start_mask(n_units, word_starts):
    """Units that begin a word. Parameters: n_units, word_starts (as `build`). Returns bool [V]."""
    if not isinstance(n_units, numbers.Integral) or not 1 <= n_units <= trie.LARGEST_TABLE:
        raise RangeError(f"n_units: got {n_units!r}, expected a whole number from 1 to {trie.LARGEST_TABLE}; count the inventory")
    mask = np.zeros(n_units, bool)
    if word_starts is None:
        word_starts = [MARK] if MARK < n_units else []
    for unit in word_starts:
        if not isinstance(unit, numbers.Integral) or not 1 <= unit < n_units:
            raise RangeError(f"word_starts: got {unit!r}, expected units from 1 to {n_units - 1}; take them from the inventory")
        mask[unit] = True
    return mask


def advance(automaton, state, label):
    """Write a unit.

        delta = (hope[next] - hope[state]) + at_once[next] + (pending[state] if the unit begins a word)

    Parameters
    ----------
    automaton : Automaton
    state : int              From `START` or the unit before.
    label : int, 1..V-1      Blank never comes here.

    Returns
    -------
    (int, float)             The next state, and what to add to the hypothesis.

    Raises
    ------
    RangeError

    Notes
    -----
    Twin of kernels: the scalars `boost_fast.advance_state` and `advance_all`, same bits. Cost: one look-up, however many phrases.
    """
    n_states, n_units = automaton.next_state.shape
    if not 0 <= state < n_states or not 1 <= label < n_units:
        raise RangeError(f"advance: got state {state}, unit {label}, expected 0 to {n_states - 1}, 1 to {n_units - 1}; "
                         "start again with a new automaton")
    after = automaton.next_state[state, label]
    delta = (automaton.hope[after] - automaton.hope[state]) + automaton.at_once[after]
    if automaton.starts_word[label]:
        delta = delta + automaton.pending[state]
    return int(after), float(delta)


def finish(automaton, state):
    """End the utterance: unfinished phrases are refunded, those that end here keep their reward.

    Parameters
    ----------
    automaton : Automaton
    state : int            After the last unit.

    Returns
    -------
    float                  What to add to the hypothesis: pending[state] - hope[state].

    Raises
    ------
    RangeError

    Notes
    -----
    Twin of kernels: the scalar `boost_fast.finish_state`, same bits.
    """
    if not 0 <= state < automaton.hope.size:
        raise RangeError(f"finish: got state {state}, expected 0 to {automaton.hope.size - 1}; start again with a new automaton")
    return float(automaton.pending[state] - automaton.hope[state])


def score_units(automaton, labels):
    """Reward of a text after each of its units, and of the finished text.

    Parameters
    ----------
    automaton : Automaton
    labels : int32 [U], 1..V-1    Units without blank.

    Returns
    -------
    float64 [U+1]                 Sums of `advance`; the last is with `finish`.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: U look-ups.

    Examples
    --------
    >>> mark, a, b = 8, 9, 10
    >>> automaton = build([Phrase(np.array([mark, a], np.int32), 2.0, text="a")], n_units=36)
    >>> score_units(automaton, np.array([mark, a, mark], np.int32)).tolist()
    [2.0, 4.0, 6.0, 4.0]
    >>> score_units(automaton, np.array([mark, a, b], np.int32)).tolist()
    [2.0, 4.0, 0.0, 0.0]
    """
    check_scoring(automaton, labels)
    state, total, scores = START, 0.0, []
    for label in labels.tolist():
        state, delta = advance(automaton, state, label)
        total += delta
        scores.append(total)
    return np.array([*scores, total + finish(automaton, state)])


def check_automaton(automaton):
    """Validate types and shapes, in constant time; the contents are trusted, as `build` made them. Parameters: automaton."""
    checks.array("next_state", automaton.next_state, np.int32, (None, None))
    n_states, n_units = automaton.next_state.shape
    if n_states == 0:
        raise RangeError("next_state: got no state, expected at least the start; make the automaton by build")
    for name in ("hope", "at_once", "pending"):
        checks.array(name, getattr(automaton, name), np.float64, (n_states,))
    checks.array("starts_word", automaton.starts_word, np.bool_, (n_units,))


def check_scoring(automaton, labels):
    """Validate the arguments of `score_units`. Parameters: automaton, labels."""
    check_automaton(automaton)
    n_states, n_units = automaton.next_state.shape
    checks.labels("labels", labels, n_units)
    low, high = automaton.next_state.min(initial=0), automaton.next_state.max(initial=0)
    if low < 0 or high >= n_states:
        raise RangeError(f"next_state: got states {low} to {high}, expected 0 to {n_states - 1}; make the automaton by build")
