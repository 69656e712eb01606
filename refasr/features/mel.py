"""The mel filter bank: scales, vocal-tract warping, triangles."""

import numpy as np

from refasr import checks
from refasr.errors import RangeError

WARP_LOW, WARP_HIGH = 0.5, 2.0
SLANEY_BEND_HZ, SLANEY_BEND_MEL = 1000.0, 15.0  # linear below, logarithmic above
SLANEY_HZ_PER_MEL, SLANEY_LOG_STEP = 200.0 / 3.0, np.log(6.4) / 27.0


def hz_to_mel(hz, scale):
    """Frequency on the mel scale.

        htk: 1127 ln(1 + f / 700)    slaney: 3 f / 200 below 1 kHz, 15 + 27 ln(f / 1000) / ln(6.4) above

    Parameters
    ----------
    hz : float64 [N]             Frequencies.
    scale : "htk" or "slaney"    The formula; Kaldi's is HTK's.

    Returns
    -------
    float64 [N]
    """
    hz = np.asarray(hz, np.float64)
    if scale == "htk":
        return 1127.0 * np.log1p(hz / 700.0)
    above = SLANEY_BEND_MEL + np.log(np.maximum(hz, SLANEY_BEND_HZ) / SLANEY_BEND_HZ) / SLANEY_LOG_STEP
    return np.where(hz < SLANEY_BEND_HZ, hz / SLANEY_HZ_PER_MEL, above)


def mel_to_hz(mel, scale):
    """The inverse of `hz_to_mel`.

    Parameters
    ----------
    mel : float64 [N]            Mel values.
    scale : "htk" or "slaney"    The formula.

    Returns
    -------
    float64 [N]                  Hertz.
    """
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return 700.0 * np.expm1(mel / 1127.0)
    above = SLANEY_BEND_HZ * np.exp((np.maximum(mel, SLANEY_BEND_MEL) - SLANEY_BEND_MEL) * SLANEY_LOG_STEP)
    return np.where(mel < SLANEY_BEND_MEL, mel * SLANEY_HZ_PER_MEL, above)


def warp_hz(hz, profile, warp):
    """Move frequencies as a longer or shorter vocal tract would, leaving both ends of the band in place.

        f / warp for l <= f <= h; below and above, the straight lines that reach (low, low) and (high, high)
        l = warp_low max(1, warp),  h = warp_high min(1, warp)

    Parameters
    ----------
    hz : float64 [N]         Frequencies; those outside the band stay.
    profile : Profile        Gives low_hz, high_hz, warp_low_hz and warp_high_hz.
    warp : float, 0.5 to 2   Below 1 the bands move up, above 1 down; 1 changes nothing.

    Returns
    -------
    float64 [N]

    Raises
    ------
    RangeError               If the bends leave the band or change order.

    Notes
    -----
    Source: Kaldi, src/feat/mel-computations.cc, `MelBanks::VtlnWarpFreq`.
    """
    checks.between("warp", warp, WARP_LOW, WARP_HIGH)
    low, high = profile.low_hz, profile.high_hz
    bends = [low, profile.warp_low_hz * max(1.0, warp), profile.warp_high_hz * min(1.0, warp), high]
    targets = [low, bends[1] / warp, bends[2] / warp, high]
    if min(*np.diff(bends), *np.diff(targets)) <= 0:
        raise RangeError(f"warp: got {warp}, expected one that keeps the bends {bends} Hz in order; take one nearer to 1")
    return np.where((hz < low) | (hz > high), hz, np.interp(hz, bends, targets))


def mel_bank(profile, warp=1.0):
    """Triangular weights of each mel band over the FFT bins.

        bank[f, k] = max(0, min((m[k] - e[f]) / (e[f+1] - e[f]), (e[f+2] - m[k]) / (e[f+2] - e[f+1])))

    The F + 2 edges e are equally spaced in mel from low_hz to high_hz, then warped; m[k] is the frequency of bin k. Both
    are in mel, or both in hertz, as `triangle_axis` says. With bank_norm "slaney" each band is multiplied by
    2 / (its width in hertz), so that all have the same area.

    Parameters
    ----------
    profile : Profile          The constants.
    warp : float, 0.5 to 2     Vocal-tract warp of the edges, see `warp_hz`; 1 is none.

    Returns
    -------
    float32 [F, K]             K = fft_size / 2 + 1.

    Raises
    ------
    RangeError                 If the warp is out of range.

    Notes
    -----
    Source: Kaldi, src/feat/mel-computations.cc, `MelBanks`; librosa, filters.mel, for Slaney's.
    """
    scale = profile.mel_scale
    edges = np.linspace(*hz_to_mel([profile.low_hz, profile.high_hz], scale), profile.n_bins + 2)
    edges_hz = mel_to_hz(edges, scale)
    if warp != 1.0:
        edges_hz = warp_hz(edges_hz, profile, warp)
        edges = hz_to_mel(edges_hz, scale)
    bins = np.arange(profile.fft_size // 2 + 1) * (profile.sample_rate_hz / profile.fft_size)
    if profile.triangle_axis == "mel":
        bins = hz_to_mel(bins, scale)
    else:
        edges = edges_hz
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]  # (F, 1)
    bank = np.maximum(0.0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))  # (F, K)
    if profile.bank_norm == "slaney":
        bank *= 2.0 / (edges_hz[2:, None] - edges_hz[:-2, None])
    if profile.first_weight_zero and profile.low_hz > 0:
        bank[0, np.flatnonzero(bank[0])[:1]] = 0.0
    return bank.astype(np.float32)
