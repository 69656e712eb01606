"""Rooms: filtering by a long response, and responses made up from a decay time."""

import numpy as np
import scipy.fft

from refasr import checks
from refasr.audio import SAMPLE_RATE_HZ
from refasr.audio.level import SILENCE, mean_square
from refasr.errors import ShapeError

F32 = np.float32
PEAK = F32(0.999)
DIRECT = SAMPLE_RATE_HZ // 500  # samples before the first echo: 2 ms


def convolve(samples, taps, lead):
    """Filter by FFT in overlapping blocks, keeping the length.

        y[i] = sum_k taps[k] x[i + lead - k]

    Parameters
    ----------
    samples : float32 [S]
    taps : float32 [K], K >= 1
    lead : int, 0..K-1         Index of the tap that stands for "now".

    Returns
    -------
    float32 [S]

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Cost: 2 (S / 3K + 1) real FFTs of 4K..8K points. Rounding: 1e-6 of the largest output.
    """
    checks.array("samples", samples, F32, (None,))
    checks.array("taps", taps, F32, (None,))
    if not taps.size:
        raise ShapeError("taps: got none, expected at least one; leave the filter out")
    checks.between("lead", lead, 0, taps.size - 1)
    n_fft = min(scipy.fft.next_fast_len(samples.size + 2 * taps.size, real=True), 1 << (4 * taps.size - 1).bit_length())
    n_new = n_fft - taps.size + 1  # valid outputs of a block
    n_blocks = max(1, -(-samples.size // n_new))
    padded = np.zeros(n_blocks * n_new + taps.size - 1, F32)
    padded[taps.size - 1 - lead:][:samples.size] = samples
    blocks = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::n_new]  # (blocks, n_fft)
    spectrum = scipy.fft.rfft(blocks, axis=1)
    spectrum *= scipy.fft.rfft(taps, n_fft)
    return scipy.fft.irfft(spectrum, n_fft, axis=1)[:, taps.size - 1:].reshape(-1)[:samples.size]


def convolve_room(samples, response):
    """Put speech in a room, without moving or scaling it: aligned to the direct path, mean power kept.

    Parameters
    ----------
    samples : float32 [S]
    response : float32 [K], K >= 1    Impulse response at the rate of the samples; its largest sample is the direct path.

    Returns
    -------
    float32 [S]

    Raises
    ------
    DTypeError, ShapeError
    """
    checks.array("response", response, F32, (None,))
    if not response.size:
        raise ShapeError("response: got no samples, expected at least one; leave the room out")
    wet = convolve(samples, response, int(np.abs(response).argmax()))
    power = mean_square(wet)
    return wet * np.sqrt(mean_square(samples) / power) if power > SILENCE else wet


def simulate_room(rng, t60_s, direct_to_reverberant_db):
    """A plain room response: direct path, six early echoes, and noise that decays exponentially.

        h[0] = 1,  tail[t] = noise[t] 10^(-3 t / T60) scaled to the ratio, from 2 ms on

    It has no geometry: what recognisers suffer from is the smearing (T60) and its share of the energy. The tail is kept
    below the direct path, so a low ratio in a short room comes out a little higher than asked.

    Parameters
    ----------
    rng : numpy.random.Generator
    t60_s : float, 0.02..2                        Time in which the tail falls by 60 dB; it is cut off there.
    direct_to_reverberant_db : float, -20..60     Energy of the direct path over that of all the rest.

    Returns
    -------
    float32 [K]                                   K = T60 at 16 kHz.

    Raises
    ------
    RangeError
    """
    checks.between("t60_s", t60_s, 0.02, 2)
    checks.between("direct_to_reverberant_db", direct_to_reverberant_db, -20, 60)
    n = int(t60_s * SAMPLE_RATE_HZ)
    tail = rng.standard_normal(n, dtype=F32)
    early = rng.integers(DIRECT, SAMPLE_RATE_HZ // 50, size=6)  # 2..20 ms
    tail[np.minimum(early, n - 1)] *= F32(4)
    tail *= np.exp(np.arange(n, dtype=F32) * F32(-3 * np.log(10) / n))
    tail[:DIRECT] = 0
    tail *= F32(10 ** (-direct_to_reverberant_db / 20)) / np.sqrt(np.square(tail).sum())
    np.clip(tail, -PEAK, PEAK, out=tail)  # the direct path must stay the largest, or the alignment would move
    tail[0] = 1
    return tail
