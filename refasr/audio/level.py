"""Levels, and noise at a level or at a distance from one."""

import numpy as np
import scipy.fft

from refasr import checks
from refasr.audio import SAMPLE_RATE_HZ
from refasr.errors import ShapeError

F32 = np.float32
SILENCE = F32(1e-10)  # mean square below which a level is meaningless
PEAK = F32(0.999)
NOISE_PERIOD = 16384


def mean_square(samples):
    """Average power. Parameters: samples. Returns a float32, 0 for no samples."""
    return np.square(samples).mean() if samples.size else F32(0)


def set_level(samples, level_dbfs):
    """Scale to a root-mean-square level, or as near to it as keeps the peak below full scale.

    Parameters
    ----------
    samples : float32 [S]
    level_dbfs : float, -120..0    20 log10 of the root mean square; a full-scale sine has -3.01.

    Returns
    -------
    float32 [S]                    Silence comes back unchanged.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    checks.array("samples", samples, F32, (None,))
    checks.between("level_dbfs", level_dbfs, -120, 0)
    power = mean_square(samples)
    if power <= SILENCE:
        return samples
    return samples * min(F32(10 ** (level_dbfs / 20)) / np.sqrt(power), PEAK / np.abs(samples).max())


def add_noise(samples, noise, snr_db, offset):
    """Mix in a stretch of noise at a signal-to-noise ratio; a short noise repeats.

    Parameters
    ----------
    samples : float32 [S]
    noise : float32 [N], N >= 1
    snr_db : float, -30..100    Mean power of the samples over that of the stretch used, in dB.
    offset : int, 0..N-1        Where in the noise to begin.

    Returns
    -------
    float32 [S]                 Unchanged where either is silent, since no ratio exists.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    checks.array("samples", samples, F32, (None,))
    checks.array("noise", noise, F32, (None,))
    checks.between("snr_db", snr_db, -30, 100)
    if not noise.size:
        raise ShapeError("noise: got no samples, expected at least one; leave the noise out")
    checks.between("offset", offset, 0, noise.size - 1)
    stretch = noise[offset:offset + samples.size]
    if stretch.size < samples.size:
        stretch = np.resize(np.concatenate((noise[offset:], noise[:offset])), samples.size)
    speech_power, noise_power = mean_square(samples), mean_square(stretch)
    if speech_power <= SILENCE or noise_power <= SILENCE:
        return samples
    return samples + stretch * F32(np.sqrt(speech_power / noise_power) * 10 ** (-snr_db / 20))


def coloured_noise(rng, n_samples, level_dbfs, slope):
    """Noise whose power falls as 1 / f^slope: 0 white, 1 pink, 2 brown.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_samples : int, >= 0
    level_dbfs : float             Expected root-mean-square level.
    slope : float, 0..2

    Returns
    -------
    float32 [n_samples]

    Notes
    -----
    Drawn as the spectrum of one second, which repeats. Below 31 Hz the spectrum is flat.
    """
    bins = NOISE_PERIOD // 2 + 1
    spectrum = rng.standard_normal(2 * bins, dtype=F32).view(np.complex64)
    gain = np.maximum(np.arange(bins, dtype=F32), F32(NOISE_PERIOD * 31.25 / SAMPLE_RATE_HZ)) ** F32(-slope / 2)
    gain *= F32(10 ** (level_dbfs / 20) * np.sqrt(NOISE_PERIOD / 2)) / np.sqrt(np.square(gain).mean())
    return np.resize(scipy.fft.irfft(spectrum * gain, NOISE_PERIOD), n_samples)
