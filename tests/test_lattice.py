"""Lattice algorithms against plain enumeration of all paths, and what pruning and n-best lists promise."""

import dataclasses
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases_lattice import NUMBERS, WORDS, lattices, weave
from refasr.errors import DTypeError, RangeError
from refasr.lattice import forward_backward, nbest, oracle, prune
from refasr.lattice.lattice import ARC_FIELDS, check_lattice, make_lattice
from refasr.twins import select

BACKENDS = ("reference", "fast")


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Both implementations."""
    return select(request.param)


def all_paths(lattice):
    """Every path from start to end. Parameters: lattice. Returns a list of tuples of arcs."""
    arcs_of = [np.flatnonzero(lattice.source == node).tolist() for node in range(lattice.n_nodes)]
    found, todo = [], [((), 0)]
    while todo:
        arcs, node = todo.pop()
        if node == lattice.n_nodes - 1:
            found.append(arcs)
        todo += [((*arcs, arc), int(lattice.target[arc])) for arc in arcs_of[node]]
    return found


def spelling(lattice, path):
    """Word numbers of a path. Parameters: lattice, path. Returns a tuple."""
    return tuple(int(lattice.word[arc]) for arc in path if lattice.word[arc])


def score(lattice, path):
    """Total of a path, in integers without limit. Parameters: lattice, path. Returns int."""
    return sum(int(column[arc]) for arc in path for column in (lattice.acoustic, lattice.lm, lattice.bias))


def best_through(lattice):
    """Best path score through each arc, by enumeration. Parameters: lattice. Returns a dict of arc to score."""
    best = {}
    for path in all_paths(lattice):
        for arc in path:
            best[arc] = max(best.get(arc, -10**18), score(lattice, path))
    return best


def arcs_as_set(lattice):
    """What does not change by numbering nodes anew. Parameters: lattice. Returns a sorted list of tuples."""
    columns = (lattice.word, lattice.start, lattice.end, lattice.acoustic, lattice.lm, lattice.bias)
    return sorted(zip(*(column.tolist() for column in columns)))


def distance(said, heard):
    """Fewest edits, recursively. Parameters: said, heard (tuples). Returns int."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row = row, [i]
        for j, other in enumerate(heard, 1):
            row.append(min(before[j - 1] + (word != other), before[j] + 1, row[-1] + 1))
    return row[-1]


@given(lattices())
def test_best_scores_are_those_of_all_paths(lattice):
    paths = all_paths(lattice)
    for name in BACKENDS:
        scores = select(name)(forward_backward.best_scores)(lattice)
        through = select(name)(forward_backward.through_scores)(lattice)
        assert scores.total == max([score(lattice, path) for path in paths], default=forward_backward.NO_PATH)
        expected = best_through(lattice)
        assert through.tolist() == [expected.get(arc, forward_backward.NO_PATH) for arc in range(lattice.n_arcs)]
        best = tuple(forward_backward.best_path(lattice, scores).tolist())
        if paths:
            assert best == min(path for path in paths if score(lattice, path) == scores.total)
            assert scores.forward[-1] == scores.backward[0] == score(lattice, best)


@given(lattices(), st.sampled_from([1.0, 0.0, 0.2]))
def test_posteriors_are_shares_of_all_paths(lattice, scale):
    paths = all_paths(lattice)
    weights = np.array([scale * score(lattice, path) / 1024 for path in paths])
    expected = np.zeros(lattice.n_arcs)
    for path, weight in zip(paths, np.exp(weights - np.logaddexp.reduce(weights)) if paths else []):
        expected[list(path)] += weight
    for name in BACKENDS:
        scores = select(name)(forward_backward.log_scores)(lattice, scale)
        posteriors = select(name)(forward_backward.arc_posteriors)(lattice, scale)
        np.testing.assert_allclose(posteriors, expected, atol=1e-5)
        assert posteriors.min(initial=0) >= 0 and posteriors.max(initial=0) <= 1
        if paths:
            assert scores.total == pytest.approx(np.logaddexp.reduce(weights), rel=1e-12, abs=1e-5)
            assert scores.backward[0] == pytest.approx(scores.total, rel=1e-12, abs=1e-5)


