"""Strategies for the twins of `refasr.lattice`: small lattices with many equal scores, and spoilt ones."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from refasr.lattice.lattice import make_lattice

WORDS = ("", "a", "b", "c")
EXTREMES = (-2**30, 2**30, -1, 0)
ANY_SCALE = st.sampled_from([1.0, 0.0, 0.1, 1000.0, 1, -0.5, float("nan"), float("inf")])


@st.composite
def lattices(draw, max_nodes=7, max_arcs=14):
    """A good lattice; often with dead ends, or no path. Parameters: draw, max_nodes, max_arcs. Returns a Lattice."""
    n_nodes, n_words = draw(st.integers(2, max_nodes)), draw(st.integers(1, 3))
    source = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.sampled_from([0, 1, 3, 3000, 2**20]))    # small: ties
    arcs = []
    for _ in range(draw(st.integers(0, max_arcs))):
        a, b = sorted(source.choice(n_nodes, 2, replace=False).tolist())
        word, start = int(source.integers(0, n_words + 1)), 3 * a
        end = start + int(source.integers(1, 8)) if word or source.integers(2) else start
        scores = source.integers(-size, size, 3, endpoint=True).tolist()
        if draw(st.integers(0, 40)) == 7:
            scores = [draw(st.sampled_from(EXTREMES)) for _ in range(3)]
        arcs.append((a, b, word, start, end, *scores))
    return make_lattice(WORDS, n_nodes, arcs)


def changed(array, value):
    """A copy with its last element replaced. Parameters: array, value. Returns an array."""
    array = array.copy()
    array[-1:] = value
    return array


@st.composite
def spoilt_lattices(draw):
    """A lattice with one thing wrong, or nearly. Parameters: draw. Returns a Lattice, or no such thing."""
    good = draw(lattices())
    bad = [dict(n_nodes=1), dict(n_nodes=2**40), dict(n_nodes=0), dict(words=()), dict(words=("a", "b")),
           dict(acoustic=good.acoustic.astype(np.int64)), dict(lm=good.lm[:-1]), dict(bias=None), dict(frame_seconds=0.0),
           dict(target=changed(good.target, 2**31 - 1)), dict(source=changed(good.source, -1)), dict(word=changed(good.word, 99)),
           dict(word=changed(good.word, -1)), dict(target=good.source), dict(source=good.source[::-1].copy()),
           dict(acoustic=changed(good.acoustic, -2**31)), dict(end=changed(good.end, -1)),
           dict(source=np.tile(good.source, (2, 1)))]
    choice = draw(st.integers(-1, len(bad) - 1))
    return None if choice < 0 else dataclasses.replace(good, **bad[choice])


def weave(n_slots, n_parallel, seed=0, size=1):
    """A chain of slots with the same few words in each, all pairs connected through nodes: exponentially many paths.

    Parameters
    ----------
    n_slots, n_parallel : int     n_parallel nodes after each slot, each reached from each of the slot before.
    seed, size : int              Scores are from -size to 0.

    Returns
    -------
    Lattice
    """
    source = np.random.default_rng(seed)
    arcs, before = [], [0]
    for slot in range(n_slots):
        after = [1 + slot * n_parallel + i for i in range(n_parallel)] if slot < n_slots - 1 else [1 + slot * n_parallel]
        arcs += [(a, b, 1 + (a + b) % 2, 4 * slot, 4 * slot + 4, -int(source.integers(0, size + 1)), 0, 0)
                 for a in before for b in after]
        before = after
    return make_lattice(WORDS, before[0] + 1, arcs)


LATTICES = st.one_of(lattices(), lattices(12, 40), spoilt_lattices(),
                     st.builds(weave, st.integers(1, 8), st.integers(1, 4), st.integers(0, 9), st.sampled_from([0, 1, 2000])))
BEAMS = st.sampled_from([0.0, 0.001, 1.0, 2.5, 1e3, float("inf"), 1e300, -1.0, float("nan")])
LIMITS = st.one_of(st.none(), st.integers(0, 15), st.sampled_from([-1, 2**70, 2.5]))
COUNTS = st.one_of(st.integers(1, 12), st.sampled_from([1, 100, 100_000, 0, -1, 100_001, 2.5, 2.0, float("nan")]))
NUMBERS = st.lists(st.integers(1, 4), max_size=8).map(lambda words: np.array(words, np.int32))
SEQUENCES = st.one_of(NUMBERS, NUMBERS, st.sampled_from([np.array([-1, 2], np.int32), np.array([0], np.int32), np.ones(2),
                                                         np.ones((1, 2), np.int32), [1], None]))
CASES = {
    "refasr.lattice.forward_backward.best_scores": st.tuples(LATTICES),
    "refasr.lattice.forward_backward.through_scores": st.tuples(LATTICES),
    "refasr.lattice.forward_backward.log_scores": st.tuples(LATTICES, ANY_SCALE),
    "refasr.lattice.forward_backward.arc_posteriors": st.tuples(LATTICES, ANY_SCALE),
    "refasr.lattice.prune.connect": st.tuples(LATTICES),
    "refasr.lattice.prune.prune": st.tuples(LATTICES, BEAMS, LIMITS),
    "refasr.lattice.prune.prune_posterior": st.tuples(LATTICES, st.sampled_from([0.0, 1e-6, 0.1, 0.5, 1.0, 2.0, float("nan")]),
                                                      ANY_SCALE),
    "refasr.lattice.nbest.nbest": st.tuples(LATTICES, COUNTS),
    "refasr.lattice.oracle.oracle_path": st.tuples(LATTICES, SEQUENCES),
    "refasr.lattice.confidence.sequence_posterior": st.tuples(LATTICES, SEQUENCES, ANY_SCALE),
}
