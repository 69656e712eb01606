"""What a poor microphone or line does: uneven response, a narrow band, overdrive, 8-bit telephone code."""

import numpy as np

from refasr import checks
from refasr.audio import SAMPLE_RATE_HZ

F32 = np.float32
FILTER_BINS = 128  # the grid of an equaliser curve, 62.5 Hz a bin
MU = 255.0


def equaliser(gains_db, band_hz):
    """Linear-phase filter of a poor microphone: gains joined by straight lines over mel, and a band limit.

    Parameters
    ----------
    gains_db : sequence of float                Gains at knots evenly spaced in mel from 0 to 8 kHz; one knot is flat.
    band_hz : (low, high)                       Frequencies kept; (0, inf) keeps all. Edges are 125 Hz wide.

    Returns
    -------
    float32 [2 * FILTER_BINS]                   "Now" is tap FILTER_BINS.

    Notes
    -----
    Designed by frequency sampling with a Hann window: outside the band 30 dB down one bin away, 44 dB after two.
    """
    frequency = np.arange(FILTER_BINS + 1) * (SAMPLE_RATE_HZ / 2 / FILTER_BINS)
    mel = np.log1p(frequency / 700)
    gain = 10 ** (np.interp(mel, np.linspace(0, mel[-1], len(gains_db)), gains_db) / 20)
    gain[(frequency < band_hz[0]) | (frequency > band_hz[1])] = 0
    taps = np.roll(np.fft.irfft(gain), FILTER_BINS)
    return (taps * (0.5 - 0.5 * np.cos(np.pi * np.arange(2 * FILTER_BINS) / FILTER_BINS))).astype(F32)


def clip(samples, fraction):
    """Overdrive: cut everything beyond a fraction (0..1) of the peak. Parameters: samples, fraction. Returns float32 [S]."""
    checks.array("samples", samples, F32, (None,))
    checks.between("fraction", fraction, 0, 1)
    limit = F32(fraction) * np.abs(samples).max(initial=F32(0))
    return np.clip(samples, -limit, limit)


def mu_law(samples):
    """Through an 8-bit telephone code and back: 255 levels, fine near zero.

        c = sign(x) ln(1 + 255 |x|) / ln 256,  kept as round(127 c)

    Parameters
    ----------
    samples : float32 [S], -1..1

    Returns
    -------
    float32 [S], -1..1

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Source: the continuous curve of ITU-T G.711; the standard itself uses straight segments.
    """
    checks.array("samples", samples, F32, (None,))
    code = np.rint(np.log1p(F32(MU) * np.abs(samples)) * F32(127 / np.log1p(MU)))
    return np.copysign(np.expm1(code * F32(np.log1p(MU) / 127)) / F32(MU), samples)
