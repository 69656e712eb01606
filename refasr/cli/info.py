"""`refasr info`: the model card, and what a packed model holds."""

import json

HELP = "print a model's card: sizes, accuracy, delay, and what it was trained on"
EPILOG = """examples:
  refasr info
  refasr info --model work/float/model.npz --json
  refasr info int8.refasr

Rates are fractions, with their 95 % bootstrap interval; times are seconds. A packed model is listed tensor by tensor.
"""


def add_arguments(parser):
    """Declare options. Parameters: parser."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="the same as --model")
    parser.add_argument("--model", metavar="NAME|PATH", help="a shipped model's name or a model file; default: default")
    parser.add_argument("--json", action="store_true", help="print one object")


def run(options):
    """Print the card. Parameters: options. Returns the exit code."""
    from refasr import card
    from refasr.models import SUFFIX
    from refasr.shipped import model_path
    if options.file is not None and options.model is not None:
        options.refuse("FILE: got one and --model, expected one of them")
    path = model_path(options.file or options.model or "default")
    if path.suffix == SUFFIX:
        from refasr.compress.container import describe
        found = packed(describe(path))
    else:
        from refasr.transducer.model_file import load_model
        found = card.describe(path, load_model(path))
    shipped = {name: str(file) for name, file in card.shipped_models().items()}
    if options.json:
        print(json.dumps(found | {"shipped": shipped}, indent=1))
        return 0
    print(card.as_text(found))
    if "tensors" in found:
        print(table(found))
    for i, (name, file) in enumerate(shipped.items()):
        print(f"{'' if i else 'shipped models':<15}{name}: {file}")
    return 0


def packed(found):
    """A packed model in the words of `card.describe`.

    Parameters
    ----------
    found : dict    From `container.describe`.

    Returns
    -------
    dict            The keys of a float model, and those of `describe` but header. Architecture and units may be None; parameters
                    are then the codes.
    """
    import math

    from refasr.card import count_parameters
    from refasr.errors import FormatError
    from refasr.transducer.model import parameter_shapes
    from refasr.transducer.model_file import read_architecture, read_units
    header = found.pop("header")
    for row in found["tensors"]:
        row["values"] = math.prod(row["shape"])
    shapes = {row["name"]: row["shape"] for row in found["tensors"] if row["type"] == "codes"}
    architecture, units, card = (header.get(name) for name in ("architecture", "units", "card"))
    try:
        known = read_architecture(found["file"], architecture if isinstance(architecture, dict) else {})
        read_units(found["file"], units, known)
        shapes = parameter_shapes(known)
    except FormatError:
        architecture = units = None  # a container may hold anything; what is in it is for others to judge
    counts = count_parameters(shapes)
    return found | {"parameters": sum(counts.values()), "parameters_by_part": counts, "architecture": architecture,
                    "units": units, "card": card if isinstance(card, dict) else {}, "arithmetic": header.get("arithmetic")}


def table(found):
    """The tensors for reading. Parameters: found (of `packed`). Returns text."""
    lines = [f"{'sha256':<15}{found['sha256']}",
             f"{'tensors':<15}{'type':<8} {'shape':>12} {'bytes':>10} {'bits a weight':>14}  name"]
    coded = [row for row in found["tensors"] if row["type"] == "codes"]
    for row in found["tensors"]:
        kind, rate = (f"{row['bits']}-bit", f"{row['bits_a_weight']:.3f}") if row["type"] == "codes" else (row["type"], "")
        shape = " x ".join(map(str, row["shape"])) or "1"
        lines.append(f"{'':<15}{kind:<8} {shape:>12} {row['bytes']:>10,} {rate:>14}  {row['name']}")
    if coded:
        n_bytes, n = (sum(row[key] for row in coded) for key in ("bytes", "values"))
        lines.append(f"{'':<15}{'codes':<8} {n:>12,} {n_bytes:>10,} {8 * n_bytes / n:>14.3f}  together")
    return "\n".join(lines)
