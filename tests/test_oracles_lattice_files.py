"""Lattice files against OpenFst itself: what we write compiles there, and its shortest path is ours."""

import numpy as np
import pytest
from hypothesis import given, settings

from cases_lattice import lattices, weave
from refasr.lattice import nbest
from refasr.lattice.formats import read_lattice, write_lattice

REASON = "oracle not installed: pip install 'refasr[oracles]'"
SMALL = lattices(8, 20).filter(lambda lattice: np.abs(lattice.total).max(initial=0) < 2**16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all examples."""
    return tmp_path_factory.mktemp("lattices")


def compiled(path):
    """Both files through OpenFst's own compiler. Parameters: path. Returns (pywrapfst.Fst, its symbols)."""
    pywrapfst = pytest.importorskip("pywrapfst", reason=REASON)
    symbols = pywrapfst.SymbolTable.read_text(f"{path}.syms")
    compiler = pywrapfst.Compiler(isymbols=symbols, osymbols=symbols, acceptor=True, keep_isymbols=True, keep_osymbols=True)
    compiler.write(path.read_text())
    return compiler.compile(), symbols


def shortest(fst, symbols):
    """Words and score of the best path. Parameters: fst, symbols. Returns (list of str, int), or None without a path."""
    import pywrapfst
    path = pywrapfst.shortestpath(fst)
    if path.num_states() == 0:
        return None
    words, cost, state = [], 0.0, path.start()
    while path.num_arcs(state):
        (arc,) = path.arcs(state)
        words, cost, state = words + [symbols.find(arc.ilabel)] * bool(arc.ilabel), cost + float(arc.weight), arc.nextstate
    return words, -round((cost + float(path.final(state))) * 1024)


def compare(lattice, path):
    """Require the same best path. Parameters: lattice, path."""
    write_lattice(lattice, path)
    fst, symbols = compiled(path)
    assert fst.verify() and fst.num_states() <= lattice.n_nodes
    assert sum(fst.num_arcs(state) for state in fst.states()) == lattice.n_arcs
    theirs, ours = shortest(fst, symbols), nbest.nbest(lattice, 2)
    assert (theirs is None) == (ours == [])
    if ours:
        assert theirs[1] == ours[0].total
        if len(ours) == 1 or ours[1].total < ours[0].total:
            assert theirs[0] == list(ours[0].words)


@given(SMALL)
@settings(max_examples=60)
def test_openfst_finds_our_best_path(folder, lattice):
    compare(lattice, folder / "a.fst")


@pytest.mark.parametrize("seed", range(4))
def test_openfst_finds_our_best_path_among_many(folder, seed):
    compare(weave(10, 3, seed, 3000), folder / "b.fst")


@pytest.mark.parametrize("seed", range(4))
def test_what_openfst_prints_is_read(folder, seed):
    """Written by us, compiled, printed by OpenFst, and read by us: the same readings."""
    lattice, path = weave(6, 3, seed, 3000), folder / "c.fst"
    write_lattice(lattice, path)
    fst, _ = compiled(path)
    path.write_text(fst.print(acceptor=True))
    theirs, ours = (nbest.nbest(one, 5) for one in (read_lattice(path), lattice))
    assert [(reading.words, reading.total) for reading in theirs] == [(reading.words, reading.total) for reading in ours]


def test_what_openfst_minimises_is_read(folder):
    """Other states in another order, with prices of ending."""
    pynini = pytest.importorskip("pynini", reason=REASON)
    lattice, path = weave(5, 3, 1, 3000), folder / "d.fst"
    write_lattice(lattice, path)
    fst, symbols = compiled(path)
    small = pynini.determinize(pynini.Fst.from_pywrapfst(fst) if hasattr(pynini.Fst, "from_pywrapfst") else fst)
    path.write_text(small.print(acceptor=True))
    theirs, ours = (nbest.nbest(one, 3) for one in (read_lattice(path), lattice))
    assert [reading.words for reading in theirs] == [reading.words for reading in ours]
    assert np.allclose([reading.total for reading in theirs], [reading.total for reading in ours], atol=8)
