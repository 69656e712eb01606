"""Smaller lattices: only what lies near the best path, only what lies on any path at all.

Whether an arc stays is decided by the best complete path through it, in whole numbers. All arcs of that path score at least as
well, so what stays is connected, and pruning twice is pruning once.
"""

import dataclasses
import math

import numpy as np

from refasr import checks
from refasr.lattice.forward_backward import NO_ARC, NO_PATH, arc_posteriors, arc_sums, best_scores
from refasr.lattice.lattice import ARC_FIELDS, SCORES_A_NAT


def connect(lattice):
    """Drop arcs and nodes that lie on no path from start to end.

    Parameters
    ----------
    lattice : Lattice

    Returns
    -------
    Lattice             Nodes are numbered anew, in the same order. Without any path: a start, an end, and nothing between.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: 2 A comparisons.
    """
    return take_arcs(lattice, arc_sums(lattice, best_scores(lattice)) != NO_PATH)


def prune(lattice, beam=math.inf, max_arcs=None):
    """Keep what lies on a path close to the best.

    Parameters
    ----------
    lattice : Lattice
    beam : float, >= 0          Nats that the best path through an arc may lie below the best path; on the limit it stays.
    max_arcs : int or None      How many arcs may stay at most. Taken from the best: arcs by the score of the best path
                                through them (among equals, the lower number first), each with that whole path, until one does
                                not fit. The best path stays even where it is longer, for without it there is no result.

    Returns
    -------
    Lattice                     Connected, numbered anew. Pruning it again by the same numbers changes nothing.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: 2 A comparisons, and sorting if there are too many arcs.
    """
    scores = best_scores(lattice)
    through = arc_sums(lattice, scores)
    keep = through >= lowest_score(scores.total, beam, max_arcs)
    if max_arcs is not None and np.count_nonzero(keep) > max_arcs:
        keep = best_arcs(lattice, scores, by_rank(through, keep), max_arcs)
    return take_arcs(lattice, keep)


def prune_posterior(lattice, threshold, scale=1.0):
    """Keep what is probable, and the best path.

    Parameters
    ----------
    lattice : Lattice
    threshold : float, 0 to 1    Smallest posterior of an arc that stays; those of the best path stay anyway.
    scale : float, 0 to 1000     Of the scores; see `forward_backward.log_scores`.

    Returns
    -------
    Lattice                      Connected, numbered anew. Fewer paths make those that stay more or less probable: pruning
                                 again may drop more.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: 2 A log-additions.
    """
    checks.between("threshold", threshold, 0, 1)
    keep = arc_posteriors(lattice, scale) >= threshold
    scores = best_scores(lattice)
    keep |= arc_sums(lattice, scores) == scores.total
    return connect(take_arcs(lattice, keep))


def lowest_score(total, beam, max_arcs):
    """Smallest score of a path within the beam, after checking the arguments of `prune`.

    Parameters
    ----------
    total : int               Score of the best path, or NO_PATH.
    beam : float
    max_arcs : int or None    Checked only.

    Returns
    -------
    int                       Above NO_PATH.

    Raises
    ------
    RangeError
    """
    checks.between("beam", beam, 0, math.inf)
    if max_arcs is not None:
        checks.between("max_arcs", max_arcs, 0, math.inf)
    if total == NO_PATH or beam * SCORES_A_NAT >= -NO_PATH:
        return NO_PATH + 1
    return max(NO_PATH + 1, total - math.floor(beam * SCORES_A_NAT))


def by_rank(through, keep):
    """Kept arcs, best first, lower number first among equals. Parameters: through (int64 [A]), keep (bool [A]). Returns int64."""
    kept = np.flatnonzero(keep)
    return kept[np.argsort(-through[kept], kind="stable")]


def best_arcs(lattice, scores, ranked, max_arcs):
    """Choose whole paths while they fit.

    Parameters
    ----------
    lattice : Lattice
    scores : BestScores
    ranked : int64 [R]     Arcs, best first; the first one's path stays in any case.
    max_arcs : int

    Returns
    -------
    bool [A]
    """
    keep, n_kept = np.zeros(lattice.n_arcs, bool), 0
    for arc in ranked:
        path, node = [arc], lattice.source[arc]
        while scores.arc_in[node] != NO_ARC:
            path.append(scores.arc_in[node])
            node = lattice.source[path[-1]]
        node = lattice.target[arc]
        while scores.arc_out[node] != NO_ARC:
            path.append(scores.arc_out[node])
            node = lattice.target[path[-1]]
        new = [arc for arc in path if not keep[arc]]
        if n_kept and n_kept + len(new) > max_arcs:
            break
        keep[new] = True
        n_kept += len(new)
    return keep


def take_arcs(lattice, keep):
    """The lattice of some arcs; nodes without any vanish, start and end excepted.

    Parameters
    ----------
    lattice : Lattice
    keep : bool [A]

    Returns
    -------
    Lattice              Arcs stay sorted and nodes in topological order, because the new numbers rise with the old.
    """
    columns = {name: getattr(lattice, name)[keep] for name in ARC_FIELDS}
    used = np.zeros(lattice.n_nodes, bool)
    used[0] = used[-1] = True
    used[columns["source"]] = used[columns["target"]] = True
    number = np.cumsum(used, dtype=np.int32) - np.int32(1)
    columns |= {name: number[columns[name]] for name in ("source", "target")}
    return dataclasses.replace(lattice, n_nodes=int(number[-1]) + 1, **columns)
