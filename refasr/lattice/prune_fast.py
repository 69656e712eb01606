"""Numba twins of `refasr.lattice.prune`."""

import math

import numpy as np

from refasr import checks
from refasr.jit import kernel
from refasr.lattice import forward_backward_fast
from refasr.lattice import prune as plain
from refasr.lattice.forward_backward import NO_ARC, NO_PATH, arc_sums
from refasr.twins import BITS, twin_of


@kernel
def _walk(node, next_arc, next_node, keep, done, path, size):
    """Append the arcs that are not kept, until a node from which all are. Returns the new size."""
    while next_arc[node] != NO_ARC and not done[node]:
        arc = next_arc[node]
        if not keep[arc]:
            path[size] = arc
            size += 1
        node = next_node[arc]
    return size


@kernel
def _settle(node, next_arc, next_node, done):
    while next_arc[node] != NO_ARC and not done[node]:
        done[node] = True
        node = next_node[next_arc[node]]


@kernel
def _choose(source, target, arc_in, arc_out, ranked, max_arcs, keep):
    """Fill `keep`. A node is done when its whole best path is kept, so that no part of a path is walked twice."""
    done_in, done_out = np.zeros(arc_in.size, np.bool_), np.zeros(arc_in.size, np.bool_)
    path, n_kept = np.empty(keep.size, np.int32), 0
    for arc in ranked:
        size = 0
        if not keep[arc]:
            path[0] = np.int32(arc)
            size = 1
        size = _walk(source[arc], arc_in, source, keep, done_in, path, size)
        size = _walk(target[arc], arc_out, target, keep, done_out, path, size)
        if n_kept > 0 and n_kept + size > max_arcs:
            return
        for i in range(size):
            keep[path[i]] = True
        n_kept += size
        _settle(source[arc], arc_in, source, done_in)
        _settle(target[arc], arc_out, target, done_out)


@twin_of(plain.connect, agree=BITS)
def connect(lattice):
    return plain.take_arcs(lattice, arc_sums(lattice, forward_backward_fast.best_scores(lattice)) != NO_PATH)


@twin_of(plain.prune, agree=BITS)
def prune(lattice, beam=math.inf, max_arcs=None):
    scores = forward_backward_fast.best_scores(lattice)
    through = arc_sums(lattice, scores)
    keep = through >= plain.lowest_score(scores.total, beam, max_arcs)
    if max_arcs is not None and np.count_nonzero(keep) > max_arcs:
        ranked, keep = plain.by_rank(through, keep), np.zeros(lattice.n_arcs, np.bool_)
        _choose(lattice.source, lattice.target, scores.arc_in, scores.arc_out, ranked, int(max_arcs), keep)
    return plain.take_arcs(lattice, keep)


@twin_of(plain.prune_posterior, agree=BITS)
def prune_posterior(lattice, threshold, scale=1.0):
    checks.between("threshold", threshold, 0, 1)
    keep = forward_backward_fast.arc_posteriors(lattice, scale) >= threshold
    scores = forward_backward_fast.best_scores(lattice)
    keep |= arc_sums(lattice, scores) == scores.total
    return connect(plain.take_arcs(lattice, keep))
