"""Manifest readers: which recordings there are and what is said in them.

Four forms are read (`read_manifest` tells them apart by content):

    TSV             header and rows of `file, split, source, speaker, text, extra` (and, if wanted, `start, duration`)
    NeMo            JSON lines with `audio_filepath, text, duration, offset`
    lhotse cuts     JSON lines with `recording, supervisions, start, duration`
    Kaldi folder    `wav.scp`, `text` and, if there, `segments` and `utt2spk`

Relative paths start at the manifest's folder in all of them. Nothing named in a manifest is ever executed.
"""

import dataclasses
import gzip
import json
import math
import pathlib
import re
import zlib

from refasr.errors import FormatError

COLUMNS = ("file", "split", "source", "speaker", "text", "extra", "start", "duration")
REQUIRED = ("file", "text")
SIZE_LIMIT_BYTES = 1 << 30  # after decompression: a manifest beyond it is an accident or an attack
GZIP_MAGIC = b"\x1f\x8b"
ARCHIVE_OFFSET = re.compile(r":\d+(\[.*\])?$")  # Kaldi's file.ark:1234


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One recording, or a part of one, and its transcript.

    file : Path                 The audio file; not opened by the reader.
    text : str                  The transcript as the manifest has it; see `corpus.transcript` for the checked form.
    split, source, speaker, extra : str    Free text, "" if the manifest does not say.
    start : float, seconds      Where in the file the utterance begins.
    duration : float or None    Seconds; None means to the end of the file.
    manifest : Path             Where the utterance was listed ...
    line : int                  ... and on which line, counted from 1.
    """

    file: pathlib.Path
    text: str
    split: str = ""
    source: str = ""
    speaker: str = ""
    extra: str = ""
    start: float = 0.0
    duration: float | None = None
    manifest: pathlib.Path = pathlib.Path()
    line: int = 0

    def origin(self):
        """Name the manifest line, for errors. Returns text."""
        return place(self.manifest, self.line)


def place(path, line):
    """Where an error is. Parameters: path, line. Returns text."""
    return f"{path} line {line}"


def read_manifest(path):
    """Read the list of utterances of a manifest file or a Kaldi data folder.

    Parameters
    ----------
    path : str or Path    TSV or JSON lines (either may be gzip-compressed, have a byte order mark or CRLF ends), or a folder.

    Returns
    -------
    list of Utterance     In the order of the file (Kaldi: of `segments`, or else of `wav.scp`). Audio files are not looked at.

    Raises
    ------
    FormatError           Naming the file and line.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return read_kaldi(path)
    lines = read_lines(path)
    if not lines:
        raise FormatError(f"{path}: got an empty file, expected a header line ({', '.join(COLUMNS[:6])}) or JSON lines")
    if lines[0][1].lstrip().startswith("{") or {".json", ".jsonl"} & set(path.suffixes):
        return [read_json_line(path, number, line) for number, line in lines]
    return read_tsv(path, lines)


def read_lines(path):
    """Text of a file, checked. Parameters: path. Returns a list of (number from 1, line), blank lines left out."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == GZIP_MAGIC
        with (gzip.open if packed else open)(path, "rb") as file:
            data = file.read(SIZE_LIMIT_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FormatError(f"{path}: got broken gzip data ({error}), expected a whole file; copy it again") from error
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    if len(data) > SIZE_LIMIT_BYTES:
        raise FormatError(f"{path}: got more than {SIZE_LIMIT_BYTES} bytes, expected a manifest; split it")
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(f"{place(path, line)}: got bytes that are not UTF-8; save the file as UTF-8", error.start) from error
    return [(number, line.removesuffix("\r")) for number, line in enumerate(lines, 1) if line.strip()]


def shorten(value):
    """A value for an error message. Parameters: value. Returns text."""
    return f"{value!r:.60}"


def seconds(where, name, value, low=0.0):
    """A time from a manifest. Parameters: where, name, value (number or text), low. Returns a float."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number < math.inf:
        raise FormatError(f"{where}: got {name} {shorten(value)}, expected seconds >= {low:g}")
    return number


def make(path, line, file, text, start=0.0, duration=None, **labels):
    """Check the fields common to all forms.

    Parameters
    ----------
    path : Path                          The manifest (Kaldi: the table).
    line : int                           Its line.
    file, text : str                     Audio path as written, transcript.
    start, duration : number, text or None
    labels : str                         split, source, speaker, extra.

    Returns
    -------
    Utterance

    Raises
    ------
    FormatError
    """
    where = place(path, line)
    for name, value in dict(file=file, text=text, **labels).items():
        if not isinstance(value, str):
            raise FormatError(f"{where}: got {name} {shorten(value)}, expected text")
    if not file.strip() or "\0" in file:
        raise FormatError(f"{where}: got file {file!r}, expected the path of an audio file")
    start = seconds(where, "start", start)
    duration = None if duration is None else seconds(where, "duration", duration)
    return Utterance(path.parent / file, text, start=start, duration=duration, manifest=path, line=line, **labels)


def read_tsv(path, lines):
    """Tab-separated values without quoting. Parameters: path, lines (of `read_lines`). Returns a list of Utterance."""
    number, line = lines[0]
    header = line.split("\t")
    if not set(REQUIRED) <= set(header) <= set(COLUMNS) or len(set(header)) < len(header):
        raise FormatError(f"{place(path, number)}: got header {', '.join(header)[:200]!r}, expected the tab-separated names "
                          f"{', '.join(COLUMNS[:6])} (file and text are required, start and duration may follow)")
    utterances = []
    for number, line in lines[1:]:
        values = line.split("\t")
        if len(values) != len(header):
            raise FormatError(f"{place(path, number)}: got {len(values)} tab-separated fields, expected {len(header)}")
        row = dict(zip(header, values))
        if not row.get("duration", "-").strip():
            del row["duration"]
        utterances.append(make(path, number, **row))
    return utterances