@given(lattices(), st.sampled_from([0.0, 1 / 1024, 0.5, 3.0, 100.0, math.inf]))
def test_pruning_keeps_exactly_the_arcs_within_the_beam(lattice, beam):
    best = best_through(lattice)
    top = max(best.values(), default=0)
    kept = [arc for arc, value in best.items() if top - value <= beam * 1024]
    for name in BACKENDS:
        pruned = select(name)(prune.prune)(lattice, beam)
        check_lattice(pruned)
        assert arcs_as_set(pruned) == sorted(arcs_as_set(prune.take_arcs(lattice, np.isin(np.arange(lattice.n_arcs), kept))))
        again = select(name)(prune.prune)(pruned, beam)
        assert (again.n_nodes, arcs_as_set(again)) == (pruned.n_nodes, arcs_as_set(pruned))
        used = set(pruned.source.tolist()) | set(pruned.target.tolist()) | {0, pruned.n_nodes - 1}
        assert used == set(range(pruned.n_nodes)), "a node without arcs"
        if beam == math.inf:
            connected = select(name)(prune.connect)(lattice)
            assert (connected.n_nodes, arcs_as_set(connected)) == (pruned.n_nodes, arcs_as_set(pruned))
            assert len(all_paths(connected)) == len(all_paths(lattice))


@given(lattices(), st.integers(0, 12))
def test_limit_of_arcs(lattice, limit):
    best = best_through(lattice)
    for name in BACKENDS:
        pruned = select(name)(prune.prune)(lattice, math.inf, limit)
        check_lattice(pruned)
        through = best_through(pruned)
        assert len(through) == pruned.n_arcs, "an arc on no path"
        n_best = forward_backward.best_path(lattice, forward_backward.best_scores(lattice)).size
        assert pruned.n_arcs <= max(limit, n_best)
        assert pruned.n_arcs >= min(limit, len(best)) - lattice.n_nodes + 2, "the next path was not that long"
        if best:
            assert max(through.values()) == max(best.values())
            assert sorted(through.values())[0] >= sorted(best.values())[-pruned.n_arcs], "a worse arc was preferred"
        again = select(name)(prune.prune)(pruned, math.inf, limit)
        assert (again.n_nodes, arcs_as_set(again)) == (pruned.n_nodes, arcs_as_set(pruned))


