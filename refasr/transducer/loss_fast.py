"""Numba twins of `refasr.transducer.loss`.

The lattice is stored by anti-diagonals: row d = t + u, column u + 1, so that one diagonal is one contiguous vector and
every node of it is computed at once, whole vectors of them: what lies outside the grid holds IMPOSSIBLE moves, so what is
computed there reaches no node inside, and spares all special cases.

Exponentials are not kept from the softmax to the gradient: to make them again for the nodes that matter, about half of an
untrained model's and far fewer of a trained one's, costs less than to write and read back an array of the logits' size.
"""

import numpy as np

from refasr import checks
from refasr.hints import fetch_soon, prefer_wide
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
U = np.uint64
LINE, STEP = U(16), U(LANES)    # floats of a cache line; what `row_sums` adds at a time
ROWS_AHEAD = U(8)               # far enough for memory to answer
COLUMNS = 16                    # of a diagonal are computed together
HUGE, NEARLY_HUGE = 1 << 20, 1 << 19    # floats


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
def _subtract_max(logits, bits, highest, shifted):
    """Shift rows by their maximum; integer maxima vectorise where float ones may not. Returns False at a bad logit."""
    prefer_wide()
    largest = np.int32(0)
    for row in range(logits.shape[0]):
        top = LOWEST
        for v in range(logits.shape[1]):
            key, size = ordered(bits[row, v]), np.int32(bits[row, v] & MAGNITUDE)
            top = key if key > top else top
            largest = size if size > largest else largest
        if largest > LARGEST_BITS:      # also infinities and NaN: as integers they are larger still
            return False
        highest[row] = np.int32(ordered(top)).view(np.float32)
        for v in range(logits.shape[1]):
            shifted[row, v] = logits[row, v] - highest[row]
    return True


@kernel
def _exp_in_place(x):
    prefer_wide()
    for i in range(x.size):
        x[i] = exp32(x[i])


@kernel
def _log(x, out):
    for i in range(x.size):
        out[i] = log32(x[i])


@scalar
def lane_total(x, i):
    """Halves onto halves. Parameters: x, i. Returns the sum of x[i:i + 8]."""
    even = (x[i] + x[i + U(4)]) + (x[i + U(2)] + x[i + U(6)])
    return even + ((x[i + U(1)] + x[i + U(5)]) + (x[i + U(3)] + x[i + U(7)]))


@kernel
def _row_sums(x, n_rows, soon, total):
    """Sum rows in the reference's order: eight running sums along each row, in place, halves onto halves, then the rest.

    Meanwhile the processor fetches what is needed next. Parameters: x (flat, overwritten), n_rows, soon, total (result).
    """
    width = U(x.size) // n_rows
    whole = width // STEP * STEP
    for row in range(n_rows):
        a = row * width
        for i in range(a, a + width, LINE):
            fetch_soon(soon, i)
        for i in range(a, a + whole - min(STEP, whole)):
            x[i + STEP] += x[i]
        b = a + whole
        total[row] = lane_total(x, b - STEP) if whole else ZERO
        for i in range(b, a + width):
            total[row] += x[i]


@kernel
def _softmax(logits, bits, labels, highest, total, blank, label):
    """Fill row maxima and sums and the skewed move scores. Returns False where a logit is not finite or too large."""
    n_frames, n_rows, width = logits.shape
    e, log_total = np.empty((n_rows, width), F32), np.empty(n_rows, F32)
    for t in range(n_frames):
        if not _subtract_max(logits[t], bits[t], highest[t], e):
            return False
        for u in range(n_rows):
            blank[t + u, u + 1] = e[u, 0]
        for u in range(labels.size):
            label[t + u, u + 1] = e[u, labels[u]]
        flat = e.reshape(n_rows * width)
        _exp_in_place(flat)
        _row_sums(flat, U(n_rows), logits[min(t + 1, n_frames - 1)], total[t])
        _log(total[t], log_total)
        for u in range(n_rows):
            blank[t + u, u + 1] -= np.float64(log_total[u])
        for u in range(labels.size):
            label[t + u, u + 1] -= np.float64(log_total[u])
    return True


@kernel
def _log_add_moves(first, first_move, second, second_move, out):
    prefer_wide()
    for i in range(out.size):
        out[i] = log_add64(first[i] + first_move[i], second[i] + second_move[i])


