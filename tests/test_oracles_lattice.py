"""Lattice algorithms against OpenFst, by way of pynini and of kaldifst. Weights are there float32, so scores are kept small."""

import numpy as np
import pytest
from hypothesis import given

from cases_lattice import lattices, weave
from refasr.lattice import forward_backward, nbest, oracle, prune
from refasr.lattice.lattice import NO_WORD
from refasr.twins import select

REASON = "oracle not installed: pip install 'refasr[oracles]'"
SHAPES = [(weave, (8, 3, seed, 3000)) for seed in range(4)]
SMALL = lattices(8, 20).filter(lambda lattice: np.abs(lattice.total).max(initial=0) < 2**16)


@pytest.fixture(params=["reference", "fast"])
def backend(request):
    """Both implementations."""
    return select(request.param)


def as_pynini(lattice, semiring="tropical"):
    """An acceptor of words with costs in nats. Parameters: lattice, semiring. Returns a pynini.Fst."""
    pynini = pytest.importorskip("pynini", reason=REASON)
    fst = pynini.Fst("standard" if semiring == "tropical" else semiring)
    fst.add_states(lattice.n_nodes)
    fst.set_start(0)
    fst.set_final(lattice.n_nodes - 1, 0.0)
    for a, b, word, total in zip(lattice.source, lattice.target, lattice.word, lattice.total):
        fst.add_arc(int(a), pynini.Arc(int(word), int(word), pynini.Weight(semiring, -int(total) / 1024), int(b)))
    return fst


def sequences(fst):
    """Words and cost of each path. Parameters: fst (pynini, acyclic). Returns a dict of tuple to best score."""
    found, todo = {}, [(fst.start(), (), 0.0)] if fst.num_states() else []
    while todo:
        state, words, cost = todo.pop()
        final = float(fst.final(state))
        if final < float("inf"):
            found[words] = max(found.get(words, -10**18), -round((cost + final) * 1024))
        for arc in fst.arcs(state):
            todo.append((arc.nextstate, (*words, arc.ilabel) if arc.ilabel else words, cost + float(arc.weight)))
    return found


def reading_words(lattice, reading):
    """Word numbers. Parameters: lattice, reading. Returns a tuple."""
    return tuple(word for word in lattice.word[reading.arcs].tolist() if word != NO_WORD)


