"""The transducer criterion: minus the log-probability of the labels, summed over all alignments, and its gradient.

An alignment is a path through the grid of T frames and U+1 label counts: from node (t, u), "blank" moves to the next
frame and "label" writes the next label. Probabilities are normalised over the whole vocabulary at every node.
Source: A. Graves, "Sequence transduction with recurrent neural networks" (arXiv 1211.3711), section 2.4.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks, numerics
from refasr.errors import RangeError, ShapeError

F32 = np.float32
LANES = 8               # partial sums of a row; fixed, so that every implementation adds in the same order
IMPOSSIBLE = -1e30      # log-probability of what lies outside the grid
LOGIT_LIMIT = F32(1e6)  # a float64 lattice of a thousand moves is then still good to 1e-6
SCORE_LIMIT = 1e7       # of the log-probabilities made from such logits
OCCUPANCY_FLOOR = F32(1e-10)    # below it a node's gradient is 0: it would be invisible, but slow as denormal numbers


class RnntLoss(NamedTuple):
    """The criterion of one utterance.

    loss : float                     -ln P(labels | audio), nats.
    gradient : float32 [T, U+1, V]   d loss / d logits (with FastEmit: of the regularised loss).
    occupancy : float32 [T, U+1]     Probability, given audio and labels, that the path visits the node.
    """

    loss: float
    gradient: np.ndarray
    occupancy: np.ndarray


def check_grid(logits, labels):
    """Require logits and labels that span one grid; values are looked at by `check_logits`.

    Parameters
    ----------
    logits : float32 [T, U+1, V]     The candidate.
    labels : int32 [U], 1..V-1       The candidate.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    checks.array("labels", labels, np.int32, (None,))
    checks.array("logits", logits, F32, (None, labels.size + 1, None))
    if logits.shape[0] == 0 or logits.shape[2] == 0:
        raise ShapeError(f"logits: got shape {list(logits.shape)}, expected at least one frame and one unit")
    checks.labels("labels", labels, logits.shape[2])


def check_logits(logits):
    """Require finite logits of sensible size.

    Parameters
    ----------
    logits : float32 array    The candidate.

    Raises
    ------
    RangeError
    """
    checks.finite("logits", logits)
    if np.abs(logits).max() > LOGIT_LIMIT:
        raise RangeError(f"logits: got {np.abs(logits).max()}, expected magnitudes up to {LOGIT_LIMIT}; the model has diverged")


def row_sums(x):
    """Sum each row in the fixed order: eight interleaved partial sums, halves onto halves, then the rest one by one.

    Parameters
    ----------
    x : float32 [N, V]

    Returns
    -------
    float32 [N]
    """
    whole = x.shape[1] - x.shape[1] % LANES
    partial = np.zeros((x.shape[0], LANES), F32)
    for i in range(0, whole, LANES):
        partial = partial + x[:, i:i + LANES]
    while partial.shape[1] > 1:
        half = partial.shape[1] // 2
        partial = partial[:, :half] + partial[:, half:]
    total = partial[:, 0]
    for i in range(whole, x.shape[1]):
        total = total + x[:, i]
    return total


def softmax_parts(logits):
    """The pieces of a softmax: shifted logits, their exponentials and the sums of those.

        p = e / total,  ln p = shifted - ln(total),  shifted = logits - max,  e = exp(shifted)

    Parameters
    ----------
    logits : float32 [T, U+1, V]

    Returns
    -------
    shifted, e : float32 [T, U+1, V]
    total : float32 [T, U+1]
    """
    shifted = logits - logits.max(axis=2, keepdims=True)
    e = numerics.exp(shifted.ravel()).reshape(logits.shape)
    total = row_sums(e.reshape(-1, logits.shape[2])).reshape(logits.shape[:2])
    return shifted, e, total


def pick_scores(shifted, total, labels):
    """Log-probabilities of blank and of the next label. Parameters: shifted, total, labels. Returns float64 [T, U+1], [T, U]."""
    log_total = numerics.log(total.ravel()).reshape(total.shape).astype(np.float64)
    rows = np.arange(labels.size)
    return shifted[:, :, 0] - log_total, shifted[:, rows, labels] - log_total[:, :-1]


