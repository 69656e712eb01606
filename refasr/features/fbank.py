"""Log-mel filter bank: the readable reference. It computes in float64 and rounds once, before the logarithm.

    signal -> frames -> - mean -> pre-emphasis -> window -> |FFT|^2 -> mel bank -> floor -> ln
"""

import functools
from typing import NamedTuple

import numpy as np

from refasr import numerics
from refasr.features import framing
from refasr.features.mel import mel_bank
from refasr.features.profiles import Profile, named
from refasr.features.spectrum import power_spectrum, window

F32 = np.float32
LOG10_E = F32(0.43429448190325176)
BINS_A_STEP = 8  # the fast twin takes the bins of a band eight at a time


class Plan(NamedTuple):
    """All that `log_mel` needs beside the samples. Made by `Plan.of`; read only, so threads may share it.

    Parameters
    ----------
    profile : Profile                The constants.
    window : float32 [N]             Window samples.
    bank : float32 [F, K]            Mel weights.
    band_first : int32 [F]           First bin that has weight in the band.
    band_steps : int32 [F]           Steps of eight bins from there.
    band_weights : float32 [8 n]     The weights of these steps, band after band; zero where the last step overshoots.
    """

    profile: Profile
    window: np.ndarray
    bank: np.ndarray
    band_first: np.ndarray
    band_steps: np.ndarray
    band_weights: np.ndarray

    @staticmethod
    def of(profile, warp=1.0):
        """Make the plan of a profile; the same arguments give the same object.

        Parameters
        ----------
        profile : Profile or str         The constants, or their name in PROFILES.
        warp : float, 0.5 to 2           Vocal-tract warp, see `mel.warp_hz`; 1 is none.

        Returns
        -------
        Plan

        Raises
        ------
        RangeError                       If the name is unknown or the warp out of range.
        """
        return _plan(named(profile), float(warp))


@functools.lru_cache(maxsize=256)
def _plan(profile, warp):
    """Compute a plan. Parameters: profile, warp. Returns Plan."""
    bank = mel_bank(profile, warp)
    first, steps, weights = [], [], [np.zeros(0, F32)]
    for row in bank:
        used = np.flatnonzero(row)
        begin, stop = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
        first.append(begin)
        steps.append(-(-(stop - begin) // BINS_A_STEP))
        weights.append(np.pad(row[begin:stop], (0, steps[-1] * BINS_A_STEP - (stop - begin))))
    plan = Plan(profile, window(profile), bank, np.array(first, np.int32), np.array(steps, np.int32), np.concatenate(weights))
    for table in plan[1:]:
        table.setflags(write=False)
    return plan


def band_sums(power, bank):
    """Energy of each mel band.

        mel[t, f] = sum_k bank[f, k] P[t, k]

    Parameters
    ----------
    power : float64 [T, K]    Spectra.
    bank : float32 [F, K]     Weights.

    Returns
    -------
    float64 [T, F]

    Notes
    -----
    One bin at a time, in rising order: a matrix product adds in an order that depends on T.
    """
    mel = np.zeros((power.shape[0], bank.shape[0]))
    for k in np.flatnonzero(bank.any(axis=0)):
        mel += power[:, k, None] * bank[:, k]
    return mel


def log_floor(mel, profile):
    """Logarithm with the profile's floor.

        ln(max(mel, floor)), or ln(mel + floor); times log10 e if so asked

    Parameters
    ----------
    mel : float32 [T, F], >= 0    Band energies.
    profile : Profile             Gives floor, floor_rule and log.

    Returns
    -------
    float32 [T, F]
    """
    floor = F32(profile.floor)
    floored = np.maximum(mel, floor) if profile.floor_rule == "max" else mel + floor
    logarithm = numerics.log(floored.ravel()).reshape(mel.shape)
    return logarithm * LOG10_E if profile.log == "log10" else logarithm


def window_stages(signal, plan):
    """Log-mel features of every whole window, with all that comes before them.

    Parameters
    ----------
    signal : float32 [S]    Laid out: frame t begins at sample t hop.
    plan : Plan             From `Plan.of`.

    Returns
    -------
    iterator of (name of the stage, array [T, ...])
    """
    profile = plan.profile
    count = framing.n_windows(profile, len(signal))
    frames = np.zeros((0, profile.window_samples))
    if count:
        views = np.lib.stride_tricks.sliding_window_view(signal, profile.window_samples)
        frames = views[::profile.hop_samples][:count].astype(np.float64) * profile.sample_scale
    yield "frames", frames
    if profile.remove_dc:
        frames = frames - frames.mean(axis=1, keepdims=True)
    yield "mean removal", frames
    frames = frames - profile.pre_emphasis * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    yield "pre-emphasis", frames
    frames = frames * plan.window
    yield "window", frames
    power = power_spectrum(frames, profile.fft_size, profile.power_exponent)
    yield "spectrum", power
    mel = band_sums(power, plan.bank).astype(F32)
    yield "mel bank", mel
    yield "logarithm", log_floor(mel, profile)


def log_mel_windows(signal, plan):
    """Log-mel features of every whole window of a signal that is laid out already.

        y[t, f] = ln(max(floor, sum_k bank[f, k] |FFT(window * emphasised(x[t hop : t hop + N]))[k]|^2))

    Parameters
    ----------
    signal : float32 [S]    Frame t begins at sample t hop, whatever the profile's edge.
    plan : Plan             From `Plan.of`.

    Returns
    -------
    float32 [T, F]          T = 1 + floor((S - N) / hop), 0 if S < N.

    Raises
    ------
    DTypeError, ShapeError, RangeError    If the signal is not float32 [S], finite and at most 1e6 in magnitude.

    Notes
    -----
    Twin: BOUND, a float32 FFT against a float64 one. Each frame's values depend on its own samples only, bit for bit.
    Cost: 5/2 n log2 n + 2 K operations a frame, for n points.
    """
    framing.check_samples(signal)
    *_, (_, features) = window_stages(signal, plan)
    return features


def log_mel(samples, plan):
    """Log-mel features of a whole signal: `framing.lay_out`, then `log_mel_windows`.

    Parameters
    ----------
    samples : float32 [S]    In [-1, 1], at the profile's rate; 0 samples are no frames.
    plan : Plan              From `Plan.of`.

    Returns
    -------
    float32 [T, F]           T = `framing.n_frames`. The profile's normalisation is not applied, see `normalise`.

    Raises
    ------
    DTypeError, ShapeError, RangeError    If the samples are not float32 [S], finite and at most 1e6 in magnitude.

    Notes
    -----
    Twin: BOUND, as `log_mel_windows`.

    Examples
    --------
    >>> log_mel(np.zeros(1000, np.float32), Plan.of("refasr")).shape
    (4, 40)
    """
    framing.check_samples(samples)
    return log_mel_windows(framing.lay_out(samples, plan.profile), plan)
