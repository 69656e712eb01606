"""`refasr transcribe`: recordings in, text out."""

import argparse
import contextlib
import io
import sys

HELP = "print what is said in recordings"
EPILOG = """examples:
  refasr transcribe recording.wav
  refasr transcribe a.flac b.ogg calls/ "more/*.wav"
  refasr transcribe --format jsonl calls/ -o calls.jsonl --workers 4
  refasr transcribe --format srt calls/ -o captions/
  refasr transcribe --beam 16 --nbest 5 recording.wav
  refasr transcribe --phrases contacts.json --lattice out.svg recording.wav
  refasr transcribe --second-pass 127.0.0.1:7700 recording.wav
  arecord -f S16_LE -r 16000 -d 5 | refasr transcribe -

FILE is WAV, FLAC or Ogg, a folder (searched to any depth), a pattern, or - for standard input. Other rates and several
channels are converted with a notice. A recording that cannot be read is reported, the others are done, and the exit
code is 1. JSON keys: file, duration, text, conf, words (word, start, end, conf), nbest (text, acoustic, lm, bias,
total); of a failure: file, error. Times are seconds, scores natural logarithms, confidences 0 to 1.

--nbest K prints the K best readings of a recording, a line each: total score, text; JSON holds them in nbest. --lattice writes
all that was kept of the search; the suffix chooses the format, and of several recordings {} becomes the name.

--second-pass sends the lattice, no audio, to `refasr second-pass serve`, whose larger language models choose again. Where
there is no answer in time, or none to trust, the first pass's result is given, with a notice; JSON says which it is in pass.

srt and vtt are captions, textgrid is for Praat: a file a recording, so several need -o FOLDER and become FOLDER/NAME.srt.
ctm and trn are for NIST tools and name each recording by its file's name without folder and suffix.

With --format jsonl -o OUT, finished recordings are kept in OUT.part until all are done. After an interruption the same
command with --resume does the rest. The list of files may have grown at its end; another list, model or option is
refused. Recordings that failed count as done, and one that changed meanwhile is not noticed.
"""
TOGETHER, APART = ("text", "json", "jsonl", "ctm", "trn"), ("srt", "vtt", "textgrid")  # recordings in one file or in one each


