"""How the samples are cut changes nothing: not a feature, not a logit, not a unit, not a word."""

import dataclasses

import numpy as np
import pytest
from first_divergence import require_equal
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import noise, tiny_model

from refasr.recognise import STEP_SAMPLES, Recogniser
from refasr.trace import Recorder, Trace

SAMPLES = noise(16000 + 123)
CUTS = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 900), st.integers(0, len(SAMPLES))), max_size=30)


class Listener:
    """A recogniser that keeps everything that passes through it.

    Parameters
    ----------
    backend : "fast" or "reference"
    """

    def __init__(self, backend):
        self.recorder = Recorder()
        self.recogniser = Recogniser(tiny_model(), backend, self.recorder.take)
        joiner = self.recogniser.network.joiner
        self.logits = []
        plain = joiner.join_projected

        def join_projected(e, p):
            self.logits.append(plain(e, p))
            return self.logits[-1]
        joiner.join_projected = join_projected

    def hear(self, chunks):
        """Recognise. Parameters: chunks. Returns (result, Trace)."""
        self.recorder.parts.clear()
        self.logits.clear()
        stream = self.recogniser.stream()
        for chunk in chunks:
            stream.accept(chunk)
        result = stream.finish()
        return result, Trace({}, self.recorder.arrays() | {"K5": np.array(self.logits)})


def require_same(a, b):
    """The same result, and the same bits at every stage; if not, the first stage that differs is named. Parameters: a, b."""
    require_equal(a[1], b[1])
    assert a[0] == b[0]


@pytest.fixture(scope="module", params=["fast", "reference"])
def listener(request):
    """A listener of either backend, and what it heard in the whole recording."""
    made = Listener(request.param)
    made.whole = made.hear([SAMPLES])
    return made


def cut(sizes):
    """Cut the recording. Parameters: sizes. Returns a list of float32 arrays; the rest comes last."""
    chunks, begin = [], 0
    for size in sizes:
        chunks.append(SAMPLES[begin:begin + size])
        begin += size
    return [*chunks, SAMPLES[begin:]]


@settings(max_examples=8)
@given(sizes=CUTS)
def test_any_chunks_give_the_same_bits(listener, sizes):
    require_same(listener.hear(cut(sizes)), listener.whole)


@pytest.mark.parametrize("size", [1, 160, 641, STEP_SAMPLES])
def test_equal_chunks_give_the_same_bits(listener, size):
    used = SAMPLES[:1300 if size == 1 else len(SAMPLES)]
    whole = listener.hear([used])
    stages = {key.split("/")[0] for key in whole[1].arrays}
    assert whole[0].text and stages == {"K0", "K1", "K2", "K3.0", "K3.1", "K5", "K6"}
    require_same(listener.hear([used[i:i + size] for i in range(0, len(used), size)]), whole)


def test_partial_text_only_grows(listener):
    stream, before = listener.recogniser.stream(), ""
    for begin in range(0, len(SAMPLES), 640):
        stream.accept(SAMPLES[begin:begin + 640])
        assert stream.text.startswith(before)
        before = stream.text
    assert stream.finish().text.startswith(before) and before


def arrays(value):
    """All arrays in nested tuples. Parameters: value. Returns a list."""
    if isinstance(value, tuple):
        return [array for part in value for array in arrays(part)]
    return [value] if isinstance(value, np.ndarray) else []


def test_step_is_pure_and_its_state_does_not_grow(listener):
    recogniser = listener.recogniser
    state, largest = recogniser.start(), 0
    for begin in range(0, len(SAMPLES), 1000):
        before = [array.copy() for array in arrays(state)]
        chunk = SAMPLES[begin:begin + 1000].copy()
        first, after = recogniser.step(chunk, state)
        again, after_again = recogniser.step(chunk, state)
        assert all(np.array_equal(a, b) for a, b in zip(before, arrays(state), strict=True))
        assert first.written == again.written and first.encodings.tobytes() == again.encodings.tobytes()
        assert all(np.array_equal(a, b) for a, b in zip(arrays(after), arrays(after_again), strict=True))
        assert np.array_equal(chunk, SAMPLES[begin:begin + 1000])
        state = after
        largest = max(largest, sum((array if array.base is None else array.base).nbytes for array in arrays(after)))
    assert largest < 20_000


def test_streams_do_not_disturb_each_other(listener):
    other = noise(len(SAMPLES), seed=5)
    one, two = listener.recogniser.stream(), listener.recogniser.stream()
    for begin in range(0, len(SAMPLES), 700):
        one.accept(SAMPLES[begin:begin + 700])
        two.accept(other[begin:begin + 700])
    assert one.finish() == listener.whole[0]
    assert two.finish() == listener.recogniser.transcribe_samples(other)


def test_long_streams_keep_the_frames_of_writing():
    recogniser = Recogniser(tiny_model(blank=2.5), "fast")
    samples = noise(33 * 16000)
    stream = recogniser.stream()
    stream.accept(samples[:29 * 16000])
    assert stream.encodings is not None
    stream.accept(samples[29 * 16000:])
    assert stream.encodings is None
    result = stream.finish()
    assert result == recogniser.transcribe_samples(samples)
    assert result.words[-1].end <= result.duration + 0.1
    frames = sorted({round(word.start / 0.04) for word in result.words})
    assert set(frames) <= {emission.frame for emission in stream.emissions} | {round(word.end / 0.04) for word in result.words}
    assert dataclasses.astuple(result)[0] == stream.text
