"""Numba twin of `refasr.features.fbank`: float32, sixteen frames side by side (see `spectrum_fast` for the layout).

Frames overlap, so samples are transposed once, not once a frame: in the tile, column c holds the hop of samples that begins
at frame c, and sample n of frame t is row n mod hop, column t + n div hop.
"""

import numpy as np

from refasr import checks
from refasr.features import fbank, framing
from refasr.features.spectrum_fast import LANES, U0, U1, U2, U3, U4, U5, U6, U7, U8, U64, U, _fft, _power, _tables
from refasr.hints import fetch_soon, prefer_wide
from refasr.jit import kernel, scalar
from refasr.numerics_fast import log32
from refasr.twins import BOUND, twin_of

F32 = np.float32
ZERO, ONE = F32(0), F32(1)
MAGNITUDE, LIMIT = np.int32(0x7FFFFFFF), framing.SAMPLE_LIMIT.view(np.int32)
COLUMNS = U(24)  # of a tile: sixteen, and one more for each further hop that a window covers
C2, C3, C4, C5, C6, C7, C8 = (COLUMNS * U(i) for i in range(2, 9))
L2, L3, L4, L5, L6, L7, L8 = (LANES * U(i) for i in range(2, 9))
ALIGNMENT = 16  # floats: a cache line, so that no vector load straddles two


@kernel
def _excessive(samples):
    """Whether any magnitude is above the limit; NaN and infinity are, read as integers. Parameters: samples. Returns bool."""
    prefer_wide()
    bits, room = samples.view(np.int32), np.int32(0)
    for i in range(U(bits.size)):
        room |= np.int32(LIMIT - np.int32(bits[i] & MAGNITUDE))
    return room < 0


