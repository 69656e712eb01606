"""Aligning a recording with a known text, from Python and from the command line."""

import json

import numpy as np
import pytest

from refasr import forced
from refasr.audio.wav import read_audio, write_audio
from refasr.cli import main
from refasr.errors import FormatError, RangeError
from refasr.recognise import Recogniser
from refasr.shipped import data_path
from refasr.transducer.model import Architecture, Model, initialise
from refasr.transducer.model_file import save_model

SIZES = Architecture(encoder_widths=(12,), embedding_width=6, predictor_width=8, joiner_width=16)


@pytest.fixture(scope="module")
def model():
    """A network that has learned nothing, with features of about the usual size."""
    return Model(SIZES, initialise(SIZES, seed=3), np.full(40, -5, np.float32), np.full(40, 0.3, np.float32))


@pytest.fixture(scope="module")
def samples():
    """A second and a bit of noise that swells."""
    source = np.random.default_rng(0)
    return (source.standard_normal(19_000) * np.linspace(0, 0.2, 19_000)).astype(np.float32)


@pytest.fixture(scope="module")
def files(model, samples, tmp_path_factory):
    """The model and the recording as files, and the folder they are in."""
    folder = tmp_path_factory.mktemp("forced")
    save_model(folder / "model.npz", model)
    write_audio(folder / "noise.wav", samples, 16000)
    return folder


def test_encodings_are_those_of_the_stream(model, samples):
    recogniser = Recogniser(model)
    stream = recogniser.stream()
    for begin in range(0, samples.size, 777):
        stream.accept(samples[begin:begin + 777])
    stream.finish()
    n_frames = recogniser.frames_of(samples.size)
    np.testing.assert_array_equal(forced.encode(recogniser, samples), np.concatenate(stream.encodings)[:n_frames])


def test_the_recognised_text_gets_the_recogniser_s_times():
    try:
        recogniser = Recogniser.load("default")
        recording = read_audio(data_path("samples", "lights.flac"))
    except FormatError as error:
        pytest.skip(f"the shipped model and samples are not here: {error}")
    heard = recogniser.transcribe_samples(recording)
    aligned = forced.align_samples(recogniser, recording, heard.text).result
    times = [[(word.word, word.start, word.end) for word in result.words] for result in (heard, aligned)]
    assert heard.words and times[0] == times[1]


def test_backends_agree(model, samples):
    one, other = (forced.align_samples(Recogniser(model, name), samples, "tea for two") for name in ("fast", "reference"))
    np.testing.assert_allclose(one.logp_blank, other.logp_blank, atol=1e-4)
    assert one.result.text == other.result.text == "tea for two"


def test_occupancy(model, samples):
    recogniser = Recogniser(model)
    alignment = forced.align_samples(recogniser, samples, "tea")
    occupancy = forced.occupancy(alignment, recogniser.backend)
    assert occupancy.dtype == np.float32 and occupancy.shape == (recogniser.frames_of(samples.size), 5)
    assert occupancy[0, 0] == pytest.approx(1, abs=1e-5) and occupancy[-1, -1] == pytest.approx(1, abs=1e-5)


def test_no_text_and_no_sound(model, samples):
    recogniser = Recogniser(model)
    assert forced.align_samples(recogniser, samples, "").result.words == ()
    with pytest.raises(RangeError, match="longer recording"):
        forced.align_samples(recogniser, samples[:399], "a")


def run(capsys, *arguments):
    """Run a command. Parameters: capsys, arguments. Returns (exit code, stdout, stderr)."""
    code = main([str(argument) for argument in arguments])
    return (code, *capsys.readouterr())


def test_command(files, capsys):
    options = ("--model", files / "model.npz")
    code, out, err = run(capsys, "align", files / "noise.wav", "tea", "for", "two", *options)
    assert code == 0 and err == "" and [line.split("\t")[2] for line in out.splitlines()] == ["tea", "for", "two"]
    code, out, err = run(capsys, "align", files / "noise.wav", "Tea, for two!", "--json", *options)
    assert code == 0 and "aligned as 'tea for two'" in err
    parsed = json.loads(out)
    assert parsed["text"] == "tea for two" and set(parsed["words"][0]) == {"word", "start", "end", "conf"}
    assert parsed["duration"] == pytest.approx(19_000 / 16_000, abs=1e-4) and parsed["nbest"][0]["acoustic"] < 0
    code, out, _ = run(capsys, "align", files / "noise.wav", "tea", "--format", "ctm", *options)
    assert code == 0 and out.startswith("noise 1 ") and out.endswith(" tea\n")
    code, out, _ = run(capsys, "align", files / "noise.wav", "tea", "--format", "textgrid", "-o", files / "a.TextGrid", *options)
    assert code == 0 and out == "" and 'text = "tea"' in (files / "a.TextGrid").read_text()


def test_command_refuses(files, capsys):
    options = ("--model", files / "model.npz")
    code, out, err = run(capsys, "align", files / "noise.wav", "42", *options)
    assert code == 1 and out == "" and err.count("\n") == 1 and "'4'" in err
    code, _, err = run(capsys, "align", files / "none.wav", "tea", *options)
    assert code == 1 and err.count("\n") == 1 and "none.wav" in err
    write_audio(files / "short.wav", np.zeros(10, np.float32), 16000)
    code, _, err = run(capsys, "align", files / "short.wav", "tea", *options)
    assert code == 1 and err.count("\n") == 1 and "short.wav" in err


def test_plot_command(files, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'refasr[plots]'")
    options = ("--model", files / "model.npz", "-o", files / "alignment.png")
    code, out, err = run(capsys, "plot", "alignment", files / "noise.wav", "tea for two", *options)
    assert (code, out, err) == (0, "", "")
    assert (files / "alignment.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit) as leaving:
        run(capsys, "plot", "alignment", files / "noise.wav", "tea", "-o", files / "picture.txt")
    assert leaving.value.code == 2 and "expected a name that ends in .png" in capsys.readouterr().err


def test_plot_of_features(files, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'refasr[plots]'")
    code, out, err = run(capsys, "plot", "features", files / "noise.wav", "-o", files / "features.svg")
    assert (code, out, err) == (0, "", "") and "<svg" in (files / "features.svg").read_text()
    code, _, err = run(capsys, "plot", "features", files / "noise.wav", "-o", files / "other.png", "--profile", "none")
    assert code == 1 and "expected one of refasr" in err and not (files / "other.png").exists()