@kernel
def _forward_backward(blank, label, n_frames, n_labels, alpha, beta):
    """Fill the skewed alpha and beta, given IMPOSSIBLE everywhere; in turn, as neither waits for the other. Returns logp."""
    last, stop = n_frames + n_labels, blank.shape[1] - 1
    alpha[0, 1] = beta[last, n_labels + 1] = 0.0
    for d in range(last):
        _log_add_moves(alpha[d, 1:stop], blank[d, 1:stop], alpha[d, :stop - 1], label[d, :stop - 1], alpha[d + 1, 1:stop])
        b = last - 1 - d
        _log_add_moves(beta[b + 1, 1:stop], blank[b, 1:stop], beta[b + 1, 2:], label[b, 1:stop], beta[b, 1:stop])
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
def _gradient(logits, labels, blank, label, highest, total, emphasis, gradient, occupancy):
    """Softmax once more, and gradients; `emphasis` is 1 + fastemit."""
    prefer_wide()
    for t in range(total.shape[0]):
        for u in range(total.shape[1]):
            by_blank, by_label = F32(blank[t + u, u + 1]), F32(label[t + u, u + 1])
            occupancy[t, u] = by_blank + by_label
            row = gradient[t, u]
            for v in range(U(0), U(row.size), LINE):
                fetch_soon(row, ROWS_AHEAD * U(row.size) + v)
                fetch_soon(logits[t, u], ROWS_AHEAD * U(row.size) + v)
            if occupancy[t, u] < OCCUPANCY_FLOOR:
                row[:] = ZERO
                continue
            by_label = F32(by_label * emphasis)
            scale, top = F32(by_blank + by_label) / total[t, u], highest[t, u]
            for v in range(row.size):
                row[v] = exp32(logits[t, u, v] - top) * scale
            row[0] -= by_blank
            if u < labels.size:
                row[labels[u]] -= by_label


@kernel
def _rnnt_loss(logits, bits, labels, emphasis, skewed, rows, gradient, occupancy):
    blank, label, alpha, beta = skewed[0], skewed[1], skewed[2], skewed[3]
    highest, total = rows[0], rows[1]
    if not _softmax(logits, bits, labels, highest, total, blank, label):
        return np.nan
    logp = _forward_backward(blank, label, logits.shape[0], labels.size, alpha, beta)
    _posteriors(blank[:-1], label[:-1], alpha, beta, logp)
    _gradient(logits, labels, blank, label, highest, total, emphasis, gradient, occupancy)
    return 0.0 - logp


def _skewed(n_frames, n_labels):
    """Four arrays of diagonals. Parameters: n_frames, n_labels. Returns float64 [4, T+U+1, 1 + columns + 1]."""
    return np.full((4, n_frames + n_labels + 1, n_labels // COLUMNS * COLUMNS + COLUMNS + 2), IMPOSSIBLE)


def _room(size):
    """Memory for a gradient. Parameters: size. Returns float32 [size].

    NumPy asks for huge pages from 4 MB on; without them a twelfth of the time goes into looking up pages.
    """
    return np.empty(HUGE if NEARLY_HUGE <= size < HUGE else size, F32)[:size]


def _grid(skewed, n_frames, n_columns):
    t, u = np.ogrid[:n_frames, :n_columns]
    return skewed[t + u, u + 1]


@twin_of(loss.node_scores, agree=BITS)
def node_scores(logits, labels):
    loss.check_grid(logits, labels)
    blank, label = _skewed(logits.shape[0], labels.size)[:2]
    highest, total = np.empty((2, *logits.shape[:2]), F32)
    if not _softmax(logits, logits.view(np.int32), labels, highest, total, blank, label):
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
    gradient, occupancy = _room(logits.size).reshape(logits.shape), np.empty(logits.shape[:2], F32)
    rows = np.empty((2, *logits.shape[:2]), F32)
    value = _rnnt_loss(logits, logits.view(np.int32), labels, F32(1 + fastemit), _skewed(logits.shape[0], labels.size),
                       rows, gradient, occupancy)
    if value != value:
        loss.check_logits(logits)
    return loss.RnntLoss(float(value), gradient, occupancy)
