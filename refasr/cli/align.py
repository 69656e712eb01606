"""`refasr align`: when each word of a known text was said."""

import json

HELP = "print when each word of a known text is said"
EPILOG = """examples:
  refasr align recording.wav turn on the kitchen lights
  refasr align recording.wav "turn on the kitchen lights" --json
  refasr align recording.wav turn on the lights --format textgrid -o recording.TextGrid

text is a line a word: start, end, word. JSON has the keys of refasr transcribe; the hypothesis's score is that of the
best path. CTM is for NIST tools, TextGrid for Praat. Times are seconds, ends exclusive; confidences are 0 to 1.
"""
FORMATS = ("text", "json", "ctm", "textgrid")


def add_arguments(parser):
    """Declare options and operands. Parameters: parser."""
    from refasr.cli.transcribe import channel_number
    parser.add_argument("audio", metavar="AUDIO", help="recording, or - for standard input")
    parser.add_argument("text", metavar="TEXT", nargs="+", help="what is said in it")
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    parser.add_argument("--model", default="default", metavar="NAME|PATH", help="a shipped model's name or a model file")
    parser.add_argument("--backend", choices=("fast", "reference"), default="fast", help="compiled, or readable and slow")
    parser.add_argument("--channel", type=channel_number, metavar="N", help="take this channel, from 0; default: mean of all")
    parser.add_argument("--strict", action="store_true", help="refuse what is not 16 kHz mono instead of converting it")
    parser.add_argument("-o", "--output", metavar="OUT", help="write there instead of to standard output")


def run(options):
    """Align. Parameters: options. Returns the exit code."""
    from refasr.cli.transcribe import destination
    _, alignment = align(options)
    with destination(options.output) as out:
        print(render(options.format, options.audio, alignment.result), file=out, end="")
    return 0


def align(options):
    """Read the recording and align it; also for `refasr plot`. Parameters: options. Returns (Recogniser, ForcedAlignment)."""
    from refasr import forced
    from refasr.audio.wav import read_audio
    from refasr.cli import complain
    from refasr.cli.transcribe import load
    from refasr.errors import RangeError
    from refasr.metrics.text import normalise, require_alphabet
    given = " ".join(options.text)
    text = require_alphabet(normalise(given), "TEXT")
    if text != " ".join(given.split()):
        complain(f"TEXT: aligned as {text!r}")
    recogniser = load(options)
    samples = read_audio(options.audio, channel=options.channel, strict=options.strict, notice=complain)
    try:
        return recogniser, forced.align_samples(recogniser, samples, text)
    except RangeError as error:
        raise RangeError(f"{options.audio}: {error}") from error


def render(style, audio, result):
    """Write the words down. Parameters: style (of FORMATS), audio (its name), result. Returns text."""
    from refasr import timed_text
    if style == "json":
        return json.dumps({"file": audio} | result.as_json(), indent=1, allow_nan=False) + "\n"
    if style == "ctm":
        return timed_text.as_ctm(result.words, recording_name(audio))
    if style == "textgrid":
        return timed_text.as_textgrid(result.words, result.duration)
    return timed_text.as_text(result.words)


def recording_name(audio):
    """Name without folder and suffix. Parameters: audio. Returns text."""
    import pathlib
    return "stdin" if audio == "-" else pathlib.Path(audio).stem
