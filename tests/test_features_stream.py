"""Features of streams: the same frames however the samples are cut; stacking; normalisation with state."""

import dataclasses

import numpy as np
import pytest
from cases_features import samples_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_features import BACKENDS, by_backend, by_name

from refasr.errors import DTypeError, RangeError, ShapeError
from refasr.features import fbank, normalise, online
from refasr.features.profiles import PROFILES, REFASR

F32 = np.float32


def streaming(profile):
    """The same profile without what needs the whole utterance. Parameters: profile. Returns Profile."""
    return dataclasses.replace(profile, normalisation="none")


@by_backend
@by_name
@settings(max_examples=8)
@given(data=st.data())
def test_stream_equals_whole(profile, backend, data):
    features = online.OnlineFeatures(streaming(profile), backend)
    samples = samples_of("noise", data.draw(st.one_of(st.integers(0, 500), st.integers(0, 3000))), 1)
    whole = backend(fbank.log_mel)(samples, features.plan)
    cuts = sorted(data.draw(st.lists(st.integers(0, samples.size), max_size=9)))
    state, parts = features.start(), []
    for chunk in np.split(samples, cuts):
        before = state.held.tobytes()
        frames, after = features.step(chunk, state)
        assert state.held.tobytes() == before
        assert after.size <= profile.window_samples + profile.hop_samples + 2
        parts, state = [*parts, frames], after
    frames, state = features.finish(state)
    assert np.concatenate([*parts, frames]).tobytes() == whole.tobytes()
    assert state.n_samples == state.n_frames == state.size == 0


def test_one_sample_at_a_time():
    features = online.OnlineFeatures("sherpa", BACKENDS[0])
    samples, state, parts = samples_of("noise", 900, 2), features.start(), []
    for sample in samples:
        frames, state = features.step(np.array([sample]), state)
        parts.append(frames)
    parts.append(features.finish(state)[0])
    assert np.concatenate(parts).tobytes() == BACKENDS[0](fbank.log_mel)(samples, features.plan).tobytes()


@pytest.mark.parametrize("name", ["nemo", "whisper"])
def test_what_cannot_stream_says_why(name):
    with pytest.raises(RangeError, match=f"'{name}', expected one that can stream.*whole utterance"):
        online.OnlineFeatures(name, BACKENDS[0])


def test_stream_refuses_what_the_whole_refuses():
    features = online.OnlineFeatures("refasr", BACKENDS[0])
    for wrong, error in ((np.zeros(3), DTypeError), (np.zeros((3, 1), F32), ShapeError), (np.full(1, np.nan, F32), RangeError)):
        with pytest.raises(error, match="samples"):
            features.step(wrong, features.start())


@given(n_frames=st.integers(0, 20), factor=st.integers(1, 6), cut=st.integers(0, 20))
def test_stacks_do_not_depend_on_chunks(n_frames, factor, cut):
    frames = np.arange(n_frames * 3, dtype=F32).reshape(n_frames, 3)
    whole, rest = online.stack_frames(frames, frames[:0], factor)
    first, waiting = online.stack_frames(frames[:cut], frames[:0], factor)
    second, waiting = online.stack_frames(frames[cut:], waiting, factor)
    assert np.array_equal(np.concatenate([first, second]), whole) and np.array_equal(waiting, rest)
    assert np.array_equal(whole.ravel(), frames.ravel()[:whole.size]) and len(rest) == n_frames % factor


def test_stacking_refuses():
    frames = np.zeros((4, 3), F32)
    for waiting, factor, error in ((frames, 4, RangeError), (frames[:1, :2].copy(), 4, ShapeError), (frames[:0], 0, RangeError)):
        with pytest.raises(error):
            online.stack_frames(frames, waiting, factor)


def test_moments_in_pieces_and_far_from_zero():
    frames = (1e4 + np.random.default_rng(0).standard_normal((500, 3))).astype(F32)
    moments = normalise.no_moments(3)
    for piece in np.split(frames, [0, 1, 7, 300]):
        moments = normalise.add_moments(piece, moments)
    assert moments.count == 500
    assert moments.mean == pytest.approx(frames.mean(axis=0, dtype=np.float64), rel=1e-12)
    assert moments.spread / 500 == pytest.approx(frames.var(axis=0, dtype=np.float64), rel=1e-9)
    normal = normalise.apply(frames, normalise.from_moments(moments))
    assert normal.dtype == F32 and normal.std(axis=0) == pytest.approx(1, abs=1e-3)


def test_moments_of_nothing_and_of_a_constant():
    with pytest.raises(RangeError, match="moments.count"):
        normalise.from_moments(normalise.no_moments(3))
    still = normalise.from_moments(normalise.add_moments(np.full((4, 2), 7, F32), normalise.no_moments(2)))
    assert normalise.apply(np.full((1, 2), 7, F32), still).tolist() == [[0, 0]]


def brute_running(frames, prior, options):
    """The definition of `normalise.running`, frame by frame from scratch. Parameters: frames, prior, options. Returns array."""
    out = []
    for t in range(len(frames)):
        seen = frames[max(0, t + 1 - options.window_frames):t + 1].astype(np.float64)
        borrowed = min(options.global_frames, options.window_frames - len(seen))
        variance = prior.spread / prior.count + prior.mean**2
        mean = (seen.sum(axis=0) + borrowed * prior.mean) / (len(seen) + borrowed)
        square = ((seen**2).sum(axis=0) + borrowed * variance) / (len(seen) + borrowed)
        out.append((frames[t] - mean) / (np.sqrt(square - mean**2) if options.variance else 1))
    return np.array(out)


@pytest.mark.parametrize("variance", [False, True])
def test_running_normalisation(variance):
    frames = np.random.default_rng(1).standard_normal((60, 2)).astype(F32) + F32(3)
    prior = normalise.add_moments(frames[:9], normalise.no_moments(2))
    options = normalise.RunningOptions(20, 7, variance)
    whole, _ = normalise.running(frames, normalise.start_running(2), prior, options)
    assert whole == pytest.approx(brute_running(frames, prior, options), abs=1e-5)
    state, parts = normalise.start_running(2), []
    for chunk in np.split(frames, [0, 3, 4, 33]):
        part, state = normalise.running(chunk, state, prior, options)
        parts.append(part)
        assert len(state.recent) <= 20
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_running_normalisation_needs_a_prior():
    with pytest.raises(RangeError, match="prior"):
        normalise.running(np.zeros((1, 2), F32), normalise.start_running(2), normalise.no_moments(2))


def test_utterance_normalisations():
    frames = np.random.default_rng(2).standard_normal((9, 4)).astype(F32) * F32(3)
    nemo = normalise.utterance(frames, PROFILES["nemo"])
    assert nemo == pytest.approx((frames - frames.mean(axis=0)) / (frames.std(axis=0, ddof=1) + 1e-5), abs=1e-5)
    whisper = normalise.utterance(frames - F32(4) * np.arange(9, dtype=F32)[:, None], PROFILES["whisper"])
    assert whisper.max() - whisper.min() == pytest.approx(2.0)
    assert normalise.utterance(frames, REFASR) is frames
    for name in ("nemo", "whisper"):
        assert normalise.utterance(frames[:0], PROFILES[name]).shape == (0, 4)
    assert normalise.utterance(frames[:1], PROFILES["nemo"]).tolist() == [[0, 0, 0, 0]]
