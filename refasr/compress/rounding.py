"""Codes for a matrix: one scale a row, and rounding that makes up for its own errors."""

import numpy as np

SHARES = np.linspace(0.3, 1.0, 57)  # of the scale that clips nothing
DAMPING = 0.01                      # of the mean second moment: inputs may be seen again in other company


def row_scales(w, limit, importance):
    """The scale of each row with the least squared error, errors weighted by how large their inputs are.

        sum_k importance[k] (w[n, k] - s q[n, k])^2,  q = clip(round(w / s), -limit, limit)

    Parameters
    ----------
    w : float64 [N, K]
    limit : int                 2^(b-1) - 1.
    importance : float64 [K]    Mean square of each input.

    Returns
    -------
    float64 [N]                 0 for rows of zeros.
    """
    widest = np.abs(w).max(axis=1) / limit
    best, scales = np.full(len(w), np.inf), np.zeros(len(w))
    for share in SHARES:
        scale = share * widest
        error = (w - scale[:, None] * nearest(w, scale, limit)) ** 2 @ importance
        scales = np.where(error < best, scale, scales)
        best = np.minimum(error, best)
    return scales


def nearest(w, scales, limit):
    """Nearest codes. Parameters: w ([N] or [N, K]), scales ([N], 0 gives 0), limit. Returns float64 whole numbers like w."""
    safe = np.where(scales > 0, scales, np.inf)
    return np.clip(np.floor(w / (safe if w.ndim == 1 else safe[:, None]) + 0.5), -limit, limit)


def compensated_codes(w, scales, limit, moment):
    """Round column by column; what a column is off by is taken out of the columns that are still to come.

        least of mean over x of |(W - S Q) x|^2, greedily: with U^T U = (moment + damping)^-1, U upper triangular,
        q_k = nearest(w_k),  e = (w_k - s q_k) / U[k, k],  w_j -= e U[k, j] for j > k

    Parameters
    ----------
    w : float64 [N, K]
    scales : float64 [N]
    limit : int                 2^(b-1) - 1.
    moment : float64 [K, K]     Mean of x x^T.

    Returns
    -------
    int8 [N, K]

    Notes
    -----
    Source: Frantar 2022, "GPTQ", arXiv 2210.17323, algorithm 1, without blocks.
    """
    left, codes = w.copy(), np.zeros(w.shape, np.int8)
    damped = moment + max(DAMPING * np.trace(moment) / len(moment), 1e-12) * np.eye(len(moment))
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    for k in range(w.shape[1]):
        codes[:, k] = nearest(left[:, k], scales, limit)
        error = (left[:, k] - scales * codes[:, k]) / upper[k, k]
        left[:, k + 1 :] -= error[:, None] * upper[k, k + 1 :]
    return codes