def read_json_line(path, number, line):
    """One NeMo or lhotse entry. Parameters: path, number, line. Returns an Utterance."""
    where = place(path, number)
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: got {line[:40]!r}, expected one JSON object ({error})") from error
    if isinstance(entry, dict) and "audio_filepath" in entry:
        return from_nemo(path, number, entry)
    if isinstance(entry, dict) and "recording" in entry:
        return from_lhotse(path, number, entry)
    raise FormatError(f"{where}: got {line[:40]!r}, expected an object with audio_filepath (NeMo) or recording (lhotse cut)")


def from_nemo(path, number, entry):
    """Parameters: path, number, entry (a NeMo object; unknown keys are kept in `extra`). Returns an Utterance."""
    entry = dict(entry)
    file, text = entry.pop("audio_filepath"), entry.pop("text", None)
    start, duration = entry.pop("offset", 0.0), entry.pop("duration", None)
    labels = {name: entry.pop(name) for name in ("split", "source", "speaker") if name in entry}
    extra = json.dumps(entry, ensure_ascii=False, sort_keys=True) if entry else ""
    return make(path, number, file, text, start or 0.0, duration, extra=extra, **labels)


def from_lhotse(path, number, entry):
    """Parameters: path, number, entry (a lhotse cut of one file, one supervision at most). Returns an Utterance."""
    where = place(path, number)
    supervisions = entry.get("supervisions") or []
    try:
        source = entry["recording"]["sources"][0]
        kind, file = source["type"], source["source"]
        heard = [(item.get("text"), item.get("speaker") or "") for item in supervisions]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise FormatError(f"{where}: got a cut without recording.sources[0], expected a lhotse cut of a file") from error
    if kind != "file":
        raise FormatError(f"{where}: got a recording of type {kind!r}, expected 'file'; nothing is executed, save the audio")
    if len(heard) > 1:
        raise FormatError(f"{where}: got {len(heard)} supervisions, expected at most one; run: lhotse cut trim-to-supervisions")
    text, speaker = heard[0] if heard else ("", "")
    return make(path, number, file, text, entry.get("start", 0.0), entry.get("duration"), speaker=speaker,
                extra=str(entry.get("id", "")))


def read_table(path, n_fields):
    """A Kaldi table. Parameters: path, n_fields (the last takes the rest). Returns {key: (line number, fields...)}."""
    table = {}
    for number, line in read_lines(path):
        key, *fields = line.split(None, n_fields - 1)
        if len(fields) < n_fields - 1 and path.name != "text":
            raise FormatError(f"{place(path, number)}: got {len(fields) + 1} fields, expected {n_fields}")
        if key in table:
            raise FormatError(f"{place(path, number)}: got {key!r} a second time, expected each key once")
        table[key] = (number, *fields)
    return table


def read_kaldi(folder):
    """A Kaldi data folder; `extra` holds the utterance's key. Parameters: folder. Returns a list of Utterance."""
    for name in ("wav.scp", "text"):
        if not (folder / name).is_file():
            raise FormatError(f"{folder}: got a folder without {name}, expected a Kaldi data folder; name the manifest file")
    listing, segments = folder / "wav.scp", {}
    recordings, texts = read_table(listing, 2), read_table(folder / "text", 2)
    for key, (number, target) in recordings.items():
        recordings[key] = plain_path(place(listing, number), target)
        segments[key] = (number, key, 0.0, None)
    if (folder / "segments").is_file():
        listing = folder / "segments"
        segments = read_table(listing, 4)
    speakers = read_table(folder / "utt2spk", 2) if (folder / "utt2spk").is_file() else {}
    for key, (number, *_) in texts.items():
        if key not in segments:
            raise FormatError(f"{place(folder / 'text', number)}: got {key!r}, expected a key of {listing.name}")
    return [kaldi_utterance(listing, key, segments[key], recordings, texts, speakers) for key in segments]


def kaldi_utterance(listing, key, segment, recordings, texts, speakers):
    """One row of a Kaldi folder.

    Parameters
    ----------
    listing : Path                 `segments`, or `wav.scp` where there is none.
    key : str                      The utterance.
    segment : tuple                Line number, recording, start, end (None: to the end).
    recordings, texts, speakers : dict    The tables.

    Returns
    -------
    Utterance

    Raises
    ------
    FormatError
    """
    number, recording, start, end = segment
    where = place(listing, number)
    if recording not in recordings or key not in texts:
        raise FormatError(f"{where}: got {key!r} of {recording!r}, expected keys that are in text and in wav.scp")
    start = seconds(where, "start", start)
    duration = None if end is None else seconds(where, "end", end, low=start) - start
    text, speaker = "".join(texts[key][1:]).rstrip(), "".join(speakers.get(key, (0,))[1:])
    return make(listing, number, recordings[recording], text, start, duration, speaker=speaker, extra=key)


def plain_path(where, target):
    """Refuse what would need a command or an archive. Parameters: where (for the error), target. Returns the target."""
    target = target.strip()
    if target.endswith("|") or target.startswith("|"):
        raise FormatError(f"{where}: got a command {shorten(target)}, expected a path; commands are never run, write files")
    if ARCHIVE_OFFSET.search(target) or target == "-":
        raise FormatError(f"{where}: got {shorten(target)}, expected the path of an audio file; unpack the archive")
    return target
