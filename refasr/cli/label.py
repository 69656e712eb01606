"""refasr label: write what a teacher hears in unannotated recordings, as a manifest to train on."""

import sys

HELP = "label recordings with what a model hears in them, to train on"
EPILOG = """examples:
  refasr label unannotated.tsv --model work/teacher/model.npz -o pseudo.tsv
  refasr label recorded.tsv --where source=libri --where split=train -o pseudo.tsv --least 0.9

The column `extra` holds pseudo:X, X being the teacher's confidence, 0 to 1; a [[data]] table of a training configuration
takes the surest with least_confidence. Texts that MANIFEST has are neither used nor kept. Recordings in which nothing is
heard are left out, and so are those that cannot be read, which are reported; then the exit code is 1.
"""


def add_arguments(parser):
    """Declare options and operands. Parameters: parser."""
    from refasr.cli import recogniser
    parser.add_argument("manifest", metavar="MANIFEST", help="as for refasr evaluate")
    parser.add_argument("--where", metavar="COLUMN=VALUE", action="append", default=[],
                        help="keep matching utterances; terms are ANDed")
    recogniser.add_options(parser)
    parser.add_argument("--least", type=float, default=0.0, metavar="X", help="leave out labels less sure than this; default 0")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="manifest to write (TSV)")


def run(options):
    """Label. Parameters: options. Returns the exit code."""
    from refasr import corpus
    from refasr.cli import complain
    from refasr.cli.progress import Progress
    from refasr.cli.recogniser import spec_of
    from refasr.errors import RangeError
    from refasr.train import pseudo_labels
    chosen = corpus.select(corpus.read_manifest(options.manifest), options.where)
    if not chosen:
        raise RangeError(f"{options.manifest}: got no utterance that fits, expected at least one; look at its columns")
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
