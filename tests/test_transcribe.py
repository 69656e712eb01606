"""`refasr transcribe` and `refasr info`: what they print, what they refuse, and how they end."""

import io
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from tiny_model import noise, tiny_model

from refasr import card, cli
from refasr.cli.recogniser import DEFAULT_BEAM
from refasr.errors import FormatError
from refasr.recognise import Recogniser, Stream
from refasr.recordings import find_recordings
from refasr.search.hypotheses import SearchSettings
from refasr.shipped import HOMES, data_path, model_path
from refasr.transducer.model_file import load_model, save_model

TEXT = Recogniser(tiny_model(), search=SearchSettings(beam=DEFAULT_BEAM)).transcribe_samples(noise(8000)).text
MODEL = HOMES[1] / "models" / "float.npz"
needs_model = pytest.mark.skipif(not MODEL.exists(), reason="there is no trained model in data/models yet")
KEYS = {"file", "duration", "text", "conf", "words", "nbest"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings, good and bad, and a model."""
    folder = tmp_path_factory.mktemp("recordings")
    save_model(folder / "tiny.npz", tiny_model(card={"name": "tiny"}))
    (folder / "good" / "deeper").mkdir(parents=True)
    for name in ("good/b.wav", "good/a.flac", "good/deeper/c.WAV"):
        soundfile.write(folder / name, noise(8000), 16000, subtype="PCM_24", format="FLAC" if name.endswith("flac") else "WAV")
    (folder / "good" / "notes.txt").write_text("not sound")
    (folder / "good" / ".hidden.wav").write_bytes(b"")
    soundfile.write(folder / "float.wav", noise(8000), 16000, subtype="FLOAT")
    soundfile.write(folder / "stereo.wav", np.stack([np.zeros(8000, np.float32), noise(8000)], 1), 16000, subtype="FLOAT")
    for name, n_samples in (("none.wav", 0), ("one.wav", 1)):
        soundfile.write(folder / name, np.zeros(n_samples), 16000)
    soundfile.write(folder / "fast.wav", np.zeros((4000, 8)), 192000)
    soundfile.write(folder / "nan.wav", np.array([0, np.nan], np.float32), 16000, subtype="FLOAT")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is not sound")
    (folder / "cut.wav").write_bytes((folder / "float.wav").read_bytes()[:9000])
    (folder / "void").mkdir()
    return folder


def write_recordings(folder, n_files=6):
    """Different recordings, a missing one and one to convert, and `tiny.npz`. Parameters: folder, n_files. Returns names."""
    save_model(folder / "tiny.npz", tiny_model())
    for i in range(n_files):
        soundfile.write(folder / f"{i}.wav", noise(3000 + 2000 * (i % 3), seed=i), 8000 if i == 2 else 16000, subtype="FLOAT")
    return [f"{i}.wav" for i in range(n_files)] + ["missing.wav"]


def refasr(folder, *arguments, command="transcribe"):
    """Run in the folder. Parameters: folder, *arguments, command. Returns the exit code."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        return cli.main([command, *arguments, "--model", "tiny.npz"])
    except SystemExit as error:
        return error.code
    finally:
        os.chdir(before)


def test_one_file_is_just_its_text(folder, capsys):
    assert TEXT
    assert refasr(folder, "float.wav") == 0
    assert capsys.readouterr() == (TEXT + "\n", "")


def test_several_files_have_their_names(folder, capsys):
    assert refasr(folder, "float.wav", "none.wav", "one.wav") == 0
    assert capsys.readouterr().out == f"float.wav\t{TEXT}\nnone.wav\t\none.wav\t\n"


def test_folders_and_patterns(folder, capsys):
    assert refasr(folder, "good", "fl*.wav", "good/**/*.WAV") == 0
    names = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["good/a.flac", "good/b.wav", "good/deeper/c.WAV", "float.wav", "good/deeper/c.WAV"]
    assert find_recordings(str(folder / "nothing.wav")) == [str(folder / "nothing.wav")]


def test_conversion_is_noticed_and_strict_refuses_it(folder, capsys):
    assert refasr(folder, "fast.wav") == 0
    output = capsys.readouterr()
    assert len(output.err.splitlines()) == 1 and "192000 Hz, 8 channels" in output.err
    assert refasr(folder, "fast.wav", "--strict") == 1
    assert "--strict" in capsys.readouterr().err
    assert refasr(folder, "stereo.wav", "--strict", "--channel", "1") == 0
    assert capsys.readouterr() == (TEXT + "\n", "")
    assert refasr(folder, "stereo.wav", "--channel", "2") == 1
    assert "got channel 2, expected 0..1" in capsys.readouterr().err


@pytest.mark.parametrize("bad, words", [
    ("missing.wav", "no such file"), ("empty.wav", "empty"), ("text.wav", "not WAV"), ("cut.wav", "truncated"),
    ("nan.wav", "finite"), ("void", "folder without recordings"), ("nothing*.wav", "no file matches"), ("tiny.npz", "not WAV")])
def test_bad_file_is_one_line_and_the_rest_is_done(folder, capsys, bad, words):
    assert refasr(folder, bad, "float.wav") == 1
    output = capsys.readouterr()
    assert output.out == f"float.wav\t{TEXT}\n"
    assert len(output.err.splitlines()) == 1 and output.err.startswith(f"refasr: {bad}: ")
    assert words in output.err and "; " in output.err  # what is wrong, and what to do


def test_only_bad_operands_need_no_model(folder, capsys):
    assert cli.main(["transcribe", str(folder / "void"), "--model", "nowhere"]) == 1
    assert "folder without recordings" in capsys.readouterr().err


def test_json_lines(folder, capsys):
    assert refasr(folder, "float.wav", "missing.wav", "none.wav", "--format", "jsonl") == 1
    good, bad, none = map(json.loads, capsys.readouterr().out.splitlines())
    assert set(good) == KEYS and good["file"] == "float.wav" and good["text"] == TEXT and good["duration"] == 0.5
    assert 0 < good["conf"] <= 1 and " ".join(word["word"] for word in good["words"]) == TEXT
    assert all(list(word) == ["word", "start", "end", "conf"] and 0 <= word["start"] < word["end"] and 0 < word["conf"] <= 1
               for word in good["words"])
    assert all(list(reading) == ["text", "acoustic", "lm", "bias", "total"] for reading in good["nbest"])
    assert all(one["total"] == round(one["acoustic"] + one["lm"] + one["bias"], 4) for one in good["nbest"])
    assert good["nbest"][0]["text"] == TEXT and len({reading["text"] for reading in good["nbest"]}) == len(good["nbest"]) > 1
    assert set(bad) == {"file", "error"} and bad["file"] == "missing.wav" and "no such file" in bad["error"]
    assert none == {"file": "none.wav", "duration": 0.0, "text": "", "conf": 0.0, "words": [],
                    "nbest": [{"text": "", "acoustic": 0.0, "lm": 0.0, "bias": 0.0, "total": 0.0}]}


def test_json_is_a_list(folder, capsys):
    assert refasr(folder, "float.wav", "empty.wav", "--format", "json") == 1
    assert [sorted(item) for item in json.loads(capsys.readouterr().out)] == [sorted(KEYS), ["error", "file"]]


def test_output_file_appears_whole_or_not_at_all(folder, capsys, monkeypatch):
    assert refasr(folder, "float.wav", "--format", "json", "-o", "out.json") == 0
    assert capsys.readouterr().out == ""
    assert json.loads((folder / "out.json").read_text())[0]["text"] == TEXT

    def interrupted(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(Stream, "accept", interrupted)
    before = (folder / "out.json").read_bytes()
    assert refasr(folder, "float.wav", "-o", "out.json") == 130
    assert (folder / "out.json").read_bytes() == before and list(folder.glob(".out*")) == []


def test_output_that_cannot_be_written(folder, capsys):
    for place, words in (("nowhere/out.txt", "No such file"), ("void", "got a folder")):
        assert refasr(folder, "float.wav", "-o", place) == 1
        output = capsys.readouterr()
        assert output.out == "" and output.err.startswith(f"refasr: {place}: ") and words in output.err


def test_standard_input(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((folder / "float.wav").read_bytes())))
    assert refasr(folder, "-") == 0
    assert capsys.readouterr().out == TEXT + "\n"
    assert refasr(folder, "-", "-") == 2


@pytest.mark.parametrize("arguments", [[], ["--format", "xml", "a.wav"], ["a.wav", "--channel", "-1"],
                                       ["a.wav", "--channel", "left"], ["a.wav", "--backend", "quick"], ["a.wav", "--nonsense"]])
def test_wrong_usage(folder, arguments, capsys):
    assert refasr(folder, *arguments) == 2
    assert "usage: refasr" in capsys.readouterr().err


def test_broken_model_is_one_line(folder, capsys):
    (folder / "broken.npz").write_bytes(b"PK")
    for name in ("broken.npz", "nowhere.npz"):
        for command in (["transcribe", str(folder / "float.wav")], ["info"]):
            assert cli.main([*command, "--model", str(folder / name)]) == 1
            output = capsys.readouterr()
            assert output.out == "" and len(output.err.splitlines()) == 1 and name in output.err


def test_reference_backend_writes_the_same(folder, capsys):
    assert refasr(folder, "float.wav", "--backend", "reference") == 0
    assert capsys.readouterr().out == TEXT + "\n"


def test_strange_file_name(folder, capsys):
    name = os.fsdecode(b"caf\xe9 \xff.wav")
    (folder / name).write_bytes((folder / "float.wav").read_bytes())
    assert refasr(folder, name, "one.wav", "-o", "names.txt") == 0
    assert (folder / "names.txt").read_bytes().startswith(b"caf\xe9 \xff.wav\t" + TEXT.encode())
    assert refasr(folder, name, "--format", "jsonl") == 0
    assert json.loads(capsys.readouterr().out)["file"] == name


FULL_CARD = {"name": "float", "licence": "Apache-2.0", "steps": 15000, "flush_frames": 6,
             "accuracy": [{"set": "barista", "wer": 0.2, "ser": 0.5, "ci95": [0.15, 0.25], "n_utterances": 106, "n_words": 900}],
             "emission_delay": {"words": 12, "median": 0.32, "p90": 0.44},
             "training": [{"source": "gsc", "recordings": 9000, "hours": 2.5, "licence": "CC BY 4.0",
                           "origin": "Speech Commands"}]}


def test_info_prints_the_card(folder, capsys):
    save_model(folder / "full.npz", tiny_model(card=FULL_CARD))
    assert cli.main(["info", "--model", str(folder / "full.npz")]) == 0
    text = capsys.readouterr().out
    for piece in ("full.npz", "LSTM layers of 24, 16 cells", "parameters", "0.2000", "0.1500 to 0.2500", "106 utterances",
                  "median 0.320 s", "9000 recordings", "gsc", "CC BY 4.0", "Speech Commands", "6 encoder frames", "licence"):
        assert piece in text
    assert cli.main(["info", "--model", str(folder / "full.npz"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["card"] == FULL_CARD and facts["bytes"] == (folder / "full.npz").stat().st_size
    n_parameters = sum(value.size for value in tiny_model().parameters.values())
    assert facts["parameters"] == n_parameters == sum(facts["parameters_by_part"].values())


@pytest.mark.parametrize("poor", [{}, {"accuracy": None, "training": 3, "emission_delay": []},
                                  {"accuracy": [3, {}, {"ci95": [1]}, {"wer": None}]},
                                  {"training": [{}, {"hours": "many"}], "emission_delay": {"median": None}}])
def test_info_survives_a_poor_card(folder, capsys, poor):
    save_model(folder / "poor.npz", tiny_model(card=poor))
    assert cli.main(["info", "--model", str(folder / "poor.npz")]) == 0
    assert "parameters" in capsys.readouterr().out


@needs_model
def test_info_of_the_shipped_model(capsys):
    assert cli.main(["info"]) == 0
    assert "shipped models" in capsys.readouterr().out
    assert set(card.shipped_models()) >= {"default", "float"} and model_path("default") in card.shipped_models().values()
    assert 1_000_000 <= card.describe(MODEL, load_model(MODEL))["parameters"] <= 2_000_000


@needs_model
def test_start_is_quick():
    """Processor time of a warm run, so that a busy machine does not fail the test."""
    samples = data_path("samples")
    name = next(str(path) for path in sorted(samples.iterdir()) if path.suffix in (".wav", ".ogg", ".flac"))
    times = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-m", "refasr", "transcribe", name], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) < 1.5


@needs_model
def test_scipy_is_not_imported_for_a_16_khz_file(folder):
    program = "import sys; from refasr import cli; cli.main(sys.argv[1:]); print('scipy.signal' in sys.modules)"
    arguments = [sys.executable, "-c", program, "transcribe", str(folder / "one.wav")]
    assert subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()[-1] == "False"


def test_long_recording_in_bounded_memory(tmp_path):
    """Three minutes; `pytest -m slow` does ten hours."""
    assert peak_growth(tmp_path, minutes=3) < 20 << 20


@pytest.mark.slow
def test_ten_hours_in_bounded_memory(tmp_path):
    assert peak_growth(tmp_path, minutes=600) < 80 << 20


def peak_growth(tmp_path, minutes):
    """Memory that a long recording adds to a short one. Parameters: tmp_path, minutes. Returns bytes."""
    save_model(tmp_path / "tiny.npz", tiny_model(blank=6.0))
    soundfile.write(tmp_path / "short.wav", np.zeros(16000), 16000)
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 16000, 1) as file:
        for minute in range(minutes):
            file.write(noise(16000 * 60, minute) if minute < 2 else np.zeros(16000 * 60))
    program = ("import sys, resource; from refasr import cli; cli.main(sys.argv[1:]); "
               "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)")
    peaks = []
    for name in ("short.wav", "long.flac"):
        arguments = [sys.executable, "-c", program, "transcribe", str(tmp_path / name), "--model", str(tmp_path / "tiny.npz")]
        peaks.append(int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()[-1]) * 1024)
    return peaks[1] - peaks[0]


def test_missing_shipped_model_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("refasr.shipped.HOMES", (tmp_path,))
    begin = time.process_time()
    with pytest.raises(FormatError, match="models/float.npz"):
        model_path("default")
    assert time.process_time() - begin < 10
