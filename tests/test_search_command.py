"""Beam search and phrases on the command line: `refasr transcribe` and `refasr evaluate`; and damaged models behind it."""

import contextlib
import json
import pickle
import shutil
import sys

import numpy as np
import pytest
import soundfile
from tiny_model import noise, tiny_model, with_parameter

from refasr import cli
from refasr.errors import RangeError
from refasr.journal import Journal
from refasr.recognise import Recogniser
from refasr.recogniser_spec import RecogniserSpec
from refasr.search.hypotheses import SearchSettings
from refasr.search.phrases import Entry, PhraseList, read_phrases, spell
from refasr.shipped import HOMES
from refasr.transducer.model_file import save_model

MODEL, SAMPLES = HOMES[1] / "models" / "float.npz", HOMES[1] / "samples"
needs_model = pytest.mark.skipif(not MODEL.exists(), reason="there is no trained model in data/models yet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, recordings and lists of phrases."""
    folder = tmp_path_factory.mktemp("search")
    save_model(folder / "tiny.npz", tiny_model(card={"name": "tiny"}))
    for name in ("a", "b"):
        soundfile.write(folder / f"{name}.wav", noise(8000, seed=ord(name)), 16000, subtype="PCM_24")
    lists = {"good.txt": "ab\nanna kowalski :2.0\n", "twice.txt": "ab :1\nAB :2\n",
             "foreign.txt": "za\u017c\u00f3\u0142\u0107\nab\n1999\n",
             "empty.txt": "# nothing\n\n", "none.txt": ":2\n", "absurd.txt": "ab :1e9\n", "nan.txt": "ab :nan\n",
             "groups.json": '{"names": ["ab", ""]}', "prefixes.json": '{"names": ["ab"], "prefixes": {"names": ["call"]}}'}
    for name, text in lists.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def run(folder, capsys):
    """Function (*arguments, command) -> (exit code, standard output, standard error), run in the folder."""
    def run(*arguments, command="transcribe"):
        capsys.readouterr()
        with contextlib.chdir(folder):
            try:
                code = cli.main([command, *arguments])
            except SystemExit as end:
                code = end.code
        return code, *capsys.readouterr()
    return run


def test_text_nbest_and_json_agree(run):
    code, text, error = run("--model", "tiny.npz", "--beam", "4", "a.wav")
    assert (code, error) == (0, "")
    code, listed, _ = run("--model", "tiny.npz", "--beam", "4", "--nbest", "3", "a.wav")
    lines = [line.split("\t") for line in listed.splitlines()]
    assert code == 0 and 1 <= len(lines) <= 3 and lines[0][1] == text.strip()
    assert [float(total) for total, _ in lines] == sorted((float(total) for total, _ in lines), reverse=True)
    code, output, _ = run("--model", "tiny.npz", "--beam", "4", "--nbest", "3", "--format", "json", "a.wav")
    (entry,) = json.loads(output)
    assert code == 0 and entry["text"] == text.strip() and len(entry["nbest"]) == len(lines)
    for reading, (total, said) in zip(entry["nbest"], lines):
        assert reading["text"] == said and reading["total"] == pytest.approx(float(total), abs=1e-3)
        assert reading["total"] == pytest.approx(reading["acoustic"] + reading["lm"] + reading["bias"], abs=1e-9)
        assert set(reading) == {"text", "acoustic", "lm", "bias", "total"} and reading["bias"] == 0


def test_nbest_of_several_recordings_names_them(run):
    code, output, _ = run("--model", "tiny.npz", "--nbest", "2", "a.wav", "b.wav")
    assert code == 0 and {line.split("\t")[0] for line in output.splitlines()} == {"a.wav", "b.wav"}
    assert all(line.count("\t") == 2 for line in output.splitlines())


def test_phrases_count(run):
    totals = []
    for boost in ("0", "5"):
        code, output, error = run("--model", "tiny.npz", "--format", "jsonl", "--phrases", "good.txt", "--boost", boost, "a.wav")
        assert (code, error) == (0, "")
        totals.append(sum(reading["bias"] for reading in json.loads(output)["nbest"]))
    assert totals[0] == 0


@pytest.mark.parametrize("beam", ["1", "4"])
def test_phrases_that_cannot_be_spelled_are_named(run, beam):
    code, output, error = run("--model", "tiny.npz", "--beam", beam, "--phrases", "foreign.txt", "a.wav")
    assert code == 0 and output and len(error.splitlines()) == 2
    assert "foreign.txt:1" in error and "foreign.txt:3" in error and "'1999'" in error


def test_phrases_given_twice_are_told(run):
    code, _, error = run("--model", "tiny.npz", "--phrases", "twice.txt", "a.wav")
    assert code == 0 and len(error.splitlines()) == 1 and "twice.txt:1" in error and "larger weight 2" in error


def test_empty_list_is_no_phrases(run):
    code, output, error = run("--model", "tiny.npz", "--phrases", "empty.txt", "a.wav")
    assert (code, error) == (0, "") and output == run("--model", "tiny.npz", "a.wav")[1]


@pytest.mark.parametrize("arguments, words", [
    (("--phrases", "absurd.txt"), "absurd.txt:1"), (("--phrases", "nan.txt"), "nan.txt:1"),
    (("--phrases", "none.txt"), "none.txt:1"),
    (("--phrases", "groups.json"), "names[1]"), (("--phrases", "missing.txt"), "missing.txt"),
    (("--phrases", "good.txt", "--boost", "1e9"), "weight"), (("--phrases", "good.txt", "--boost", "nan"), "weight")])
def test_bad_phrases_are_one_line(run, arguments, words):
    code, output, error = run("--model", "tiny.npz", *arguments, "a.wav")
    assert code == 1 and output == "" and len(error.splitlines()) == 1
    assert words in error and "internal error" not in error


@pytest.mark.parametrize("arguments", [("--beam", "0"), ("--beam", "65"), ("--beam", "two"), ("--nbest", "0"), ("--boost", "x"),
                                       ("--boost", "1"), ("--beam", "1", "--lattice", "x.fst"),
                                       ("--nbest", "2", "--format", "srt")])
def test_wrong_usage(run, arguments):
    code, output, error = run("--model", "tiny.npz", *arguments, "a.wav")
    assert code == 2 and output == "" and arguments[-2 if arguments[0] == "--beam" and len(arguments) == 4 else 0] in error


def test_formats_of_lattices_are_imported_for_lattice_only(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "refasr.lattice.formats", None)    # an import would raise
    assert run("--model", "tiny.npz", "a.wav", "b.wav")[0] == 0


def test_workers_write_the_same(run):
    arguments = ("--model", "tiny.npz", "--phrases", "good.txt", "--format", "jsonl", "--nbest", "4", "a.wav", "b.wav")
    assert run(*arguments, "--workers", "2")[:2] == run(*arguments)[:2]


def test_resume_refuses_another_search(run, folder):
    lines = ("--model", "tiny.npz", "--format", "jsonl", "-o", "out.jsonl", "a.wav", "b.wav")
    assert run(*lines, "--beam", "4")[0] == 0
    whole = (folder / "out.jsonl").read_bytes()
    spec = RecogniserSpec("tiny.npz", beam=4)
    with contextlib.chdir(folder):
        work = {"work": "transcribe", "recogniser": spec.identity(), "channel": None, "strict": False}
        with Journal("out.jsonl.part", work, lambda entry: (entry["file"], "error" in entry)) as journal:
            journal.append(json.loads(whole.splitlines()[0]))
    for other in (("--beam", "5"), ("--beam", "4", "--phrases", "good.txt")):
        assert run(*lines, "--resume", *other)[0] == 1
    assert run(*lines, "--resume", "--beam", "4")[0] == 0 and (folder / "out.jsonl").read_bytes() == whole


def test_identity_is_of_what_decides(folder):
    model = str(folder / "tiny.npz")
    phrases = read_phrases(folder / "good.txt").entries
    base = RecogniserSpec(model, beam=4, phrases=phrases)
    others = [RecogniserSpec(model, beam=4), RecogniserSpec(model, beam=5, phrases=phrases),
              RecogniserSpec(model, beam=4, phrases=phrases, boost=2.0), RecogniserSpec(model, beam=4, phrases=phrases[:1]),
              RecogniserSpec(model, beam=4, phrases=(phrases[0]._replace(weight=3.0), phrases[1])),
              RecogniserSpec(model, beam=4, phrases=phrases, nbest=3), RecogniserSpec(model, beam=4, phrases=phrases, context=2),
              RecogniserSpec(model, beam=4, phrases=read_phrases(folder / "prefixes.json").entries)]
    assert len({spec.identity() for spec in (base, *others)}) == 1 + len(others)
    again = pickle.loads(pickle.dumps(base))
    assert again == base and hash(again) == hash(base) and again.identity() == base.identity()
    shutil.copy(folder / "good.txt", folder / "moved.txt")
    moved = RecogniserSpec(model, beam=4, phrases=read_phrases(folder / "moved.txt").entries)
    assert moved.identity() == base.identity(), "where the list lies decides nothing"
    assert base.load().transcribe_samples(noise(4000)) == again.load().transcribe_samples(noise(4000))


def test_evaluate_with_a_beam(run, folder):
    rows = ["file\tsplit\tsource\tspeaker\ttext\textra", "a.wav\ttest\tx\ty\tab\t", "b.wav\ttest\tx\ty\tab ab\t"]
    (folder / "set.tsv").write_text("\n".join(rows) + "\n")
    figures = []
    for arguments in (("--beam", "1"), ("--beam", "4"), ("--beam", "4", "--workers", "2"), ("--phrases", "good.txt")):
        code, output, error = run("set.tsv", "--model", "tiny.npz", "--json", *arguments, command="evaluate")
        assert (code, error) == (0, "")
        figures.append({name: value for name, value in json.loads(output)[0].items() if name != "rtf"})
    assert figures[1] == figures[2]
    assert run("set.tsv", "--model", "tiny.npz", "--beam", "0", command="evaluate")[0] == 2
    assert run("set.tsv", "--model", "tiny.npz", "--boost", "2", command="evaluate")[0] == 2
    assert run("set.tsv", "--model", "tiny.npz", "--phrases", "absurd.txt", command="evaluate")[0] == 1


@needs_model
def test_shipped_samples(run, tmp_path):
    (tmp_path / "names.txt").write_text("call maria on mobile :2\n")
    files = [str(SAMPLES / name) for name in ("call.flac", "lights.flac")]
    code, output, error = run("--format", "jsonl", "--phrases", str(tmp_path / "names.txt"), *files)
    entries = [json.loads(line) for line in output.splitlines()]
    assert (code, error) == (0, "") and {"maria", "mobile"} <= set(entries[0]["text"].split())
    for entry in entries:
        assert len({reading["text"] for reading in entry["nbest"]}) == len(entry["nbest"]) and entry["words"]
        for word in entry["words"]:
            assert 0 <= word["conf"] <= 1 and 0 <= word["start"] < word["end"] <= entry["duration"] + 0.1


@needs_model
@pytest.mark.parametrize("beam, unpaid", [(1, 0.0), (4, 3.0), (24, None)])    # a single hypothesis needs its hope at once
def test_boosting_rights_a_name_on_a_shipped_sample(beam, unpaid):
    samples, _ = soundfile.read(SAMPLES / "call.flac", dtype="float32")
    recogniser = Recogniser.load(search=SearchSettings(beam=beam))
    plain = recogniser.transcribe_samples(samples)
    phrases, _ = spell(PhraseList((Entry("maria", 2.0, (), "test"),)), unpaid=unpaid)
    boosted = recogniser.transcribe_samples(samples, phrases=phrases)
    assert "maria" in boosted.text.split(), f"without boosting: {plain.text}"
    assert boosted.nbest[0].bias == 2.0 * (6 - (3 if unpaid is None else unpaid)) and plain.nbest[0].bias == 0
    again = recogniser.transcribe_samples(samples)
    assert again == plain and np.array_equal(again.lattice.total, plain.lattice.total), "phrases left something behind"


@pytest.mark.parametrize("name, value", [("predictor.embedding", np.nan), ("joiner.output_bias", np.inf), ("joiner.output", 1e38),
                                         ("joiner.text", np.nan), ("joiner.output_bias", np.nan)])
def test_damaged_weights_are_refused(name, value):
    model = tiny_model()
    array = model.parameters[name].copy()
    array.flat[array.size // 2] = value
    with pytest.raises(RangeError, match="model: got weights"):
        Recogniser(with_parameter(model, name, array), search=SearchSettings())


def test_damaged_encoder_is_refused():
    model = tiny_model()
    for value in (np.nan, np.inf):
        array = model.parameters["joiner.audio"].copy()
        array[:] = value
        recogniser = Recogniser(with_parameter(model, "joiner.audio", array), search=SearchSettings())
        with pytest.raises(RangeError, match="audio|model"), np.errstate(all="ignore"):
            recogniser.transcribe_samples(noise(8000))


def test_absurd_scores_are_refused():
    bias = tiny_model().parameters["joiner.output_bias"].copy()
    bias[10], bias[0] = 1e20, -1e20
    recogniser = Recogniser(with_parameter(tiny_model(), "joiner.output_bias", bias), search=SearchSettings())
    with pytest.raises(RangeError, match="model: got scores"):
        recogniser.transcribe_samples(noise(4000))
