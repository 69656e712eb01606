"""Acceptance of coffee orders: how many of the barista recordings are understood, every labelled slot right and none too many.

    python data/training/order_report.py [--model NAME] [--beam N] [--no-second-pass] [--json OUT.json]

One-best text of `refasr transcribe` with its default decoder, and of the second pass over its lattices (which a greedy search,
`--beam 1`, has none of), each read by the longest-match parser of `orders.py`. Brackets hold the 95 % interval by bootstrap
over utterances. `parser` is the acceptance of the reference transcripts: what is lost to the parser and the labels themselves.
Needs the speech of `data/README.md`.
"""

import argparse
import collections
import json
import pathlib
import sys

import numpy as np
import orders

from refasr import corpus
from refasr.cli.recogniser import DEFAULT_BEAM
from refasr.lattice import nbest
from refasr.metrics import bootstrap, wer
from refasr.recogniser_spec import RecogniserSpec
from refasr.rescoring.second_pass import SecondPass
from refasr.twins import select

MANIFEST = pathlib.Path(__file__).parents[3] / "shared" / "speech" / "recorded.tsv"


def hear(items, recogniser, second_pass):
    """One-best texts. Parameters: items (list of Utterance), recogniser, second_pass (or None). Returns {system: list of str}."""
    texts = collections.defaultdict(list)
    for number, item in enumerate(items, 1):
        result = recogniser.transcribe_samples(corpus.read_samples(item))
        texts["first pass"].append(result.text)
        if second_pass is not None:
            readings = select("fast")(nbest.nbest)(second_pass.rescore(result.lattice), 1)
            texts["second pass"].append(" ".join(readings[0].words) if readings else "")
        if sys.stderr.isatty() or number % 50 == 0:
            print(f"{number} of {len(items)}", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
    return dict(texts)


def summary(texts, references, labels):
    """Acceptance with its interval, errors, and where slots went wrong.

    Parameters
    ----------
    texts, references : list of str
    labels : list of dict              Slots of each order.

    Returns
    -------
    dict
    """
    right = np.array([orders.accepted(text, slots) for text, slots in zip(texts, labels)], np.int64)
    low, high = bootstrap.interval(1 - right, np.ones_like(right))      # of refusals, which may be counted as errors are
    wrong = collections.Counter(slot for text, slots in zip(texts, labels) for slot in orders.SLOTS
                                if orders.parse(text).get(slot) != orders.labelled(slots).get(slot))
    return {"acceptance": round(float(right.mean()), 4), "ci95": [round(1 - high, 4), round(1 - low, 4)], "n": len(texts),
            "wer": round(float(wer.score(references, texts).wer), 4), "wrong_slots": dict(wrong.most_common())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help="a shipped model's name, or a file")
    parser.add_argument("--beam", type=int, default=DEFAULT_BEAM)
    parser.add_argument("--no-second-pass", action="store_true")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    items = corpus.select(corpus.read_manifest(MANIFEST), ["source=barista"])
    references, labels = [corpus.transcript(item) for item in items], [json.loads(item.extra) for item in items]
    second_pass = None if options.no_second_pass or options.beam == 1 else SecondPass.load()
    texts = hear(items, RecogniserSpec(options.model, beam=options.beam).load(), second_pass)
    rows = {name: summary(found, references, labels) for name, found in ({"parser": references} | texts).items()}
    for name, row in rows.items():
        print(f"{name}: {row['acceptance']:.4f} ({row['ci95'][0]:.4f} to {row['ci95'][1]:.4f}) of {row['n']} accepted, "
              f"word error rate {row['wer']:.4f}, wrong slots {row['wrong_slots']}")
    if options.json is not None:
        report = {"model": options.model, "beam": options.beam, "systems": rows}
        part = options.json.with_name(options.json.name + ".part")
        part.write_text(json.dumps(report, indent=1) + "\n")
        part.replace(options.json)


if __name__ == "__main__":
    main()
