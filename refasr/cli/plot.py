"""`refasr plot`: figures of what the recogniser does with a recording, and of what training does to its weights."""

HELP = "draw a figure of a recording (alignment, features, lattice), a training run (weights, sparsity) or end-pointers"
EPILOG = """examples:
  refasr plot alignment recording.wav turn on the kitchen lights -o alignment.png
  refasr plot features recording.wav -o features.svg --profile refasr
  refasr plot lattice recording.lat -o lattice.pdf --max-arcs 40
  refasr plot weights work/small -o weights.png
  refasr plot sparsity work/small -o sparsity.png
  refasr plot endpoint report.json -o endpoint.png

The suffix of OUT chooses the kind of file: png, svg or pdf. Needs Matplotlib: pip install 'refasr[plots]'.
"""
SIZE_INCHES, DOTS_AN_INCH = (11, 6.5), 120


def add_arguments(parser):
    """Declare the figures and their options. Parameters: parser."""
    from refasr.cli.transcribe import channel_number
    figures = parser.add_subparsers(dest="figure", metavar="FIGURE", required=True)
    alignment = figures.add_parser("alignment", help="where in time each unit of a known text is", allow_abbrev=False)
    alignment.add_argument("audio", metavar="AUDIO", help="recording, or - for standard input")
    alignment.add_argument("text", metavar="TEXT", nargs="+", help="what is said in it")
    alignment.add_argument("--model", default="default", metavar="NAME|PATH", help="a shipped model's name or a model file")
    alignment.add_argument("--backend", choices=("fast", "reference"), default="fast")
    features = figures.add_parser("features", help="the log-mel features that the network hears", allow_abbrev=False)
    features.add_argument("audio", metavar="AUDIO", help="recording, or - for standard input")
    features.add_argument("--profile", default="refasr", metavar="P", help="definition of the features; default refasr")
    lattice = figures.add_parser("lattice", help="the alternatives that a search kept, over time", allow_abbrev=False)
    lattice.add_argument("file", metavar="FILE", help="lattice, as refasr transcribe --lattice writes it")
    lattice.add_argument("--max-arcs", type=channel_number, default=60, metavar="N", help="draw the N best arcs; default 60")
    weights = figures.add_parser("weights", help="how weights drift to the levels of their codes", allow_abbrev=False)
    sparsity = figures.add_parser("sparsity", help="how zeros spread over the epochs", allow_abbrev=False)
    endpoint = figures.add_parser("endpoint", help="how long end-pointers wait, how often too short", allow_abbrev=False)
    endpoint.add_argument("file", metavar="FILE", help="JSON of data/training/endpoint_report.py")
    for figure in (weights, sparsity):
        figure.add_argument("folder", metavar="FOLDER", help="work folder of a run with [quantise] or [sparsify]")
    for figure in (alignment, features):
        figure.add_argument("--channel", type=channel_number, metavar="N", help="take this channel, from 0")
        figure.add_argument("--strict", action="store_true", help="refuse what is not 16 kHz mono instead of converting it")
    for figure in (alignment, features, lattice, weights, sparsity, endpoint):
        figure.add_argument("-o", "--output", metavar="OUT", required=True, help="file to write")


def run(options):
    """Draw. Parameters: options. Returns the exit code."""
    from refasr.cli.pictures import require_suffix, write_figure
    require_suffix(options, "--output", options.output)
    draw = {"alignment": draw_alignment, "features": draw_features, "lattice": draw_lattice, "weights": draw_weights,
            "sparsity": draw_sparsity, "endpoint": draw_endpoint}[options.figure]
    write_figure(options.output, lambda ax: draw(options, ax), SIZE_INCHES, DOTS_AN_INCH)
    return 0


def draw_alignment(options, ax):
    """Occupancies, best path and words. Parameters: options, ax."""
    from refasr import forced
    from refasr.cli.align import align
    from refasr.plot import alignment as figure
    recogniser, alignment = align(options)
    occupancy = forced.occupancy(alignment, recogniser.backend)
    n_frames, n_rows = occupancy.shape
    ax.figure.set_size_inches(min(max(9, 0.11 * n_frames), 30), min(max(5, 1.5 + 0.14 * n_rows), 20))
    figure.draw(occupancy, alignment.frames, alignment.units, recogniser.frame_seconds, ax)


def draw_features(options, ax):
    """Log-mel features over time. Parameters: options, ax."""
    from refasr.audio.wav import read_audio
    from refasr.cli import complain
    from refasr.features import fbank, normalise
    from refasr.plot import features as figure
    from refasr.twins import select
    plan = fbank.Plan.of(options.profile)
    samples = read_audio(options.audio, sample_rate_hz=plan.profile.sample_rate_hz, channel=options.channel,
                         strict=options.strict, notice=complain)
    frames = select("fast")(fbank.log_mel)(samples, plan)
    figure.draw(normalise.utterance(frames, plan.profile), plan.profile, ax)


def draw_lattice(options, ax):
    """Alternatives over time. Parameters: options, ax."""
    from refasr.lattice.formats import read_lattice
    from refasr.plot import lattice as figure
    figure.draw(read_lattice(options.file), ax, options.max_arcs)


def draw_weights(options, ax):
    """Histograms of a run's weights. Parameters: options, ax."""
    from refasr.plot import weights as figure
    from refasr.train.snapshots import read_snapshots
    figure.draw(read_snapshots(options.folder), ax)


def draw_sparsity(options, ax):
    """The pattern of zeros, and below it each tensor's share. Parameters: options, ax."""
    from refasr.plot import sparsity as figure
    from refasr.train.snapshots import read_snapshots
    snapshots, whole = read_snapshots(options.folder), ax.figure
    ax.remove()
    pattern, layers = whole.subplots(2, 1, gridspec_kw={"height_ratios": [1, 1.3]})
    figure.draw_pattern(snapshots, pattern)
    figure.draw_layers(snapshots, layers)


def draw_endpoint(options, ax):
    """Waits over early cut-offs. Parameters: options, ax."""
    import json

    from refasr.errors import FormatError
    from refasr.plot import endpoint as figure
    try:
        with open(options.file, encoding="utf-8") as file:
            report = json.load(file)
    except (ValueError, OSError) as error:
        raise FormatError(f"{options.file}: got {error}, expected a report of data/training/endpoint_report.py") from error
    figure.draw(report, ax.figure)
