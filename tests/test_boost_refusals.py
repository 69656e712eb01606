"""What the phrase automaton refuses, and that it names the phrase and its line."""

import numpy as np
import pytest
from test_boost import build, names, phrase

from refasr.errors import DTypeError, RangeError, ShapeError
from refasr.search import boost, trie


@pytest.mark.parametrize("weight", [np.nan, np.inf, -np.inf, 100.5, -1e9, "2", None, True, 10**400])
def test_absurd_weights_name_phrase_and_line(weight):
    with pytest.raises(RangeError, match=r"names.txt:7: phrase 'jon': got weight .*expected"):
        build(phrase("anna"), phrase("jon", weight))


@pytest.mark.parametrize("unpaid", [np.nan, np.inf, -0.5, 513, "2", None, True])
def test_absurd_unpaid_units_name_phrase_and_line(unpaid):
    with pytest.raises(RangeError, match=r"names.txt:7: phrase 'jon': got .* unpaid units, expected"):
        build(phrase("anna"), phrase("jon", unpaid=unpaid))


@pytest.mark.parametrize("change, error, text", [
    (dict(units=np.array([], np.int32)), RangeError, "no units"),
    (dict(units=np.array([9, 8], np.int32)), RangeError, "begins a word"),
    (dict(units=np.array([8, 0], np.int32)), RangeError, "labels 0..8"),
    (dict(units=np.array([8, 36], np.int32)), RangeError, "labels 8..36"),
    (dict(units=np.array([8, 9])), DTypeError, "int64"),
    (dict(units=np.array([[8, 9]], np.int32)), ShapeError, "shape"),
    (dict(units=[8, 9]), DTypeError, "list"),
    (dict(units=np.full(513, 8, np.int32)), RangeError, "at most 512"),
    (dict(prefixes=(np.array([], np.int32),)), RangeError, "prefix: got no units"),
    (dict(prefixes=(np.array([9], np.int32),)), RangeError, "prefix: got unit 9"),
    (dict(prefixes=(np.full(512, 8, np.int32),)), RangeError, "at most 512"),
    (dict(prefixes=(np.array([8, 9], np.int32),) * 65), RangeError, "at most 64"),
])
def test_bad_phrases_are_refused_by_name(change, error, text):
    with pytest.raises(error, match="names.txt:7: phrase 'jon'.*" + text):
        build(phrase("jon")._replace(**change))


def test_bad_settings_are_refused(monkeypatch):
    for n_units in (0, -1, 36.0, None, 2**40):
        with pytest.raises(RangeError, match="n_units"):
            boost.build([], n_units)
    for unit in (0, 36, -1, "a"):
        with pytest.raises(RangeError, match="word_starts"):
            boost.build([], 36, word_starts=[unit])
    with pytest.raises(RangeError, match="no prefixes"):
        boost.build([phrase("anna", 1.0, ("call",))], 36, whole_words=False)
    with pytest.raises(RangeError, match="unpaid: got some with whole_words=False"):
        boost.build([phrase("anna", unpaid=1.0)], 36, whole_words=False)
    with pytest.raises(RangeError, match="strict"):
        boost.build([], 36, strict=False)
    monkeypatch.setattr(trie, "LARGEST_TABLE", 36 * 100)
    with pytest.raises(RangeError, match="more than 100 states"):
        build(*names(50))
    monkeypatch.setattr(trie, "LARGEST_SPELLING", 100)
    with pytest.raises(RangeError, match="more than 100 units"):
        build(*names(50))


@pytest.mark.parametrize("state, label", [(-1, 8), (99, 8), (0, 0), (0, -1), (0, 36)])
def test_a_foreign_state_is_refused(state, label):
    automaton = build(phrase("jon"))
    with pytest.raises(RangeError, match="advance: got state"):
        boost.advance(automaton, state, label)
    if label == 8:
        with pytest.raises(RangeError, match="finish: got state"):
            boost.finish(automaton, state)
