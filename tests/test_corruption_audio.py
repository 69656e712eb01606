"""Damaged and hostile sound files: one line that names the file, or valid samples; nothing else, and never a hang."""

import os

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refasr.audio import resample, wav
from refasr.errors import FormatError, RangeError, RefasrError

F32 = np.float32
KINDS = ["wav", "float.wav", "extensible.wav", "flac", "ogg", "opus"]
N_SAMPLES = 60


@pytest.fixture(autouse=True)
def no_long_filters(monkeypatch):
    """A spoilt rate such as 16001 Hz is legal, and a second's work each; here it is refused."""
    monkeypatch.setattr(resample, "MOST_PHASES", 1000)


def write(folder, kind):
    """A small recording. Parameters: folder, kind. Returns its bytes."""
    path = folder / f"good.{kind}"
    samples = (0.5 * np.sin(np.arange(N_SAMPLES) * 0.3)).astype(F32)
    if kind == "float.wav":
        soundfile.write(path, samples, 16000, subtype="FLOAT")
    elif kind == "extensible.wav":
        soundfile.write(path, samples, 16000, format="WAVEX")
    else:
        wav.write_audio(path, samples, 16000)
    return path.read_bytes()


@pytest.fixture(scope="module", params=KINDS)
def recording(request, tmp_path_factory):
    """(bytes of a good file, path to spoil) of each kind."""
    folder = tmp_path_factory.mktemp("spoilt")
    return write(folder, request.param), folder / f"spoilt.{request.param}"


def read_or_refuse(path, content):
    """Write, and read without chunks and with. Parameters: path, content. Returns the samples, or None if refused."""
    path.write_bytes(content)
    try:
        samples = wav.read_audio(path)
    except RefasrError as error:
        assert "\n" not in str(error) and str(error).startswith(f"{path}: "), error
        with pytest.raises(type(error)):
            list(wav.stream_audio(path, 16))
        return None
    assert samples.dtype == F32 and samples.ndim == 1 and np.isfinite(samples).all()
    assert np.array_equal(np.concatenate([np.zeros(0, F32), *wav.stream_audio(path, 16)]), samples)
    return samples


def test_truncation_at_any_byte_is_refused(recording):
    content, path = recording
    n_bytes = len(content)
    cuts = range(n_bytes) if n_bytes < 1000 else [*range(0, n_bytes, 29), *range(n_bytes - 40, n_bytes)]
    accepted = [cut for cut in cuts if read_or_refuse(path, content[:cut]) is not None]
    assert accepted == []
    assert read_or_refuse(path, content).size == N_SAMPLES


def test_any_flipped_byte_is_refused_or_heard(recording):
    content, path = recording
    for position in range(0, len(content), max(1, len(content) // 100)):
        for mask in (0x01, 0xFF):
            spoilt = bytearray(content)
            spoilt[position] ^= mask
            read_or_refuse(path, spoilt)


@settings(max_examples=50)
@given(st.data())
def test_spoilt_stretches_and_insertions(recording, data):
    content, path = recording
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(len(content), begin + 40)))
    read_or_refuse(path, content[:begin] + data.draw(st.binary(max_size=40)) + content[end:])


@given(st.sampled_from([b"", b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS"]), st.binary(max_size=300))
@example(b"RIFF", b"\xff" * 200)
@example(b"RF64", b"\xff\xff\xff\xffWAVEds64\x1c\0\0\0" + b"\xff" * 100)
@example(b"RIFF", b"\0\0\0\0WAVE" + b"junk\0\0\0\0" * 20)
@example(b"OggS", b"\0\x04" + b"\xff" * 200)
def test_random_bytes_are_refused(tmp_path_factory, magic, noise):
    read_or_refuse(tmp_path_factory.getbasetemp() / "noise.wav", magic + noise)


@pytest.mark.parametrize("content, said", [
    (b"", "empty file"), (b"\0", "not WAV, FLAC or Ogg"), (b"turn on the light\n" * 50, "not WAV, FLAC or Ogg"),
    (b"RIFF\0\0\0\0AVI LIST", "not WAV, FLAC or Ogg"), (b"RIFF", "truncated"), (b"fLaC", "truncated"), (b"OggS", "truncated")])
def test_what_is_said(tmp_path, content, said):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(FormatError, match=said):
        wav.read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("name, said", [("none.wav", "no such file"), ("none/a.wav", "no such file"), (".", "folder"),
                                        ("a\0b", "null"), ("x" * 300, "File name too long")])
def test_paths_that_lead_nowhere(tmp_path, name, said):
    with pytest.raises(FormatError, match=said):
        wav.read_audio(os.path.join(tmp_path, name))


def test_forbidden_file(tmp_path):
    write(tmp_path, "wav")
    (tmp_path / "good.wav").chmod(0)
    if os.access(tmp_path / "good.wav", os.R_OK):
        pytest.skip("this user may read everything, so nothing can be forbidden")
    with pytest.raises(FormatError, match="Permission denied"):
        wav.read_audio(tmp_path / "good.wav")


def test_declared_and_delivered_frames_are_named(tmp_path):
    content = bytearray(write(tmp_path, "wav"))
    (tmp_path / "a.wav").write_bytes(content[:-40])
    n_bytes = 2 * N_SAMPLES
    with pytest.raises(FormatError, match=f"got {n_bytes - 40} bytes of samples, expected the {n_bytes} its header declares"):
        wav.read_audio(tmp_path / "a.wav")
    content[40:44] = bytes(4)  # the recorder died before it wrote the size
    (tmp_path / "b.wav").write_bytes(content)
    with pytest.raises(FormatError, match="b.wav: got .* expected"):
        wav.read_audio(tmp_path / "b.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 20000.0])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_that_are_no_sound_are_refused(tmp_path, value, subtype):
    samples = np.zeros(70000)
    samples[68000] = value
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype=subtype)
    with pytest.raises(RangeError, match="a.wav: got .* at sample 68000, expected finite samples"):
        wav.read_audio(tmp_path / "a.wav")


def test_flac_of_undeclared_length_is_refused(tmp_path):
    content = bytearray(write(tmp_path, "flac"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    with pytest.raises(FormatError, match="undeclared length"):
        wav.read_audio(tmp_path / "a.flac")


def test_chunks_after_the_samples_are_no_samples(tmp_path):
    content = bytearray(write(tmp_path, "wav")) + b"LIST\x04\0\0\0INFO"
    content[4:8] = (len(content) - 8).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    assert wav.read_audio(tmp_path / "a.wav").size == N_SAMPLES
    content[4:8], content[40:44] = (48).to_bytes(4, "little"), bytes(4)
    (tmp_path / "b.wav").write_bytes(content[:44] + content[-12:])
    assert wav.read_audio(tmp_path / "b.wav").size == 0
