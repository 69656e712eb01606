"""Normalisation of features: with fixed statistics, over an utterance, or running along a stream with explicit state."""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError

F32 = np.float32
NEMO_EPSILON = F32(1e-5)
WHISPER_RANGE, WHISPER_SHIFT = F32(8), F32(4)  # decades below the maximum; then (x + 4) / 4
VARIANCE_FLOOR = 1e-20  # Kaldi's


class Moments(NamedTuple):
    """Count, mean and spread of frames seen so far, enough to add more.

    Parameters
    ----------
    count : int                   n, frames.
    mean : float64 [F]            Their mean.
    spread : float64 [F]          Sum of squared distances from the mean.
    """

    count: int
    mean: np.ndarray
    spread: np.ndarray


class Normaliser(NamedTuple):
    """Fixed statistics, ready to apply.

    Parameters
    ----------
    mean : float32 [F]                      Subtracted.
    reciprocal_deviation : float32 [F]      Multiplied.
    """

    mean: np.ndarray
    reciprocal_deviation: np.ndarray


def no_moments(n_bins):
    """Moments of no frame at all. Parameters: n_bins. Returns Moments."""
    return Moments(0, np.zeros(n_bins), np.zeros(n_bins))


def add_moments(frames, moments):
    """Add frames to the moments, without cancellation.

        n = a + b;  mean = mean_a + d b / n;  spread = spread_a + spread_b + d^2 a b / n,  d = mean_b - mean_a

    Parameters
    ----------
    frames : float32 [T, F]    More frames; may be none.
    moments : Moments          From `no_moments` or the last call; not modified.

    Returns
    -------
    Moments

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm", 1979.
    """
    checks.array("frames", frames, F32, (None, moments.mean.size))
    checks.finite("frames", frames)
    if not len(frames):
        return moments
    count = moments.count + len(frames)
    mean = frames.mean(axis=0, dtype=np.float64)
    spread = ((frames - mean) ** 2).sum(axis=0)
    distance = mean - moments.mean
    return Moments(count, moments.mean + distance * (len(frames) / count),
                   moments.spread + spread + distance**2 * (moments.count * len(frames) / count))


def from_moments(moments):
    """Statistics to apply.

    Parameters
    ----------
    moments : Moments    Of at least one frame.

    Returns
    -------
    Normaliser           A bin that never varied is divided by 1.

    Raises
    ------
    RangeError
    """
    checks.between("moments.count", moments.count, 1, np.inf)
    variance = moments.spread / moments.count
    deviation = np.sqrt(np.where(variance > VARIANCE_FLOOR, variance, 1.0))
    return Normaliser(moments.mean.astype(F32), (1 / deviation).astype(F32))


def apply(frames, normaliser):
    """Normalise with fixed statistics.

        y = (x - mean) / deviation

    Parameters
    ----------
    frames : float32 [T, F]      Features.
    normaliser : Normaliser      From `from_moments` or a model.

    Returns
    -------
    float32 [T, F]

    Raises
    ------
    DTypeError, ShapeError
    """
    checks.array("normaliser.mean", normaliser.mean, F32, (None,))
    checks.array("normaliser.reciprocal_deviation", normaliser.reciprocal_deviation, F32, normaliser.mean.shape)
    checks.array("frames", frames, F32, (None, normaliser.mean.size))
    return (frames - normaliser.mean) * normaliser.reciprocal_deviation


def utterance(frames, profile):
    """The normalisation that a profile defines over a whole utterance.

        none           y = x
        per_feature    y = (x - mean) / (deviation + 1e-5), each bin by itself, variance divided by T - 1
        whisper        y = (max(x, max over everything - 8) + 4) / 4

    Parameters
    ----------
    frames : float32 [T, F]    All frames of the utterance.
    profile : Profile          Gives normalisation.

    Returns
    -------
    float32 [T, F]

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    A single frame has deviation 0, as in NeMo. Source: NeMo, parts/preprocessing/features.py, `normalize_batch`; Whisper,
    audio.py, `log_mel_spectrogram`.
    """
    checks.array("frames", frames, F32, (None, None))
    if profile.normalisation == "none" or not len(frames):
        return frames
    if profile.normalisation == "whisper":
        return (np.maximum(frames, frames.max() - WHISPER_RANGE) + WHISPER_SHIFT) / WHISPER_SHIFT
    centred = frames - frames.mean(axis=0, dtype=np.float64)
    deviation = np.sqrt((centred**2).sum(axis=0) / max(len(frames) - 1, 1))
    return (centred / (deviation + NEMO_EPSILON)).astype(F32)


