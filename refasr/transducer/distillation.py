"""How far a student's unit probabilities are from a teacher's, where the teacher names a few units and the mass of all others.

At each node of the grid the vocabulary falls in k + 1 classes: k units (the *support*), each a class of its own, and the rest.

    D = sum_g t_g ln(t_g / P_g)          t, P: the teacher's and the student's probability of class g
    dD / dz_v = p_v (1 - t_g / P_g)      g: the class of unit v; z the student's logits, p their softmax

With the support (blank, next label) these are the three classes of Panchapagesan et al. 2020 (arXiv 2011.06110); with the
teacher's k most probable units they are top-k targets (Parthasarathi & Strom 2019, arXiv 1904.01624) that keep the dropped mass.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks, numerics
from refasr.errors import RangeError, ShapeError
from refasr.transducer.loss import check_logits, row_sums

F32 = np.float32
NOBODY = -1                             # a place of the support that is not used
SMALLEST = np.finfo(np.float32).tiny    # what logarithms see instead of 0
SUM_TOLERANCE = 1e-4                    # targets are probabilities; float32 sums of a few are good to 1e-6


class Divergence(NamedTuple):
    """Of N nodes.

    divergence : float64 [N]     Kullback-Leibler divergence of each, nats.
    gradient : float32 [N, V]    With respect to the logits.
    """

    divergence: np.ndarray
    gradient: np.ndarray


def lattice_support(labels, n_frames):
    """Blank and the next label, for every node of a grid.

    Parameters
    ----------
    labels : int32 [U]
    n_frames : int, T

    Returns
    -------
    int32 [T*(U+1), 2]    Nodes by rows of u; after the last label there is none, NOBODY.
    """
    row = np.zeros((labels.size + 1, 2), np.int32)
    row[:, 1] = np.append(labels, NOBODY)
    return np.tile(row, (n_frames, 1))


def check_support(logits, units):
    """Require logits, and a support of different units for every node.

    Parameters
    ----------
    logits : float32 [N, V]    The candidate.
    units : int32 [N, k]       The candidate.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    checks.array("logits", logits, F32, (None, None))
    checks.array("units", units, np.int32, (logits.shape[0], None))
    if 0 in logits.shape or units.shape[1] == 0:
        raise ShapeError(f"logits, units: got shapes {list(logits.shape)}, {list(units.shape)}, expected no axis of length 0")
    if units.min() < NOBODY or units.max() >= logits.shape[1]:
        raise RangeError(f"units: got {units.min()}..{units.max()}, expected {NOBODY}..{logits.shape[1] - 1}")
    ordered = np.sort(units, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NOBODY)).any():
        raise RangeError("units: got a unit twice at one node, expected different units; merge their targets")
    check_logits(logits)


def check_targets(units, targets):
    """Require probabilities of the classes. Parameters: units (int32 [N, k]), targets (float32 [N, k+1], the candidate)."""
    checks.array("targets", targets, F32, (units.shape[0], units.shape[1] + 1))
    checks.finite("targets", targets)
    off = np.abs(targets.sum(axis=1, dtype=np.float64) - 1).max()
    if targets.min() < 0 or off > SUM_TOLERANCE or (targets[:, :-1][units == NOBODY] != 0).any():
        raise RangeError(f"targets: got a row that is no distribution over its classes (sum off by {off:.2g}), expected one")


def class_parts(logits, units):
    """The pieces of a softmax over classes.

    Parameters
    ----------
    logits : float32 [N, V]
    units : int32 [N, k]

    Returns
    -------
    shifted : float32 [N, k]    Logits of the support less the row's maximum; 0 where NOBODY.
    e : float32 [N, V]          Exponentials of all other shifted logits; 0 in the support.
    members : float32 [N, k]    Exponentials of the support; 0 where NOBODY.
    rest, total : float32 [N]   Sums of e, and of everything.
    """
    # + 0 makes both zeros the positive one, whichever of them was the maximum
    moved = (logits - logits.max(axis=1, keepdims=True)) + F32(0)
    e, rows, used = numerics.exp(moved.ravel()).reshape(logits.shape), np.arange(len(logits))[:, None], units != NOBODY
    members = np.where(used, e[rows, units], F32(0))
    shifted = np.where(used, moved[rows, units], F32(0))
    row, place = np.nonzero(used)
    e[row, units[row, place]] = 0
    rest = row_sums(e)
    total = rest
    for j in range(units.shape[1]):
        total = total + members[:, j]
    return shifted, e, members, rest, total


def class_posteriors(logits, units):
    """Probabilities of the classes: what a teacher says.

    Parameters
    ----------
    logits : float32 [N, V]    Of N nodes, finite.
    units : int32 [N, k]       Support of each node: different units, NOBODY (-1) where a place is not used.

    Returns
    -------
    float32 [N, k+1]           In the order of `units`; last, the rest.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: N*V exponentials.
    """
    check_support(logits, units)
    _, _, members, rest, total = class_parts(logits, units)
    return np.concatenate([members, rest[:, None]], axis=1) / total[:, None]


def _log(x):
    return numerics.log(np.maximum(x, SMALLEST).ravel()).reshape(x.shape)


def class_divergence(logits, units, targets):
    """Divergence of a student from a teacher, and its gradient: see the module.

    Parameters
    ----------
    logits : float32 [N, V]       The student's, of N nodes, finite.
    units : int32 [N, k]          As in `class_posteriors`.
    targets : float32 [N, k+1]    The teacher's probabilities of the classes, in the same order; rows sum to 1.

    Returns
    -------
    Divergence

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Probabilities below exp(-87) of the largest count as that. Within the rest, the gradient keeps the student's own
    proportions: p_v (1 - t / P) = (P - t) e_v / sum e. Cost: N*V exponentials.
    """
    check_support(logits, units)
    check_targets(units, targets)
    shifted, e, members, rest, total = class_parts(logits, units)
    log_total = numerics.log(total)
    log_p = np.concatenate([shifted, _log(rest)[:, None]], axis=1) - log_total[:, None]
    terms = np.where(targets > 0, targets * (_log(targets) - log_p), F32(0)).astype(np.float64)
    divergence = np.zeros(len(logits))
    for j in range(terms.shape[1]):
        divergence = divergence + terms[:, j]
    excess = rest / total - targets[:, -1]
    factor = np.where(rest > 0, excess / np.maximum(rest, SMALLEST), F32(0))
    gradient = e * factor[:, None]
    row, place = np.nonzero(units != NOBODY)
    gradient[row, units[row, place]] = members[row, place] / total[row] - targets[row, place]
    return Divergence(divergence, gradient)