def channel_number(text):
    """Parameters: text. Returns a whole number >= 0."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number from 0")
    return int(text)


def add_arguments(parser):
    """Declare options and operands. Parameters: parser."""
    from refasr.cli import recogniser, second_pass, workers
    parser.add_argument("files", metavar="FILE", nargs="+", help="recording, folder, pattern, or - for standard input")
    parser.add_argument("--format", choices=TOGETHER[:3] + APART[:2] + ("ctm",) + APART[2:] + ("trn",), default="text",
                        help="text (default; with names if there are several files), json (a list), jsonl (an object a line) "
                             "or one of those explained below")
    recogniser.add_options(parser)
    parser.add_argument("--channel", type=channel_number, metavar="N", help="take this channel, from 0 (default: mean of all)")
    parser.add_argument("--strict", action="store_true", help="refuse what is not 16 kHz mono instead of converting it")
    parser.add_argument("--nbest", type=recogniser.width, metavar="K", help="give the K best readings, 1 to 64")
    parser.add_argument("--lattice", metavar="OUT", help="write the lattice: .fst .slf .kaldi .dot .svg, or .lat, compact")
    parser.add_argument("--second-pass", type=second_pass.address, metavar="HOST:PORT",
                        help="let a service's larger models choose again; see refasr second-pass")
    parser.add_argument("--second-pass-timeout", type=second_pass.seconds, metavar="S",
                        help="seconds to wait for it, for each recording; default 3")
    parser.add_argument("-o", "--output", metavar="OUT", help="write there instead of to standard output, all or nothing")
    workers.add_options(parser)
    parser.add_argument("--resume", action="store_true", help="go on after an interruption; with --format jsonl -o OUT")


def run(options):
    """Transcribe. Parameters: options. Returns the exit code."""
    from refasr.cli import writing
    check_usage(options)
    items, failures = [item for operand in options.files for item in expand(operand)], []
    if options.format in APART:
        targets = writing.targets(options, [name for name, _ in items])
        with outcomes(options, items, failures) as pairs:
            for name, result in pairs:
                if not isinstance(result, Exception):
                    with destination(targets[name]) as out:
                        print(writing.whole(options.format, result), file=out, end="")
    elif options.format == "jsonl" and options.output is not None:
        writing.write_resumably(options, items, failures, outcomes)
    else:
        names = writing.recording_names(name for name, _ in items) if options.format in ("ctm", "trn") else {}
        with destination(options.output) as out, outcomes(options, items, failures, out) as pairs:
            for text in writing.render(options, pairs, several=len(items) > 1, names=names):
                print(text, file=out, end="", flush=True)
    return 1 if failures else 0


def check_usage(options):
    """Refuse options that do not go together. Parameters: options."""
    if options.files.count("-") > 1:
        options.refuse("FILE: got - twice, expected it once")
    if "-" in options.files and (options.workers or options.scheduler or options.resume):
        options.refuse("FILE: got -, expected files with --workers, --scheduler and --resume; standard input is read once, here")
    if options.nbest is not None and options.format not in TOGETHER[:3]:
        options.refuse(f"--nbest: got --format {options.format}, expected {', '.join(TOGETHER[:3])}; the others hold one reading")
    if options.lattice is not None and options.beam == 1 and options.phrases is None:
        options.refuse("--lattice: got --beam 1, expected a wider beam; greedy search has one hypothesis")
    if options.second_pass is not None and ((options.beam == 1 and options.phrases is None) or options.resume):
        options.refuse("--second-pass: got it with --beam 1 or --resume, expected a wider beam, for its lattice, and one run")
    if options.second_pass_timeout is not None and options.second_pass is None:
        options.refuse("--second-pass-timeout: got it alone, expected --second-pass HOST:PORT with it")
    if options.resume and (options.format != "jsonl" or options.output is None):
        options.refuse("--resume: got it alone, expected --format jsonl and -o OUT with it")


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
    """Make the recogniser in this process. Parameters: options. Returns a Recogniser."""
    from refasr.cli.recogniser import spec_of
    return spec_of(options).load()


def outcomes(options, items, failures, out=None):
    """Recognise files.

    Parameters
    ----------
    options : argparse.Namespace
    items : list of (name, error or None)
    failures : list                          Gets something for each file that failed.
    out : file or None                       Where results are shown; the progress bar makes room on a terminal.

    Returns
    -------
    context manager                          Gives an iterator of (name, Result or RefasrError); ends the workers when left.
    """
    return contextlib.closing(generate(options, items, failures, out))


def generate(options, items, failures, out):
    """The iterator of `outcomes`. Parameters: options, items, failures, out. Returns it."""
    from refasr.cli import complain
    from refasr.cli.progress import Progress
    from refasr.cli.recogniser import spec_of
    from refasr.cli.workers import executor_of
    from refasr.cli.writing import lattice_targets
    from refasr.transcribe import Outcome, transcribe_files
    progress, good = Progress(items), [name for name, error in items if error is None]
    lattices = lattice_targets(options, good)
    tell = lambda line: (progress.clear(), complain(line))
    with executor_of(options, len(good)) as executor, improver_of(options, tell) as improve:
        done = transcribe_files(spec_of(options, complain), good, executor, channel=options.channel, strict=options.strict)
        for name, error in progress:
            outcome = next(done) if error is None else Outcome(name, error, ())
            failed = isinstance(outcome.result, Exception)
            lines = [*outcome.notices, outcome.result] if failed else outcome.notices
            if lines or (out is not None and out.isatty()):
                progress.clear()
            for line in lines:
                complain(line)
            if failed:
                failures.append(name)
                yield name, outcome.result
                continue
            result = improve(outcome.result)
            if lattices:
                from refasr.lattice.formats import write_lattice
                write_lattice(result.lattice, lattices[name])
            yield name, result


@contextlib.contextmanager
def improver_of(options, tell):
    """What is done to each Result after recognition. Parameters: options, tell (function of a line). Gives a function."""
    if options.second_pass is None:
        yield lambda result: result
        return
    from refasr.rescoring.client import TIMEOUT_SECONDS, Client
    client = Client(*options.second_pass, options.second_pass_timeout or TIMEOUT_SECONDS, tell)
    try:
        yield client.improve
    finally:
        client.close()
