"""Scores of all paths to and from every node: the best path's, and the sum over paths as probabilities.

The two semirings differ in what stands for "or": the maximum, in whole numbers and exact; or the sum of probabilities, by
`numerics.log_add`. In both, one walk over the sorted arcs is enough, because no arc into a node comes after an arc out of it.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks, numerics
from refasr.errors import DTypeError
from refasr.lattice.lattice import SCORES_A_NAT, Lattice, check_lattice

NO_PATH = -2**60          # best score of a node that no path reaches; no sum of real scores comes near
IMPOSSIBLE = -1e30        # the same as a log-probability
NO_ARC = -1
LARGEST_NODES = 2**26     # scores of that many nodes fit into memory; the longest path is then exact in int64, too
LARGEST_SCALE = 1000.0


class BestScores(NamedTuple):
    """The max semiring.

    forward : int64 [N]     Best score of a path from the start to each node, NO_PATH where there is none.
    backward : int64 [N]    ... from each node to the end.
    arc_in : int32 [N]      Last arc of the best path to each node, -1 for none; among equals the lowest.
    arc_out : int32 [N]     First arc of the best path from each node; among equals the lowest.
    """

    forward: np.ndarray
    backward: np.ndarray
    arc_in: np.ndarray
    arc_out: np.ndarray

    @property
    def total(self):
        """Score of the best path, NO_PATH if there is none. Returns int."""
        return int(self.backward[0])


class LogScores(NamedTuple):
    """The log semiring: logarithms of sums over paths, IMPOSSIBLE for a sum of none.

    forward, backward : float64 [N]    Over the paths from the start to each node, and from each node to the end.
    """

    forward: np.ndarray
    backward: np.ndarray

    @property
    def total(self):
        """Sum over all paths. Returns float."""
        return float(self.forward[-1])


def require_lattice(lattice):
    """What `check_lattice` requires, and few enough nodes. Parameters: lattice. Raises DTypeError, ShapeError, RangeError."""
    if not isinstance(lattice, Lattice):
        raise DTypeError(f"lattice: got {type(lattice).__name__}, expected a Lattice; build one with make_lattice")
    checks.between("n_nodes", lattice.n_nodes, 2, LARGEST_NODES)
    check_lattice(lattice)


def best_scores(lattice):
    """Best paths to and from every node.

        forward[n] = max over arcs a into n of forward[source a] + total[a],  forward[0] = 0

    Parameters
    ----------
    lattice : Lattice

    Returns
    -------
    BestScores

    Raises
    ------
    DTypeError, ShapeError, RangeError    For what is not a good lattice.

    Notes
    -----
    Twin: BITS. Cost: 2 A comparisons.
    """
    require_lattice(lattice)
    forward, backward = np.full((2, lattice.n_nodes), NO_PATH, np.int64)
    arc_in, arc_out = np.full((2, lattice.n_nodes), NO_ARC, np.int32)
    forward[0] = backward[-1] = 0
    total = lattice.total
    for arc in range(lattice.n_arcs):
        source, target = lattice.source[arc], lattice.target[arc]
        if forward[source] != NO_PATH and forward[source] + total[arc] > forward[target]:
            forward[target], arc_in[target] = forward[source] + total[arc], arc
    for arc in reversed(range(lattice.n_arcs)):
        source, target = lattice.source[arc], lattice.target[arc]
        if backward[target] != NO_PATH and total[arc] + backward[target] >= backward[source]:
            backward[source], arc_out[source] = total[arc] + backward[target], arc
    return BestScores(forward, backward, arc_in, arc_out)


def through_scores(lattice):
    """Score of the best complete path through each arc.

        through[a] = forward[source a] + total[a] + backward[target a]

    Parameters
    ----------
    lattice : Lattice

    Returns
    -------
    int64 [A]         NO_PATH for an arc on no complete path.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: as `best_scores`.
    """
    return arc_sums(lattice, best_scores(lattice))


def arc_sums(lattice, scores):
    """Node scores combined, as `through_scores` says. Parameters: lattice, scores (BestScores). Returns int64 [A]."""
    before, after = scores.forward[lattice.source], scores.backward[lattice.target]
    return np.where((before == NO_PATH) | (after == NO_PATH), NO_PATH, before + lattice.total + after)


def best_path(lattice, scores):
    """Follow the best arcs from the start.

    Parameters
    ----------
    lattice : Lattice
    scores : BestScores    Of it.

    Returns
    -------
    int32 [P]              Arcs in order, none if no path reaches the end; among equal paths, the lowest arc at each node.
    """
    arcs, node = [], 0
    while scores.arc_out[node] != NO_ARC:
        arcs.append(scores.arc_out[node])
        node = lattice.target[arcs[-1]]
    return np.array(arcs, np.int32)


def arc_weights(lattice, scale):
    """Scaled scores in nats. Parameters: lattice, scale. Returns float64 [A]. Raises RangeError."""
    checks.between("scale", scale, 0, LARGEST_SCALE)
    return scale * (lattice.total / SCORES_A_NAT)


def log_scores(lattice, scale=1.0):
    """Sums over paths to and from every node.

        forward[n] = ln of the sum over arcs a into n of exp(forward[source a] + scale total[a]),  forward[0] = 0

    Parameters
    ----------
    lattice : Lattice
    scale : float, 0 to 1000    Multiplies all scores. Those of a recogniser are overconfident, as its frames depend on
                                one another; a scale below 1 flattens the posteriors.

    Returns
    -------
    LogScores                   Sums are taken in the order of the arcs, backward in reverse; each adds an error up to 1.2e-7.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: 2 A log-additions.
    """
    require_lattice(lattice)
    forward, backward = np.full((2, lattice.n_nodes), IMPOSSIBLE)
    forward[0] = backward[-1] = 0.0
    weights = arc_weights(lattice, scale)
    for arc in range(lattice.n_arcs):
        a, b = lattice.source[arc], lattice.target[arc]
        forward[b:b + 1] = numerics.log_add(forward[b:b + 1], forward[a:a + 1] + weights[arc])
    for arc in reversed(range(lattice.n_arcs)):
        a, b = lattice.source[arc], lattice.target[arc]
        backward[a:a + 1] = numerics.log_add(backward[a:a + 1], weights[arc] + backward[b:b + 1])
    return LogScores(forward, backward)


def arc_posteriors(lattice, scale=1.0):
    """Probability of each arc: the share of the paths through it.

        posterior[a] = exp(forward[source a] + scale total[a] + backward[target a] - forward[end])

    Parameters
    ----------
    lattice : Lattice
    scale : float, 0 to 1000    As in `log_scores`.

    Returns
    -------
    float64 [A], 0 to 1         Good to float32; a true 0 below exp(-87) and where no complete path leads through.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: 2 A log-additions and A exponentials.
    """
    scores, weights = log_scores(lattice, scale), arc_weights(lattice, scale)
    if scores.total <= IMPOSSIBLE / 2:    # shares of nothing
        return np.zeros(lattice.n_arcs)
    x = ((scores.forward[lattice.source] + weights) + scores.backward[lattice.target]) - scores.total
    x = np.minimum(x, 0.0).astype(numerics.F32)     # rounding may lift an arc that all paths take above 1
    return np.where(x < numerics.EXP_LOW, numerics.F32(0), numerics.exp(x)).astype(np.float64)
