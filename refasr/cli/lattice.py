"""`refasr lattice`: look into a lattice, make it smaller, write it as another program reads it."""

import argparse
import json
import math

HELP = "show, prune or convert a lattice, or find the best it holds"
EPILOG = """examples:
  refasr transcribe --beam 16 --lattice out.lat recording.wav
  refasr lattice show out.lat
  refasr lattice show --nbest 10 --json out.lat
  refasr lattice prune out.lat small.lat --beam 6 --max-arcs 200
  refasr lattice convert out.lat out.svg
  refasr lattice oracle out.lat --text "turn on the kitchen lights"

FILE is .lat (compact), .fst (OpenFst text; OUT.fst.syms holds the symbols), .kaldi (text) or .slf (HTK); .dot and .svg are
written only. What a format cannot hold is lost: .fst has neither times nor scores apart, .kaldi adds bias to lm. Scores are
natural logarithms, higher is better; times are seconds; arcs a word are those of the best path.
"""


def amount(text):
    """A number from 0. Parameters: text. Returns float."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number from 0")
    return value


def count(text):
    """A whole number from 1 to 100000. Parameters: text. Returns int."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100_000):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number from 1 to 100000")
    return int(text)


def add_arguments(parser):
    """Declare the actions and their options. Parameters: parser."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="its size and its best readings, with their scores", allow_abbrev=False)
    show.add_argument("--nbest", type=count, default=3, metavar="K", help="how many readings; default 3")
    prune = actions.add_parser("prune", help="keep what is near the best path", allow_abbrev=False)
    convert = actions.add_parser("convert", help="write it in another format, by the suffix of OUT", allow_abbrev=False)
    oracle = actions.add_parser("oracle", help="the path with the fewest word errors", allow_abbrev=False)
    oracle.add_argument("--text", metavar="REFERENCE", required=True, help="what was said")
    for action in (show, oracle):
        action.add_argument("--json", action="store_true", help="print a JSON object")
    for action in (show, prune, convert, oracle):
        action.add_argument("file", metavar="FILE", help="lattice")
    for action in (prune, convert):
        action.add_argument("output", metavar="OUT", help="file to write")
    prune.add_argument("--beam", type=amount, default=math.inf, metavar="NATS",
                       help="how far the best path through an arc may lie below the best path")
    prune.add_argument("--max-arcs", type=count, metavar="N", help="how many arcs may stay; the best path does anyway")


def run(options):
    """Do it. Parameters: options. Returns the exit code."""
    from refasr.lattice.formats import SUFFIXES, read_lattice
    if options.action == "prune" and options.beam == math.inf and options.max_arcs is None:
        options.refuse("prune: got no limit, expected --beam, --max-arcs or both")
    if "output" in options and not options.output.lower().endswith(SUFFIXES):
        options.refuse(f"OUT: got {options.output!r}, expected a name that ends in {', '.join(SUFFIXES)}")
    lattice = read_lattice(options.file)
    return {"show": show, "prune": prune, "convert": convert, "oracle": oracle}[options.action](options, lattice)


def show(options, lattice):
    """Print what it holds. Parameters: options, lattice. Returns the exit code."""
    found = summary(options.file, lattice, options.nbest)
    if options.json:
        print(json.dumps(found, allow_nan=False))
        return 0
    print(f"{found['nodes']} nodes, {found['arcs']} arcs, {found['words']} different words, {found['seconds']:.2f} s")
    print("{arcs_a_frame:.2f} arcs a frame, {arcs_a_second:.1f} a second, {arcs_a_word:.1f} a word".format(**found))
    print(f"{found['bytes']} bytes on the wire" if found["bytes"] is not None else "too large for the wire")
    if found["nbest"]:
        print(f"{'acoustic':>10} {'lm':>9} {'bias':>9} {'total':>10}  text")
    for reading in found["nbest"]:
        print("{acoustic:10.3f} {lm:9.3f} {bias:9.3f} {total:10.3f}  {text}".format(**reading))
    if not found["nbest"]:
        print("no path leads from the start to the end")
    return 0


def summary(file, lattice, k):
    """Size and best readings.

    Parameters
    ----------
    file : str          Its name.
    lattice : Lattice
    k : int             How many readings.

    Returns
    -------
    dict                bytes is None for a lattice that the wire format refuses.
    """
    from refasr.errors import RangeError
    from refasr.lattice import nbest, oracle, wire
    from refasr.lattice.lattice import NO_WORD
    from refasr.twins import select
    density = oracle.density(lattice)
    try:
        size = len(wire.encode(lattice))
    except RangeError:
        size = None
    return {"file": file, "nodes": lattice.n_nodes, "arcs": lattice.n_arcs, "words": len({*lattice.word.tolist()} - {NO_WORD}),
            "seconds": round(int(lattice.end.max(initial=0)) * lattice.frame_seconds, 4),
            "arcs_a_frame": density.per_frame, "arcs_a_second": density.per_second, "arcs_a_word": density.per_word,
            "bytes": size, "nbest": [ledger(reading) for reading in select("fast")(nbest.nbest)(lattice, k)]}


def ledger(reading):
    """A reading in nats. Parameters: reading. Returns a dict: text, acoustic, lm, bias, total."""
    from refasr.lattice.lattice import to_nats
    scores = {name: to_nats(getattr(reading, name)) for name in ("acoustic", "lm", "bias", "total")}
    return {"text": " ".join(reading.words), **scores}


def prune(options, lattice):
    """Write less of it. Parameters: options, lattice. Returns the exit code."""
    from refasr.lattice import prune as pruning
    from refasr.lattice.formats import write_lattice
    from refasr.twins import select
    write_lattice(select("fast")(pruning.prune)(lattice, options.beam, options.max_arcs), options.output)
    return 0


def convert(options, lattice):
    """Write it in another format. Parameters: options, lattice. Returns the exit code."""
    from refasr.lattice.formats import write_lattice
    write_lattice(lattice, options.output)
    return 0


def oracle(options, lattice):
    """Compare it with what was said. Parameters: options, lattice. Returns the exit code."""
    from refasr.lattice import oracle as search
    from refasr.lattice.lattice import NO_WORD
    from refasr.metrics.text import normalise
    from refasr.twins import select
    reference = normalise(options.text).split()
    if not reference:
        options.refuse("--text: got no words, expected what was said")
    path = select("fast")(search.oracle_path)(lattice, search.word_numbers(lattice, reference))
    text = " ".join(lattice.words[word] for word in lattice.word[path.arcs].tolist() if word != NO_WORD)
    rate = path.errors / len(reference)
    if options.json:
        print(json.dumps({"file": options.file, "errors": path.errors, "n_words": len(reference), "rate": rate, "text": text}))
    else:
        print(f"{path.errors} errors in {len(reference)} words: {100 * rate:.2f} %\n{text}")
    return 0
