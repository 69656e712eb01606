"""The two tables of the integer network, and how they are read: `docs/arithmetic.md`, section 4."""

import math

import numpy as np

from refasr import checks
from refasr.errors import RangeError

TANH_END, RSQRT_END = 512, 384
STEP_BITS, FRACTION = 6, 63                       # of the argument of tanh15
ONE = 32768                                       # 1.0 in the units of both tables
QUARTER, RSQRT_BITS = 1 << 28, 21                 # 1/4 in the argument of rsqrt15, and the bits between two entries


def entries(values):
    """The nearest integers. Parameters: values (list of float). Returns int32 [N], read only."""
    table = np.floor(np.array(values) + 0.5).astype(np.int32)
    table.flags.writeable = False
    return table


TANH = entries([min(ONE - 1, ONE * math.tanh(n / 64)) for n in range(TANH_END + 1)])
RSQRT = entries([ONE / math.sqrt(0.25 + n / 512) for n in range(RSQRT_END + 1)])


def tanh15(u):
    """Hyperbolic tangent by an interpolated table (A30): within 1.6 units of 2^15 tanh(u / 2^12).

        v = |u|,  n = v >> 6,  f = v & 63,  y = sign(u) (T[n] + (((T[n+1] - T[n]) f + 32) >> 6))

    Parameters
    ----------
    u : int32 [N], |u| <= 32767    In units of 2^-12.

    Returns
    -------
    int32 [N], |y| <= 32767        In units of 2^-15.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: N look-ups.
    """
    check_tanh15(u)
    v = np.abs(u)
    n, f = v >> STEP_BITS, v & FRACTION
    y = TANH[n] + ((TANH[n + 1] - TANH[n]) * f + (1 << STEP_BITS - 1) >> STEP_BITS)
    return np.where(u < 0, -y, y)


def sigmoid15(t):
    """Logistic function of z, from t = tanh15 of z / 2 (A17). Parameters: t (int32 array). Returns int32, 0 to 32767."""
    return t + ONE >> 1


def rsqrt15(e):
    """Reciprocal square root by an interpolated table (A22, A31): r 2^-15 2^-p is within 3e-5 of 1 / sqrt(e), relatively.

    Parameters
    ----------
    e : int64 [N], 1 <= e < 2^62

    Returns
    -------
    (r, p)                         int64 [N] each: r is 32768 to 65536, p the least with e < 4^p.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS.
    """
    check_rsqrt15(e)
    p = np.array([(int(value).bit_length() + 1) // 2 for value in e], np.int64)
    z = np.where(p <= 15, e << np.maximum(30 - 2 * p, 0), e >> np.maximum(2 * p - 30, 0))
    n, f = z - QUARTER >> RSQRT_BITS, z - QUARTER & (1 << RSQRT_BITS) - 1
    table = RSQRT.astype(np.int64)
    return table[n] + ((table[n + 1] - table[n]) * f + (1 << RSQRT_BITS - 1) >> RSQRT_BITS), p


def check_tanh15(u):
    """Validate. Parameters: u."""
    checks.array("u", u, np.int32, (None,))
    if u.size and not (-ONE < u.min() and u.max() < ONE):
        raise RangeError(f"u: got {u.min()} to {u.max()}, expected -32767 to 32767; saturate first")


def check_rsqrt15(e):
    """Validate. Parameters: e."""
    checks.array("e", e, np.int64, (None,))
    if e.size and not (e.min() >= 1 and e.max() < 1 << 62):
        raise RangeError(f"e: got {e.min()} to {e.max()}, expected 1 to 2^62 - 1")
