"""`refasr trace`: record every stage of the pipeline, and find where two such records part."""

import json
import math

HELP = "record what passes each stage, or name the first stage, frame and unit where two records differ"
EPILOG = """examples:
  refasr trace recording.wav -o fast.npz
  refasr trace recording.wav --backend reference -o reference.npz
  refasr trace diff fast.npz reference.npz
  refasr trace diff fast.npz theirs.npz --json

The file has an array for each stage, for numpy.load: K0 samples, K1 filter bank, K2 stacked frames, K3.0, K3.1 ... encoder
layers, K4 text encodings, K5 logits, K6/... what the search wrote, K8/... the lattice. Stages are compared in this order, bit by
bit. diff exits with 0 if all is equal, 1 if something differs. A recording called "diff" is ./diff.
"""


def add_arguments(parser):
    """Declare options and operands. Parameters: parser."""
    from refasr.cli import recogniser
    from refasr.cli.transcribe import channel_number
    parser.add_argument("operands", nargs="+", metavar="RECORDING | diff A B", help="see the examples; - is standard input")
    parser.add_argument("-o", "--output", metavar="OUT.npz", help="file to write")
    recogniser.add_options(parser)
    parser.add_argument("--channel", type=channel_number, metavar="N", help="take this channel, from 0; default: mean of all")
    parser.add_argument("--strict", action="store_true", help="refuse what is not 16 kHz mono instead of converting it")
    parser.add_argument("--json", action="store_true", help="print one object: what was recorded, or what differs")


def run(options):
    """Record or compare. Parameters: options. Returns the exit code."""
    if options.operands[0] != "diff":
        if len(options.operands) != 1:
            options.refuse(f"got {len(options.operands)} recordings, expected one; call once for each")
        if options.output is None:
            options.refuse("--output: got none, expected a file to write; add -o OUT.npz")
        return record(options)
    if options.output is not None:
        options.refuse("--output: got a file with diff, expected none; diff writes no trace")
    if len(options.operands) != 3:
        options.refuse(f"diff: got {len(options.operands) - 1} operands, expected two traces")
    return diff(options)


def record(options):
    """Record. Parameters: options. Returns the exit code."""
    from refasr import trace
    from refasr.audio.wav import read_audio
    from refasr.cli import complain
    from refasr.cli.recogniser import spec_of
    spec = spec_of(options, complain)
    samples = read_audio(options.operands[0], channel=options.channel, strict=options.strict, notice=complain)
    about = {"file": options.operands[0], "model": spec.model, "backend": spec.backend, "beam": spec.beam}
    made = trace.record(spec.load, samples, about)
    trace.save(options.output, made)
    if options.json:
        stages = {key: {"type": str(value.dtype), "shape": list(value.shape)} for key, value in made.arrays.items()}
        print(json.dumps(about | {"stages": stages}))
    return 0


def diff(options):
    """Compare. Parameters: options. Returns the exit code."""
    from refasr import trace
    from refasr.divergence import as_text, first_divergence
    first, second = (trace.load(path) for path in options.operands[1:])
    found = first_divergence(first, second)
    if options.json:
        fields = {key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
                  for key, value in (found._asdict() if found else {}).items()}
        print(json.dumps({"equal": found is None, "a": first.about, "b": second.about, "first": fields or None}, allow_nan=False))
    else:
        print(as_text(found))
    return 0 if found is None else 1
