"""From recordings to network input: join, augment, log-mel, normalise, stack."""

import dataclasses

import numpy as np

from refasr.audio import augment
from refasr.errors import RangeError
from refasr.features import fbank
from refasr.train.examples import SAMPLE_RATE_HZ

F32 = np.float32
N_WARPS = 25


@dataclasses.dataclass(frozen=True)
class Batch:
    """What an objective gets.

    features : float32 [R, K]       Stacked, normalised frames as rows: frame 0 of every utterance, then frame 1 of those that
                                    have one, and so on.
    n_frames : list of int          Frames of each utterance, the longest first.
    labels : list of int32 [U]      Label sequences.
    weights : float32 [B]           Weight of each utterance in the loss.
    extra : dict                    What a technique needs besides. `pieces`: of each utterance, the recordings it is made of.
    """

    features: np.ndarray
    n_frames: list
    labels: list
    weights: np.ndarray
    extra: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        active_at(self.n_frames)

    def active(self):
        """How many utterances have a frame t. Returns int32 [T]."""
        return active_at(self.n_frames)

    def rows_of(self, b):
        """Which rows are the frames of one utterance. Parameters: b. Returns int [n_frames[b]]."""
        active = self.active()
        return (np.cumsum(active) - active)[: self.n_frames[b]] + b


def active_at(n_frames):
    """How many utterances have a frame t. Parameters: n_frames, the longest first, or RangeError. Returns int32 [T]."""
    if any(later > earlier for earlier, later in zip(n_frames, n_frames[1:])):
        raise RangeError("n_frames: got a longer utterance after a shorter one, expected the longest first; sort the batch")
    return (np.array(n_frames) > np.arange(n_frames[0])[:, None]).sum(axis=1, dtype=np.int32)


def rows_of_frames(utterances):
    """Frames in the order of `Batch.features`. Parameters: utterances (float32 [T, K], longest first). Returns float32 [R, K]."""
    active = active_at([len(frames) for frames in utterances])
    first, rows = np.cumsum(active) - active, np.empty((active.sum(), utterances[0].shape[1]), F32)
    for b, frames in enumerate(utterances):
        rows[first[: len(frames)] + b] = frames
    return rows


class BatchMaker:
    """Turns examples into batches; every random choice is a function of (seed, epoch, example).

    Parameters
    ----------
    config : TrainConfig
    store : Store                    Training audio.
    noises, rooms : list of float32 [S]    Backgrounds and measured room responses.
    backend : Backend                From `twins.select`.
    """

    def __init__(self, config, store, noises, rooms, backend):
        self.config, self.store, self.noises, self.rooms, self.backend = config, store, noises, rooms, backend
        low, high = config.augment.vocal_tract_warp
        self.plans = [fbank.Plan.of(config.model.profile, float(warp)) for warp in np.linspace(low, high, N_WARPS)]
        self._log_mel = backend(fbank.log_mel)
        self.mean = np.zeros(self.plans[0].profile.n_bins, F32)
        self.reciprocal_deviation = np.ones(self.plans[0].profile.n_bins, F32)

    def fit_normalisation(self, examples, epoch=0):
        """Set mean and deviation of each bin from augmented speech. Parameters: examples, epoch."""
        frames = np.concatenate([self.frames(example, epoch) for example in examples]).astype(np.float64)
        self.mean = frames.mean(axis=0).astype(F32)
        self.reciprocal_deviation = (1 / frames.std(axis=0)).astype(F32)

    def frames(self, example, epoch):
        """Augmented log-mel frames of one example. Parameters: example, epoch. Returns float32 [T, F]."""
        rng = np.random.default_rng([self.config.seed, epoch, 2, example.serial])
        settings = self.config.batch
        pieces = [np.zeros(samples_up_to(rng, settings.lead_s), F32)]
        for index in example.pieces:
            pieces += [self.store.audio(index), np.zeros(samples_up_to(rng, settings.gap_s), F32)]
        pieces[-1] = np.zeros(samples_up_to(rng, settings.trail_s), F32)
        plan = self.plans[int(rng.integers(len(self.plans)))]
        heard = augment.augment(np.concatenate(pieces), rng, self.config.augment, self.noises, self.rooms, self.backend)
        return self._log_mel(heard, plan)

    def make(self, examples, epoch, step):
        """One batch.

        Parameters
        ----------
        examples : list of Example
        epoch, step : int

        Returns
        -------
        Batch
        """
        stack = self.config.model.stack
        rows = []
        for example in examples:
            frames = (self.frames(example, epoch) - self.mean) * self.reciprocal_deviation
            if step >= self.config.batch.mask_from_step:
                mask(frames, self.config.batch, np.random.default_rng([self.config.seed, epoch, 3, example.serial]))
            rows.append(stacked(frames, stack))
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        features = rows_of_frames([rows[i] for i in order])
        return Batch(features, [len(rows[i]) for i in order], [examples[i].labels for i in order], np.ones(len(rows), F32),
                     {"pieces": [examples[i].pieces for i in order]})


def stacked(frames, stack):
    """Whole stacks of frames, at least one. Parameters: frames (float32 [T, F]), stack. Returns float32 [n, stack*F]."""
    n = max(1, len(frames) // stack)
    padded = np.zeros((n * stack, frames.shape[1]), F32)
    padded[: min(len(frames), n * stack)] = frames[: n * stack]
    return padded.reshape(n, -1)


def samples_up_to(rng, seconds):
    """A random number of samples. Parameters: rng, seconds (the most). Returns an int."""
    return int(rng.integers(0, int(seconds * SAMPLE_RATE_HZ) + 1))


def mask(frames, settings, rng):
    """Punch one hole in frequency and one in every two seconds, in place (SpecAugment, arXiv 1904.08779).

    Parameters
    ----------
    frames : float32 [T, F]     Normalised frames; a hole is 0, the mean.
    settings : BatchSettings
    rng : numpy.random.Generator
    """
    width = int(rng.integers(0, settings.mask_bins + 1))
    first = int(rng.integers(0, frames.shape[1] - width + 1))
    frames[:, first : first + width] = 0
    for _ in range(len(frames) // 200 + 1):
        width = int(rng.integers(0, settings.mask_frames + 1))
        first = int(rng.integers(0, max(1, len(frames) - width)))
        frames[first : first + width] = 0
