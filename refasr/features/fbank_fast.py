"""Numba twin of `refasr.features.fbank`: float32, sixteen frames side by side.

Every array is laid out [point][frame], sixteen frames wide, so that each innermost loop is sixteen equal operations on
contiguous floats, which the compiler turns into vector instructions. The FFT is a half-length complex one (even samples
real, odd imaginary), decimated in frequency, in place; its output order is a table.
"""

import functools

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.features import fbank
from refasr.jit import kernel
from refasr.numerics_fast import log32
from refasr.twins import BOUND, twin_of

F32 = np.float32
LANES = 16
MAGNITUDE_BITS = np.int32(0x7FFFFFFF)
LIMIT_BITS = fbank.SAMPLE_LIMIT.view(np.int32)
HALF, ONE, ZERO = F32(0.5), F32(1), F32(0)


@functools.lru_cache(maxsize=16)
def _fft_tables(fft_size):
    """Radices, stage twiddles, output positions and unpacking twiddles of the half-length FFT. Parameters: fft_size. Returns arrays."""
    half = fft_size // 2
    radices, left = [], half
    while left > 1:
        radices.append(4 if left % 4 == 0 else 2)
        left //= radices[-1]
        if left % 2 and left > 1:
            raise RangeError(f"fft_size: got {fft_size}, expected a power of two")
    twiddles, position, k, n = [], np.zeros(half + 1, np.int32), np.arange(half), half
    for radix in radices:
        turns = np.arange(n // radix)[:, None] * np.arange(1, radix) / n
        twiddles.append(np.exp(-2j * np.pi * turns).ravel())
        n //= radix
        position[:half] += (k % radix) * n
        k = k // radix
    unpack = np.exp(-2j * np.pi * np.arange(half // 2 + 1) / fft_size)
    pairs = [np.stack([c.real, c.imag], 1).astype(F32).ravel() for c in (np.concatenate(twiddles), unpack)]
    return np.array(radices, np.int32), pairs[0], position, pairs[1]


@kernel
def _worst_bits(samples):
    """Largest magnitude as an integer; NaN and infinity sort above every number. Parameters: samples. Returns int32."""
    worst = np.int32(0)
    for bits in samples.view(np.int32):
        worst = max(worst, np.int32(bits & MAGNITUDE_BITS))
    return worst


def _check_samples(samples):
    """`fbank.check_samples`, in one pass when all is well. Parameters: samples."""
    checks.array("samples", samples, F32, (None,))
    if _worst_bits(samples) > LIMIT_BITS:
        fbank.check_samples(samples)


@kernel
def _load(samples, start, hop, last, n_samples, scale, frame):
    """Copy 16 frames, scaled, into [n][16]; frames past the last repeat it."""
    for lane in range(LANES):
        begin = min(start + lane, last) * hop
        for n in range(n_samples):
            frame[n, lane] = samples[begin + n] * scale


@kernel
def _centre(n_samples, frame, mean):
    """Subtract each frame's mean."""
    for lane in range(LANES):
        mean[lane] = ZERO
    for n in range(n_samples):
        for lane in range(LANES):
            mean[lane] += frame[n, lane]
    for lane in range(LANES):
        mean[lane] = mean[lane] / F32(n_samples)
    for n in range(n_samples):
        for lane in range(LANES):
            frame[n, lane] -= mean[lane]


@kernel
def _emphasise_and_window(n_samples, emphasis, shape, frame, z):
    """Pre-emphasis and window, then even samples to z[0] (real), odd to z[1] (imaginary)."""
    half = z.shape[1]
    for n in range(2 * half):
        row = z[n % 2, n // 2]
        if n < n_samples:
            now, before, weight = frame[n], frame[max(n - 1, 0)], shape[n]
            for lane in range(LANES):
                row[lane] = (now[lane] - emphasis * before[lane]) * weight
        else:
            for lane in range(LANES):
                row[lane] = ZERO


@kernel
def _butterfly2(z, a, b, wr, wi):
    ar, ai, br, bi = z[0, a], z[1, a], z[0, b], z[1, b]
    for lane in range(LANES):
        dr, di = ar[lane] - br[lane], ai[lane] - bi[lane]
        ar[lane], ai[lane] = ar[lane] + br[lane], ai[lane] + bi[lane]
        br[lane], bi[lane] = dr * wr - di * wi, dr * wi + di * wr


@kernel
def _butterfly4(z, a, q, tw, at):
    w1r, w1i, w2r, w2i, w3r, w3i = tw[at], tw[at + 1], tw[at + 2], tw[at + 3], tw[at + 4], tw[at + 5]
    ar, br, cr, dr = z[0, a], z[0, a + q], z[0, a + 2 * q], z[0, a + 3 * q]
    ai, bi, ci, di = z[1, a], z[1, a + q], z[1, a + 2 * q], z[1, a + 3 * q]
    for lane in range(LANES):
        sr, si, tr, ti = ar[lane] + cr[lane], ai[lane] + ci[lane], ar[lane] - cr[lane], ai[lane] - ci[lane]
        ur, ui, vr, vi = br[lane] + dr[lane], bi[lane] + di[lane], br[lane] - dr[lane], bi[lane] - di[lane]
        er, ei, fr, fi, gr, gi = sr - ur, si - ui, tr + vi, ti - vr, tr - vi, ti + vr
        ar[lane], ai[lane] = sr + ur, si + ui
        br[lane], bi[lane] = fr * w1r - fi * w1i, fr * w1i + fi * w1r
        cr[lane], ci[lane] = er * w2r - ei * w2i, er * w2i + ei * w2r
        dr[lane], di[lane] = gr * w3r - gi * w3i, gr * w3i + gi * w3r


@kernel
def _fft(z, radices, tw):
    """Complex FFT of each lane, decimation in frequency, in place."""
    n, at = z.shape[1], 0
    for radix in radices:
        q = n // radix
        for j in range(q):
            for block in range(0, z.shape[1], n):
                if radix == 4:
                    _butterfly4(z, block + j, q, tw, at)
                else:
                    _butterfly2(z, block + j, block + j + q, tw[at], tw[at + 1])
            at += 2 * (radix - 1)
        n = q


@kernel
def _power(z, position, unpack, plain, power):
    """|X[k]|^2 of the real signal from the half-length spectrum Z: X[k] = E + w^k O, X[half - k] = conj(E - w^k O)."""
    half = z.shape[1]
    for lane in range(LANES):
        r, i = z[0, 0, lane], z[1, 0, lane]
        power[0, lane], power[half, lane] = (r + i) * (r + i), (r - i) * (r - i)
    for k in range(1, half // 2 + 1):
        zr, zi, yr, yi = z[0, position[k]], z[1, position[k]], z[0, position[half - k]], z[1, position[half - k]]
        c, s, low, high = unpack[2 * k], unpack[2 * k + 1], power[k], power[half - k]
        for lane in range(LANES):
            er, ei = (zr[lane] + yr[lane]) * HALF, (zi[lane] - yi[lane]) * HALF
            pr, pi = (zi[lane] + yi[lane]) * HALF, (yr[lane] - zr[lane]) * HALF
            tr, ti = pr * c - pi * s, pr * s + pi * c
            high[lane] = (er - tr) * (er - tr) + (ei - ti) * (ei - ti)
            low[lane] = (er + tr) * (er + tr) + (ei + ti) * (ei + ti)
    if plain:
        for k in range(half + 1):
            for lane in range(LANES):
                power[k, lane] = np.sqrt(power[k, lane])


@kernel
def _bands(power, bank, first, stop, mel):
    """Weighted sums, bins in rising order, in two interleaved accumulators."""
    for f in range(bank.shape[0]):
        row = mel[f]
        for lane in range(LANES):
            row[lane] = ZERO
        for k in range(first[f], stop[f]):
            weight, bin_power = bank[f, k], power[k]
            for lane in range(LANES):
                row[lane] += bin_power[lane] * weight


@kernel
def _log(mel, floor, add, count, out):
    """Floor and logarithm, back to [frame][band]."""
    for f in range(mel.shape[0]):
        for lane in range(LANES):
            value = mel[f, lane] + floor if add else max(mel[f, lane], floor)
            mel[f, lane] = log32(value)
    for lane in range(count):
        for f in range(mel.shape[0]):
            out[lane, f] = mel[f, lane]


@kernel
def _log_mel(samples, shape, bank, first, stop, tables, constants, out):
    hop, remove_dc, plain, add, scale, emphasis, floor = constants
    radices, tw, position, unpack = tables
    half, n_samples, n_total = position.size - 1, shape.size, out.shape[0]
    frame, mean = np.empty((n_samples, LANES), np.float32), np.empty(LANES, np.float32)
    z, power = np.empty((2, half, LANES), np.float32), np.empty((half + 1, LANES), np.float32)
    mel = np.empty((bank.shape[0], LANES), np.float32)
    for start in range(0, n_total, LANES):
        _load(samples, start, hop, n_total - 1, n_samples, scale, frame)
        if remove_dc:
            _centre(n_samples, frame, mean)
        _emphasise_and_window(n_samples, emphasis, shape, frame, z)
        _fft(z, radices, tw)
        _power(z, position, unpack, plain, power)
        _bands(power, bank, first, stop, mel)
        _log(mel, floor, add, min(LANES, n_total - start), out[start:start + LANES])


def log_mel_bound(samples, plan):
    """Allowed error of each log-mel value, from float32 rounding of the FFT. Parameters: samples, plan. Returns float64 [T, F].

    The spectrum's error is at most c eps |frame|_2 sqrt(N), with c = 4 + log2 N roundings; a band's power changes by
    2 sqrt(mel) e + e^2 with e that error times the root of the band's weights; the logarithm adds 4 ulp.
    """
    profile = plan.profile
    frames = fbank.frames_of(samples, profile)
    if profile.remove_dc:
        frames = frames - frames.mean(axis=1, keepdims=True)
    energy = np.sqrt((np.abs(frames) ** 2).sum(axis=1, keepdims=True))  # (T, 1)
    spectrum_error = (8 + np.log2(profile.fft_size)) * 2.0**-24 * energy * np.sqrt(profile.window_samples) * 2
    emphasised = fbank.pre_emphasise(frames, profile.pre_emphasis)
    mel = fbank.band_sums(fbank.power_spectrum(emphasised, profile, plan.window), plan.bank)
    weights = plan.bank.sum(axis=1, dtype=np.float64)
    if profile.power_exponent == 2:
        error = 2 * np.sqrt(mel * weights) * spectrum_error + weights * spectrum_error**2
    else:
        error = weights * spectrum_error
    error = error + mel * 2.0**-24 * (4 + (plan.band_stop - plan.band_first))
    floor = profile.floor
    base = np.maximum(mel - error, floor) if profile.floor_rule == "max" else np.maximum(mel - error, 0) + floor
    return np.log1p(error / base) + 2.0**-21 * (1 + np.abs(np.log(base)) / 16)


@twin_of(fbank.log_mel, agree=BOUND(log_mel_bound, "float32 FFT and sums against float64; see log_mel_bound"))
def log_mel(samples, plan):
    _check_samples(samples)
    profile = plan.profile
    out = np.empty((fbank.n_frames(profile, samples.size), profile.n_bins), F32)
    constants = (profile.hop_samples, profile.remove_dc, profile.power_exponent == 1, profile.floor_rule == "add",
                 F32(profile.sample_scale), F32(profile.pre_emphasis), F32(profile.floor))
    if out.size:
        _log_mel(samples, plan.window, plan.bank, plan.band_first, plan.band_stop, _fft_tables(profile.fft_size), constants, out)
    return out