class RunningOptions(NamedTuple):
    """Settings of the running normalisation; the defaults are Kaldi's OnlineCmvnOptions.

    Parameters
    ----------
    window_frames : int       How far back the mean looks.
    global_frames : int       How many frames the prior counts for, while the window is not full.
    variance : bool           Divide by the deviation as well.
    """

    window_frames: int = 600
    global_frames: int = 200
    variance: bool = False


class RunningState(NamedTuple):
    """What the running normalisation remembers: at most a window of frames.

    Parameters
    ----------
    recent : float32 [<= window, F]    The frames in the window.
    sums : float64 [2, F]              Their sum and sum of squares.
    """

    recent: np.ndarray
    sums: np.ndarray


def start_running(n_bins):
    """The state before the first frame. Parameters: n_bins. Returns RunningState."""
    return RunningState(np.zeros((0, n_bins), F32), np.zeros((2, n_bins)))


def running(frames, state, prior, options=RunningOptions()):
    """Normalise each frame by the mean of the last frames, itself included, topped up from a prior while they are few.

        y[t] = x[t] - mean,  mean = (sum of window + g prior mean) / (n + g),  g = min(global_frames, window_frames - n)

    Parameters
    ----------
    frames : float32 [T, F]        The next frames.
    state : RunningState           From `start_running` or the last call; not modified.
    prior : Moments                Of other speech; needed until the window is full.
    options : RunningOptions       Settings.

    Returns
    -------
    (float32 [T, F], RunningState)    The same values however the frames are cut.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Carrying the state into the next utterance is the caller's choice: pass it on, or start again. Source: Kaldi,
    src/feat/online-feature.cc, `OnlineCmvn` without speaker statistics.
    """
    n_bins = state.sums.shape[1]
    checks.array("frames", frames, F32, (None, n_bins))
    checks.finite("frames", frames)
    checks.between("options.window_frames", options.window_frames, 1, 1_000_000)
    checks.between("options.global_frames", options.global_frames, 0, 1_000_000)
    checks.array("prior.mean", prior.mean, np.float64, (n_bins,))
    if options.global_frames and prior.count < 1:
        raise RangeError("prior: got moments of no frame, expected some; add frames, or set global_frames=0")
    history, n_before, sums = np.concatenate([state.recent, frames]), len(state.recent), state.sums.copy()
    out = np.empty_like(frames)
    for t in range(len(frames)):
        new = history[n_before + t].astype(np.float64)
        sums += new, new**2
        if n_before + t >= options.window_frames:
            old = history[n_before + t - options.window_frames].astype(np.float64)
            sums -= old, old**2
        out[t] = _centred(new, sums, min(n_before + t + 1, options.window_frames), prior, options)
    return out, RunningState(history[max(len(history) - options.window_frames, 0):].copy(), sums)


def _centred(frame, sums, count, prior, options):
    """One normalised frame. Parameters: frame, sums, count (frames in them), prior, options. Returns float64 [F]."""
    borrowed = min(options.global_frames, options.window_frames - count)
    weight = borrowed / prior.count if borrowed else 0.0
    total, squares = sums + weight * np.stack([prior.count * prior.mean, prior.spread + prior.count * prior.mean**2])
    mean = total / (count + borrowed)
    if not options.variance:
        return frame - mean
    return (frame - mean) / np.sqrt(np.maximum(squares / (count + borrowed) - mean**2, VARIANCE_FLOOR))
