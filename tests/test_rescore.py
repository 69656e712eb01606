"""Rescoring against enumeration: every path of a small lattice, scored alone."""

import collections
import dataclasses

import numpy as np
import pytest
from cases_lattice import WORDS, lattices, weave
from cases_rescoring import odd_model, small_model
from hypothesis import given
from hypothesis import strategies as st
from test_neural_lm import random_lm

from refasr.errors import RangeError
from refasr.lattice import nbest
from refasr.lattice.lattice import check_lattice, make_lattice
from refasr.rescoring import neural_lm, neural_rescore, ngram, rescore, second_pass
from refasr.rescoring.neural_lm import LmSizes
from refasr.rescoring.second_pass import Calibration, Mixture, SecondPass
from refasr.twins import select

PLAIN, LM = select("reference"), random_lm(LmSizes(embedded=2, width=3))
WOVEN = st.builds(weave, st.integers(1, 4), st.integers(1, 3), st.integers(0, 9), st.sampled_from([0, 2000]))
SMALL = st.one_of(lattices(5, 8), WOVEN)


def paths(lattice):
    """All paths from start to end. Parameters: lattice. Returns a list of lists of arcs."""
    arcs_of = [np.flatnonzero(lattice.source == node).tolist() for node in range(lattice.n_nodes)]
    found, todo = [], [(0, [])]
    while todo:
        node, arcs = todo.pop()
        if node == lattice.n_nodes - 1:
            found.append(arcs)
        todo += [(lattice.target[arc], [*arcs, arc]) for arc in arcs_of[node]]
    return found


def spoken(lattice, arcs):
    """Words of a path. Parameters: lattice, arcs. Returns a tuple of str."""
    return tuple(lattice.words[lattice.word[arc]] for arc in arcs if lattice.word[arc])


def ledgers(lattice, added=None):
    """What each path says and scores. Parameters: lattice, added (None, or a function of words: scores of words and of the end).

    Returns a Counter of (words and times, acoustic, lm, bias).
    """
    found = collections.Counter()
    for arcs in paths(lattice):
        times = tuple((lattice.words[lattice.word[arc]], int(lattice.start[arc]), int(lattice.end[arc]))
                      for arc in arcs if lattice.word[arc])
        sums = [sum(getattr(lattice, name)[arcs].tolist()) for name in ("acoustic", "lm", "bias")]
        sums[1] += 0 if added is None else sum(int(np.rint(1024 * value)) for value in added(spoken(lattice, arcs)))
        found[(times, *sums)] += 1
    return found


@given(SMALL, st.integers(1, 4), st.integers(0, 5), st.sampled_from([1.0, 0.3, -0.5]), st.sampled_from([0.0, 0.7]))
def test_expansion_equals_enumeration(lattice, order, seed, weight, bonus):
    for model in (small_model(order, seed), odd_model()):
        def added(words):
            logp = ngram.sequence_scores(model, model.numbers(words)).tolist()
            return [*(weight * value + bonus for value in logp[:-1]), weight * logp[-1]]
        found = rescore.expand(lattice, model, weight, bonus)
        assert ledgers(found) == ledgers(lattice, added)
        places = set(zip(found.source.tolist(), found.target.tolist(), found.word.tolist(), found.start.tolist()))
        assert len(places) <= found.n_arcs


@given(SMALL, st.sampled_from([1.0, 0.4]))
def test_neural_expansion_with_room_equals_enumeration(lattice, weight):
    def added(words):
        texts = [*map(neural_rescore.spelled, words), [neural_lm.STOP]]
        state, values = neural_lm.start(LM, PLAIN), []
        for text in texts:
            logp, state = neural_lm.spell(np.array(text, np.int32), np.array([len(text)], np.int32), state, LM)
            values.append(weight * float(logp[0]))
        return values
    assert ledgers(neural_rescore.expand(lattice, LM, weight, 1024, PLAIN)) == ledgers(lattice, added)


@given(SMALL, st.integers(1, 3))
def test_neural_expansion_with_little_room_keeps_true_paths(lattice, width):
    some = ledgers(neural_rescore.expand(lattice, LM, 1.0, width, PLAIN))
    assert not some - ledgers(neural_rescore.expand(lattice, LM, 1.0, 1024, PLAIN))
    assert bool(some) == bool(paths(lattice))


def test_a_lattice_shares_what_has_the_same_future():
    """A model of single words has one state: no node is split. One of two words splits by the last word."""
    lattice = weave(6, 3, 1, 2000)
    assert rescore.expand(lattice, small_model(1, 3), 1.0).n_nodes == lattice.n_nodes + 1
    assert rescore.expand(lattice, small_model(2, 3), 1.0).n_nodes <= 3 * lattice.n_nodes + 1


@given(SMALL, st.integers(1, 5))
def test_paths_alone_are_the_readings(lattice, k):
    alone = second_pass.paths_alone(lattice, k, PLAIN)
    check_lattice(alone)
    readings = nbest.nbest(lattice, k)
    assert len(paths(alone)) == len(readings) or any(reading.arcs.size == 0 for reading in readings)
    assert [r[0:1] + r[2:] for r in nbest.nbest(alone, k)] == [r[0:1] + r[2:] for r in readings]


@given(SMALL)
def test_second_pass_keeps_the_sound_and_adds_up(lattice):
    lattice = dataclasses.replace(lattice, lm=np.full_like(lattice.lm, 77))      # the first pass's own, which is replaced
    mixture = Mixture(ngram=0.5, neural=0.25, source=0.1, bonus=0.5, width=1024, prune_beam=1e9, max_arcs=10_000)
    ready = SecondPass(small_model(3, 3), LM, small_model(2, 2), mixture, Calibration(), "reference")
    found = ready.rescore(lattice)
    assert second_pass.same_sound(found, lattice)
    for reading in nbest.nbest(found, 3):
        assert second_pass.holds(lattice, reading.words)
        assert reading.total == reading.acoustic + reading.lm + reading.bias
    assert {path[0] for path in ledgers(found)} == {path[0] for path in ledgers(lattice)}


def test_what_was_not_heard_is_noticed():
    lattice = make_lattice(WORDS, 3, [(0, 1, 1, 0, 3, -5, 0, 0), (1, 2, 2, 3, 6, -5, 0, 0)])
    assert second_pass.holds(lattice, ("a", "b"))
    assert not any(second_pass.holds(lattice, words) for words in [(), ("a",), ("b", "a"), ("a", "b", "b"), ("z", "b")])
    for change in (dict(acoustic=lattice.acoustic + np.int32(1)), dict(bias=lattice.bias + np.int32(1)),
                   dict(words=("", "b", "a", "c"))):
        assert not second_pass.same_sound(dataclasses.replace(lattice, **change), lattice)
    assert second_pass.same_sound(dataclasses.replace(lattice, lm=lattice.lm - np.int32(9)), lattice)


def test_explosions_and_long_words_are_refused(monkeypatch):
    monkeypatch.setattr(rescore, "MOST_ARCS", 5)
    with pytest.raises(RangeError, match="prune"):
        rescore.expand(weave(4, 3), small_model(3, 3), 1.0)
    with pytest.raises(RangeError, match="letters"):
        neural_rescore.expand(make_lattice(["", "a" * 200], 2, [(0, 1, 1, 0, 1, 0, 0, 0)]), LM, 1.0, 4, PLAIN)