def node_scores(logits, labels):
    """Log-probabilities of the two moves that leave each node of the grid.

        logp_blank[t, u] = ln softmax(logits[t, u])[0],  logp_label[t, u] = ln softmax(logits[t, u])[labels[u]]

    Parameters
    ----------
    logits : float32 [T, U+1, V]     Joiner outputs, finite, T >= 1.
    labels : int32 [U], 1..V-1       Unit numbers; blank (0) is not a label.

    Returns
    -------
    logp_blank : float64 [T, U+1]
    logp_label : float64 [T, U]

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS (exp and log of `numerics`, row sums in 8 lanes). Cost: T*(U+1)*V exponentials.
    """
    check_grid(logits, labels)
    check_logits(logits)
    shifted, _, total = softmax_parts(logits)
    return pick_scores(shifted, total, labels)


def diagonal(d, n_frames, n_labels):
    """Nodes with t + u = d; they depend on the diagonals beside them only. Parameters: d, n_frames, n_labels. Returns t, u."""
    u = np.arange(max(0, d - n_frames + 1), min(n_labels, d) + 1)
    return d - u, u


def check_scores(logp_blank, logp_label):
    """Require log-probabilities that span one grid.

    Parameters
    ----------
    logp_blank : float64 [T, U+1]    The candidate.
    logp_label : float64 [T, U]      The candidate.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    checks.array("logp_blank", logp_blank, np.float64, (None, None))
    if 0 in logp_blank.shape:
        raise ShapeError(f"logp_blank: got shape {list(logp_blank.shape)}, expected at least one frame and one row")
    checks.array("logp_label", logp_label, np.float64, (logp_blank.shape[0], logp_blank.shape[1] - 1))
    for name, value in (("logp_blank", logp_blank), ("logp_label", logp_label)):
        checks.finite(name, value)
        if value.size and np.abs(value).max() > SCORE_LIMIT:
            raise RangeError(f"{name}: got {np.abs(value).max()}, expected magnitudes up to {SCORE_LIMIT}")


def forward_backward(logp_blank, logp_label):
    """Sum over all alignments, from the start to each node and from each node to the end.

        alpha[t, u] = log_add(alpha[t-1, u] + logp_blank[t-1, u], alpha[t, u-1] + logp_label[t, u-1]),  alpha[0, 0] = 0
        beta[t, u] = log_add(beta[t+1, u] + logp_blank[t, u], beta[t, u+1] + logp_label[t, u]),  beta[T, U] = 0
        logp = ln P(labels | audio) = beta[0, 0]

    Parameters
    ----------
    logp_blank : float64 [T, U+1]    From `node_scores`, or any log-weights.
    logp_label : float64 [T, U]

    Returns
    -------
    alpha : float64 [T, U+1]         Everything before the node.
    beta : float64 [T, U+1]          Everything from the node on, its own move included.
    logp : float

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Both walk anti-diagonals; each log_add adds at most 1.2e-7 to the error. Cost: 2*T*(U+1) log_adds.
    """
    check_scores(logp_blank, logp_label)
    return _forward_backward(logp_blank, logp_label)


def _forward_backward(logp_blank, logp_label):
    n_frames, n_labels = logp_label.shape
    label = np.pad(logp_label, ((0, 0), (0, 1)), constant_values=IMPOSSIBLE)
    alpha = np.full((n_frames, n_labels + 1), IMPOSSIBLE)
    alpha[0, 0] = 0.0
    for d in range(1, n_frames + n_labels):
        t, u = diagonal(d, n_frames, n_labels)
        by_blank = np.where(t > 0, alpha[t - 1, u] + logp_blank[t - 1, u], IMPOSSIBLE)
        by_label = np.where(u > 0, alpha[t, u - 1] + label[t, u - 1], IMPOSSIBLE)
        alpha[t, u] = numerics.log_add(by_blank, by_label)
    beta = np.full((n_frames + 1, n_labels + 2), IMPOSSIBLE)
    beta[n_frames, n_labels] = 0.0
    for d in range(n_frames + n_labels - 1, -1, -1):
        t, u = diagonal(d, n_frames, n_labels)
        beta[t, u] = numerics.log_add(beta[t + 1, u] + logp_blank[t, u], beta[t, u + 1] + label[t, u])
    return alpha, np.ascontiguousarray(beta[:-1, :-1]), float(beta[0, 0])


def move_posteriors(logp_blank, logp_label, alpha, beta, logp):
    """Probability, given audio and labels, of each move in the grid.

        blank[t, u] = exp(alpha[t, u] + logp_blank[t, u] + beta[t+1, u] - logp)
        label[t, u] = exp(alpha[t, u] + logp_label[t, u] + beta[t, u+1] - logp)

    Parameters
    ----------
    logp_blank, logp_label : float64 [T, U+1], [T, U]
    alpha, beta : float64 [T, U+1]
    logp : float

    Returns
    -------
    blank, label : float32 [T, U+1]    The last column of `label` is 0.
    """
    after_blank = np.pad(beta[1:], ((0, 1), (0, 0)), constant_values=IMPOSSIBLE)
    after_blank[-1, -1] = 0.0
    blank = ((alpha + logp_blank) + after_blank) - logp
    label = ((alpha[:, :-1] + logp_label) + beta[:, 1:]) - logp
    return _posterior(blank), np.pad(_posterior(label), ((0, 0), (0, 1)))


def _posterior(log_weight):
    x = np.ascontiguousarray(log_weight.astype(F32)).ravel()
    y = np.where(x < numerics.EXP_LOW, F32(0), numerics.exp(x))
    return y.reshape(log_weight.shape)


def rnnt_loss(logits, labels, fastemit=0.0):
    """Transducer loss of one utterance with its gradient and node occupancies.

        loss = -ln P(labels | audio)
        gradient[t, u, k] = p[t, u, k] (blank[t, u] + label'[t, u]) - [k = 0] blank[t, u] - [k = labels[u]] label'[t, u]
        label' = (1 + fastemit) label

    where `blank` and `label` are the posteriors of the two moves and p the softmax of the logits.

    Parameters
    ----------
    logits : float32 [T, U+1, V]     Joiner outputs of the exact grid (no padding), finite, T >= 1.
    labels : int32 [U], 1..V-1       Unit numbers, U >= 0; blank (0) is not a label.
    fastemit : float, 0..1           Weight of FastEmit: how much more a label's move is rewarded than a blank's.

    Returns
    -------
    RnntLoss                         `loss` and `occupancy` never include FastEmit; `gradient` does.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Softmax in float32, lattice in float64. Nodes visited with probability below 1e-10 have gradient 0.
    Cost: T*(U+1)*V exponentials, 2*T*(U+1) log_adds.
    Source: Graves (arXiv 1211.3711); FastEmit: Yu et al. (arXiv 2010.11148), which scales the gradient with respect to
    the label log-probabilities and leaves that of the blanks as it is.
    """
    check_grid(logits, labels)
    checks.between("fastemit", fastemit, 0, 1)
    check_logits(logits)
    shifted, e, total = softmax_parts(logits)
    logp_blank, logp_label = pick_scores(shifted, total, labels)
    alpha, beta, logp = _forward_backward(logp_blank, logp_label)
    blank, label = move_posteriors(logp_blank, logp_label, alpha, beta, logp)
    occupancy = blank + label
    label = label * F32(1 + fastemit)
    gradient = e * ((blank + label) / total)[:, :, None]
    gradient[:, :, 0] -= blank
    rows = np.arange(labels.size)
    gradient[:, rows, labels] -= label[:, :-1]
    gradient[occupancy < OCCUPANCY_FLOOR] = 0
    return RnntLoss(0.0 - logp, gradient, occupancy)
