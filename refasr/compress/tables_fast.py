"""Numba twins of `refasr.compress.tables`. The scalar functions are also parts of the network's kernels."""

import numpy as np

from refasr.compress import tables as reference
from refasr.compress.tables import RSQRT, TANH
from refasr.jit import kernel, scalar
from refasr.twins import BITS, twin_of

I32, I64 = np.int32, np.int64


@scalar
def tanh_entry(u):
    """u int32; the order of the table is the same on both sides of 0."""
    v = I32(abs(u))
    n, f = v >> I32(6), v & I32(63)
    low = TANH[n]
    y = I32(low + I32(I32(I32(TANH[n + 1] - low) * f + I32(32)) >> I32(6)))
    return I32(-y) if u < 0 else y


@scalar
def rsqrt_entry(e):
    """e int64. Returns (r, p), int64."""
    p, left = I64(0), I64(e)
    while left > 0:
        left >>= I64(2)
        p += 1
    z = e << (I64(30) - 2 * p) if p <= 15 else e >> (2 * p - I64(30))
    z -= I64(1 << 28)
    n, f = z >> I64(21), z & I64((1 << 21) - 1)
    low = I64(RSQRT[n])
    return low + (((I64(RSQRT[n + 1]) - low) * f + I64(1 << 20)) >> I64(21)), p


@kernel
def _tanh15(u, out):
    for i in range(u.size):
        out[i] = tanh_entry(u[i])


@kernel
def _rsqrt15(e, r, p):
    for i in range(e.size):
        r[i], p[i] = rsqrt_entry(e[i])


@twin_of(reference.tanh15, agree=BITS)
def tanh15(u):
    reference.check_tanh15(u)
    out = np.empty_like(u)
    _tanh15(u, out)
    return out


@twin_of(reference.rsqrt15, agree=BITS)
def rsqrt15(e):
    reference.check_rsqrt15(e)
    r, p = np.empty_like(e), np.empty_like(e)
    _rsqrt15(e, r, p)
    return r, p
