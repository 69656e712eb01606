"""Changing the sampling rate by a ratio of whole numbers, in one go or as a stream, with the same bits.

    y[m] = sum_j x[j] h(m M - j L),   L / M = rate_out / rate_in in lowest terms

h is a low-pass at L times the input rate, symmetric about 0, so nothing is delayed. It is flat to 0.95 of the lower
Nyquist frequency and 80 dB down from 1.05 of it: between 16 kHz and anything higher, folding reaches down to 7.6 kHz
and no further, which is where the filter banks end.
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np
import scipy.signal

from refasr import checks
from refasr.errors import RangeError

F32 = np.float32
RATE_LOW_HZ, RATE_HIGH_HZ = 1000, 768000
MOST_PHASES = 48000  # largest term of the ratio; the filter has 100 taps for each
STOP_BAND_DB = 80.0
HALF_WIDTH = 50  # zero crossings of the sinc on each side: 80 dB over a tenth of Nyquist (Kaiser's estimate)


class ResamplerState(NamedTuple):
    """What a stream remembers between chunks."""

    tail: np.ndarray  # float32, input that outputs still to come depend on
    n_in: int         # samples accepted so far
    n_out: int        # samples returned so far


@functools.lru_cache(maxsize=8)
def low_pass(up, down):
    """Kaiser-windowed sinc, cut off at the lower Nyquist frequency. Parameters: up, down. Returns float32 [odd]."""
    if up == down:
        return np.ones(1, F32)
    widest = max(up, down)
    window = ("kaiser", scipy.signal.kaiser_beta(STOP_BAND_DB))
    return (up * scipy.signal.firwin(2 * HALF_WIDTH * widest + 1, 1 / widest, window=window)).astype(F32)


@dataclasses.dataclass(frozen=True)
class Resampler:
    """A converter from one rate to another; holds no audio, so one serves many streams.

    Work is done in whole cycles of M inputs and L outputs, with the filter shifted once so that every cycle starts at
    the same phase. Each output is a sum over the same inputs in the same order however the stream is cut.

    Parameters
    ----------
    rate_in_hz : int, 1000..768000
    rate_out_hz : int, 1000..768000

    Raises
    ------
    RangeError    For a rate outside that range, not whole, or a ratio whose lowest terms exceed 48000.
    """

    rate_in_hz: int
    rate_out_hz: int

    def __post_init__(self):
        for name in ("rate_in_hz", "rate_out_hz"):
            rate = getattr(self, name)
            checks.between(name, rate, RATE_LOW_HZ, RATE_HIGH_HZ)
            if rate != int(rate):
                raise RangeError(f"{name}: got {rate}, expected a whole number of Hz; round it")
        if max(self.up, self.down) > MOST_PHASES:
            raise RangeError(f"rates: got {self.rate_in_hz} to {self.rate_out_hz} Hz, a ratio of {self.up}/{self.down}, "
                             f"expected terms up to {MOST_PHASES}; convert to a common rate first")

    @functools.cached_property
    def up(self):
        """L: outputs of a cycle."""
        return int(self.rate_out_hz) // math.gcd(int(self.rate_in_hz), int(self.rate_out_hz))

    @functools.cached_property
    def down(self):
        """M: inputs of a cycle."""
        return int(self.rate_in_hz) // math.gcd(int(self.rate_in_hz), int(self.rate_out_hz))

    @functools.cached_property
    def reach(self):
        """Inputs that an output depends on, on each side."""
        return -(-(low_pass(self.up, self.down).size // 2) // self.up)

    @functools.cached_property
    def shifted(self):
        """(filter padded so that a cycle starts on a whole output, outputs to drop before it)."""
        taps = low_pass(self.up, self.down)
        phase = self.reach * self.up + taps.size // 2
        skip = -(-phase // self.down)
        return np.concatenate((np.zeros(skip * self.down - phase, F32), taps)), skip

    def start(self):
        """State of a stream before its first sample. Returns a ResamplerState."""
        return ResamplerState(np.zeros(self.reach, F32), 0, 0)

    def step(self, chunk, state):
        """Convert what can be converted; the last `reach` to `reach + M` inputs wait.

        Parameters
        ----------
        chunk : float32 [S]       The next samples; may be empty.
        state : ResamplerState    From `start` or the last step; not altered.

        Returns
        -------
        (float32 [S'], ResamplerState)

        Raises
        ------
        DTypeError, ShapeError
        """
        checks.array("chunk", chunk, F32, (None,))
        waiting = np.concatenate((state.tail, chunk))
        n_cycles = max(0, waiting.size - 2 * self.reach) // self.down
        out = self._cycles(waiting, n_cycles)
        return out, ResamplerState(waiting[n_cycles * self.down:].copy(), state.n_in + chunk.size, state.n_out + out.size)

    def finish(self, state):
        """The outputs still owed, silence being assumed after the end.

        Parameters
        ----------
        state : ResamplerState    From the last step.

        Returns
        -------
        float32 [S']              All outputs together number ceil(n_in L / M).
        """
        owed = -(-state.n_in * self.up // self.down) - state.n_out
        n_cycles = -(-owed // self.up)
        silence = np.zeros(max(0, n_cycles * self.down + 2 * self.reach - state.tail.size), F32)
        return self._cycles(np.concatenate((state.tail, silence)), n_cycles)[:owed]

    def _cycles(self, waiting, n_cycles):
        if n_cycles == 0:
            return np.zeros(0, F32)
        taps, skip = self.shifted
        inputs = waiting[:n_cycles * self.down + 2 * self.reach]
        return scipy.signal.upfirdn(taps, inputs, self.up, self.down)[skip:skip + n_cycles * self.up]


def resample(samples, rate_in_hz, rate_out_hz):
    """Convert a whole recording.

    Parameters
    ----------
    samples : float32 [S]
    rate_in_hz : int, 1000..768000
    rate_out_hz : int, 1000..768000

    Returns
    -------
    float32 [ceil(S * rate_out / rate_in)]

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Bit-equal to a stream through `Resampler`, for any chunks. Cost: 100 MAC an output upwards, 100 M / L downwards.
    """
    resampler = Resampler(rate_in_hz, rate_out_hz)
    head, state = resampler.step(samples, resampler.start())
    return np.concatenate((head, resampler.finish(state)))
