"""Power spectra of sixteen frames side by side, in float32: building blocks of `fbank_fast`.

Every array is [point][frame], sixteen frames wide. Each innermost loop does one thing to sixteen neighbouring floats, which
the compiler turns into vector instructions; two habits of this file let it:

* indices are unsigned: a signed one might count from the end, and that test defeats the vectoriser;
* distances within an array are literal numbers, so that it can tell that rows do not overlap.

The real transform of n points is a complex one of n / 2, even samples as real and odd ones as imaginary parts, decimated in
frequency, in place, so its results lie in digit-reversed order; radices 5 and 2 come first, then 4.
"""

import functools

import numpy as np

from refasr.hints import prefer_wide
from refasr.jit import kernel, scalar

F32, U = np.float32, np.uint64
U0, U1, U2, U3, U4, U5, U6, U7, U8 = (U(i) for i in range(9))
LANES, ROW, U64, U256, U40, U200 = U(16), U(32), U(64), U(256), U(40), U(200)  # ROW: a complex point of sixteen frames
FOUR = F32(4)
C1, C2 = F32(np.cos(0.4 * np.pi)), F32(np.cos(0.8 * np.pi))  # fifth roots of one
S1, S2 = F32(np.sin(0.4 * np.pi)), F32(np.sin(0.8 * np.pi))


