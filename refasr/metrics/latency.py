"""Emission delay: how long after a word has ended the recogniser writes its last unit."""

import numpy as np

from refasr import checks
from refasr.errors import RangeError

WINDOW_S = 0.01
THRESHOLD_DB = 35.0


def speech_end(samples, sample_rate_hz=16000, threshold_db=THRESHOLD_DB):
    """Where the sound of a clean recording of one word ends, by energy.

        end = last 10 ms window whose power is within threshold_db of the loudest window's

    Parameters
    ----------
    samples : float32 [S]        A recording of one word.
    sample_rate_hz : int
    threshold_db : float, > 0    How far below the peak still counts as speech.

    Returns
    -------
    float, seconds

    Raises
    ------
    DTypeError, ShapeError       From the checks.
    RangeError                   If it is shorter than one window or silent.

    Examples
    --------
    >>> word = np.zeros(16000, np.float32)
    >>> word[4000:8000] = 0.1
    >>> speech_end(word)
    0.5
    """
    checks.array("samples", samples, np.float32, (None,))
    window = int(WINDOW_S * sample_rate_hz)
    n = len(samples) // window
    power = np.mean(samples[: n * window].reshape(n, window).astype(np.float64) ** 2, axis=1) if n else np.zeros(1)
    if power.max() == 0:
        raise RangeError(f"samples: got {len(samples)} samples without sound, expected a spoken word")
    loud = np.flatnonzero(power >= power.max() * 10 ** (-threshold_db / 10))
    return float((loud[-1] + 1) * WINDOW_S)


def emission_delays(emitted_s, ended_s):
    """Delays and their summary.

        delay = time at which the last unit of the word was written - time at which the word ended

    Parameters
    ----------
    emitted_s : float64 [N]    When the audio needed for the last unit had been heard: the end of its frame.
    ended_s : float64 [N]      When the word ended.

    Returns
    -------
    dict                       n, median_ms, p90_ms, p99_ms; negative means before the end.

    Raises
    ------
    RangeError                 If there are none, or the numbers differ.
    """
    if len(emitted_s) != len(ended_s) or not len(emitted_s):
        raise RangeError(f"emitted_s: got {len(emitted_s)} for {len(ended_s)} word ends, expected as many, at least one")
    delay_ms = 1000 * (np.asarray(emitted_s, np.float64) - np.asarray(ended_s, np.float64))
    median, p90, p99 = np.percentile(delay_ms, [50, 90, 99])
    statistics = {"median_ms": median, "p90_ms": p90, "p99_ms": p99}
    return {"n": len(delay_ms)} | {name: round(float(value), 1) for name, value in statistics.items()}