@given(lattices(), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
def test_pruning_by_posterior(lattice, threshold):
    posteriors, best = forward_backward.arc_posteriors(lattice), best_through(lattice)
    for name in BACKENDS:
        pruned = select(name)(prune.prune_posterior)(lattice, threshold)
        check_lattice(pruned)
        assert max(best_through(pruned).values(), default=0) == max(best.values(), default=0)
        allowed = [arc for arc in best if posteriors[arc] >= threshold or best[arc] == max(best.values())]
        assert pruned.n_arcs <= len(allowed) and (threshold > 0 or pruned.n_arcs == len(best))


@given(lattices(), st.integers(1, 30))
def test_nbest_are_the_best_of_all_sequences(lattice, k):
    paths_of = {}
    for path in all_paths(lattice):
        paths_of.setdefault(spelling(lattice, path), []).append(path)
    best = {words: max(score(lattice, path) for path in paths) for words, paths in paths_of.items()}
    expected = sorted(best, key=lambda words: (-best[words], words))[:k]
    for name in BACKENDS:
        found = select(name)(nbest.nbest)(lattice, k)
        assert [reading.words for reading in found] == [tuple(WORDS[word] for word in words) for words in expected]
        for reading, words in zip(found, expected):
            path = min((path for path in paths_of[words] if score(lattice, path) == best[words]), key=lambda path: path[::-1])
            assert tuple(reading.arcs.tolist()) == path and reading.arcs.dtype == np.int32
            assert reading.total == best[words] == reading.acoustic + reading.lm + reading.bias
            assert reading.acoustic == sum(lattice.acoustic[reading.arcs].tolist())
            assert reading.lm == sum(lattice.lm[reading.arcs].tolist())


def test_nbest_of_exponentially_many_paths(backend):
    lattice = weave(n_slots=60, n_parallel=6, size=0)    # 6^59 paths, all of one score, over two words
    begin = time.process_time()
    found = backend(nbest.nbest)(lattice, 50)
    assert time.process_time() - begin < 120
    assert len({reading.words for reading in found}) == 50
    assert [reading.words for reading in found] == sorted(reading.words for reading in found)
    same = make_lattice(WORDS, 41, [(a, b, 1, a, b, 0, 0, 0) for a in range(41) for b in range(a + 1, 41)])    # 2^39 paths
    assert [len(reading.words) for reading in backend(nbest.nbest)(same, 1000)] == list(range(1, 41))


@given(lattices(), NUMBERS)
def test_oracle_is_the_nearest_path(lattice, said):
    paths = all_paths(lattice)
    expected = min([distance(tuple(said), spelling(lattice, path)) for path in paths], default=said.size)
    for name in BACKENDS:
        found = select(name)(oracle.oracle_path)(lattice, said)
        assert found.errors == expected and found.arcs.dtype == np.int32
        if paths:
            assert tuple(found.arcs.tolist()) in paths
            assert distance(tuple(said), spelling(lattice, found.arcs)) == expected


def test_one_small_lattice(backend):
    """The picture of `refasr.lattice.lattice`, by hand."""
    words = ["", "play", "some", "sam", "jazz"]
    lattice = make_lattice(words, 5, [(0, 1, 1, 0, 10, -1024, -10, 0), (1, 2, 2, 10, 20, -2048, 0, 0),
                                      (2, 4, 4, 20, 30, -512, 0, 5), (1, 3, 3, 10, 21, -2000, -100, 0),
                                      (3, 4, 0, 21, 21, 0, -1, 0)], frame_seconds=0.1)
    first, second = backend(nbest.nbest)(lattice, 9)
    assert first.words == ("play", "sam") and first[2:] == (-3024, -111, 0, -3135)
    assert second.words == ("play", "some", "jazz") and second[2:] == (-3584, -10, 5, -3589)
    numbers = oracle.word_numbers(lattice, ["play", "that", "jazz"])
    assert numbers.tolist() == [1, -1, 4]
    found = backend(oracle.oracle_path)(lattice, numbers)
    assert found.errors == 1 and [words[lattice.word[arc]] for arc in found.arcs] == ["play", "some", "jazz"]
    assert oracle.density(lattice) == pytest.approx((41 / 30, 4 / 3, 2.0))
    assert backend(prune.prune)(lattice, 454 / 1024).n_arcs == 5
    assert backend(prune.prune)(lattice, 453 / 1024).n_arcs == 3


@given(lattices(), st.randoms(use_true_random=False))
def test_arcs_in_disorder_are_refused(lattice, source):
    order = list(range(lattice.n_arcs))
    if lattice.n_arcs > 1:
        i, j = source.sample(order, 2)
        order[i], order[j] = j, i
    columns = {name: getattr(lattice, name)[np.array(order, np.int64)] for name in ARC_FIELDS}
    keys = list(zip(*(columns[name].tolist() for name in ("source", "target", "word", "start"))))
    mixed = dataclasses.replace(lattice, **columns)
    if keys == sorted(keys):
        check_lattice(mixed)
    else:
        with pytest.raises(RangeError, match="out of order"):
            check_lattice(mixed)


def test_a_lattice_without_a_path(backend):
    lattice = make_lattice(WORDS, 4, [(0, 1, 1, 0, 1, 0, 0, 0), (2, 3, 1, 1, 2, 0, 0, 0)])
    assert backend(nbest.nbest)(lattice, 5) == []
    assert backend(forward_backward.arc_posteriors)(lattice).tolist() == [0, 0]
    connected = backend(prune.connect)(lattice)
    assert (connected.n_nodes, connected.n_arcs) == (2, 0)
    assert backend(oracle.oracle_path)(lattice, np.array([1, 2], np.int32)).errors == 2
    assert oracle.density(lattice).per_word == 0 and oracle.density(connected) == (0, 0, 0)


def test_refusals(backend):
    with pytest.raises(DTypeError, match="expected a Lattice"):
        backend(prune.connect)([1])
    with pytest.raises(RangeError, match="beam"):
        backend(prune.prune)(weave(2, 2), -1.0)
    with pytest.raises(RangeError, match="whole number"):
        backend(nbest.nbest)(weave(2, 2), 1.5)
