"""Lattices too large for a message, or for what rescoring makes of them: pruned, and said."""

import dataclasses

import pytest
from cases_lattice import weave
from test_second_pass import FIRST, LM, NGRAM, asked, serving, told

from refasr.errors import FormatError, RangeError
from refasr.lattice import nbest, wire
from refasr.rescoring import protocol
from refasr.rescoring.second_pass import Mixture, SecondPass, holds


def test_a_lattice_that_explodes_is_pruned():
    mixture = Mixture(prune_beam=1e9, max_arcs=400)
    found = SecondPass(NGRAM, None, mixture=mixture, backend="reference").rescore(weave(30, 3, 1, 2000))
    assert 0 < found.n_arcs <= 400


@pytest.mark.parametrize("backend", ["reference", "fast"])
@pytest.mark.parametrize("models", [dict(), dict(neural=LM), dict(source=NGRAM)])
def test_what_has_no_room_when_expanded_is_pruned_and_said(models, backend, monkeypatch):
    """A limit that already the n-gram's expansion breaks, and one that only the neural model's does."""
    mixture, lattice = Mixture(source=0.1, prune_beam=1e9, max_arcs=1000, width=64), weave(8, 3, 1, 2000)
    ready = SecondPass(NGRAM, models.get("neural"), models.get("source"), mixture, backend=backend)
    whole = ready.rescore(lattice)
    for most in (lattice.n_arcs // 2, 2 * whole.n_arcs // 3):
        lines = []
        monkeypatch.setattr("refasr.rescoring.rescore.MOST_ARCS", most)
        found = ready.rescore(lattice, lines.append)
        assert 0 < found.n_arcs < whole.n_arcs and holds(lattice, nbest.nbest(found, 1)[0].words)
        assert lines and all("pruned" in line and "\n" not in line for line in lines)
    monkeypatch.setattr("refasr.rescoring.rescore.MOST_ARCS", 3)          # not even the best path
    with pytest.raises(RangeError, match="prune"):
        ready.rescore(lattice)


def test_a_lattice_that_needs_pruning_is_answered_and_logged(monkeypatch):
    monkeypatch.setattr("refasr.rescoring.rescore.MOST_ARCS", 6)         # "the light" after "on" and after "own" make seven
    with serving() as (made, log):
        assert asked(made.address[1])[0].rescored == "second"
        line, = told(lambda: log, 1)
    assert "pruned a lattice from 5 arcs to 4" in line


def test_a_lattice_too_large_for_a_message_is_pruned_by_the_client(monkeypatch):
    lattice = weave(40, 12, 1, 20_000)
    monkeypatch.setattr("refasr.lattice.wire.LARGEST_BODY", len(wire.encode(lattice)) // 2)
    with serving() as (made, log):
        result, lines = asked(made.address[1], first=dataclasses.replace(FIRST, lattice=lattice))
    assert result.rescored == "second" and log == [], lines
    assert len(lines) == 1 and f"pruned a lattice from {lattice.n_arcs} arcs to" in lines[0]


def test_messages_too_large_are_not_made():
    with pytest.raises(Exception, match="prune"):
        protocol.pack(protocol.REQUEST, bytes(protocol.LARGEST_PAYLOAD + 1))
    with pytest.raises(FormatError):
        protocol.unpack_answer(b"")
