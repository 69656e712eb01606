"""`refasr features`: log-mel features of a recording, and where two definitions of them part."""

import dataclasses
import json
import pathlib

HELP = "compute features under a named profile, or find where two profiles part"
EPILOG = """examples:
  refasr features recording.wav
  refasr features recording.wav --profile whisper -o features.npy
  refasr features diff kaldi sherpa
  refasr features diff refasr kaldi recording.wav --json
  refasr features diff kaldi theirs.npy recording.wav

Profiles: refasr, kaldi, sherpa, htk, nemo, whisper. The file written is float32 [frames, bins] for numpy.load.

diff A B [RECORDING] takes profiles, or .npy files of features. Two profiles are run stage by stage, on the recording or a
test signal; the first stage that differs is named, with its settings, and for each stage the effect that it alone has on
the features of A. A file is compared with the finished features. Exit code 1 with --check if the difference exceeds
--tolerance. A file called "diff" is ./diff.
"""
SUFFIX = ".npy"


def add_arguments(parser):
    """Declare options and operands. Parameters: parser."""
    parser.add_argument("operands", nargs="+", metavar="RECORDING | diff A B [RECORDING]",
                        help="see the examples; - is standard input")
    parser.add_argument("--profile", metavar="P", default="refasr", help="definition of the features (default: refasr)")
    parser.add_argument("-o", "--output", metavar="OUT.npy", help="write the features there")
    parser.add_argument("--dither", type=float, metavar="D", help="add noise of this deviation, in the profile's sample units")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the noise (default: 0)")
    parser.add_argument("--backend", choices=("fast", "reference"), default="fast", help="compiled, or readable and slow")
    parser.add_argument("--channel", type=int, metavar="N", help="take this channel, from 0; default is the mean of all")
    parser.add_argument("--strict", action="store_true", help="refuse a recording of another rate or of several channels")
    parser.add_argument("--check", action="store_true", help="with diff: exit code 1 if they differ")
    parser.add_argument("--tolerance", type=float, default=0.0, metavar="X",
                        help="with --check: largest difference allowed (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options):
    """Compute or compare. Parameters: options. Returns the exit code."""
    if options.operands[0] != "diff":
        if len(options.operands) != 1:
            options.refuse(f"got {len(options.operands)} recordings, expected one; call once for each")
        return extract(options)
    if options.output:
        options.refuse("--output: got a file with diff, expected none; diff writes no features")
    if len(options.operands) not in (3, 4):
        options.refuse(f"diff: got {len(options.operands) - 1} operands, expected A B or A B RECORDING")
    return diff(options)


def profile_of(name, options):
    """A profile with the options' dither. Parameters: name, options. Returns Profile."""
    from refasr.features.profiles import named
    profile = named(name)
    return profile if options.dither is None else dataclasses.replace(profile, dither=options.dither, dither_seed=options.seed)


def read(path, profile, options):
    """Samples of a recording. Parameters: path, profile, options. Returns float32 [S]."""
    from refasr.audio.wav import read_audio
    from refasr.cli import complain
    return read_audio(path, sample_rate_hz=profile.sample_rate_hz, channel=options.channel, strict=options.strict,
                      notice=complain)


def compute(samples, profile, options):
    """Finished features. Parameters: samples, profile, options. Returns float32 [T, F]."""
    from refasr.features import fbank, normalise
    from refasr.twins import select
    return normalise.utterance(select(options.backend)(fbank.log_mel)(samples, fbank.Plan.of(profile)), profile)


def extract(options):
    """Features of one recording. Parameters: options. Returns 0."""
    profile = profile_of(options.profile, options)
    samples = read(options.operands[0], profile, options)
    features = compute(samples, profile, options)
    if options.output:
        import numpy as np
        from refasr.whole_file import whole_file
        with whole_file(options.output) as file:
            np.save(file, features)
    summary = {"file": options.operands[0], "profile": profile.name, "seconds": samples.size / profile.sample_rate_hz,
               "frames": len(features), "bins": profile.n_bins, "output": options.output}
    for name in ("min", "mean", "max"):
        summary[name] = float(getattr(features, name)()) if features.size else None
    if options.json:
        print(json.dumps(summary))
    elif not options.output:
        for name, value in summary.items():
            if name != "output":
                print(f"{name:8s} {'-' if value is None else format(value, '.4f') if isinstance(value, float) else value}")
    return 0


def diff(options):
    """Compare A and B. Parameters: options. Returns the exit code."""
    from refasr.features import compare
    _, a, b, *recording = options.operands
    files = [name for name in (a, b) if pathlib.Path(name).suffix == SUFFIX]
    if len(files) == 2 and recording:
        options.refuse("diff: got two files of features and a recording, expected no recording")
    if len(files) == 1 and not recording:
        options.refuse(f"diff: got a profile and {files[0]}, expected the recording that the file was made from as well")
    if files:
        result = {"a": a, "b": b} | gap(compare.difference(*(features_of(name, recording, options) for name in (a, b))))
        worst = result["largest"] if result["shape_a"] == result["shape_b"] else float("inf")
        print(json.dumps(result) if options.json else sentence(result))
    else:
        profiles = [profile_of(name, options) for name in (a, b)]
        samples = read(recording[0], profiles[0], options) if recording else compare.probe_signal(profiles[0].sample_rate_hz)
        rows = compare.compare(samples, *profiles)
        parts = compare.parting(rows)
        last = rows[-1].after
        worst = last.largest if last.shape_a == last.shape_b else float("inf")
        print(json.dumps(report(a, b, rows, parts)) if options.json else table(a, b, rows, parts))
    return int(options.check and worst > options.tolerance)


def features_of(name, recording, options):
    """Features of a profile or from a file. Parameters: name, recording (a list), options. Returns array [T, F]."""
    from refasr.errors import FormatError
    if pathlib.Path(name).suffix != SUFFIX:
        profile = profile_of(name, options)
        return compute(read(recording[0], profile, options), profile, options)
    import numpy as np
    try:
        features = np.load(name, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise FormatError(f"{name}: cannot be read as features ({reason}); write it with numpy.save") from error
    if features.ndim != 2 or features.dtype.kind != "f":
        raise FormatError(f"{name}: got {features.dtype} of shape {list(features.shape)}, expected floats [frames, bins]")
    return features


def gap(difference):
    """A Difference for JSON. Parameters: difference (or None). Returns dict or None."""
    if difference is None:
        return None
    return {"shape_a": list(difference.shape_a), "shape_b": list(difference.shape_b), "largest": difference.largest,
            "scale": difference.scale, "index": difference.index and list(difference.index)}


def report(a, b, rows, parts):
    """All rows for JSON. Parameters: a, b (names), rows, parts. Returns dict."""
    return {"a": a, "b": b, "parts_at": parts and parts.stage,
            "stages": [{"stage": row.stage, "settings": {key: list(pair) for key, pair in row.settings.items()},
                        **gap(row.after), "alone": gap(row.alone)} for row in rows]}


def sentence(result):
    """One line about two arrays. Parameters: result (from `gap`, with names). Returns str."""
    shapes = [" x ".join(map(str, result[key])) for key in ("shape_a", "shape_b")]
    where = f" at frame {result['index'][0]}, bin {result['index'][1]}" if result["index"] else ""
    sizes = f"both {shapes[0]}" if shapes[0] == shapes[1] else f"{shapes[0]} and {shapes[1]}"
    return f"{result['a']} and {result['b']}: {sizes}; largest difference {result['largest']:.3g}{where}"


def table(a, b, rows, parts):
    """Rows as text. Parameters: a, b (names), rows, parts. Returns str."""
    if parts is None:
        return f"{a} and {b} do not part: every stage gives the same"
    settings = ", ".join(f"{key} {ours} | {theirs}" for key, (ours, theirs) in parts.settings.items())
    lines = [f"{a} and {b} part at: {parts.stage} ({settings})", "",
             f"{'stage':20s} {'after it':>22s} {'alone':>10s}  settings of {a} | {b}"]
    for row in rows:
        after = f"{row.after.largest:.3g} of {row.after.scale:.3g}" if row.after.any else "the same"
        if row.after.shape_a != row.after.shape_b:
            after = " | ".join("x".join(map(str, shape)) for shape in (row.after.shape_a, row.after.shape_b))
        alone = "" if row.alone is None else f"{row.alone.largest:.3g}" if row.alone.shape_a == row.alone.shape_b else "shape"
        values = ", ".join(f"{key} {ours} | {theirs}" for key, (ours, theirs) in row.settings.items())
        lines.append(f"{row.stage:20s} {after:>22s} {alone:>10s}  {values}".rstrip())
    lines += ["", "after it: largest difference of what leaves the stage, of the largest value; each went its own way up to here",
              f"alone: largest difference of the finished features if {a} takes over this stage's settings and no others"]
    return "\n".join(lines)
