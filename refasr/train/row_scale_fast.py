"""Numba twin of `refasr.train.row_scale`: the weights are read once for all shares, rows side by side."""

import numpy as np

from refasr.jit import kernel
from refasr.train import row_scale as reference
from refasr.train.row_scale import F32
from refasr.twins import BITS, twin_of

TO_WHOLE = F32(1.5 * 2**23)   # added and taken away, it rounds to the nearest whole number, ties to even, as rint does below 2^22


@kernel
def _add_errors(weights, scales, limit, errors):
    for k in range(weights.shape[0]):
        for s in range(scales.shape[0]):
            for n in range(weights.shape[1]):
                scale, w = scales[s, n], weights[k, n]
                code = (w / scale + TO_WHOLE) - TO_WHOLE
                code = limit if code > limit else code
                code = -limit if code < -limit else code
                off = np.float64(w - scale * code)
                errors[s, n] += off * off


@twin_of(reference.row_scale, agree=BITS)
def row_scale(weights, limit):
    """See the reference. Parameters: weights, limit. Returns float32 [N]."""
    scales = reference.candidates(weights, limit)
    errors = np.zeros(scales.shape)
    _add_errors(weights, scales, F32(limit), errors)
    return scales[errors.argmin(axis=0), np.arange(weights.shape[1])]   # of equals the first, as in the reference
