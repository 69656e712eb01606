"""`refasr evaluate` with a stand-in recogniser: figures, groups, parts of files, and what goes wrong."""

import concurrent.futures
import json
import sys

import numpy as np
import pytest
import soundfile
from tiny_model import tiny_model

from refasr import corpus, evaluate
from refasr.cli import main
from refasr.errors import FormatError
from refasr.recogniser_spec import RecogniserSpec
from refasr.result import Hypothesis
from refasr.transducer.model_file import save_model

KEYS = ["where", "wer", "ser", "ci95", "substitutions", "deletions", "insertions", "n_utterances", "n_words", "rtf"]
ANSWERS = {16000: "turn it on", 8000: "stop", 4000: "go now"}  # the stand-in knows files by their length


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A manifest of three recordings of ANSWERS' lengths, and the stand-in in place of the model."""
    rows = ["file\tsplit\tsource\ttext"]
    listed = (("a", 16000, "home", "Turn it off."), ("b", 8000, "home", "stop"), ("c", 4000, "car", "go"))
    for name, n_samples, source, text in listed:
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(n_samples, np.float32), 16000)
        rows.append(f"{name}.wav\tdev\t{source}\t{text}")
    (tmp_path / "list.tsv").write_text("\n".join(rows) + "\n")
    save_model(tmp_path / "tiny.npz", tiny_model())
    monkeypatch.setattr(RecogniserSpec, "load", lambda spec: StandIn)
    return tmp_path


class StandIn:
    """In place of a Recogniser."""

    @staticmethod
    def transcribe_samples(samples):
        """Parameters: samples. Returns something with a text."""
        return Hypothesis(ANSWERS.get(samples.size, ""), 0.0)


