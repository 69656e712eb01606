"""Numba twins of `refasr.lattice.forward_backward`."""

import numpy as np

from refasr.jit import kernel
from refasr.lattice import forward_backward as plain
from refasr.lattice.forward_backward import IMPOSSIBLE, NO_ARC, NO_PATH, BestScores, LogScores
from refasr.numerics import EXP_LOW, F32
from refasr.numerics_fast import exp32, log_add64
from refasr.twins import BITS, twin_of


@kernel
def _best(source, target, total, forward, backward, arc_in, arc_out):
    for arc in range(source.size):
        if forward[source[arc]] != NO_PATH:
            score = forward[source[arc]] + total[arc]
            if score > forward[target[arc]]:
                forward[target[arc]], arc_in[target[arc]] = score, np.int32(arc)
    for arc in range(source.size - 1, -1, -1):
        if backward[target[arc]] != NO_PATH:
            score = total[arc] + backward[target[arc]]
            if score >= backward[source[arc]]:
                backward[source[arc]], arc_out[source[arc]] = score, np.int32(arc)


@kernel
def _sums(source, target, weights, forward, backward):
    for arc in range(source.size):
        forward[target[arc]] = log_add64(forward[target[arc]], forward[source[arc]] + weights[arc])
    for arc in range(source.size - 1, -1, -1):
        backward[source[arc]] = log_add64(backward[source[arc]], weights[arc] + backward[target[arc]])


@kernel
def _shares(source, target, weights, forward, backward, out):
    total = forward[forward.size - 1]
    for arc in range(source.size):
        x = ((forward[source[arc]] + weights[arc]) + backward[target[arc]]) - total
        x = F32(min(x, 0.0))
        out[arc] = np.float64(F32(0) if x < EXP_LOW else exp32(x))


@twin_of(plain.best_scores, agree=BITS)
def best_scores(lattice):
    plain.require_lattice(lattice)
    forward, backward = (np.full(lattice.n_nodes, NO_PATH, np.int64) for _ in range(2))
    arc_in, arc_out = (np.full(lattice.n_nodes, NO_ARC, np.int32) for _ in range(2))
    forward[0] = backward[-1] = 0
    _best(lattice.source, lattice.target, lattice.total, forward, backward, arc_in, arc_out)
    return BestScores(forward, backward, arc_in, arc_out)


@twin_of(plain.through_scores, agree=BITS)
def through_scores(lattice):
    return plain.arc_sums(lattice, best_scores(lattice))


@twin_of(plain.log_scores, agree=BITS)
def log_scores(lattice, scale=1.0):
    plain.require_lattice(lattice)
    forward, backward = (np.full(lattice.n_nodes, IMPOSSIBLE) for _ in range(2))
    forward[0] = backward[-1] = 0.0
    _sums(lattice.source, lattice.target, plain.arc_weights(lattice, scale), forward, backward)
    return LogScores(forward, backward)


@twin_of(plain.arc_posteriors, agree=BITS)
def arc_posteriors(lattice, scale=1.0):
    scores = log_scores(lattice, scale)
    out = np.zeros(lattice.n_arcs)
    if scores.total > IMPOSSIBLE / 2:
        _shares(lattice.source, lattice.target, plain.arc_weights(lattice, scale), scores.forward, scores.backward, out)
    return out
