"""Numba twins of `refasr.transducer.loss`.

The lattice is stored by anti-diagonals: row d = t + u, column u + 1, so that one diagonal is one contiguous vector and
every node of it is computed at once. Rows and columns around the grid hold IMPOSSIBLE and spare all special cases.
"""

import numpy as np

from refasr import checks
from refasr.jit import kernel, scalar
from refasr.numerics import EXP_LOW
from refasr.numerics_fast import exp32, log32, log_add64
from refasr.transducer import loss
from refasr.transducer.loss import F32, IMPOSSIBLE, LANES, LOGIT_LIMIT, OCCUPANCY_FLOOR
from refasr.twins import BITS, twin_of

SIGN_SHIFT, MAGNITUDE = np.int32(31), np.int32(0x7FFFFFFF)
LARGEST_BITS = LOGIT_LIMIT.view(np.int32)
LOWEST = np.int32(-2**31)
ZERO = F32(0)


@scalar
def ordered(bits):
    """The bits of a float32 as an integer that sorts as the float does; its own inverse. Parameters: bits. Returns int32."""
    return np.int32(bits ^ (np.int32(bits >> SIGN_SHIFT) & MAGNITUDE))


@scalar
def posterior32(log_weight):
    """exp in float32 with a true zero below exp(-87). Parameters: log_weight. Returns float32."""
    x = F32(log_weight)
    return ZERO if x < EXP_LOW else exp32(x)


@kernel
def _subtract_max(logits, bits, shifted):
    """Shift rows by their maximum; integer maxima vectorise where float ones may not. Returns False at a bad logit."""
    largest = np.int32(0)
    for row in range(logits.shape[0]):
        top = LOWEST
        for v in range(logits.shape[1]):
            key, size = ordered(bits[row, v]), np.int32(bits[row, v] & MAGNITUDE)
            top = key if key > top else top
            largest = size if size > largest else largest
        if largest > LARGEST_BITS:      # also infinities and NaN: as integers they are larger still
            return False
        highest = np.int32(ordered(top)).view(np.float32)
        for v in range(logits.shape[1]):
            shifted[row, v] = logits[row, v] - highest
    return True


@kernel
def _exp_in_place(x):
    for i in range(x.size):
        x[i] = exp32(x[i])


@kernel
def _log(x, out):
    for i in range(x.size):
        out[i] = log32(x[i])


@kernel
def _row_sums(x, total):
    """Sum each row in the reference's order: eight partial sums, halves onto halves, then the rest one by one."""
    for row in range(x.shape[0]):
        line = x[row]
        whole = line.size - line.size % LANES
        a = b = c = d = e = f = g = h = ZERO
        for i in range(0, whole, LANES):
            block = line[i:i + LANES]
            a, b, c, d = a + block[0], b + block[1], c + block[2], d + block[3]
            e, f, g, h = e + block[4], f + block[5], g + block[6], h + block[7]
        sum_of_lanes = ((a + e) + (c + g)) + ((b + f) + (d + h))
        for i in range(whole, line.size):
            sum_of_lanes += line[i]
        total[row] = sum_of_lanes


@kernel
def _softmax(logits, bits, labels, e, total, blank, label):
    """Fill exponentials, row sums and the skewed move scores. Returns False where a logit is not finite or too large."""
    n_frames, n_rows, width = logits.shape
    log_total = np.empty(n_rows, F32)
    for t in range(n_frames):
        if not _subtract_max(logits[t], bits[t], e[t]):
            return False
        for u in range(n_rows):
            blank[t + u, u + 1] = e[t, u, 0]
        for u in range(labels.size):
            label[t + u, u + 1] = e[t, u, labels[u]]
        _exp_in_place(e[t].reshape(n_rows * width))
        _row_sums(e[t], total[t])
        _log(total[t], log_total)
        for u in range(n_rows):
            blank[t + u, u + 1] -= np.float64(log_total[u])
        for u in range(labels.size):
            label[t + u, u + 1] -= np.float64(log_total[u])
    return True


@kernel
def _log_add_moves(first, first_move, second, second_move, out):
    for i in range(out.size):
        out[i] = log_add64(first[i] + first_move[i], second[i] + second_move[i])


