"""refasr label: write down what a teacher hears in recordings, or thinks of their texts, to train on."""

import sys

HELP = "label recordings with what a model hears in them, or thinks of their texts, to train on"
EPILOG = """examples:
  refasr label unannotated.tsv --model work/teacher/model.npz -o pseudo.tsv
  refasr label recorded.tsv --where source=libri --where split=train -o pseudo.tsv --least 0.9
  refasr label recorded.tsv --where source=gsc --model work/teacher/model.npz --targets 4 -o gsc.targets.npz

The column `extra` holds pseudo:X, X being the teacher's confidence, 0 to 1; a [[data]] table of a training configuration
takes the surest with least_confidence. Texts that MANIFEST has are neither used nor kept. Recordings in which nothing is
heard are left out, and so are those that cannot be read, which are reported; then the exit code is 1.

With --targets K, MANIFEST's own texts are taken, and what the model thinks at each node of frames and units is stored: its K most
probable units and the mass of all others. A [distil] table of a training configuration names the file as its teacher.
"""


def add_arguments(parser):
    """Declare options and operands. Parameters: parser."""
    from refasr.cli import recogniser
    from refasr.cli.workers import positive
    parser.add_argument("manifest", metavar="MANIFEST", help="as for refasr evaluate")
    parser.add_argument("--where", metavar="COLUMN=VALUE", action="append", default=[],
                        help="keep matching utterances; terms are ANDed")
    recogniser.add_options(parser)
    parser.add_argument("--least", type=float, default=0.0, metavar="X", help="leave out labels less sure than this; default 0")
    parser.add_argument("--targets", type=positive, metavar="K", help="store opinions on the texts instead")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="manifest (TSV), or .targets.npz, to write")


def run(options):
    """Label. Parameters: options. Returns the exit code."""
    from refasr import corpus
    from refasr.errors import RangeError
    chosen = corpus.select(corpus.read_manifest(options.manifest), options.where)
    if not chosen:
        raise RangeError(f"{options.manifest}: got no utterance that fits, expected at least one; look at its columns")
    return store_targets(options, chosen) if options.targets else write_labels(options, chosen)


def write_labels(options, chosen):
    """Write what is heard. Parameters: options, chosen (list of Utterance). Returns the exit code."""
    from refasr.cli import complain
    from refasr.cli.progress import Progress
    from refasr.cli.recogniser import spec_of
    from refasr.train import pseudo_labels
    labels, failures, progress = [], 0, Progress(chosen, "utterance")
    for _, found in zip(progress, pseudo_labels.label(chosen, spec_of(options, complain).load())):
        if isinstance(found, Exception):
            progress.clear()
            failures += complain(found)
        elif found.confidence >= options.least:
            labels.append(found)
    written = pseudo_labels.write_manifest(options.output, labels)
    print(f"refasr: {written} of {len(chosen)} recordings labelled", file=sys.stderr)
    return 1 if failures else 0


def store_targets(options, chosen):
    """Write what is thought of the texts. Parameters: options, chosen (list of Utterance). Returns the exit code."""
    from refasr.cli.progress import Progress
    from refasr.models import load_float
    from refasr.shipped import model_path
    from refasr.train import stored_targets
    from refasr.train.distil import STORED
    from refasr.twins import select
    if not options.output.endswith(STORED):
        options.refuse(f"--targets: got {options.output!r} to write, expected a name that ends in {STORED}; training tells by it")
    model, kept = load_float(model_path(options.model)), {}
    recordings, progress = stored_targets.recordings_of(chosen), Progress(chosen, "utterance")
    for _, targets in zip(progress, stored_targets.of_recordings(model, recordings, options.targets, select(options.backend))):
        kept[targets.key] = targets
    stored_targets.write(options.output, kept)
    print(f"refasr: targets of {len(kept)} recordings stored", file=sys.stderr)
    return 0