@kernel
def _fill_tile(samples, first, hop, n_columns, pairs, tile):
    """Transpose the samples of sixteen frames from frame `first` on: neighbouring columns side by side, then pair by pair.

    Parameters: samples, first, hop, n_columns (even), pairs (scratch [n_columns / 2][hop][2]), tile (result [hop][24]).
    """
    prefer_wide()
    size, n_pairs = U(samples.size), n_columns // U2
    for pair in range(n_pairs):
        a, at = (first + U2 * pair) * hop, pair * U2 * hop
        b = a + hop
        if b + hop <= size:
            for n in range(hop):
                pairs[at + U2 * n], pairs[at + U2 * n + U1] = samples[a + n], samples[b + n]
        else:  # the signal ends; what stays from before belongs to frames that do not exist
            for n in range(size - min(a, size)):
                if n < hop:
                    pairs[at + U2 * n] = samples[a + n]
                else:
                    pairs[at + U2 * (n - hop) + U1] = samples[a + n]
    source, target = pairs.view(np.int64), tile.view(np.int64)  # two floats at a time, bits untouched
    for n in range(hop):
        for pair in range(n_pairs):
            target[n * (COLUMNS // U2) + pair] = source[pair * hop + n]


@scalar
def add_rows(tile, first, stop, sums):
    whole = first + (stop - first) // U8 * U8
    for n in range(first, whole, U8):
        t = n * COLUMNS
        for i in range(COLUMNS):
            sums[i] += (((tile[t + i] + tile[t + COLUMNS + i]) + (tile[t + C2 + i] + tile[t + C3 + i]))
                        + ((tile[t + C4 + i] + tile[t + C5 + i]) + (tile[t + C6 + i] + tile[t + C7 + i])))
    for n in range(whole, stop):
        for i in range(COLUMNS):
            sums[i] += tile[n * COLUMNS + i]


@kernel
def _means(tile, hop, n_samples, sums, mean):
    """Mean of each frame, from sums of whole hops and of the hop that ends the window. Parameters: as `_log_mel`'s."""
    prefer_wide()
    hops, rest = n_samples // hop, n_samples % hop
    for i in range(COLUMNS):
        sums[i] = ZERO
    add_rows(tile, U0, rest, sums)
    for i in range(COLUMNS):
        sums[COLUMNS + i] = sums[i]
    add_rows(tile, rest, hop, sums)
    for i in range(LANES):
        total = sums[COLUMNS + hops + i]
        for hop_index in range(hops):
            total += sums[hop_index + i]
        mean[i] = total / F32(n_samples)


@kernel
def _shape(tile, hop, mean, emphasis, weights, z):
    """Mean, pre-emphasis and window; zeros fill the transform. Parameters: tile, hop, mean, emphasis, weights, z (result)."""
    prefer_wide()
    n_samples, before = U(weights.size), U0  # the sample before the first counts as equal to it
    for column in range((n_samples + hop - U1) // hop):
        n, t = column * hop, column
        stop = min(n + hop, n_samples)
        while n + U4 <= stop:
            w0, w1, w2, w3, at = weights[n], weights[n + U1], weights[n + U2], weights[n + U3], n * LANES
            for i in range(LANES):
                m = mean[i]
                a, b, c = tile[before + i] - m, tile[t + i] - m, tile[t + COLUMNS + i] - m
                d, e = tile[t + C2 + i] - m, tile[t + C3 + i] - m
                z[at + i], z[at + LANES + i] = (b - emphasis * a) * w0, (c - emphasis * b) * w1
                z[at + L2 + i], z[at + L3 + i] = (d - emphasis * c) * w2, (e - emphasis * d) * w3
            n, t, before = n + U4, t + C4, t + C3
        while n < stop:
            for i in range(LANES):
                z[n * LANES + i] = ((tile[t + i] - mean[i]) - emphasis * (tile[before + i] - mean[i])) * weights[n]
            n, t, before = n + U1, t + COLUMNS, t
    for i in range(n_samples * LANES, U(z.size)):
        z[i] = ZERO


@kernel
def _bands(power, first, steps, weights, mel):
    """Weighted sums, eight bins a step. Parameters: power [K + 8][16], first, steps, weights, mel (result [F][16])."""
    prefer_wide()
    at = U0
    for i in range(U(mel.size)):
        mel[i] = ZERO
    for f in range(U(first.size)):
        p, m = U(first[f]) * LANES, f * LANES
        for _ in range(U(steps[f])):
            w0, w1, w2, w3 = weights[at], weights[at + U1], weights[at + U2], weights[at + U3]
            w4, w5, w6, w7 = weights[at + U4], weights[at + U5], weights[at + U6], weights[at + U7]
            for i in range(LANES):
                mel[m + i] += (((power[p + i] * w0 + power[p + LANES + i] * w1)
                                + (power[p + L2 + i] * w2 + power[p + L3 + i] * w3))
                               + ((power[p + L4 + i] * w4 + power[p + L5 + i] * w5)
                                  + (power[p + L6 + i] * w6 + power[p + L7 + i] * w7)))
            at, p = at + U8, p + L8


@kernel
def _log(mel, floor, add, factor, out):
    """Floor, logarithm, and back to [frame][band]. Parameters: mel, floor, add, factor, out (result [<= 16, F])."""
    prefer_wide()
    if add:
        for i in range(U(mel.size)):
            mel[i] = log32(mel[i] + floor)
    else:
        for i in range(U(mel.size)):
            mel[i] = log32(max(mel[i], floor))
    if factor != ONE:
        for i in range(U(mel.size)):
            mel[i] = mel[i] * factor
    n_bins, flat = U(out.shape[1]), out.reshape(-1)
    for i in range(U(out.shape[0])):
        for f in range(n_bins):
            flat[i * n_bins + f] = mel[f * LANES + i]


@scalar
def fetch(array, begin, quarter, quarters):
    """Have a part of an array at hand soon. Parameters: array, begin, quarter (size of a part), quarters (number of the part)."""
    for i in range(begin + quarters * quarter, begin + (quarters + U1) * quarter, LANES):
        fetch_soon(array, i)


@kernel
def _log_mel(samples, checked, weights, bands, tables, constants, work, out):
    """All frames, sixteen at a time. Parameters: see `log_mel_windows`; work is scratch, out the result.

    Returns whether all samples are in range: each is looked at when it is needed anyway.
    """
    prefer_wide()
    hop, remove_dc, plain, add, emphasis, floor, factor = constants
    first_bin, steps, band_weights = bands
    radices, twiddles, unpack, rows = tables
    n_points, n_frames, n_samples = U(rows.shape[0]) * U4, U(out.shape[0]), U(weights.size)
    n_power = (n_points // U2 + U8 + U1) * LANES
    n_columns = (LANES + (n_samples - U1) // hop + U1) // U2 * U2
    for i in range(U(work.size)):
        work[i] = ZERO
    mean, sums, work = work[:LANES], work[LANES:U64], work[U64:]
    mel, work = work[:U(out.shape[1]) * LANES], work[U(out.shape[1]) * LANES:]
    z, pairs = work[:n_points * LANES], work[:hop * COLUMNS]  # what one stage is done with, the next but one writes over
    power, tile = work[U(work.size) - n_power:], work[U(work.size) - hop * COLUMNS:]
    size, flat = U(samples.size), out.reshape(-1)
    heard, written = LANES * hop // U4, LANES * U(out.shape[1]) // U4
    for first in range(U0, n_frames, LANES):
        a, b = first * hop, (first + LANES) * hop
        if not checked and _excessive(samples[min(a, size):b if first + LANES < n_frames else size]):
            return False
        y = first * U(out.shape[1])
        _fill_tile(samples, first, hop, n_columns, pairs, tile)
        if remove_dc:
            _means(tile, hop, n_samples, sums, mean)
        fetch(samples, b, heard, U0)
        fetch(flat, y, written, U0)
        _shape(tile, hop, mean, emphasis, weights, z)
        fetch(samples, b, heard, U1)
        fetch(flat, y, written, U1)
        _fft(z, radices, twiddles)
        fetch(samples, b, heard, U2)
        fetch(flat, y, written, U2)
        _power(z, unpack, rows, plain, power)
        fetch(samples, b, heard, U3)
        fetch(flat, y, written, U3)
        _bands(power, first_bin, steps, band_weights, mel)
        _log(mel, floor, add, factor, out[first:min(first + LANES, n_frames)])
    return True


def _scratch(profile):
    """Memory for one call, aligned. Parameters: profile. Returns float32 [n]."""
    tile = profile.hop_samples * 24
    size = 16 * (4 + profile.n_bins) + max(16 * profile.fft_size, tile) + max(8 * profile.fft_size + 144, tile)
    room = np.empty(size + ALIGNMENT, F32)
    skip = -(room.ctypes.data // 4) % ALIGNMENT
    return room[skip:skip + size]


def _check_samples(samples):
    """`framing.check_samples`, in one pass if all is well. Parameters: samples."""
    if _excessive(samples):
        framing.check_samples(samples)


def _windows(signal, plan, checked):
    """`log_mel_windows`, of a signal that is checked already or not. Parameters: as named. Returns float32 [T, F]."""
    profile = plan.profile
    out = np.empty((framing.n_windows(profile, signal.size), profile.n_bins), F32)
    if not out.size:
        _check_samples(signal)
        return out
    constants = (U(profile.hop_samples), profile.remove_dc, profile.power_exponent == 1, profile.floor_rule == "add",
                 F32(profile.pre_emphasis), F32(profile.floor), fbank.LOG10_E if profile.log == "log10" else ONE)
    weights = plan.window * F32(profile.sample_scale / 2)
    bands = plan.band_first, plan.band_steps, plan.band_weights
    if not _log_mel(signal, checked, weights, bands, _tables(profile.fft_size), constants, _scratch(profile), out):
        framing.check_samples(signal)
    return out


def _windows_bound(signal, plan):
    """What float32 may cost each value. Parameters: signal, plan. Returns float64 [T, F].

    A sample meets r = 2 log2 n + 16 roundings on its way to the spectrum, and its frame's mean 64, so that each X[k] is off by
    at most e = u (r sum |weighted samples| + 64 |mean| sum weights). By Cauchy and Schwarz a band sum S is then off by at most
    2 sqrt(S b) e + b e^2, b being the band's total weight, and by the roundings of the sum itself; the logarithm divides by S.
    """
    profile = plan.profile
    stages = dict(fbank.window_stages(signal, plan))
    heard = np.abs(stages["frames"])
    mean = heard.mean(axis=1, keepdims=True) * profile.remove_dc
    reach = (1 + profile.pre_emphasis) * np.abs(plan.window)
    loud = (heard + np.roll(heard, 1, axis=1) * profile.pre_emphasis) * np.abs(plan.window) + 2 * mean * reach
    error = (2 * np.log2(profile.fft_size) + 16) * loud.sum(axis=1, keepdims=True) + 64 * mean * reach.sum()
    error = 2.0**-24 * error  # (T, 1)
    mel, weight = stages["mel bank"].astype(np.float64), plan.bank.sum(axis=1, dtype=np.float64)
    if profile.power_exponent == 2:
        error = 2 * np.sqrt(mel * weight) * error + weight * error**2
    else:
        error = weight * error
    error = error + 2.0**-24 * mel * (8 + plan.band_steps)
    low = np.maximum(mel - error, 0)
    low = np.maximum(low, profile.floor) if profile.floor_rule == "max" else low + profile.floor
    return np.log1p(error / low) + 2.0**-22 * (1 + np.abs(stages["logarithm"]))


def _whole_bound(samples, plan):
    """`_windows_bound` of the laid-out samples. Parameters: samples, plan. Returns float64 [T, F]."""
    return _windows_bound(framing.lay_out(samples, plan.profile), plan)


def _cost(signal, plan):
    """Work and traffic. Parameters: signal, plan. Returns (operations, bytes)."""
    profile = plan.profile
    n, count = profile.fft_size, framing.n_windows(profile, len(signal))
    return count * int(2.5 * n * np.log2(n) + 3 * n + 2 * np.count_nonzero(plan.bank)), 4 * (len(signal) + count * profile.n_bins)


WHY = "the same sums in float32 instead of float64, see _windows_bound"


@twin_of(fbank.log_mel_windows, agree=BOUND(_windows_bound, WHY), cost=_cost)
def log_mel_windows(signal, plan):
    checks.array("samples", signal, F32, (None,))
    return _windows(signal, plan, False)


@twin_of(fbank.log_mel, agree=BOUND(_whole_bound, WHY))
def log_mel(samples, plan):
    checks.array("samples", samples, F32, (None,))
    profile = plan.profile
    if profile.edge == "snip" and not (profile.dither or profile.signal_pre_emphasis or profile.drop_last):
        return _windows(samples, plan, False)  # laid out as they are
    _check_samples(samples)
    return _windows(framing.lay_out(samples, profile), plan, True)