@given(SMALL)
def test_pynini_shortest_distance(lattice):
    pynini = pytest.importorskip("pynini", reason=REASON)
    for name in ("reference", "fast"):
        best = select(name)(forward_backward.best_scores)(lattice)
        for reverse, ours in ((False, best.forward), (True, best.backward)):
            costs = [float(weight) for weight in pynini.shortestdistance(as_pynini(lattice), reverse=reverse)]
            costs += [float("inf")] * (lattice.n_nodes - len(costs))
            assert [-round(cost * 1024) if cost < float("inf") else forward_backward.NO_PATH for cost in costs] == ours.tolist()
        sums = select(name)(forward_backward.log_scores)(lattice)
        for reverse, ours in ((False, sums.forward), (True, sums.backward)):
            costs = [float(weight) for weight in pynini.shortestdistance(as_pynini(lattice, "log"), reverse=reverse)]
            costs += [float("inf")] * (lattice.n_nodes - len(costs))
            ours = np.where(ours < -1e29, -np.inf, ours)
            np.testing.assert_allclose(-np.array(costs), ours, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("build, arguments", SHAPES)
@pytest.mark.parametrize("beam", [0.5, 2.0, 6.0])
def test_pynini_prune(backend, build, arguments, beam):
    pynini = pytest.importorskip("pynini", reason=REASON)
    lattice = build(*arguments)
    theirs, ours = pynini.prune(as_pynini(lattice), weight=beam), backend(prune.prune)(lattice, beam)
    assert (ours.n_nodes, ours.n_arcs) == (theirs.num_states(), sum(theirs.num_arcs(state) for state in theirs.states()))
    assert sequences(as_pynini(ours)) == sequences(theirs)


@given(SMALL)
def test_pynini_connect(lattice):
    theirs = as_pynini(lattice).connect()
    for name in ("reference", "fast"):
        ours = select(name)(prune.connect)(lattice)
        assert ours.n_arcs == sum(theirs.num_arcs(state) for state in theirs.states())
        assert theirs.num_states() in (ours.n_nodes, 0)
        assert sequences(as_pynini(ours)) == sequences(theirs)


@given(SMALL)
def test_pynini_nbest(lattice):
    pynini = pytest.importorskip("pynini", reason=REASON)
    fst = pynini.determinize(as_pynini(lattice).rmepsilon())    # without it "no word" would tell sequences apart
    theirs = sequences(pynini.shortestpath(fst, nshortest=10, unique=True))
    for name in ("reference", "fast"):
        found = select(name)(nbest.nbest)(lattice, 10)
        assert [reading.total for reading in found] == sorted(theirs.values(), reverse=True)
        worst = min(theirs.values(), default=0)      # among those as good as the last, OpenFst takes any
        assert {reading_words(lattice, reading) for reading in found if reading.total > worst} == {
            words for words, total in theirs.items() if total > worst}


@pytest.mark.parametrize("build, arguments", SHAPES)
def test_pynini_hundred_best(backend, build, arguments):
    pynini = pytest.importorskip("pynini", reason=REASON)
    lattice = build(*arguments)
    theirs = sequences(pynini.shortestpath(as_pynini(lattice), nshortest=100, unique=True))
    found = backend(nbest.nbest)(lattice, 100)
    assert [reading.total for reading in found] == sorted(theirs.values(), reverse=True)
    assert len({reading.words for reading in found}) == len(found)


@pytest.mark.parametrize("build, arguments", SHAPES)
def test_pynini_oracle_errors(backend, build, arguments):
    """Compose what was said, an edit transducer and the lattice; the shortest path costs the fewest errors."""
    pynini = pytest.importorskip("pynini", reason=REASON)
    lattice, said = build(*arguments), np.array([1, 3, 2, 2, 3, 1, 1, 2, 1, 1], np.int32)
    edits = pynini.Fst()
    edits.add_states(1)
    edits.set_start(0)
    edits.set_final(0, 0.0)
    for a in range(4):
        for b in range(4):
            if a or b:
                edits.add_arc(0, pynini.Arc(a, b, float(a != b), 0))
    text = pynini.Fst()
    text.add_states(said.size + 1)
    text.set_start(0)
    text.set_final(said.size, 0.0)
    for i, word in enumerate(said.tolist()):
        text.add_arc(i, pynini.Arc(word, word, 0.0, i + 1))
    free = pynini.arcmap(as_pynini(lattice), map_type="rmweight")
    both = pynini.compose(pynini.compose(text, edits.arcsort("ilabel")), free.arcsort("ilabel"))
    best = pynini.shortestdistance(both, reverse=True)
    assert backend(oracle.oracle_path)(lattice, said).errors == round(float(best[0]))


@pytest.mark.parametrize("build, arguments", SHAPES)
def test_kaldifst_best_path(backend, build, arguments):
    kaldifst = pytest.importorskip("kaldifst", reason=REASON)
    lattice = build(*arguments)
    fst = kaldifst.StdVectorFst()
    for _ in range(lattice.n_nodes):
        fst.add_state()
    fst.start = 0
    fst.set_final(lattice.n_nodes - 1, 0.0)
    for a, b, word, total in zip(lattice.source, lattice.target, lattice.word, lattice.total):
        fst.add_arc(int(a), kaldifst.StdArc(int(word), int(word), -int(total) / 1024, int(b)))
    succeeded, words, _, weight = kaldifst.get_linear_symbol_sequence(kaldifst.shortest_path(fst, n=1))
    (best,) = backend(nbest.nbest)(lattice, 1)
    assert succeeded and tuple(words) == reading_words(lattice, best)
    assert round(weight.value * 1024) == -best.total
