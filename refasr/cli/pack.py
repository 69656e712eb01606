"""`refasr pack`: a model in one compressed file."""

HELP = "pack a model, or an unpacked folder, into a .refasr file"
EPILOG = """examples:
  refasr pack float int8.refasr
  refasr pack work/float/model.npz int5.refasr --bits 5 --speech train.tsv
  refasr unpack int8.refasr contents
  refasr pack contents again.refasr

A float model is quantised: weights of --bits, everything else in 8 to 32. One of quantisation-aware training keeps the widths
that it was trained for, unless --bits says otherwise. Scales are chosen on up to 300 recordings of --speech, evenly spread, which
should be speech to train on; those that come with refasr will do for a try. The accuracy and delay on the float model's card are
left out: they are not those of the packed one. A folder is what refasr unpack writes.
"""
MOST_RECORDINGS = 300


def add_arguments(parser):
    """Declare options and operands. Parameters: parser."""
    parser.add_argument("model", metavar="MODEL", help="a shipped model's name, a float model file, or a folder")
    parser.add_argument("output", metavar="OUT.refasr", help="file to write")
    parser.add_argument("--bits", type=int, choices=(8, 5, 4), help="width of weights of a float model; default 8, or as trained")
    parser.add_argument("--speech", metavar="MANIFEST", help="recordings with their texts; default: those in data/samples")
    parser.add_argument("--backend", choices=("fast", "reference"), default="fast", help="compiled, or readable and slow")
    parser.add_argument("--json", action="store_true", help="print what was written, as refasr info does")


def run(options):
    """Pack. Parameters: options. Returns the exit code."""
    import json
    import os

    from refasr.cli.info import packed
    from refasr.compress.container import describe, write_contents
    from refasr.models import SUFFIX
    if not options.output.endswith(SUFFIX):
        options.refuse(f"OUT{SUFFIX}: got {options.output!r}, expected a name that ends in {SUFFIX}; models are told apart by it")
    if os.path.isdir(options.model):
        from refasr.compress.folder import read_folder
        if options.bits is not None or options.speech is not None:
            options.refuse("--bits, --speech: got one with a folder, expected them with a float model only")
        contents = read_folder(options.model)
    else:
        contents = quantised(options)
    write_contents(options.output, contents, options.backend)
    if options.json:
        print(json.dumps(packed(describe(options.output))))
    return 0


def quantised(options):
    """The contents of a float model. Parameters: options. Returns Contents."""
    from refasr.compress.integer_model import to_contents
    from refasr.compress.quantise import quantise
    return to_contents(quantise(*calibrated(options), options.bits))


def calibrated(options):
    """A float model and what it does with speech. Parameters: options (model, speech, backend). Returns (Model, Calibration)."""
    from refasr.cli import complain
    from refasr.compress.calibrate import calibrate, stacked_frames
    from refasr.corpus import read_samples, transcript
    from refasr.errors import FormatError
    from refasr.manifests import read_manifest
    from refasr.models import SUFFIX
    from refasr.shipped import data_path, model_path
    from refasr.transducer.model_file import load_model
    from refasr.transducer.units import encode_text
    from refasr.twins import select
    path, backend = model_path(options.model), select(options.backend)
    if path.suffix == SUFFIX:
        raise FormatError(f"{path}: got a packed model, expected a float one or a folder; refasr unpack makes a folder of it")
    model = load_model(path)
    rows = read_manifest(options.speech or data_path("samples", "manifest.tsv"))
    spoken = rows[:: -(-len(rows) // MOST_RECORDINGS) or 1]
    speech = [(stacked_frames(model, read_samples(item, notice=complain), backend), encode_text(transcript(item), model.units))
              for item in spoken]
    return model, calibrate(model, speech, backend)