@functools.lru_cache(maxsize=16)
def _tables(fft_size):
    """Constants of a transform. Parameters: fft_size. Returns (radices, twiddles, pairs of rows, their twiddles)."""
    half = fft_size // 2
    radices, rest = [], half // 4
    while rest > 1:
        radices.append(next(radix for radix in (5, 2 if rest % 4 else 4) if rest % radix == 0))
        rest //= radices[-1]
    radices = sorted(radices, key=(5, 2, 4).index) + [4]
    twiddles, position, k, n = [], np.zeros(half, np.uint32), np.arange(half), half
    for radix in radices:
        twiddles.append(np.exp(-2j * np.pi * np.arange(n // radix)[:, None] * np.arange(1, radix) / n).ravel())
        n //= radix
        position += (k % radix * n).astype(np.uint32)
        k = k // radix
    k = np.arange(1, half // 2 + 1)
    rows = np.stack([position[k] * 32, position[half - k] * 32, k * 16, (half - k) * 16], 1).astype(np.uint32)
    unpack = np.exp(-2j * np.pi * k / fft_size)
    return (np.array(radices, np.uint64), *(np.stack([w.real, w.imag], 1).astype(F32).ravel()
                                            for w in (np.concatenate(twiddles), unpack)), rows)


@scalar
def stage2(z, twiddles, at, n):
    q, end = n // U2, U(z.size) // ROW
    for j in range(q):
        wr, wi = twiddles[at], twiddles[at + U1]
        at += U2
        for point in range(j, end, n):
            a, b = point * ROW, (point + q) * ROW
            for i in range(LANES):
                ar, ai, br, bi = z[a + i], z[a + LANES + i], z[b + i], z[b + LANES + i]
                dr, di = ar - br, ai - bi
                z[a + i], z[a + LANES + i] = ar + br, ai + bi
                z[b + i], z[b + LANES + i] = dr * wr - di * wi, dr * wi + di * wr
    return at


@scalar
def stage4(z, twiddles, at, n):
    q, end = n // U4, U(z.size) // ROW
    for j in range(q):
        w1r, w1i, w2r, w2i = twiddles[at], twiddles[at + U1], twiddles[at + U2], twiddles[at + U3]
        w3r, w3i = twiddles[at + U4], twiddles[at + U5]
        at += U6
        for point in range(j, end, n):
            a = point * ROW
            b, c, d = a + q * ROW, a + U2 * q * ROW, a + U3 * q * ROW
            for i in range(LANES):
                ar, br, cr, dr = z[a + i], z[b + i], z[c + i], z[d + i]
                ai, bi, ci, di = z[a + LANES + i], z[b + LANES + i], z[c + LANES + i], z[d + LANES + i]
                sr, si, tr, ti = ar + cr, ai + ci, ar - cr, ai - ci
                ur, ui, vr, vi = br + dr, bi + di, br - dr, bi - di
                er, ei, fr, fi, gr, gi = sr - ur, si - ui, tr + vi, ti - vr, tr - vi, ti + vr
                z[a + i], z[a + LANES + i] = sr + ur, si + ui
                z[b + i], z[b + LANES + i] = fr * w1r - fi * w1i, fr * w1i + fi * w1r
                z[c + i], z[c + LANES + i] = er * w2r - ei * w2i, er * w2i + ei * w2r
                z[d + i], z[d + LANES + i] = gr * w3r - gi * w3i, gr * w3i + gi * w3r
    return at


@scalar
def last_stage(z):
    for a in range(U0, U(z.size), U4 * ROW):
        b, c, d = a + ROW, a + U2 * ROW, a + U3 * ROW
        for i in range(LANES):
            ar, br, cr, dr = z[a + i], z[b + i], z[c + i], z[d + i]
            ai, bi, ci, di = z[a + LANES + i], z[b + LANES + i], z[c + LANES + i], z[d + LANES + i]
            sr, si, tr, ti = ar + cr, ai + ci, ar - cr, ai - ci
            ur, ui, vr, vi = br + dr, bi + di, br - dr, bi - di
            z[a + i], z[a + LANES + i] = sr + ur, si + ui
            z[b + i], z[b + LANES + i] = tr + vi, ti - vr
            z[c + i], z[c + LANES + i] = sr - ur, si - ui
            z[d + i], z[d + LANES + i] = tr - vi, ti + vr


@scalar
def stage5(z, twiddles, at, n):
    q, end = n // U5, U(z.size) // ROW
    for j in range(q):
        w1r, w1i, w2r, w2i = twiddles[at], twiddles[at + U1], twiddles[at + U2], twiddles[at + U3]
        w3r, w3i, w4r, w4i = twiddles[at + U4], twiddles[at + U5], twiddles[at + U6], twiddles[at + U7]
        at += U8
        for point in range(j, end, n):
            a = point * ROW
            b, c, d, e = a + q * ROW, a + U2 * q * ROW, a + U3 * q * ROW, a + U4 * q * ROW
            for i in range(LANES):
                ar, br, cr, dr, er = z[a + i], z[b + i], z[c + i], z[d + i], z[e + i]
                ai, bi, ci = z[a + LANES + i], z[b + LANES + i], z[c + LANES + i]
                di, ei = z[d + LANES + i], z[e + LANES + i]
                sr, si, tr, ti = br + er, bi + ei, cr + dr, ci + di
                ur, ui, vr, vi = br - er, bi - ei, cr - dr, ci - di
                pr, pi, qr, qi = ar + C1 * sr + C2 * tr, ai + C1 * si + C2 * ti, ar + C2 * sr + C1 * tr, ai + C2 * si + C1 * ti
                fr, fi, gr, gi = S1 * ur + S2 * vr, S1 * ui + S2 * vi, S2 * ur - S1 * vr, S2 * ui - S1 * vi
                z[a + i], z[a + LANES + i] = ar + sr + tr, ai + si + ti
                xr, xi = pr + fi, pi - fr
                z[b + i], z[b + LANES + i] = xr * w1r - xi * w1i, xr * w1i + xi * w1r
                xr, xi = qr + gi, qi - gr
                z[c + i], z[c + LANES + i] = xr * w2r - xi * w2i, xr * w2i + xi * w2r
                xr, xi = qr - gi, qi + gr
                z[d + i], z[d + LANES + i] = xr * w3r - xi * w3i, xr * w3i + xi * w3r
                xr, xi = pr - fi, pi + fr
                z[e + i], z[e + LANES + i] = xr * w4r - xi * w4i, xr * w4i + xi * w4r
    return at


@kernel
def _fft(z, radices, twiddles):
    """Complex transform in place; the branches only make distances literal. Parameters: z [n][re, im][16], radices, twiddles."""
    prefer_wide()
    n, at = U(z.size) // ROW, U0
    for radix in radices:
        if radix == U4:
            if n == U256:
                at = stage4(z, twiddles, at, U256)
            elif n == U64:
                at = stage4(z, twiddles, at, U64)
            elif n == LANES:
                at = stage4(z, twiddles, at, LANES)
            elif n == U4:
                last_stage(z)  # all its twiddles are 1
            else:
                at = stage4(z, twiddles, at, n)
        elif radix == U5:
            if n == U200:
                at = stage5(z, twiddles, at, U200)
            elif n == U40:
                at = stage5(z, twiddles, at, U40)
            else:
                at = stage5(z, twiddles, at, n)
        else:
            at = stage2(z, twiddles, at, n)
        n //= radix


@kernel
def _power(z, unpack, rows, plain, power):
    """Squared (or, if plain, root of squared) magnitudes. Parameters: z, unpack, rows, plain, power (result [K][16]).

    With Z the transform of x[2n] + i x[2n+1], and E and O those of the even and odd samples,
    X[k] = E[k] + w^k O[k] and |X[n/2 - k]| = |E[k] - w^k O[k]|, E = (Z[k] + Z*[n/2 - k]) / 2, O = (Z[k] - Z*[n/2 - k]) / 2i.
    The caller halves the window, which is exact, so E and O need no division here.
    """
    prefer_wide()
    top = U2 * U(rows.shape[0]) * LANES
    for i in range(LANES):
        r, j = z[i], z[LANES + i]
        power[i], power[top + i] = FOUR * ((r + j) * (r + j)), FOUR * ((r - j) * (r - j))
    for k in range(U(rows.shape[0])):
        p, q, low, high = U(rows[k, U0]), U(rows[k, U1]), U(rows[k, U2]), U(rows[k, U3])
        wr, wi = unpack[U2 * k], unpack[U2 * k + U1]
        for i in range(LANES):
            pr, pi, qr, qi = z[p + i], z[p + LANES + i], z[q + i], z[q + LANES + i]
            er, ei, fr, fi = pr + qr, pi - qi, pi + qi, qr - pr
            tr, ti = fr * wr - fi * wi, fr * wi + fi * wr
            power[high + i] = (er - tr) * (er - tr) + (ei - ti) * (ei - ti)
            power[low + i] = (er + tr) * (er + tr) + (ei + ti) * (ei + ti)
    if plain:
        for i in range(top + LANES):
            power[i] = np.sqrt(power[i])
