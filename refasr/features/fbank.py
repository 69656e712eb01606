"""Log-mel filter bank: the readable reference. Spectra are computed in float64 and rounded once, at the logarithm's input.

    frame -> remove mean -> pre-emphasis -> window -> |FFT|^2 -> mel bank -> floor -> ln
"""

import functools
from typing import NamedTuple

import numpy as np

from refasr import checks, numerics
from refasr.errors import RangeError
from refasr.features.profiles import PROFILES, Profile

F32 = np.float32
SAMPLE_LIMIT = F32(1e6)  # full scale is 1; a thousand times a 16-bit integer is not audio, and its power might overflow
WARP_LOW, WARP_HIGH = 0.5, 2.0


class Plan(NamedTuple):
    """All that `log_mel` needs beside the samples; made once by `Plan.of`, shared freely between threads (read only).

    profile : Profile            The constants.
    window : float32 [N]         Window samples.
    bank : float32 [F, K]        Mel weights, K = fft_size / 2 + 1.
    band_first : int32 [F]       First bin of each band with weight.
    band_stop : int32 [F]        One past the last.
    """

    profile: Profile
    window: np.ndarray
    bank: np.ndarray
    band_first: np.ndarray
    band_stop: np.ndarray

    @staticmethod
    def of(profile, warp=1.0):
        """Make the plan of a profile.

        Parameters
        ----------
        profile : Profile or str         Constants, or a name in PROFILES.
        warp : float, 0.5 to 2           Vocal-tract warp, see `mel_bank`; 1 is none.

        Returns
        -------
        Plan
        """
        if isinstance(profile, str):
            if profile not in PROFILES:
                raise RangeError(f"profile: got {profile!r}, expected one of {', '.join(PROFILES)}")
            profile = PROFILES[profile]
        return _plan(profile, float(warp))


@functools.lru_cache(maxsize=256)
def _plan(profile, warp):
    bank = mel_bank(profile, warp)
    used = bank > 0
    first = np.where(used.any(axis=1), used.argmax(axis=1), 0).astype(np.int32)
    stop = np.where(used.any(axis=1), bank.shape[1] - used[:, ::-1].argmax(axis=1), 0).astype(np.int32)
    plan = Plan(profile, window(profile), bank, first, stop)
    for table in plan[1:]:
        table.setflags(write=False)
    return plan


def window(profile):
    """The window's samples.

        hann: 1/2 - 1/2 cos(2 pi n / D)    hamming: 0.54 - 0.46 cos(2 pi n / D)    povey: hann^0.85

    with D = N - 1, or N when periodic.

    Parameters
    ----------
    profile : Profile

    Returns
    -------
    float32 [N]
    """
    n_samples = profile.window_samples
    cosine = np.cos(2 * np.pi * np.arange(n_samples) / (n_samples if profile.window_periodic else n_samples - 1))
    shapes = {"hann": lambda: 0.5 - 0.5 * cosine, "hamming": lambda: 0.54 - 0.46 * cosine,
              "povey": lambda: np.maximum(0.5 - 0.5 * cosine, 0) ** 0.85, "rectangular": lambda: np.ones(n_samples)}
    return shapes[profile.window]().astype(F32)


def hz_to_mel(hz, scale):
    """Hertz to mel: "htk" 1127 ln(1 + f/700); "slaney" linear to 1 kHz, then logarithmic. Parameters: hz, scale. Returns mel."""
    hz = np.asarray(hz, np.float64)
    if scale == "htk":
        return 1127.0 * np.log1p(hz / 700.0)
    return np.where(hz < 1000.0, hz * 3 / 200, 15.0 + 27.0 * np.log(np.maximum(hz, 1000.0) / 1000.0) / np.log(6.4))


def mel_to_hz(mel, scale):
    """The inverse of `hz_to_mel`. Parameters: mel, scale. Returns hertz."""
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return 700.0 * np.expm1(mel / 1127.0)
    return np.where(mel < 15.0, mel * 200 / 3, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))


def warp_hz(hz, profile, warp):
    """Move frequencies as a longer or shorter vocal tract would, leaving both ends of the band in place.

        f / warp in the middle; straight lines from (low, low) and to (high, high) outside [l, h],
        l = warp_low max(1, warp), h = warp_high min(1, warp)

    Parameters
    ----------
    hz : float64 [N]             Frequencies.
    profile : Profile            Gives the band and the bends.
    warp : float                 Below 1 moves bands up (a shorter vocal tract is compensated), above 1 down.

    Returns
    -------
    float64 [N]

    Notes
    -----
    Source: Kaldi, src/feat/mel-computations.cc, VtlnWarpFreq.
    """
    low, high = profile.low_hz, profile.high_hz
    bend_low, bend_high = profile.warp_low_hz * max(1.0, warp), profile.warp_high_hz * min(1.0, warp)
    moved = np.interp(hz, [low, bend_low, bend_high, high], [low, bend_low / warp, bend_high / warp, high])
    return np.where((hz < low) | (hz > high), hz, moved)


