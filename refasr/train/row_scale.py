"""One scale for each row of a matrix that is to be rounded: the reference. Twin: `row_scale_fast`."""

import numpy as np

from refasr import checks

F32 = np.float32
SCALE_BITS = 8             # of the significand that are 0, so that every code times the scale is exact in float32
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
CLIP_BELOW = 63            # with six bits and fewer, clipping a few weights costs less than coarse steps for all


def row_scale(weights, limit):
    """Scale of each row, by the least square of rounding over some shares of the one that clips nothing.

        D = share max |w| / limit, rounded up to 16 significant bits, so that D code is exact in float32

    Parameters
    ----------
    weights : float32 [K, N]    Finite; stored with inputs down, so that a row of the integer network is a column.
    limit : int, 1 to 127       Largest code; from 63 on nothing is clipped.

    Returns
    -------
    float32 [N]                 1 for a row of zeros. Of rounded rows it is the scale they were rounded with.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Squares are added in float64 from the first input to the last.
    """
    scales = candidates(weights, limit)
    best, least = np.ones(weights.shape[1], F32), np.full(weights.shape[1], np.inf)
    for scale in scales:
        off = weights - scale * np.clip(np.rint(weights / scale), F32(-limit), F32(limit))
        error = np.cumsum(np.vstack([np.zeros(len(least)), off.astype(np.float64) ** 2]), axis=0)[-1]
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    return best


def candidates(weights, limit):
    """The scales that are tried. Parameters: weights, limit. Returns float32 [S, N]; raises as `row_scale`."""
    checks.array("weights", weights, np.float32, (None, None))
    checks.finite("weights", weights)
    checks.between("limit", limit, 1, 127)
    widest = np.abs(weights).max(axis=0, initial=F32(0))
    step = np.maximum(widest / F32(limit), np.finfo(F32).tiny)
    return np.stack([np.where(widest > 0, short(step * F32(share)), F32(1)) for share in shares_of(limit)])


def shares_of(limit):
    """Shares that are tried. Parameters: limit. Returns a tuple of float."""
    return SHARES if limit < CLIP_BELOW else SHARES[:1]


def short(scale):
    """Round up to 16 significant bits. Parameters: scale, float32 [N] > 0. Returns float32 [N]."""
    bits = scale.view(np.int32) + np.int32((1 << SCALE_BITS) - 1)
    return (bits >> np.int32(SCALE_BITS) << np.int32(SCALE_BITS)).view(F32)
