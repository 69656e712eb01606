"""The only shared arithmetic: float32 exp, log, tanh and sigmoid as polynomials, log-add, and the rounding of integers.

Library functions differ between NumPy, Numba and machines in the last place. These are sums and products in a
written order, so both twins give the same bits everywhere. Scale constants are split in two (Cody and Waite) so that
the range reduction is exact.
"""

import numpy as np

from refasr import checks
from refasr.errors import RangeError

F32 = np.float32
LOG2_E = F32(1.44269504)
LN2_HIGH = F32(0.693359375)
LN2_LOW = F32(-2.12194440e-4)
ROUND_MAGIC = F32(12582912.0)  # 1.5 * 2^23: adding it rounds a float32 to the nearest integer
EXP_LOW, EXP_HIGH = F32(-87.0), F32(88.0)
EXP_POLYNOMIAL = tuple(map(F32, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
                                 5.0000001201e-1)))
SQRT_HALF_BITS = np.int32(0x3F3504F3)
LOG_POLYNOMIAL = tuple(map(F32, (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
                                 -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)))
TANH_LIMIT = F32(7.90531110763549805)  # beyond it the quotient below exceeds 1
TANH_NUMERATOR = tuple(map(F32, (-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
                                 1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03)))
TANH_DENOMINATOR = tuple(map(F32, (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)))


def polynomial(coefficients, x):
    """Horner's rule, highest power first, rounding after every product and sum.

    Parameters
    ----------
    coefficients : sequence of float32    Highest power first.
    x : float32 array                     Where to evaluate.

    Returns
    -------
    float32 array
    """
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def clamp(x, low, high):
    """Limit x to [low, high]; NaN stays NaN. Parameters: x, low, high. Returns an array like x."""
    return np.where(x < low, low, np.where(x > high, high, x))


def exp(x):
    """Natural exponential, 1 ulp.

        exp(x) = 2^n exp(r),  n = round(x / ln 2),  r = x - n ln 2

    Parameters
    ----------
    x : float32 [N]    Clamped to [-87, 88], so the result is never 0, denormal or infinite.

    Returns
    -------
    float32 [N]

    Notes
    -----
    Twin: BITS. Source: Cephes `expf` (S. Moshier).
    """
    checks.array("x", x, F32, (None,))
    x = clamp(x, EXP_LOW, EXP_HIGH)
    n = (x * LOG2_E + ROUND_MAGIC) - ROUND_MAGIC
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    y = (polynomial(EXP_POLYNOMIAL, r) * (r * r) + r) + F32(1)
    power = (np.where(np.isnan(n), F32(0), n).astype(np.int32) + np.int32(127)) << np.int32(23)
    return y * power.view(F32)


def log(x):
    """Natural logarithm, 1 ulp away from 1 and 1e-7 absolute near it.

        ln(x) = e ln 2 + ln(1 + f),  x = 2^e (1 + f),  sqrt(1/2) <= 1 + f < sqrt(2)

    Parameters
    ----------
    x : float32 [N], normal and > 0

    Returns
    -------
    float32 [N]

    Notes
    -----
    Twin: BITS. Source: Cephes `logf` (S. Moshier).
    """
    checks.array("x", x, F32, (None,))
    bits = x.view(np.int32)
    e = (bits - SQRT_HALF_BITS) >> np.int32(23)
    f = (bits - (e << np.int32(23))).view(F32) - F32(1)
    e = e.astype(F32)
    z = f * f
    y = ((polynomial(LOG_POLYNOMIAL, f) * f) * z + e * LN2_LOW) - F32(0.5) * z
    return (f + y) + e * LN2_HIGH


def tanh(x):
    """Hyperbolic tangent as a quotient of polynomials in x^2, 6 ulp, and 1e-37 absolute where products underflow.

    Parameters
    ----------
    x : float32 [N]

    Returns
    -------
    float32 [N]

    Notes
    -----
    Twin: BITS. Source: the minimax quotient of Eigen's `ptanh`.
    """
    checks.array("x", x, F32, (None,))
    x = clamp(x, -TANH_LIMIT, TANH_LIMIT)
    square = x * x
    return x * polynomial(TANH_NUMERATOR, square) / polynomial(TANH_DENOMINATOR, square)


def sigmoid(x):
    """Logistic function, by tanh(x / 2) / 2 + 1/2; absolute error 2e-7.

    Parameters
    ----------
    x : float32 [N]

    Returns
    -------
    float32 [N]

    Notes
    -----
    Twin: BITS.
    """
    checks.array("x", x, F32, (None,))
    return tanh(F32(0.5) * x) * F32(0.5) + F32(0.5)


def log_add(a, b):
    """Sum of two probabilities given as logarithms.

        log_add(a, b) = max + ln(1 + exp(min - max))

    Parameters
    ----------
    a, b : float64 [N]    Finite; use -1e30 for "impossible".

    Returns
    -------
    float64 [N]           The small term is computed in float32: absolute error 1.2e-7.

    Notes
    -----
    Twin: BITS.
    """
    checks.array("a", a, np.float64, (None,))
    checks.array("b", b, np.float64, a.shape)
    gap = np.where(a < b, a - b, b - a).astype(F32)
    return np.where(a < b, b, a) + log(F32(1) + exp(gap)).astype(np.float64)


def saturate(x, limit):
    """The nearest number from -limit to limit. Parameters: x (integer array), limit (int). Returns an array like x."""
    return np.clip(x, -limit, limit)


def requantise_half_up(x, multiplier, shift):
    """Scale integers by m / 2^s, to the nearest integer, halves towards plus infinity: one rounding.

        y[b, n] = (x[b, n] m[n] + 2^(s[n] - 1)) >> s[n]

    Parameters
    ----------
    x : int32 [B, N]
    multiplier : int32 [N] or [1], >= 0        m.
    shift : int8, as many, 1 to 62             s.

    Returns
    -------
    int64 [B, N]                               Exact: no step can overflow. The caller saturates, or proves that it need not.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Source: `docs/arithmetic.md`, A5.
    """
    check_requantise(x, multiplier, shift)
    wide = shift.astype(np.int64)
    return (x.astype(np.int64) * multiplier + (np.int64(1) << (wide - 1))) >> wide


def check_requantise(x, multiplier, shift):
    """Validate the arguments of `requantise_half_up`. Parameters: x, multiplier, shift."""
    checks.array("x", x, np.int32, (None, None))
    checks.array("multiplier", multiplier, np.int32, (None,))
    if multiplier.size != 1:
        checks.array("multiplier", multiplier, np.int32, x.shape[1:])
    checks.array("shift", shift, np.int8, multiplier.shape)
    if multiplier.size and multiplier.min() < 0:
        raise RangeError(f"multiplier: got {multiplier.min()}, expected 0 to 2147483647")
    if shift.size and not (1 <= shift.min() and shift.max() <= 62):
        raise RangeError(f"shift: got {shift.min()} to {shift.max()}, expected 1 to 62")
