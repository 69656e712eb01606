"""Features of a stream: state in, state out; the same frames, bit for bit, however the samples are cut.

    features = OnlineFeatures("sherpa", select("fast"))
    state = features.start()
    for chunk in chunks:
        frames, state = features.step(chunk, state)
    frames, state = features.finish(state)
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.features import fbank, framing

F32 = np.float32
STACK = 4


class OnlineState(NamedTuple):
    """What a stream of features remembers: at most one window, one hop and two samples, however long it runs.

    Parameters
    ----------
    held : float32 [n]        The last samples, dithered if the profile says so.
    n_samples : int           Samples so far.
    n_frames : int            Frames given out so far.
    noise : dict or None      State of the dither's generator.
    """

    held: np.ndarray
    n_samples: int
    n_frames: int
    noise: dict | None

    @property
    def size(self):
        """Number of samples held. Returns int."""
        return self.held.size


class OnlineFeatures:
    """Log-mel features of one profile as a pure step function; holds no audio, so one object serves many streams.

    Parameters
    ----------
    profile : Profile or str         The constants, or their name in PROFILES.
    backend : Backend                From `twins.select`.
    warp : float, 0.5 to 2           Vocal-tract warp, see `mel.warp_hz`; 1 is none.

    Raises
    ------
    RangeError                       If the profile's normalisation needs the whole utterance, as that of NeMo (mean and
                                     deviation) and Whisper (maximum) does.

    Examples
    --------
    >>> from refasr.twins import select
    >>> features = OnlineFeatures("refasr", select("reference"))
    >>> frames, state = features.step(np.zeros(559, np.float32), features.start())
    >>> more, state = features.step(np.zeros(1, np.float32), state)
    >>> len(frames), len(more), len(features.finish(state)[0])
    (1, 1, 0)
    """

    def __init__(self, profile, backend, warp=1.0):
        self.plan = fbank.Plan.of(profile, warp)
        self.profile = self.plan.profile
        if self.profile.normalisation != "none":
            raise RangeError(f"profile: got {self.profile.name!r}, expected one that can stream; its "
                             f"{self.profile.normalisation} normalisation needs the whole utterance; use fbank.log_mel, or a "
                             "copy of the profile with normalisation='none' and normalise.running")
        self._log_mel = backend(fbank.log_mel_windows)

    def start(self):
        """The state before the first sample. Returns OnlineState."""
        source = framing.noise_source(self.profile)
        return OnlineState(np.zeros(0, F32), 0, 0, source and source.bit_generator.state)

    def step(self, samples, state):
        """Take samples, give the frames that they complete.

        Parameters
        ----------
        samples : float32 [S]      The next samples; may be empty.
        state : OnlineState        From `start` or the last step; not modified.

        Returns
        -------
        (float32 [T, F], OnlineState)

        Raises
        ------
        DTypeError, ShapeError, RangeError    As `fbank.log_mel`.
        """
        framing.check_samples(samples)
        source = framing.noise_source(self.profile)
        if source:
            source.bit_generator.state = state.noise
        held = np.concatenate([state.held, framing.dithered(samples, self.profile, source)])
        n_samples = state.n_samples + samples.size
        n_frames = max(framing.n_ready(self.profile, n_samples), state.n_frames)
        frames = self._frames(held, n_samples, state.n_frames, n_frames)
        keep = n_samples - max(self._begin(n_frames) - 1, 0)  # one sample more, for reflection and pre-emphasis
        held = held[held.size - min(max(keep, 1), held.size):].copy()
        return frames, OnlineState(held, n_samples, n_frames, source and source.bit_generator.state)

    def finish(self, state):
        """Give the frames that reach beyond the end of the signal, if the profile's edge has such.

        Parameters
        ----------
        state : OnlineState        From the last step; not modified.

        Returns
        -------
        (float32 [T, F], OnlineState)    The state of a new stream.
        """
        n_frames = max(framing.n_frames(self.profile, state.n_samples), state.n_frames)
        return self._frames(state.held, state.n_samples, state.n_frames, n_frames), self.start()

    def _begin(self, frame):
        """First sample of a frame. Parameters: frame. Returns int."""
        return framing.first_sample(self.profile) + frame * self.profile.hop_samples

    def _frames(self, held, n_samples, first, stop):
        """Compute frames first..stop-1. Parameters: held, n_samples, first, stop. Returns float32 [T, F]."""
        if first == stop:
            return np.zeros((0, self.profile.n_bins), F32)
        signal = framing.emphasise_signal(held, self.profile.signal_pre_emphasis)
        shift = n_samples - held.size  # position of held[0]
        begin, end = self._begin(first) - shift, self._begin(stop - 1) + self.profile.window_samples - shift
        return self._log_mel(framing.stretch(signal, begin, end, self.profile.edge), self.plan)


def stack_frames(frames, waiting, factor=STACK):
    """Join every `factor` frames into one, so that the network runs `factor` times less often.

        y[t] = (x[4 t], x[4 t + 1], x[4 t + 2], x[4 t + 3])

    Parameters
    ----------
    frames : float32 [T, F]          The next frames.
    waiting : float32 [< factor, F]  Frames left over from the last call; at first `frames[:0]`.
    factor : int, >= 1               Frames in a stack.

    Returns
    -------
    (float32 [T', factor F], float32 [< factor, F])    Stacks, and frames that wait; at the end of a stream, append silence or
                                                       drop them.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Examples
    --------
    >>> stacks, waiting = stack_frames(np.zeros((9, 40), np.float32), np.zeros((0, 40), np.float32))
    >>> stacks.shape, waiting.shape
    ((2, 160), (1, 40))
    """
    checks.between("factor", factor, 1, 1000)
    checks.array("frames", frames, F32, (None, None))
    checks.array("waiting", waiting, F32, (None, frames.shape[1]))
    checks.between("waiting", len(waiting), 0, factor - 1)
    both = np.concatenate([waiting, frames])
    n_stacks = len(both) // factor
    return both[:n_stacks * factor].reshape(n_stacks, factor * frames.shape[1]), both[n_stacks * factor:].copy()
