"""`refasr hw`: the neural processor: what a recording costs on it, and what each idea of its design is worth."""

import json

HELP = "run a model on the modelled neural processor, or compare designs"
EPILOG = """examples:
  refasr hw run recording.wav --model int8.refasr
  refasr hw run recording.wav --model int8.refasr --preset int8 --set buffers=1 --set energies.external_byte=80
  refasr hw run --model int8.refasr --json --timeline frame.png
  refasr hw compare --model float
  refasr hw presets

All cycles, times and energies are modelled, none is measured; docs/processor.md says by what law. `run` writes the text that the
processor found, which must be that of the integer network, bit for bit: the exit code is 1 if it is not. `compare` takes a float
model, quantised to 8, 5 and 4 bits, or a packed one, in its own width. Its zeros are made by pruning: no accuracy is claimed for
them. Without AUDIO, a recording that comes with refasr is taken.
"""
SAMPLE = "lights.flac"


def add_arguments(parser):
    """Declare the actions and their options. Parameters: parser."""
    from refasr.hw.presets import PRESETS
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run_it = actions.add_parser("run", help="a recording on one part", allow_abbrev=False)
    compare = actions.add_parser("compare", help="many designs in one table", allow_abbrev=False)
    presets = actions.add_parser("presets", help="the parts and their settings", allow_abbrev=False)
    for action in (run_it, compare):
        action.add_argument("audio", nargs="?", metavar="AUDIO", help=f"recording, or - for standard input; default: {SAMPLE}")
        action.add_argument("--model", default="int8", metavar="NAME|PATH", help="packed model, or a float one to quantise")
        action.add_argument("--backend", choices=("fast", "reference"), default="fast", help="compiled, or readable and slow")
        action.add_argument("--speech", metavar="MANIFEST", help="to quantise a float model on; default: those in data/samples")
    run_it.add_argument("--bits", type=int, choices=(8, 5, 4), help="of a float model's weights; default 8")
    for action in (run_it, presets):
        action.add_argument("--preset", choices=list(PRESETS), default="refasr", help="default refasr")
        action.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change a setting; may be repeated")
    run_it.add_argument("--timeline", metavar="OUT", help="draw one frame: a file that ends in png, svg or pdf")
    for action in (run_it, compare, presets):
        form = action.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print JSON")
        if action is not presets:
            form.add_argument("--csv", action="store_true", help="print comma-separated values")


def run(options):
    """Do it. Parameters: options. Returns the exit code."""
    if options.action != "compare":
        from refasr.hw.presets import preset
        from refasr.hw.processor import changed
        options.part = changed(preset(options.preset), options.set)
    return {"run": run_once, "compare": run_all, "presets": show}[options.action](options)


def model_of(options, bits):
    """Integer models. Parameters: options, bits (widths for a float model). Returns a list of IntegerModel."""
    from refasr.cli import complain
    from refasr.cli.pack import calibrated
    from refasr.compress.quantise import quantise
    from refasr.models import SUFFIX, load
    from refasr.shipped import model_path
    path = model_path(options.model)
    if path.suffix == SUFFIX:
        if getattr(options, "bits", None) is not None or options.speech is not None:
            options.refuse("--bits, --speech: got one with a packed model, expected them with a float model only")
        return [load(path)]
    complain(f"quantising {options.model} to {', '.join(map(str, bits))} bits; refasr pack keeps the result")
    made_from = calibrated(options)
    return [quantise(*made_from, width) for width in bits]


def samples_of(options):
    """The recording. Parameters: options. Returns (float32 [S], seconds)."""
    from refasr.audio import SAMPLE_RATE_HZ
    from refasr.audio.wav import read_audio
    from refasr.cli import complain
    from refasr.shipped import data_path
    samples = read_audio(options.audio or data_path("samples", SAMPLE), sample_rate_hz=SAMPLE_RATE_HZ, notice=complain)
    return samples, len(samples) / SAMPLE_RATE_HZ


def run_once(options):
    """One part. Parameters: options. Returns the exit code."""
    from refasr import models
    from refasr.cli import pictures
    from refasr.hw import report
    from refasr.hw.network import ProcessorNetwork
    from refasr.hw.utterance import codes_of, hear
    from refasr.transducer.units import decode_labels
    from refasr.twins import select
    if options.timeline:
        pictures.require_suffix(options, "--timeline", options.timeline)
    (samples, seconds), backend = samples_of(options), select(options.backend)
    model, = model_of(options, [options.bits or 8])
    network = ProcessorNetwork(model, options.part, backend)
    codes = codes_of(model, network, samples, backend)
    heard, expected = hear(network, codes), hear(models.assemble(model, backend), codes)
    equal = (heard.labels, heard.score) == (expected.labels, expected.score)
    found = report.report(options.part, report.layer_totals(network.chip, network.compiled.programs), seconds,
                          network.compiled.n_bytes)
    found |= {"text": decode_labels(heard.labels, model.units), "equal_to_integer_network": equal}
    if options.timeline:
        draw(options, network)
    if options.json:
        print(json.dumps(found))
    elif options.csv:
        print(report.as_csv([*found["layers"], found["total"]]), end="")
    else:
        print(f"{found['text']}\n{'equal to' if equal else 'DIFFERS from'} the integer network\n{report.as_table(found)}")
    return 0 if equal else 1


def draw(options, network):
    """The timeline of a frame. Parameters: options, network."""
    from refasr.cli.pictures import write_figure
    from refasr.hw.schedule import timetable
    from refasr.plot import timeline
    events = timetable(network.compiled.programs["frame"], network.chip)
    write_figure(options.timeline, lambda ax: timeline.draw(events, options.part.external_latency_cycles, ax), (13, 5), 120)


def run_all(options):
    """All designs. Parameters: options. Returns the exit code."""
    from refasr import models
    from refasr.hw import report, variants
    from refasr.hw.utterance import codes_of, hear
    from refasr.twins import select
    (samples, seconds), backend = samples_of(options), select(options.backend)
    widths = model_of(options, [8, 5, 4])
    network = models.assemble(widths[0], backend)
    runs = hear(network, codes_of(widths[0], network, samples, backend)).runs
    rows = variants.compare(widths, runs, seconds, backend)
    if options.json:
        print(json.dumps(rows))
    elif options.csv:
        print(report.as_csv(rows), end="")
    else:
        print(f"modelled, not measured: {seconds:.2f} s of sound; zeros by pruning, no accuracy is claimed for them")
        print(report.table_of(variants.COLUMNS, [list(row.values()) for row in rows]))
    return 0


def show(options):
    """Settings of a part. Parameters: options. Returns the exit code."""
    import dataclasses
    settings = dataclasses.asdict(options.part)
    if options.json:
        print(json.dumps(settings))
        return 0
    for name, value in {**settings, **settings.pop("energies")}.items():
        if name != "energies":
            print(f"{name:<25}{value}")
    return 0
