"""Lattice algorithms against OpenFst by way of pynini, on a graph of 10,000 arcs: prune it, and list the 100 best word sequences.

The lattice is time-aligned, as a recogniser's: slots, some nodes after each, and several words from every node of one slot
to every node of the next. With `words=shared` the arcs of a slot share a few words, so that many paths spell the same words;
`words=own` has other words on every arc, and no two paths are alike. All sides get their own graph built beforehand. Ours
validates the lattice in every call, and also returns times, ledgers and texts.
"""

import numpy as np

from benchmarks import harness
from refasr import twins
from refasr.lattice import nbest, prune
from refasr.lattice.lattice import Lattice, make_lattice

N_SLOTS, N_NODES, N_WORDS, SLOT_FRAMES = 100, 5, 4, 8
N_BEST, BEAM_NATS = 100, 8.0


def build(shared, seed=0):
    """A lattice of about 10,000 arcs. Parameters: shared (bool: the arcs of a slot share words), seed. Returns a Lattice."""
    source = np.random.default_rng(seed)
    arcs, before, first, n_words = [], [0], 1, 1
    for slot in range(N_SLOTS):
        after = [first + i for i in range(1 if slot == N_SLOTS - 1 else N_NODES)]
        for number, (a, b) in enumerate((a, b) for a in before for b in after):
            word = n_words if shared else n_words + number * N_WORDS
            scores = np.rint(-3000 * source.random((N_WORDS, 2))).astype(int)
            arcs += [(a, b, word + i, SLOT_FRAMES * slot, SLOT_FRAMES * (slot + 1), acoustic, lm, 0)
                     for i, (acoustic, lm) in enumerate(scores.tolist())]
        n_words += N_WORDS * (1 if shared else len(before) * len(after))
        before, first = after, after[-1] + 1
    return make_lattice(["", *(f"w{i}" for i in range(1, n_words))], first, arcs)


def as_fst(lattice, pynini):
    """The same graph as an acceptor with costs in nats. Parameters: lattice, pynini (the module). Returns a pynini.Fst."""
    fst = pynini.Fst()
    fst.add_states(lattice.n_nodes)
    fst.set_start(0)
    fst.set_final(lattice.n_nodes - 1, 0.0)
    for a, b, word, total in zip(lattice.source, lattice.target, lattice.word, lattice.total):
        fst.add_arc(int(a), pynini.Arc(int(word), int(word), -int(total) / 1024, int(b)))
    return fst


def fst_totals(fst):
    """Scores of the paths of an n-best result, best first. Parameters: fst. Returns a list of int."""
    found, todo = [], [(fst.start(), 0.0)]
    while todo:
        state, cost = todo.pop()
        final = float(fst.final(state))
        if final < float("inf"):
            found.append(-round((cost + final) * 1024))
        todo += [(arc.nextstate, cost + float(arc.weight)) for arc in fst.arcs(state)]
    return sorted(found, reverse=True)


def comparable(result):
    """What all results have in common. Parameters: result (readings, Lattice or Fst). Returns a list of int."""
    if isinstance(result, list):
        return [reading.total for reading in result]
    if isinstance(result, Lattice):
        return [result.n_nodes, result.n_arcs]
    if result.num_states() and result.num_arcs(result.start()) == N_BEST:
        return fst_totals(result)
    return [result.num_states(), sum(result.num_arcs(state) for state in result.states())]


def check(results):
    """Parameters: results (contestant to result). Returns None, or what differs."""
    numbers = {name: comparable(result) for name, result in results.items()}
    wrong = [name for name, found in numbers.items() if found != numbers["fast"] or len(found) < 2]
    return f"{', '.join(wrong)} and fast differ: {[numbers[name][:4] for name in (*wrong, 'fast')]}" if wrong else None


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable})."""
    for words in ("shared", "own"):
        lattice = build(words == "shared")
        ours = {name: twins.select(name) for name in ("fast", "reference")}
        shape = f"arcs={lattice.n_arcs} words={words}"

        def pruned(pynini, lattice=lattice):
            fst = as_fst(lattice, pynini)
            return lambda: pynini.prune(fst, weight=BEAM_NATS)

        def listed(pynini, lattice=lattice):
            fst = as_fst(lattice, pynini)
            return lambda: pynini.shortestpath(fst, nshortest=N_BEST, unique=True)

        contestants = {name: lambda run=backend(prune.prune), lattice=lattice: run(lattice, BEAM_NATS)
                       for name, backend in ours.items()}
        yield f"prune beam={BEAM_NATS:g} {shape}", contestants | {"pynini": harness.rival("pynini", pruned)}
        contestants = {name: lambda run=backend(nbest.nbest), lattice=lattice: run(lattice, N_BEST)
                       for name, backend in ours.items()}
        yield f"nbest k={N_BEST} {shape}", contestants | {"pynini": harness.rival("pynini", listed)}
