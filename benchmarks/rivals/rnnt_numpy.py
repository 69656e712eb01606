"""The transducer loss as a careful NumPy user would write it, and as one writes it first.

`vectorised` runs over the batch and whole anti-diagonals at once, keeps the lattice by diagonals so that every step is a
slice, works in place on the large arrays, and is float32 but for the lattice (in float32 its gradient errs by 7e-4).
"""

import math

import numpy as np

IMPOSSIBLE = -1e30


def vectorised(logits, labels):
    """Loss and gradient of a batch of equal lengths.

    Parameters
    ----------
    logits : float32 [B, T, U+1, V]
    labels : int32 [B, U]

    Returns
    -------
    (float64 [B], float32 [B, T, U+1, V])
    """
    n_batch, n_frames, n_rows, _ = logits.shape
    gradient = logits - logits.max(axis=3, keepdims=True)
    t, u = np.ogrid[:n_frames, :n_rows]
    next_label = np.broadcast_to(labels[:, None, :, None], (n_batch, n_frames, n_rows - 1, 1))
    blank, label = (np.full((n_frames + n_rows, n_batch, n_rows + 1), IMPOSSIBLE) for _ in range(2))
    picked = np.take_along_axis(gradient[:, :, :-1], next_label, axis=3)[..., 0]
    blank_scores = gradient[..., 0].copy()
    np.exp(gradient, out=gradient)
    total = gradient.sum(axis=3)
    log_total = np.log(total)
    blank[t + u, :, u] = np.moveaxis(blank_scores - log_total, 0, 2)
    label[(t + u)[:, :-1], :, u[:, :-1]] = np.moveaxis(picked - log_total[:, :, :-1], 0, 2)
    alpha, beta, logp = lattice(blank, label, n_frames, n_rows)
    by_blank = np.exp(alpha + blank + np.concatenate([beta[1:], np.full_like(beta[:1], IMPOSSIBLE)]) - logp[:, None])
    by_label = np.exp(alpha[:-1, :, :-1] + label[:-1, :, :-1] + beta[1:, :, 1:] - logp[:, None])
    blank_moves = np.moveaxis(by_blank[t + u, :, u], 2, 0).astype(np.float32)
    label_moves = np.moveaxis(by_label[t + u, :, u], 2, 0).astype(np.float32)
    gradient *= ((blank_moves + label_moves) / total)[..., None]
    gradient[..., 0] -= blank_moves
    rows = gradient[:, :, :-1]
    np.put_along_axis(rows, next_label, np.take_along_axis(rows, next_label, 3) - label_moves[:, :, :-1, None], 3)
    return -logp, gradient


def lattice(blank, label, n_frames, n_rows):
    """Forward and backward sums by diagonals: [T+U+1, B, U+2]. Parameters as named. Returns alpha, beta, logp [B]."""
    alpha, beta = np.full_like(blank, IMPOSSIBLE), np.full_like(blank, IMPOSSIBLE)
    alpha[0, :, 0], beta[n_frames + n_rows - 1, :, n_rows - 1] = 0, 0
    for d in range(1, n_frames + n_rows - 1):
        low, high = max(0, d - n_frames + 1), min(n_rows - 1, d) + 1
        by_blank = alpha[d - 1, :, low:high] + blank[d - 1, :, low:high]
        first = max(low, 1)
        by_label = alpha[d - 1, :, first - 1:high - 1] + label[d - 1, :, first - 1:high - 1]
        alpha[d, :, low:first] = by_blank[:, :first - low]
        alpha[d, :, first:high] = np.logaddexp(by_blank[:, first - low:], by_label)
    for d in range(n_frames + n_rows - 2, -1, -1):
        low, high = max(0, d - n_frames + 1), min(n_rows - 1, d) + 1
        beta[d, :, low:high] = np.logaddexp(beta[d + 1, :, low:high] + blank[d, :, low:high],
                                            beta[d + 1, :, low + 1:high + 1] + label[d, :, low:high])
    return alpha, beta, beta[0, :, 0].copy()


def log_add(a, b):
    """ln(e^a + e^b) of two numbers. Parameters: a, b. Returns a float."""
    high, low = max(a, b), min(a, b)
    return high + math.log1p(math.exp(low - high))


def naive(logits, labels):
    """Loss and gradient, one utterance and one node at a time. Parameters: as `vectorised`. Returns the same, in float64."""
    results = [naive_one(one, [int(label) for label in row]) for one, row in zip(logits.astype(np.float64), labels)]
    return np.array([value for value, _ in results]), np.stack([gradient for _, gradient in results])


def naive_one(logits, labels):
    """One utterance. Parameters: logits, float64 [T, U+1, V], labels. Returns loss and gradient."""
    n_frames, n_rows, _ = logits.shape
    logp = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
    alpha, beta = np.full((n_frames, n_rows), IMPOSSIBLE), np.full((n_frames + 1, n_rows + 1), IMPOSSIBLE)
    alpha[0, 0], beta[n_frames, n_rows - 1] = 0, 0
    for t in range(n_frames):
        for u in range(n_rows):
            if t or u:
                by_blank = alpha[t - 1, u] + logp[t - 1, u, 0] if t else IMPOSSIBLE
                by_label = alpha[t, u - 1] + logp[t, u - 1, labels[u - 1]] if u else IMPOSSIBLE
                alpha[t, u] = log_add(by_blank, by_label)
    for t in range(n_frames - 1, -1, -1):
        for u in range(n_rows - 1, -1, -1):
            by_label = beta[t, u + 1] + logp[t, u, labels[u]] if u < n_rows - 1 else IMPOSSIBLE
            beta[t, u] = log_add(beta[t + 1, u] + logp[t, u, 0], by_label)
    gradient = np.empty_like(logp)
    for t in range(n_frames):
        for u in range(n_rows):
            rest = alpha[t, u] - beta[0, 0]
            gradient[t, u] = np.exp(logp[t, u] + rest + beta[t, u])
            gradient[t, u, 0] -= math.exp(rest + logp[t, u, 0] + beta[t + 1, u])
            if u < n_rows - 1:
                gradient[t, u, labels[u]] -= math.exp(rest + logp[t, u, labels[u]] + beta[t, u + 1])
    return -beta[0, 0], gradient
