"""Reading, resampling and cutting: what comes out is what the file holds, however it is read."""

import io
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from refasr.audio import chunks, resample, wav
from refasr.errors import DTypeError, FormatError, RangeError

F32 = np.float32
RATES = [8000, 11025, 22050, 44100, 48000, 192000]


def tone(hertz, rate_hz, n_samples):
    """A sine at half of full scale. Parameters: hertz, rate_hz, n_samples. Returns float32."""
    return (0.5 * np.sin(2 * np.pi * hertz / rate_hz * np.arange(n_samples))).astype(F32)


def white(n_samples, seed=0):
    """Uniform noise in -1..1. Parameters: n_samples, seed. Returns float32."""
    return np.random.default_rng(seed).uniform(-1, 1, n_samples).astype(F32)


# Resampling


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("n_samples", [0, 1, 7, 501])
def test_resampling_is_the_sum_it_claims_to_be(rate_hz, n_samples):
    x, there = white(n_samples), resample.Resampler(rate_hz, 16000)
    taps = resample.low_pass(there.up, there.down).astype(np.float64)
    n_out = -(-n_samples * there.up // there.down)
    m, j = np.arange(n_out)[:, None], np.arange(n_samples)[None, :]
    at = m * there.down - j * there.up + taps.size // 2
    wanted = (x * np.where((at >= 0) & (at < taps.size), taps[np.clip(at, 0, taps.size - 1)], 0)).sum(axis=1)
    assert np.abs(resample.resample(x, rate_hz, 16000) - wanted).max(initial=0) < 2e-6


@pytest.mark.parametrize("rate_hz", RATES)
def test_resampling_agrees_with_scipy(rate_hz):
    x, there = white(5000), resample.Resampler(rate_hz, 16000)
    taps = resample.low_pass(there.up, there.down) / F32(there.up)  # scipy multiplies by L itself
    wanted = scipy.signal.resample_poly(x, there.up, there.down, window=taps)
    found = resample.resample(x, rate_hz, 16000)
    assert found.shape == wanted.shape and np.abs(found - wanted).max() < 2e-6


@given(st.sampled_from([(8000, 16000), (44100, 16000), (48000, 16000), (16000, 22050), (16000, 16000), (7, 5)]),
       st.integers(0, 4000), st.lists(st.integers(0, 700), max_size=20))
def test_stream_equals_whole(rates, n_samples, lengths):
    rates = tuple(1000 * rate if rate < 1000 else rate for rate in rates)
    x = white(n_samples, n_samples)
    resampler = resample.Resampler(*rates)
    state, parts, begin = resampler.start(), [], 0
    for length in [*lengths, n_samples]:
        tail = state.tail.copy()
        out, after = resampler.step(x[begin:begin + length], state)
        assert np.array_equal(state.tail, tail)  # step is pure
        parts, state, begin = [*parts, out], after, begin + length
    parts.append(resampler.finish(state))
    assert np.array_equal(np.concatenate(parts), resample.resample(x, *rates))


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000, 192000])
def test_nothing_folds_below_7600_hz(rate_hz):
    for hertz in np.linspace(8420, rate_hz / 2 * 0.99, 12):
        out = resample.resample(tone(hertz, rate_hz, rate_hz // 5), rate_hz, 16000)[400:-400]
        assert np.abs(out).max() < 0.5 * 10 ** (-78 / 20)


@pytest.mark.parametrize("rate_hz", RATES)
def test_pass_band_is_flat_and_undelayed(rate_hz):
    nyquist_hz = min(rate_hz, 16000) / 2
    for fraction in (0.01, 0.3, 0.6, 0.94):
        hertz = fraction * nyquist_hz
        out = resample.resample(tone(hertz, rate_hz, rate_hz // 5), rate_hz, 16000)
        assert np.abs(out - tone(hertz, 16000, out.size))[400:-400].max() < 1e-3  # no delay, no gain


@pytest.mark.parametrize("rate", [0, -16000, 999, 768001, 16000.5, np.nan, 191999])
def test_absurd_rates_are_refused(rate):
    with pytest.raises(RangeError):
        resample.resample(np.zeros(4, F32), rate, 16000)


def test_resampling_wants_float32():
    with pytest.raises(DTypeError):
        resample.resample(np.zeros(4), 8000, 16000)


# Chunks


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(1, 70))
def test_regrouped_chunks_hold_the_same_samples(lengths, chunk_samples):
    x = white(sum(lengths))
    given_chunks = np.split(x, np.cumsum(lengths)[:-1]) if lengths else []
    found = list(chunks.regroup(given_chunks, chunk_samples))
    assert all(chunk.size == chunk_samples for chunk in found[:-1])
    assert all(0 < chunk.size <= chunk_samples for chunk in found)
    assert np.array_equal(np.concatenate([np.zeros(0, F32), *found]), x)
    assert [c.tolist() for c in chunks.split(x, chunk_samples)] == [c.tolist() for c in found]


@pytest.mark.parametrize("length", [0, -1, 1.5, np.nan, np.inf])
def test_chunks_have_a_length(length):
    for cut in (chunks.split, lambda x, n: chunks.regroup([x], n)):
        with pytest.raises(RangeError):
            list(cut(np.zeros(3, F32), length))


# Files


@pytest.mark.parametrize("kind, subtype, error", [
    ("wav", "PCM_16", 0), ("wav", "PCM_U8", 1 / 128), ("wav", "PCM_24", 1e-6), ("wav", "FLOAT", 0), ("wav", "DOUBLE", 0),
    ("wav", "ULAW", 0.04), ("wav", "ALAW", 0.04), ("wav", "IMA_ADPCM", 0.3), ("flac", "PCM_16", 0), ("flac", "PCM_24", 1e-6),
    ("ogg", "VORBIS", 0.3), ("ogg", "OPUS", 0.5)])
def test_every_kind_of_file(tmp_path, kind, subtype, error):
    x = np.rint(tone(440, 16000, 8000) * F32(32768)) / F32(32768)
    soundfile.write(tmp_path / f"a.{kind}", x.astype(F32) if "PCM" not in subtype else x, 16000, subtype=subtype)
    found = wav.read_audio(tmp_path / f"a.{kind}")
    assert found.dtype == F32 and found.flags.c_contiguous
    n = min(found.size, x.size)  # ADPCM comes in whole blocks
    assert abs(found.size - x.size) < 1024 and np.abs(found[:n] - x[:n])[500:-500].max() <= error + 4e-5


@pytest.mark.parametrize("kind", ["WAVEX", "RF64", "WAV"])
@pytest.mark.parametrize("n_channels", [1, 2, 8])
def test_extensible_and_many_channels(tmp_path, kind, n_channels):
    x = white(1000 * n_channels).reshape(1000, n_channels)
    soundfile.write(tmp_path / "a.wav", x, 16000, subtype="FLOAT", format=kind)
    lines = []
    mean = wav.read_audio(tmp_path / "a.wav", notice=lines.append)
    assert np.abs(mean - x.mean(axis=1)).max() < 1e-6
    assert len(lines) == (n_channels > 1) and all("mean of channels" in line for line in lines)
    assert np.array_equal(wav.read_audio(tmp_path / "a.wav", channel=n_channels - 1, strict=True), x[:, -1])
    for channel in (n_channels, -1):
        with pytest.raises(RangeError, match=rf"a.wav: got channel {channel}, expected 0..{n_channels - 1}"):
            wav.read_audio(tmp_path / "a.wav", channel=channel)


def test_conversion_is_told_or_refused(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, white(441 * 2).reshape(441, 2), 44100)
    lines = []
    assert wav.read_audio(path, notice=lines.append).size == 160
    assert lines == [f"{path}: 44100 Hz, 2 channels; converted to 16000 Hz, mean of channels"]
    with pytest.raises(RangeError, match="got 44100 Hz, 2 channels, expected 16000 Hz, 1 channel; convert it"):
        wav.read_audio(path, strict=True)
    assert wav.read_audio(path, sample_rate_hz=8000).size == 80


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100, 192000])
@pytest.mark.parametrize("n_samples", [0, 1])
def test_zero_and_one_sample(tmp_path, rate_hz, n_samples):
    soundfile.write(tmp_path / "a.wav", np.full(n_samples, 0.5), rate_hz)
    assert wav.read_audio(tmp_path / "a.wav").size == -(-n_samples * 16000 // rate_hz)


@pytest.mark.parametrize("rate_hz, kind", [(16000, "wav"), (44100, "flac"), (8000, "ogg")])
@pytest.mark.parametrize("chunk_samples", [1, 160, 100000])
def test_streamed_file_equals_whole_file(tmp_path, monkeypatch, rate_hz, kind, chunk_samples):
    soundfile.write(tmp_path / f"a.{kind}", tone(300, rate_hz, 2111), rate_hz)
    monkeypatch.setattr(wav, "BLOCK_SAMPLES", 500)
    whole = wav.read_audio(tmp_path / f"a.{kind}")
    found = list(wav.stream_audio(tmp_path / f"a.{kind}", chunk_samples))
    assert all(chunk.size == chunk_samples for chunk in found[:-1]) and np.array_equal(np.concatenate(found), whole)


def test_standard_input_and_pipes(tmp_path, monkeypatch):
    wav.write_audio(tmp_path / "a.flac", tone(300, 16000, 3000), 16000)
    content = (tmp_path / "a.flac").read_bytes()
    whole = wav.read_audio(tmp_path / "a.flac")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert np.array_equal(wav.read_audio("-"), whole)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(FormatError, match="standard input: got an empty file"):
        wav.read_audio("-")
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cp", tmp_path / "a.flac", tmp_path / "pipe"]) as writer:
        assert np.array_equal(wav.read_audio(tmp_path / "pipe"), whole)
    assert writer.returncode == 0


def test_wav_written_to_a_pipe_is_read_to_its_end(tmp_path):
    wav.write_audio(tmp_path / "a.wav", tone(300, 16000, 1000), 16000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    (tmp_path / "b.wav").write_bytes(content)
    assert np.array_equal(wav.read_audio(tmp_path / "b.wav"), wav.read_audio(tmp_path / "a.wav"))


@settings(max_examples=20)
@given(st.lists(st.integers(-32768, 32767), max_size=30))
def test_written_codes_come_back(tmp_path_factory, codes):
    path = tmp_path_factory.getbasetemp() / "codes.wav"
    samples = np.array(codes, F32) / F32(32768)
    wav.write_audio(path, samples, 16000)
    assert np.array_equal(wav.read_audio(path), samples)


@pytest.mark.parametrize("name, samples, error", [
    ("a.mp3", np.zeros(3, F32), FormatError), ("no/a.wav", np.zeros(3, F32), FormatError),
    ("a.flac", np.zeros(0, F32), RangeError), ("a.wav", np.zeros(3), DTypeError),
    ("a.wav", np.array([0, np.nan], F32), RangeError), ("a.wav", np.array([1.01], F32), RangeError)])
def test_refused_writing_leaves_nothing(tmp_path, name, samples, error):
    with pytest.raises(error):
        wav.write_audio(tmp_path / name, samples, 16000)
    assert list(tmp_path.iterdir()) == []


def test_failed_writing_leaves_the_old_file(tmp_path):
    wav.write_audio(tmp_path / "a.opus", tone(300, 16000, 800), 16000)
    before = (tmp_path / "a.opus").read_bytes()
    with pytest.raises(FormatError, match="cannot be written"):
        wav.write_audio(tmp_path / "a.opus", tone(300, 16000, 800), 44100)  # a rate Opus does not have
    assert (tmp_path / "a.opus").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def sparse_wav(path, n_samples, rate_hz):
    """An 8-bit recording that takes no space on disk: a header and a hole. Parameters: path, n_samples, rate_hz."""
    soundfile.write(path, np.zeros(0), rate_hz, subtype="PCM_U8")
    header = bytearray(path.read_bytes())
    header[4:8], header[40:44] = (n_samples + 36).to_bytes(4, "little"), n_samples.to_bytes(4, "little")
    path.write_bytes(header)
    os.truncate(path, len(header) + n_samples)


def peak_bytes(path):
    """Read a stream to its end. Parameters: path. Returns (samples, most bytes in use at once)."""
    tracemalloc.start()
    n_samples = sum(chunk.size for chunk in wav.stream_audio(path, 16000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return n_samples, peak


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_memory_does_not_grow_with_the_recording(tmp_path, rate_hz):
    sparse_wav(tmp_path / "a.wav", 240000, rate_hz)
    sparse_wav(tmp_path / "b.wav", 720000, rate_hz)
    (n_short, short), (n_long, long) = peak_bytes(tmp_path / "a.wav"), peak_bytes(tmp_path / "b.wav")
    assert n_short == 240000 * 16000 // rate_hz == n_long // 3 and long < 1.1 * short < 8e6


@pytest.mark.slow
def test_ten_hours(tmp_path):
    sparse_wav(tmp_path / "a.wav", 36000 * 8000, 8000)
    n_samples, peak = peak_bytes(tmp_path / "a.wav")
    assert n_samples == 36000 * 16000 and peak < 8e6


def test_plain_file_is_read_without_scipy(tmp_path):
    wav.write_audio(tmp_path / "a.wav", np.zeros(3, F32), 16000)
    code = "import sys; from refasr.audio.wav import read_audio; read_audio(sys.argv[1]); sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "a.wav"], check=False).returncode == 0
