"""`refasr transcribe`: recordings in, text out."""

import argparse
import contextlib
import io
import json
import sys

HELP = "print what is said in recordings"
EPILOG = """examples:
  refasr transcribe recording.wav
  refasr transcribe a.flac b.ogg calls/ "more/*.wav"
  refasr transcribe --format jsonl calls/ -o calls.jsonl
  arecord -f S16_LE -r 16000 -d 5 | refasr transcribe -

FILE is WAV, FLAC or Ogg, a folder (searched to any depth), a pattern, or - for standard input. Other rates and several
channels are converted with a notice. A recording that cannot be read is reported, the others are done, and the exit
code is 1. JSON keys: file, duration, text, conf, words (word, start, end, conf), nbest (text, acoustic, lm, bias,
total); of a failure: file, error. Times are seconds, scores natural logarithms, confidences 0 to 1.
"""


def channel_number(text):
    """Parameters: text. Returns a whole number >= 0."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number from 0")
    return int(text)


def add_arguments(parser):
    """Declare options and operands. Parameters: parser."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="recording, folder, pattern, or - for standard input")
    parser.add_argument("--format", choices=("text", "json", "jsonl"), default="text",
                        help="text (default; with names if there are several files), json (a list) or jsonl (an object a line)")
    parser.add_argument("--model", default="default", metavar="NAME|PATH", help="a shipped model (see refasr info) or a file")
    parser.add_argument("--backend", choices=("fast", "reference"), default="fast", help="compiled, or readable and slow")
    parser.add_argument("--channel", type=channel_number, metavar="N", help="take this channel, from 0 (default: mean of all)")
    parser.add_argument("--strict", action="store_true", help="refuse what is not 16 kHz mono instead of converting it")
    parser.add_argument("-o", "--output", metavar="OUT", help="write there instead of to standard output, all or nothing")


def run(options):
    """Transcribe. Parameters: options. Returns the exit code."""
    from refasr.cli.progress import Progress
    if options.files.count("-") > 1:
        options.refuse("FILE: got - twice, expected it once")
    items = [item for operand in options.files for item in expand(operand)]
    progress, failures = Progress(items), []
    with destination(options.output) as out:
        recogniser = load(options) if any(error is None for _, error in items) else None
        for text in render(options.format, outcomes(recogniser, options, progress, failures), several=len(items) > 1):
            if out.isatty():
                progress.clear()
            print(text, file=out, end="", flush=True)
    return 1 if failures else 0


def expand(operand):
    """What an operand stands for. Parameters: operand. Returns a list of (name, error or None)."""
    from refasr.errors import FormatError
    from refasr.recordings import find_recordings
    try:
        return [(name, None) for name in find_recordings(operand)]
    except FormatError as error:
        return [(operand, error)]


def destination(path):
    """Where results go. Parameters: path (None: standard output). Returns a context manager that gives a text file."""
    from refasr.whole_file import whole_file
    names = dict(errors="surrogateescape")  # a file's name may be no text at all
    if path is not None:
        return whole_file(path, "w", encoding="utf-8", **names)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(**names)
    return contextlib.nullcontext(sys.stdout)


def load(options):
    """Make the recogniser. Parameters: options. Returns a Recogniser."""
    from refasr.recognise import Recogniser
    return Recogniser.load(options.model, options.backend)


def outcomes(recogniser, options, progress, failures):
    """Recognise one file after the other.

    Parameters
    ----------
    recogniser : Recogniser
    options : argparse.Namespace
    progress : Progress             Over (name, error or None).
    failures : list                 Gets the names of the files that failed.

    Returns
    -------
    iterator of (name, Result or RefasrError)
    """
    from refasr.cli import complain
    from refasr.errors import RefasrError

    def tell(line):
        progress.clear()
        return complain(line)
    for name, outcome in progress:
        try:
            if outcome is not None:
                raise outcome
            outcome = recognise(recogniser, name, options, tell)
        except RefasrError as error:
            failures.append(tell(error))
            outcome = error
        yield name, outcome


def recognise(recogniser, name, options, notice):
    """Recognise a recording in bounded memory. Parameters: recogniser, name, options, notice. Returns a Result."""
    from refasr.audio.wav import stream_audio
    stream = recogniser.stream()
    for chunk in stream_audio(name, channel=options.channel, strict=options.strict, notice=notice):
        stream.accept(chunk)
    return stream.finish()


def render(style, pairs, several):
    """Write outcomes down, piece by piece.

    Parameters
    ----------
    style : "text", "json" or "jsonl"
    pairs : iterable of (name, Result or RefasrError)
    several : bool                                       Text has the file's name before it.

    Returns
    -------
    iterator of str
    """
    if style == "text":
        good = ((name, outcome) for name, outcome in pairs if not isinstance(outcome, Exception))
        yield from (f"{name}\t{result.text}\n" if several else f"{result.text}\n" for name, result in good)
        return
    objects = (json.dumps({"file": name} | described(outcome), allow_nan=False) for name, outcome in pairs)
    if style == "jsonl":
        yield from (f"{text}\n" for text in objects)
        return
    before = "[\n"
    for text in objects:
        yield before + text
        before = ",\n"
    yield "\n]\n"


def described(outcome):
    """An outcome for JSON. Parameters: outcome (Result or RefasrError). Returns a dict."""
    if isinstance(outcome, Exception):
        return {"error": " ".join(str(outcome).split())}
    return outcome.as_json()