def evaluated(capsys, *arguments):
    """Run the command. Parameters: capsys, arguments. Returns (exit code, stdout, stderr)."""
    code = main(["evaluate", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_json_has_exactly_the_keys(folder, capsys):
    code, out, err = evaluated(capsys, folder / "list.tsv", "--json")
    (row,) = json.loads(out)
    assert (code, err, list(row)) == (0, "", KEYS)
    assert (row["wer"], row["ser"], row["n_words"], row["n_utterances"]) == (2 / 5, 2 / 3, 5, 3)
    assert (row["substitutions"], row["deletions"], row["insertions"], row["where"]) == (1, 0, 1, [])
    assert row["ci95"][0] <= row["wer"] <= row["ci95"][1] and row["rtf"] > 0


def test_where_and_by(folder, capsys):
    _, out, _ = evaluated(capsys, folder / "list.tsv", "--where", "split=dev", "--by", "source", "--json")
    rates = [(row["where"], row["wer"]) for row in json.loads(out)]
    assert rates == [(["split=dev", "source=home"], 0.25), (["split=dev", "source=car"], 1)]
    _, out, _ = evaluated(capsys, folder / "list.tsv", "--where", "split=dev", "--where", "source=car", "--json")
    assert [row["n_utterances"] for row in json.loads(out)] == [1]


def test_text_and_errors_for_reading(folder, capsys):
    code, out, err = evaluated(capsys, folder / "list.tsv", "--show-errors")
    assert (code, err) == (0, "")
    assert f"{folder / 'a.wav'}\tturn it off>on\n{folder / 'c.wav'}\tgo +now+\n" in out
    assert "word error rate      0.4000, 95 % interval" in out and "1 substitutions, 0 deletions, 1 insertions" in out


def test_limit_is_spread_evenly(folder, capsys):
    assert evaluate.spread(list(range(10)), 4) == [0, 2, 5, 7] and evaluate.spread([1, 2], 5) == [1, 2]
    _, out, _ = evaluated(capsys, folder / "list.tsv", "--limit", "2", "--json")
    assert json.loads(out)[0]["n_utterances"] == 2


@pytest.mark.parametrize("row, message", [
    ("none.wav\tdev\thome\tgo", "none.wav, expected an audio file"), ("b.wav\tdev\thome\tgo 2 it", "got '2' (U+0032)"),
    ("list.tsv\tdev\thome\tgo", "not WAV"),
])
def test_a_bad_utterance_is_named_and_the_others_done(folder, capsys, row, message):
    with open(folder / "list.tsv", "a") as file:
        file.write(row + "\n")
    code, out, err = evaluated(capsys, folder / "list.tsv", "--json")
    assert code == 1 and json.loads(out)[0]["n_utterances"] == 3
    assert "list.tsv line 5" in err and message in err and err.count("\n") == 1


@pytest.mark.parametrize("arguments, message", [
    (["--where", "colour=red"], "one of the columns"), (["--where", "source=moon"], "got no utterance with source=moon"),
    (["--by", "colour"], "one of the columns"),
])
def test_a_bad_selection_is_one_line(folder, capsys, arguments, message):
    code, out, err = evaluated(capsys, folder / "list.tsv", *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1) and message in err


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--limit", "x"], ["--json", "--show-errors"], ["--backend", "slow"]])
def test_wrong_usage_exits_with_2(folder, arguments):
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", str(folder / "list.tsv"), *arguments])
    assert caught.value.code == 2


def test_nothing_readable_prints_an_empty_list(folder, capsys):
    (folder / "bad.tsv").write_text("file\ttext\nnone.wav\tgo\n")
    code, out, err = evaluated(capsys, folder / "bad.tsv", "--json")
    assert (code, json.loads(out), err.count("\n")) == (1, [], 1)


def test_silence_has_no_rate_but_counts_insertions(folder, capsys):
    (folder / "silence.tsv").write_text("file\ttext\nb.wav\t\n")
    _, out, _ = evaluated(capsys, folder / "silence.tsv", "--json")
    (row,) = json.loads(out)
    assert (row["wer"], row["ci95"], row["insertions"], row["ser"]) == (None, [None, None], 1, 1.0)
    assert "word error rate      undefined" in evaluated(capsys, folder / "silence.tsv")[1]


def test_conversions_are_noticed_once(folder, capsys):
    for name in ("a", "b"):
        soundfile.write(folder / f"{name}.wav", np.zeros((4000, 2), np.float32), 8000)
    code, out, err = evaluated(capsys, folder / "list.tsv", "--json")
    assert code == 0 and err.count("\n") == 1 and "a.wav" in err and "1 more" in err


def part(path, start, duration):
    """Parameters: path, start, duration. Returns the samples of that part."""
    return corpus.read_samples(corpus.Utterance(path, "", start=start, duration=duration))


def test_parts_of_a_file(tmp_path):
    ramp = np.arange(40_000, dtype=np.float32) / 65_536
    soundfile.write(tmp_path / "ramp.wav", ramp, 16000, subtype="FLOAT")
    assert (part(tmp_path / "ramp.wav", 0.0, None) == ramp).all()
    assert (part(tmp_path / "ramp.wav", 0.5, 1.25) == ramp[8000:28_000]).all()
    assert (part(tmp_path / "ramp.wav", 1.5, None) == ramp[24_000:]).all()
    assert (part(tmp_path / "ramp.wav", 0.0, 2.52) == ramp).all()
    for start, duration in ((0.0, 3.0), (3.0, None), (2.0, 1.0)):
        with pytest.raises(FormatError, match=r"ramp.wav: got 2.500 s of sound, expected 3.000 s"):
            part(tmp_path / "ramp.wav", start, duration)


def test_progress_is_drawn_on_a_terminal_only(monkeypatch, capsys):
    from refasr.cli.progress import Progress
    assert list(Progress([1, 2, 3])) == [1, 2, 3] and capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(Progress([1, 2, 3])) == [1, 2, 3] and "3/3 files" in capsys.readouterr().err
    monkeypatch.undo()


def resumed(folder, capsys, *arguments):
    """Run with a journal. Parameters: folder, capsys, *arguments. Returns (exit code, rows, stderr)."""
    code, out, err = evaluated(capsys, folder / "list.tsv", "--json", "--model", folder / "tiny.npz", "--resume",
                               folder / "journal", *arguments)
    return code, json.loads(out) if out else None, err


def test_journal_holds_what_is_done(folder, capsys, monkeypatch):
    monkeypatch.setattr(RecogniserSpec, "load", lambda spec: StandIn)
    expected = resumed(folder, capsys)
    assert len((folder / "journal").read_text().splitlines()) == 4

    def forbidden(spec):
        raise RuntimeError("nothing was left to recognise")
    monkeypatch.setattr(RecogniserSpec, "load", forbidden)
    assert resumed(folder, capsys) == expected  # with the times, which are those of the first run
    assert [row["wer"] for row in resumed(folder, capsys, "--by", "source")[1]] == [0.25, 1]
    (folder / "list.tsv").write_text((folder / "list.tsv").read_text().replace("it off", "it on"))
    assert resumed(folder, capsys)[1][0]["wer"] == 1 / 5  # scored anew


def test_interrupted_evaluation_goes_on(folder, capsys, monkeypatch):
    expected = evaluated(capsys, folder / "list.tsv", "--json")[1]
    heard, true_hear = [], evaluate.hear

    def stumble(utterance, *rest):
        heard.append(utterance)
        if len(heard) == 3:
            raise KeyboardInterrupt
        return true_hear(utterance, *rest)
    monkeypatch.setattr(evaluate, "hear", stumble)
    assert resumed(folder, capsys)[0] == 130
    with open(folder / "journal", "ab") as file:
        file.write(b'{"utterance": ["half a li')
    code, rows, err = resumed(folder, capsys)
    assert (code, err, len(heard)) == (0, "", 4)
    assert {**rows[0], "rtf": 0} == {**json.loads(expected)[0], "rtf": 0}


def test_changed_file_and_failure_are_done_again(folder, capsys):
    (folder / "c.wav").rename(folder / "d.wav")
    assert resumed(folder, capsys)[0] == 1
    (folder / "d.wav").rename(folder / "c.wav")
    soundfile.write(folder / "b.wav", np.zeros(4000, np.float32), 16000)
    code, rows, _ = resumed(folder, capsys)
    assert (code, rows[0]["n_utterances"], rows[0]["substitutions"], rows[0]["insertions"]) == (0, 3, 2, 2)


def test_stale_journal_is_refused(folder, capsys):
    assert resumed(folder, capsys)[0] == 0
    for arguments in (["--backend", "reference"], ["--model", str(folder / "other.npz")]):
        save_model(folder / "other.npz", tiny_model(seed=3))
        code, rows, err = resumed(folder, capsys, *arguments)
        assert (code, rows, err.count("\n")) == (1, None, 1) and "journal of other work (recogniser is" in err
    (folder / "journal").write_text("my diary")
    assert "no journal" in resumed(folder, capsys)[2] and (folder / "journal").read_text() == "my diary"


def test_executor_gives_the_same(folder, monkeypatch):
    monkeypatch.chdir(folder)
    utterances = corpus.read_manifest("list.tsv")
    spec = RecogniserSpec(str(folder / "tiny.npz"))
    here = list(evaluate.hear_corpus(spec, utterances))
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        there = list(evaluate.hear_corpus(spec, utterances, executor))
    assert [item.utterance for _, item, _ in there] == utterances
    for (_, one, _), (_, other, _) in zip(here, there, strict=True):
        assert (one.hypothesis, one.reference) == (other.hypothesis, other.reference)
