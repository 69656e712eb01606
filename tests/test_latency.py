"""Emission delay: hand-made words with known ends."""

import numpy as np
import pytest

from refasr.errors import RangeError
from refasr.metrics.latency import emission_delays, speech_end


def test_end_of_a_word_in_noise():
    rng = np.random.default_rng(0)
    word = (1e-4 * rng.standard_normal(16000)).astype(np.float32)
    word[3200:9600] += np.float32(0.2) * np.sin(np.arange(6400) * 0.3).astype(np.float32)
    assert speech_end(word) == pytest.approx(0.6)


def test_silence_has_no_end():
    with pytest.raises(RangeError, match="without sound"):
        speech_end(np.zeros(1600, np.float32))
    with pytest.raises(RangeError):
        speech_end(np.zeros(0, np.float32))


def test_summary_of_delays():
    summary = emission_delays(np.array([0.5, 0.7, 0.9]), np.array([0.4, 0.4, 0.4]))
    assert summary == {"n": 3, "median_ms": 300.0, "p90_ms": 460.0, "p99_ms": 496.0}


def test_counts_must_match():
    with pytest.raises(RangeError, match="word ends"):
        emission_delays(np.zeros(2), np.zeros(3))
    with pytest.raises(RangeError):
        emission_delays(np.zeros(0), np.zeros(0))
