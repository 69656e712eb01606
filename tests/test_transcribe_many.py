"""`refasr transcribe` of many files: formats for other programs, several processes, and going on after an interruption."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
import soundfile
from test_timed_text import intervals, parse_srt, parse_vtt
from test_transcribe import refasr, write_recordings
from test_workers import wait_for
from tiny_model import noise

from refasr.recognise import Stream


@pytest.fixture
def folder(tmp_path):
    """Recordings and a model."""
    write_recordings(tmp_path)
    (tmp_path / "sub").mkdir()
    soundfile.write(tmp_path / "sub" / "0.wav", noise(3000), 16000)
    soundfile.write(tmp_path / "none.wav", noise(0), 16000)
    return tmp_path


def results(folder, capsys, *names):
    """What jsonl says. Parameters: folder, capsys, *names. Returns a list of dicts."""
    refasr(folder, *names, "--format", "jsonl")
    return list(map(json.loads, capsys.readouterr().out.splitlines()))


@pytest.mark.parametrize("style, suffix, parse", [("srt", "srt", parse_srt), ("vtt", "vtt", parse_vtt)])
def test_captions(folder, capsys, style, suffix, parse):
    expected = results(folder, capsys, "0.wav", "1.wav", "none.wav")
    assert refasr(folder, "0.wav", "--format", style) == 0
    assert " ".join(line for *_, lines in parse(capsys.readouterr().out) for line in lines) == expected[0]["text"] != ""
    assert refasr(folder, "0.wav", "1.wav", "none.wav", "missing.wav", "--format", style, "-o", "new/deep/") == 1
    written = sorted((folder / "new" / "deep").iterdir())
    assert [path.name for path in written] == [f"0.{suffix}", f"1.{suffix}", f"none.{suffix}"]
    for path, result in zip(written, expected):
        cues = parse(path.read_text())
        assert " ".join(line for *_, lines in cues for line in lines) == result["text"]
    assert refasr(folder, "1.wav", "--format", style, "-o", "one") == 0
    assert (folder / "one").read_bytes() == written[1].read_bytes()


def test_textgrid(folder, capsys):
    expected = results(folder, capsys, "0.wav")[0]
    assert refasr(folder, "0.wav", "--format", "textgrid", "-o", "sub") == 0
    spans = intervals((folder / "sub" / "0.TextGrid").read_text())
    assert [text for *_, text in spans if text] == [word["word"] for word in expected["words"]]


def test_nist_formats(folder, capsys):
    expected = results(folder, capsys, "0.wav", "1.wav", "none.wav")
    assert refasr(folder, "0.wav", "1.wav", "none.wav", "missing.wav", "--format", "trn") == 1
    assert capsys.readouterr().out == f"{expected[0]['text']} (0)\n{expected[1]['text']} (1)\n(none)\n"
    assert refasr(folder, "0.wav", "1.wav", "none.wav", "--format", "ctm") == 0
    rows = [line.split(" ") for line in capsys.readouterr().out.splitlines()]
    words = [(name, word) for name, result in zip("01", expected) for word in result["words"]]
    assert [(row[0], row[1], row[4]) for row in rows] == [(name, "1", word["word"]) for name, word in words]
    for row, (_, word) in zip(rows, words):
        assert abs(float(row[2]) - word["start"]) <= 0.006 and abs(float(row[5]) - word["conf"]) <= 0.001


@pytest.mark.parametrize("arguments, code, words", [
    (["0.wav", "1.wav", "--format", "srt"], 2, "expected -o FOLDER/"),
    (["0.wav", "1.wav", "--format", "vtt", "-o", "x"], 2, "FOLDER"),
    (["0.wav", "sub/0.wav", "--format", "srt", "-o", "new/"], 1, "got the name 0, which 0.wav has too"),
    (["0.wav", "sub/0.wav", "--format", "trn"], 1, "which 0.wav has too"),
    (["0.wav", "1.wav", "--format", "srt", "-o", "0.wav/"], 1, "0.wav/: cannot be made"),
    (["0.wav", "--resume"], 2, "--format jsonl"), (["0.wav", "--resume", "--format", "jsonl"], 2, "-o OUT"),
    (["-", "--workers", "2"], 2, "expected files"), (["0.wav", "--workers", "0"], 2, ">= 1"),
    (["0.wav", "--workers", "2", "--scheduler", "tcp://x:1"], 2, "not allowed with"),
    (["0.wav", "--format", "jsonl", "-o", "sub"], 1, "got a folder"),
    (["0.wav", "--format", "jsonl", "-o", "nowhere/a"], 1, "cannot be written")])
def test_refusals(folder, capsys, arguments, code, words):
    assert refasr(folder, *arguments) == code
    output = capsys.readouterr()
    assert output.out == "" and words in output.err and not (folder / "new").exists()


def test_processes_give_the_same(folder, capsys):
    outputs = []
    for where in ([], ["--workers", "2"]):
        assert refasr(folder, *(f"{i}.wav" for i in range(6)), "missing.wav", "void*", "--format", "json", *where) == 1
        outputs.append(capsys.readouterr())
    assert outputs[0] == outputs[1] and "8000 Hz" in outputs[0].err and len(json.loads(outputs[0].out)) == 8


def test_damaged_model_ends_the_run_once(folder, capsys):
    (folder / "tiny.npz").write_bytes(b"PK")
    assert refasr(folder, "0.wav", "1.wav", "--workers", "2") == 1
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1 and "tiny.npz: got a damaged file" in output.err


NAMES = ["0.wav", "missing.wav", *(f"{i}.wav" for i in range(1, 6))]


def interrupt_after(monkeypatch, n_chunks):
    """Make the recogniser stop. Parameters: monkeypatch, n_chunks."""
    left, accept = [n_chunks], Stream.accept

    def stumble(stream, samples):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        accept(stream, samples)
    monkeypatch.setattr(Stream, "accept", stumble)


@pytest.mark.parametrize("where", [[], ["--workers", "2"]])
def test_interrupted_run_goes_on(folder, capsys, monkeypatch, where):
    whole = [*NAMES, "--format", "jsonl", "-o", "whole.jsonl"]
    assert refasr(folder, *whole) == 1
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        assert refasr(folder, *NAMES, "--format", "jsonl", "-o", "out.jsonl") == 130
    assert "out.jsonl.part: 4 of 7 are done; add --resume" in capsys.readouterr().err
    assert not (folder / "out.jsonl").exists()
    with open(folder / "out.jsonl.part", "ab") as file:
        file.write(b'{"file": "3.wav", "dur')
    assert refasr(folder, *NAMES, "--format", "jsonl", "-o", "out.jsonl") == 1  # not by accident
    assert "add --resume" in capsys.readouterr().err
    assert refasr(folder, *NAMES, "--format", "jsonl", "-o", "out.jsonl", "--resume", *where) == 1
    assert (folder / "out.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()
    assert list(folder.glob("*part*")) == []


def test_changed_list_or_options_are_refused(folder, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        assert refasr(folder, *NAMES, "--format", "jsonl", "-o", "out") == 130
    before = (folder / "out.part").read_bytes()
    capsys.readouterr()
    for arguments, words in (([*NAMES[1:]], "line 2: got 0.wav, expected missing.wav"), ([*NAMES[:2]], "end of the list"),
                             ([*NAMES, "--strict"], "strict is False"), ([*NAMES, "--channel", "0"], "channel is None"),
                             ([*NAMES, "--backend", "reference"], "recogniser is")):
        assert refasr(folder, *arguments, "--format", "jsonl", "-o", "out", "--resume") == 1
        output = capsys.readouterr()
        assert words in output.err and output.err.count("\n") == 1 and (folder / "out.part").read_bytes() == before
    assert refasr(folder, *NAMES, "none.wav", "--format", "jsonl", "-o", "out", "--resume") == 1
    assert len((folder / "out").read_text().splitlines()) == len(NAMES) + 1


def test_interrupt_from_the_keyboard_and_resume(folder):
    """A whole process group is interrupted, as a terminal does it; the run is then finished by more workers."""
    soundfile.write(folder / "long.flac", noise(16000 * 60), 16000)
    names = ["0.wav", "1.wav"] + ["long.flac"] * 300
    command = [sys.executable, "-m", "refasr", "transcribe", *names, "--model", "tiny.npz", "--format", "jsonl", "-o", "out",
               "--workers", "2"]
    root = pathlib.Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(root)}, start_new_session=True,
                          stderr=subprocess.PIPE, text=True) as process:
        assert wait_for(lambda: (folder / "out.part").exists() and (folder / "out.part").read_bytes().count(b"\n") > 2)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(120) == 130
        errors = process.stderr.read()
    assert re.fullmatch(r"refasr: out.part: \d+ of 302 are done; add --resume to go on\nrefasr: interrupted\n", errors)
    n_done = (folder / "out.part").read_bytes().count(b"\n") - 1
    assert refasr(folder, *names[:n_done + 1], "--format", "jsonl", "-o", "out", "--resume", "--workers", "2") == 0
    found = list(map(json.loads, (folder / "out").read_text().splitlines()))
    assert [item["file"] for item in found] == names[:n_done + 1] and all("text" in item for item in found)