@kernel
def _forward_backward(blank, label, n_frames, n_labels, alpha, beta):
    """Fill the skewed alpha and beta, given IMPOSSIBLE everywhere. Returns logp."""
    n_diagonals = n_frames + n_labels
    alpha[0, 1] = 0.0
    for d in range(1, n_diagonals):
        low, high = max(0, d - n_frames + 1) + 1, min(n_labels, d) + 2
        _log_add_moves(alpha[d - 1, low:high], blank[d - 1, low:high], alpha[d - 1, low - 1:high - 1],
                       label[d - 1, low - 1:high - 1], alpha[d, low:high])
    beta[n_diagonals, n_labels + 1] = 0.0
    for d in range(n_diagonals - 1, -1, -1):
        low, high = max(0, d - n_frames + 1) + 1, min(n_labels, d) + 2
        _log_add_moves(beta[d + 1, low:high], blank[d, low:high], beta[d + 1, low + 1:high + 1], label[d, low:high],
                       beta[d, low:high])
    return beta[0, 1]


@kernel
def _posteriors(blank, label, alpha, beta, logp):
    """Overwrite the move scores by the posteriors of the moves, all diagonals in one go."""
    n_diagonals, width = blank.shape
    for d in range(n_diagonals):
        for column in range(width - 1):
            blank[d, column] = posterior32(((alpha[d, column] + blank[d, column]) + beta[d + 1, column]) - logp)
            label[d, column] = posterior32(((alpha[d, column] + label[d, column]) + beta[d + 1, column + 1]) - logp)


@kernel
def _gradient(labels, blank, label, total, emphasis, gradient, occupancy):
    """Turn exponentials into gradients in place; `emphasis` is 1 + fastemit."""
    for t in range(total.shape[0]):
        for u in range(total.shape[1]):
            by_blank, by_label = F32(blank[t + u, u + 1]), F32(label[t + u, u + 1])
            occupancy[t, u] = by_blank + by_label
            row = gradient[t, u]
            if occupancy[t, u] < OCCUPANCY_FLOOR:
                row[:] = ZERO
                continue
            by_label = F32(by_label * emphasis)
            scale = F32(by_blank + by_label) / total[t, u]
            for v in range(row.size):
                row[v] *= scale
            row[0] -= by_blank
            if u < labels.size:
                row[labels[u]] -= by_label


@kernel
def _rnnt_loss(logits, bits, labels, emphasis, skewed, total, gradient, occupancy):
    blank, label, alpha, beta = skewed[0], skewed[1], skewed[2], skewed[3]
    if not _softmax(logits, bits, labels, gradient, total, blank, label):
        return np.nan
    logp = _forward_backward(blank, label, logits.shape[0], labels.size, alpha, beta)
    _posteriors(blank[:-1], label[:-1], alpha, beta, logp)
    _gradient(labels, blank, label, total, emphasis, gradient, occupancy)
    return 0.0 - logp


def _skewed(n_frames, n_labels):
    return np.full((4, n_frames + n_labels + 1, n_labels + 3), IMPOSSIBLE)


def _grid(skewed, n_frames, n_columns):
    t, u = np.ogrid[:n_frames, :n_columns]
    return skewed[t + u, u + 1]


@twin_of(loss.node_scores, agree=BITS)
def node_scores(logits, labels):
    loss.check_grid(logits, labels)
    blank, label = _skewed(logits.shape[0], labels.size)[:2]
    total = np.empty(logits.shape[:2], F32)
    if not _softmax(logits, logits.view(np.int32), labels, np.empty_like(logits), total, blank, label):
        loss.check_logits(logits)
    return _grid(blank, logits.shape[0], labels.size + 1), _grid(label, logits.shape[0], labels.size)


@twin_of(loss.forward_backward, agree=BITS)
def forward_backward(logp_blank, logp_label):
    loss.check_scores(logp_blank, logp_label)
    n_frames, n_labels = logp_label.shape
    blank, label, alpha, beta = _skewed(n_frames, n_labels)
    t, u = np.ogrid[:n_frames, :n_labels + 1]
    blank[t + u, u + 1] = logp_blank
    label[t + u[:, :-1], u[:, :-1] + 1] = logp_label
    logp = _forward_backward(blank, label, n_frames, n_labels, alpha, beta)
    return _grid(alpha, n_frames, n_labels + 1), _grid(beta, n_frames, n_labels + 1), float(logp)


@twin_of(loss.rnnt_loss, agree=BITS)
def rnnt_loss(logits, labels, fastemit=0.0):
    loss.check_grid(logits, labels)
    checks.between("fastemit", fastemit, 0, 1)
    gradient, total, occupancy = np.empty_like(logits), np.empty(logits.shape[:2], F32), np.empty(logits.shape[:2], F32)
    value = _rnnt_loss(logits, logits.view(np.int32), labels, F32(1 + fastemit), _skewed(logits.shape[0], labels.size),
                       total, gradient, occupancy)
    if value != value:
        loss.check_logits(logits)
    return loss.RnntLoss(float(value), gradient, occupancy)
