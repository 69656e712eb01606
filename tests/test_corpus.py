"""Manifest readers: the four forms, selection, and what is refused, naming file and line."""

import gzip
import json
import pathlib

import pytest

from refasr import corpus, manifests
from refasr.errors import FormatError, RangeError

SHARED = pathlib.Path(__file__).parents[1].parent / "shared" / "speech"
HEADER = "file\tsplit\tsource\tspeaker\ttext\textra\n"
ROW = "a.wav\tdev\thome\tann\tturn it off\trule\n"


def written(folder, content, name="list.tsv"):
    """Parameters: folder, content (text or bytes), name. Returns the path of the new file."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_tsv(tmp_path):
    path = written(tmp_path, HEADER + ROW + "\nb/c.flac\t\t\t\t\"quoted\t\n")
    first, second = corpus.read_manifest(path)
    assert first == corpus.Utterance(tmp_path / "a.wav", "turn it off", "dev", "home", "ann", "rule", manifest=path, line=2)
    assert (second.file, second.text, second.line) == (tmp_path / "b/c.flac", '"quoted', 4)
    assert second.origin() == f"{path} line 4"


def test_tsv_may_leave_out_columns_and_give_times(tmp_path):
    path = written(tmp_path, "text\tfile\tstart\tduration\ngo\ta.wav\t1.5\t0.25\nup\ta.wav\t2\t\n")
    first, second = corpus.read_manifest(path)
    assert (first.start, first.duration, second.start, second.duration) == (1.5, 0.25, 2.0, None)


@pytest.mark.parametrize("encode", [
    lambda text: b"\xef\xbb\xbf" + text.encode(), lambda text: text.replace("\n", "\r\n").encode(),
    lambda text: gzip.compress(text.encode()), lambda text: text.rstrip("\n").encode(),
], ids=["byte order mark", "CRLF", "gzip", "no last line end"])
def test_harmless_variants_read_the_same(tmp_path, encode):
    path = written(tmp_path, HEADER + ROW)
    plain = corpus.read_manifest(path)
    written(tmp_path, encode(HEADER + ROW))
    assert corpus.read_manifest(path) == plain


@pytest.mark.parametrize("content, message", [
    ("", "empty file"), ("\n \n", "empty file"), (ROW, "line 1: got header"), ("file\ttext\tcolour\n", "line 1: got header"),
    ("file\tfile\ttext\n", "line 1: got header"), ("file\tsource\n", "line 1: got header"),
    (HEADER + ROW + "a.wav\tdev\n", "line 3: got 2 tab-separated fields, expected 6"),
    (HEADER + ROW.replace("\n", "\tmore\n"), "line 2: got 7"), (HEADER + ROW.replace("a.wav", ""), "line 2: got file ''"),
    (HEADER + ROW.replace("a.wav", "a\0"), "line 2: got file"), (HEADER.encode() + b"a\n\xff\n", "line 3: got bytes"),
    ("file\ttext\tstart\na\tb\t-1\n", "line 2: got start '-1'"),
    ("file\ttext\tduration\na\tb\tnan\n", "line 2: got duration 'nan'"),
    (gzip.compress(HEADER.encode())[:-9], "broken gzip"), (b"\x1f\x8bxxxx", "broken gzip"),
])
def test_malformed_tsv(tmp_path, content, message):
    with pytest.raises(FormatError, match=message) as caught:
        corpus.read_manifest(written(tmp_path, content))
    assert "list.tsv" in str(caught.value) and "\n" not in str(caught.value)


def test_manifest_that_is_not_there(tmp_path):
    with pytest.raises(FormatError, match="none.tsv: cannot be read"):
        corpus.read_manifest(tmp_path / "none.tsv")


def test_gzip_bomb_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(manifests, "SIZE_LIMIT_BYTES", 1000)
    with pytest.raises(FormatError, match="more than 1000 bytes"):
        corpus.read_manifest(written(tmp_path, gzip.compress(b"x" * 10_000)))


def test_nemo(tmp_path):
    entries = [{"audio_filepath": "a.wav", "duration": 2.5, "text": "go", "offset": 1, "speaker": "ann", "lang": "en"},
               {"audio_filepath": "/b.wav", "duration": 1, "text": ""}]
    path = written(tmp_path, "\n".join(map(json.dumps, entries)), "list.json")
    first, second = corpus.read_manifest(path)
    assert (first.file, first.text, first.start, first.duration) == (tmp_path / "a.wav", "go", 1.0, 2.5)
    assert (first.speaker, first.extra) == ("ann", '{"lang": "en"}')
    assert (second.file, second.text, second.extra) == (pathlib.Path("/b.wav"), "", "")


def cut(**changes):
    """A lhotse cut as `lhotse` writes it. Parameters: changes. Returns one JSON line."""
    recording = {"id": "r", "sources": [{"type": "file", "channels": [0], "source": "a.wav"}], "sampling_rate": 16000}
    spoken = [{"id": "s", "recording_id": "r", "start": 0.0, "duration": 2.0, "text": "go up", "speaker": "ann"}]
    return json.dumps({"id": "r-0", "start": 0.5, "duration": 2.0, "channel": 0, "supervisions": spoken, "recording": recording,
                       "type": "MonoCut"} | changes) + "\n"


def test_lhotse(tmp_path):
    silent = cut(supervisions=[])
    for name, content in (("cuts.jsonl", cut() + silent), ("cuts.jsonl.gz", gzip.compress((cut() + silent).encode()))):
        first, second = corpus.read_manifest(written(tmp_path, content, name))
        assert (first.file, first.text, first.start, first.duration) == (tmp_path / "a.wav", "go up", 0.5, 2.0)
        assert (first.speaker, first.extra, second.text) == ("ann", "r-0", "")


@pytest.mark.parametrize("line, message", [
    ("{", "one JSON object"), ("[1]", "audio_filepath"), ("{}", "audio_filepath"), ("[" * 100_000, "one JSON object"),
    ('{"audio_filepath": 3}', "got file 3"), ('{"audio_filepath": "a", "text": 3}', "got text 3"),
    ('{"audio_filepath": "", "text": ""}', "got file"),
    ('{"audio_filepath": "a", "txt": "go"}', "got text None"),
    ('{"audio_filepath": "a", "text": "", "duration": true}', "got duration True"),
    ('{"audio_filepath": "a", "text": "", "offset": NaN}', "got start nan"),
    ('{"audio_filepath": "a", "text": "", "duration": 1' + "0" * 400 + "}", "got duration"),
    (cut(recording=[]), "recording.sources"), (cut(recording={"sources": [{"type": "command", "source": "rm a"}]}), "'command'"),
    (cut(supervisions=[{"text": "a"}, {"text": "b"}]), "got 2 supervisions"), (cut(supervisions="ab"), "recording.sources"),
    (cut(supervisions=3), "recording.sources"), (cut(supervisions=[{}]), "got text None"),
])
def test_malformed_json_lines(tmp_path, line, message):
    with pytest.raises(FormatError, match=message) as caught:
        corpus.read_manifest(written(tmp_path, '{"audio_filepath": "a", "text": "b"}\n' + line + "\n", "list.jsonl"))
    assert "list.jsonl line 2" in str(caught.value) and "\n" not in str(caught.value)


def kaldi(folder, **tables):
    """Parameters: folder, tables (name -> text; wav_scp for wav.scp). Returns the folder."""
    for name, content in tables.items():
        written(folder, content, name.replace("_", "."))
    return folder


def test_kaldi(tmp_path):
    kaldi(tmp_path, wav_scp="u1 a.wav\nu2 my file.wav\n", text="u2 go up \nu1\n", utt2spk="u1 ann\n")
    plain = corpus.read_manifest(tmp_path)
    assert [(item.file, item.text, item.speaker, item.extra) for item in plain] == [
        (tmp_path / "a.wav", "", "ann", "u1"), (tmp_path / "my file.wav", "go up", "", "u2")]
    kaldi(tmp_path, segments="s1 u1 1.5 3\ns2 u1 3 3.5\n", text="s1 go\ns2 up\n")
    assert [(item.file.name, item.text, item.start, item.duration, item.line) for item in corpus.read_manifest(tmp_path)] == [
        ("a.wav", "go", 1.5, 1.5, 1), ("a.wav", "up", 3.0, 0.5, 2)]
    assert corpus.read_manifest(tmp_path)[1].origin() == f"{tmp_path / 'segments'} line 2"


@pytest.mark.parametrize("tables, message", [
    (dict(text="u go\n"), "without wav.scp"), (dict(wav_scp="u a.wav\n"), "without text"),
    (dict(wav_scp="u sox a.wav -t wav - |\n", text="u go\n"), "wav.scp line 1: got a command"),
    (dict(wav_scp="v b.wav\nu a.ark:123\n", text="u go\nv go\n"), "wav.scp line 2: got 'a.ark:123'"),
    (dict(wav_scp="u\n", text="u go\n"), "wav.scp line 1: got 1 fields"),
    (dict(wav_scp="u a.wav\nu b.wav\n", text="u go\n"), "wav.scp line 2: got 'u' a second time"),
    (dict(wav_scp="u a.wav\n", text="u go\nv up\n"), "text line 2: got 'v'"),
    (dict(wav_scp="u a.wav\nv a.wav\n", text="u go\n"), "wav.scp line 2: got 'v'"),
    (dict(wav_scp="u a.wav\n", text="s go\n", segments="s x 0 1\n"), "segments line 1: got 's' of 'x'"),
    (dict(wav_scp="u a.wav\n", text="s go\n", segments="s u 2 1\n"), "segments line 1: got end '1'"),
    (dict(wav_scp="u a.wav\n", text="s go\n", segments="s u 2\n"), "segments line 1: got 3 fields"),
])
def test_malformed_kaldi(tmp_path, tables, message):
    with pytest.raises(FormatError, match=message):
        corpus.read_manifest(kaldi(tmp_path, **tables))


def test_select_ands_its_terms(tmp_path):
    everything = corpus.read_manifest(written(tmp_path, HEADER + ROW + ROW.replace("dev", "test") + ROW.replace("ann", "bob")))
    assert corpus.select(everything, []) == everything
    assert [item.line for item in corpus.select(everything, ["split=dev"])] == [2, 4]
    assert [item.line for item in corpus.select(everything, ["split=dev", "speaker=bob"])] == [4]
    assert corpus.select(everything, ["text=turn it off", "extra="]) == []
    assert corpus.select(everything, ["file=*.wav"]) == everything
    assert corpus.select(everything, [f"file={tmp_path / 'a.wav'}"]) == everything


@pytest.mark.parametrize("term", ["colour=red", "split", "", "=dev"])
def test_select_names_the_columns(term):
    with pytest.raises(RangeError, match="file, split, source, speaker, text, extra"):
        corpus.select([], [term])


def test_transcript_is_normalised_or_refused(tmp_path):
    content = HEADER + ROW.replace("turn it off", "Turn it off!") + ROW.replace("it", "2")
    good, bad = corpus.read_manifest(written(tmp_path, content))
    assert corpus.transcript(good) == "turn it off"
    with pytest.raises(FormatError, match=r"list.tsv line 3: got '2' \(U\+0032\)"):
        corpus.transcript(bad)


def test_missing_audio_names_file_and_line(tmp_path):
    utterances = corpus.read_manifest(written(tmp_path, HEADER + ROW + ROW.replace("a.wav", "b.wav")))
    written(tmp_path, b"", "a.wav")
    with pytest.raises(FormatError, match="list.tsv line 3: got .*b.wav, expected an audio file"):
        corpus.check_files(utterances)
    corpus.check_files(utterances[:1])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared speech corpus is not beside the repository")
@pytest.mark.parametrize("name", ["recorded.tsv", "synthetic.tsv"])
def test_the_shared_manifests(name):
    utterances = corpus.read_manifest(SHARED / name)
    assert len(utterances) > 8000
    corpus.check_files(utterances[::100])
    assert all(corpus.transcript(item) == item.text for item in utterances)
