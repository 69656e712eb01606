"""Numba twins of `refasr.numerics`. The scalar functions are also the building blocks of every other kernel."""

import numpy as np

from refasr import checks, numerics
from refasr.jit import kernel, scalar
from refasr.numerics import (EXP_HIGH, EXP_LOW, EXP_POLYNOMIAL, F32, LN2_HIGH, LN2_LOW, LOG2_E, LOG_POLYNOMIAL, ROUND_MAGIC,
                             SQRT_HALF_BITS, TANH_DENOMINATOR, TANH_LIMIT, TANH_NUMERATOR)
from refasr.twins import BITS, twin_of

E0, E1, E2, E3, E4, E5 = EXP_POLYNOMIAL
L0, L1, L2, L3, L4, L5, L6, L7, L8 = LOG_POLYNOMIAL
N0, N1, N2, N3, N4, N5, N6 = TANH_NUMERATOR
D0, D1, D2, D3 = TANH_DENOMINATOR
HALF, ONE = F32(0.5), F32(1)
MANTISSA, ONE_BITS = np.int32(23), ONE.view(np.int32)


@scalar
def exp32(x):
    x = EXP_LOW if x < EXP_LOW else (EXP_HIGH if x > EXP_HIGH else x)
    rounded = x * LOG2_E + ROUND_MAGIC  # its low bits are the whole number n
    n = rounded - ROUND_MAGIC
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = ((((E0 * r + E1) * r + E2) * r + E3) * r + E4) * r + E5
    y = (p * (r * r) + r) + ONE
    power = np.int32(np.int32(F32(rounded).view(np.int32) << MANTISSA) + ONE_BITS)
    return y * power.view(F32)


@scalar
def log32(x):
    bits = F32(x).view(np.int32)
    e = np.int32(np.int32(bits - SQRT_HALF_BITS) >> MANTISSA)
    f = np.int32(bits - np.int32(e << MANTISSA)).view(F32) - ONE
    e = F32(e)
    z = f * f
    p = (((((((L0 * f + L1) * f + L2) * f + L3) * f + L4) * f + L5) * f + L6) * f + L7) * f + L8
    y = ((p * f) * z + e * LN2_LOW) - HALF * z
    return (f + y) + e * LN2_HIGH


@scalar
def tanh32(x):
    x = -TANH_LIMIT if x < -TANH_LIMIT else (TANH_LIMIT if x > TANH_LIMIT else x)
    s = x * x
    numerator = (((((N0 * s + N1) * s + N2) * s + N3) * s + N4) * s + N5) * s + N6
    return x * numerator / (((D0 * s + D1) * s + D2) * s + D3)


@scalar
def sigmoid32(x):
    return tanh32(HALF * x) * HALF + HALF


@scalar
def log_add64(a, b):
    gap = F32(a - b if a < b else b - a)
    return (b if a < b else a) + np.float64(log32(ONE + exp32(gap)))


@scalar
def saturate64(x, limit):
    return min(max(x, -limit), limit)


@scalar
def requantise64(x, multiplier, shift):
    wide = np.int64(shift)
    return np.int64(np.int64(x) * np.int64(multiplier) + (np.int64(1) << np.int64(wide - 1))) >> wide


@kernel
def _exp(x, out):
    for i in range(x.size):
        out[i] = exp32(x[i])


@kernel
def _log(x, out):
    for i in range(x.size):
        out[i] = log32(x[i])


@kernel
def _tanh(x, out):
    for i in range(x.size):
        out[i] = tanh32(x[i])


@kernel
def _sigmoid(x, out):
    for i in range(x.size):
        out[i] = sigmoid32(x[i])


@kernel
def _log_add(a, b, out):
    for i in range(a.size):
        out[i] = log_add64(a[i], b[i])


@kernel
def _requantise(x, multiplier, shift, out):
    step = np.int64(multiplier.size > 1)
    for b in range(x.shape[0]):
        for n in range(x.shape[1]):
            out[b, n] = requantise64(x[b, n], multiplier[n * step], shift[n * step])


def _elementwise(loop, x):
    checks.array("x", x, F32, (None,))
    out = np.empty_like(x)
    loop(x, out)
    return out


@twin_of(numerics.exp, agree=BITS)
def exp(x):
    return _elementwise(_exp, x)


@twin_of(numerics.log, agree=BITS)
def log(x):
    return _elementwise(_log, x)


@twin_of(numerics.tanh, agree=BITS)
def tanh(x):
    return _elementwise(_tanh, x)


@twin_of(numerics.sigmoid, agree=BITS)
def sigmoid(x):
    return _elementwise(_sigmoid, x)


@twin_of(numerics.log_add, agree=BITS)
def log_add(a, b):
    checks.array("a", a, np.float64, (None,))
    checks.array("b", b, np.float64, a.shape)
    out = np.empty_like(a)
    _log_add(a, b, out)
    return out


@twin_of(numerics.requantise_half_up, agree=BITS)
def requantise_half_up(x, multiplier, shift):
    numerics.check_requantise(x, multiplier, shift)
    out = np.empty(x.shape, np.int64)
    _requantise(x, multiplier, shift, out)
    return out