def mel_bank(profile, warp=1.0):
    """Triangular weights of each mel band over the FFT bins.

        bank[f, k] = max(0, min((m[k] - e[f]) / (e[f+1] - e[f]), (e[f+2] - m[k]) / (e[f+2] - e[f+1])))

    where e are the n_bins + 2 band edges, equally spaced in mel from low_hz to high_hz and then warped, and m[k] is
    the frequency of bin k, both in mel (or both in hertz, by `triangle_axis`).

    Parameters
    ----------
    profile : Profile             The constants.
    warp : float, 0.5 to 2        Vocal-tract warp factor applied to the edges (`warp_hz`); 1 is none.

    Returns
    -------
    float32 [F, K]                K = fft_size / 2 + 1.

    Raises
    ------
    RangeError                    If warp is out of range or folds the frequency axis.
    """
    checks.between("warp", warp, WARP_LOW, WARP_HIGH)
    scale = profile.mel_scale
    edges = np.linspace(*hz_to_mel([profile.low_hz, profile.high_hz], scale), profile.n_bins + 2)
    if warp != 1.0:
        bends = [profile.low_hz, profile.warp_low_hz * max(1, warp), profile.warp_high_hz * min(1, warp), profile.high_hz]
        if not (np.all(np.diff(bends) > 0) and bends[2] / warp < profile.high_hz and bends[1] / warp > profile.low_hz):
            raise RangeError(f"warp: got {warp}, expected one that keeps the bends {bends} in order; use one nearer 1")
        edges = hz_to_mel(warp_hz(mel_to_hz(edges, scale), profile, warp), scale)
    bins = np.arange(profile.fft_size // 2 + 1) * (profile.sample_rate_hz / profile.fft_size)
    if profile.triangle_axis == "mel":
        bins = hz_to_mel(bins, scale)
    else:
        edges = mel_to_hz(edges, scale)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bank = np.maximum(0.0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))  # (F, K)
    if profile.bank_norm == "slaney":
        bank *= 2.0 / (mel_to_hz(right, scale) - mel_to_hz(left, scale) if profile.triangle_axis == "mel" else right - left)
    if profile.skip_dc_bin:
        bank[0, 0] = 0.0
    return bank.astype(F32)


def n_frames(profile, n_samples):
    """Number of frames of a whole signal. Parameters: profile, n_samples. Returns T."""
    hop = profile.hop_samples
    if profile.edge == "snip":
        return 0 if n_samples < profile.window_samples else 1 + (n_samples - profile.window_samples) // hop
    raise RangeError(f"edge: got {profile.edge!r}, expected 'snip'")


def check_samples(samples):
    """Require float32 [S], finite, at most SAMPLE_LIMIT in magnitude. Parameters: samples."""
    checks.array("samples", samples, F32, (None,))
    checks.finite("samples", samples)
    if samples.size:
        checks.between("samples", float(np.abs(samples).max()), 0.0, float(SAMPLE_LIMIT))


def frames_of(samples, profile):
    """Cut the signal into overlapping frames, scaled. Parameters: samples, profile. Returns float64 [T, N]."""
    count = n_frames(profile, samples.size)
    if count == 0:
        return np.zeros((0, profile.window_samples))
    cut = np.lib.stride_tricks.sliding_window_view(samples, profile.window_samples)[::profile.hop_samples][:count]
    return cut.astype(np.float64) * profile.sample_scale


def pre_emphasise(frames, coefficient):
    """y[n] = x[n] - a x[n-1], with x[-1] = x[0], in each frame. Parameters: frames, coefficient. Returns an array like frames."""
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    return frames - coefficient * before


def power_spectrum(frames, profile, shape):
    """Squared (or plain, by power_exponent) magnitude of each windowed frame. Parameters: frames, profile, shape (the window). Returns float64 [T, K]."""
    spectrum = np.fft.rfft(frames * shape, profile.fft_size, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return power if profile.power_exponent == 2 else np.sqrt(power)


def band_sums(power, bank):
    """Weighted sum of each band, bins in rising order. Parameters: power, bank. Returns float64 [T, F]."""
    mel = np.zeros((power.shape[0], bank.shape[0]))
    for k in range(bank.shape[1]):  # one bin at a time: a matrix product's order would depend on T
        mel += power[:, k, None] * bank[:, k]
    return mel


def log_mel(samples, plan):
    """Log-mel features of a whole signal.

        y[t, f] = ln(max(floor, sum_k bank[f, k] |FFT(window * emphasised frame t)[k]|^2))

    Parameters
    ----------
    samples : float32 [S]       In [-1, 1] (at most 1e6 is accepted), at the profile's rate.
    plan : Plan                 From `Plan.of(profile, warp)`.

    Returns
    -------
    float32 [T, F]              T = n_frames(profile, S), 0 if the signal is too short.

    Raises
    ------
    DTypeError, ShapeError, RangeError    If the samples are not float32 [S], or hold NaN or infinity.

    Notes
    -----
    Twin: BOUND, from float32 FFT rounding. Cost: about 2.5 N log2 N + 2 K operations a frame.
    """
    check_samples(samples)
    profile = plan.profile
    frames = frames_of(samples, profile)
    if profile.remove_dc:
        frames = frames - frames.mean(axis=1, keepdims=True)
    if profile.pre_emphasis:
        frames = pre_emphasise(frames, profile.pre_emphasis)
    mel = band_sums(power_spectrum(frames, profile, plan.window), plan.bank).astype(F32)
    mel = np.maximum(mel, F32(profile.floor)) if profile.floor_rule == "max" else mel + F32(profile.floor)
    return numerics.log(mel.ravel()).reshape(mel.shape)
