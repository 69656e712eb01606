"""Choose the weights of the second pass on dev sets, and measure what it gains. Needs the speech of `data/README.md`.

    python data/training/second_pass_report.py WORK [--ngram ARPA] [--neural LM] [--source ARPA] > report.json
    python data/training/second_pass_report.py WORK --curve [--every 8] > curve.json

WORK keeps the lattices of the first pass, which is run once for each set. Weights are chosen by the mean of the error rates of
the dev sets; nothing is chosen on kokoro test or barista. All systems are compared on the 50 best readings of each lattice,
scored once; the last one then also on whole lattices and on lists of the best readings, pruned as the service does, with times:
a curve of each, over the histories and nats that are kept, and over the length of the list. `--curve` measures that alone, with
the shipped weights, and `--every N` times only each Nth lattice, which all systems do in turn.
"""

import argparse
import itertools
import json
import pathlib
import sys
import time

import numpy as np

from refasr import corpus
from refasr.lattice import confidence, nbest, wire
from refasr.lattice.forward_backward import arc_posteriors
from refasr.metrics import bootstrap, wer
from refasr.recogniser_spec import RecogniserSpec
from refasr.rescoring import neural_lm, neural_rescore, ngram
from refasr.rescoring.second_pass import Mixture, SecondPass, paths_alone
from refasr.search.hypotheses import SearchSettings
from refasr.twins import select

SPEECH = pathlib.Path(__file__).parents[3] / "shared" / "speech"
SETS = {"kokoro dev": ("synthetic.tsv", "source=kokoro", "split=dev"), "gsc dev": ("recorded.tsv", "source=gsc", "split=dev"),
        "fsdd dev": ("recorded.tsv", "source=fsdd", "split=dev"), "kokoro test": ("synthetic.tsv", "source=kokoro", "split=test"),
        "barista": ("recorded.tsv", "source=barista")}
TUNED_ON, MEASURED_WHOLE = ("kokoro dev", "gsc dev", "fsdd dev"), ("kokoro test", "barista")
GRID = {"ngram": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2), "neural": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2),
        "source": (0.0, 0.1, 0.2, 0.4), "bonus": (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)}
SYSTEMS = {"ngram": ("ngram", "bonus"), "neural": ("neural", "bonus"), "both": ("ngram", "neural", "bonus"),
           "both and source": ("ngram", "neural", "source", "bonus")}
READINGS, LISTS, SCALES = 50, (1, 2, 4, 8, 16, 50), (0.25, 0.35, 0.5, 0.7, 1.0)
LATTICES = ((1, 6.0), (2, 8.0), (4, 10.0), (8, 12.0))      # histories at a node, nats of the pruning


def lattices(work, name, spec):
    """The first pass, from its folder or new. Parameters: work, name, spec. Returns a list of (Lattice, text)."""
    folder = work / name.replace(" ", "_")
    if not (folder / "rows.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        manifest, *where = SETS[name]
        recogniser, rows = spec.load(), []
        for i, item in enumerate(corpus.select(corpus.read_manifest(SPEECH / manifest), where)):
            found = recogniser.transcribe_samples(corpus.read_samples(item))
            (folder / f"{i:04d}.lat").write_bytes(wire.encode(found.lattice))
            rows.append({"i": i, "ref": corpus.transcript(item)})
        (folder / "rows.json").write_text(json.dumps(rows))
    rows = json.loads((folder / "rows.json").read_text())
    return [(wire.decode((folder / f"{row['i']:04d}.lat").read_bytes()), row["ref"]) for row in rows]


def sentence_scores(model, sentences, backend):
    """ln P of sentences. Parameters: model (NgramModel, NeuralLm or None), sentences (of words), backend. Returns float64 [K]."""
    if model is None:
        return np.zeros(len(sentences))
    if isinstance(model, neural_lm.NeuralLm):
        return neural_scores(model, sentences, backend)
    return np.array([backend(ngram.sequence_scores)(model, model.numbers(words)).sum() for words in sentences])


def neural_scores(model, sentences, backend):
    """ln P of sentences, each beginning that several share scored once. Parameters: as above. Returns float64 [K]."""
    words = sorted({word for words in sentences for word in words})
    number, tree = {word: i for i, word in enumerate(words)}, neural_rescore.Histories(model, backend, words)
    at, scores = np.zeros(len(sentences), np.int64), np.zeros(len(sentences))
    for place in range(1 + max(map(len, sentences))):
        pairs = {k: (int(at[k]), number[said[place]] if place < len(said) else -1)
                 for k, said in enumerate(sentences) if place <= len(said)}
        known = tree.extend(pairs.values())
        for k, pair in pairs.items():
            at[k] = known[pair][0]
            scores[k] += known[pair][1]
    return scores


def features(pairs, models, backend):
    """Readings of each lattice. Parameters: pairs, models, backend. Returns a list of (number of words, errors, scores)."""
    found = []
    for lattice, text in pairs:
        readings = backend(nbest.nbest)(lattice, READINGS)
        errors = wer.score([text] * len(readings), [" ".join(reading.words) for reading in readings]).errors
        first = [(reading.acoustic + reading.bias) / 1024 for reading in readings]
        columns = [sentence_scores(model, [reading.words for reading in readings], backend) for model in models.values()]
        found.append((len(text.split()), errors, np.array([first, *columns, [len(reading.words) for reading in readings]])))
    return found


def vector(mixture):
    """Weights of the rows of `features`. Parameters: mixture (dict). Returns float64 [5]."""
    return np.array([1.0, mixture["ngram"], mixture["neural"], -mixture["source"], mixture["bonus"]])


def errors_of(rows, weights):
    """Errors of the best reading of each utterance. Parameters: rows (of `features`), weights. Returns int64 [N]."""
    return np.array([errors[np.argmax(weights @ scores)] for _, errors, scores in rows], np.int64)


def tune(rows, names):
    """The best weights. Parameters: rows (set to features), names (weights that may differ from 0). Returns a dict."""
    best = (np.inf, None)
    words = {name: sum(n for n, _, _ in rows[name]) for name in TUNED_ON}
    for values in itertools.product(*(GRID[name] if name in names else (0.0,) for name in GRID)):
        chosen = dict(zip(GRID, values))
        rate = float(np.mean([errors_of(rows[name], vector(chosen)).sum() / words[name] for name in TUNED_ON]))
        best = min(best, (rate, chosen), key=lambda pair: pair[0])
    return best[1]


def systems_of(ready, backend):
    """What the curve compares. Parameters: ready (SecondPass), backend. Returns a dict of functions of a lattice."""
    systems = {f"{k}-best": lambda lattice, k=k: ready.rescore(paths_alone(lattice, k, backend)) for k in LISTS}
    for width, beam in LATTICES:
        mixture = ready.mixture._replace(width=width, prune_beam=beam)
        systems[f"lattice {width} {beam:g}"] = SecondPass(ready.ngram, ready.neural, ready.source, mixture).rescore
    return systems


def measure(pairs, systems, backend, every=1):
    """Errors by utterance, and seconds, of systems that take turns.

    Parameters: pairs, systems (name to function of a lattice), backend, every (lattice so many is timed; all are rescored).
    Returns a dict of (int64 [N], float).
    """
    seconds, texts = {name: [] for name in systems}, {name: [] for name in systems}
    for number, (lattice, _) in enumerate(pairs):
        for name, rescored in systems.items():
            begin = time.process_time()
            found = rescored(lattice)
            if number % every == 0:
                seconds[name].append(time.process_time() - begin)
            texts[name].append(" ".join(backend(nbest.nbest)(found, 1)[0].words))
    return {name: (wer.score([text for _, text in pairs], texts[name]).errors, float(np.mean(seconds[name]))) for name in systems}


def curve(pairs, ready, first, words, backend, every=1):
    """Errors against time, and for each lattice setting the best list that takes no longer.

    Parameters: pairs, ready (SecondPass), first, words (int64 [N] each), backend, every. Returns a dict of name to figures.
    """
    measured = measure(pairs, systems_of(ready, backend), backend, every)
    rows = {name: row_of(errors, first, words) | {"milliseconds": round(1000 * seconds, 2)}
            for name, (errors, seconds) in measured.items()}
    for name, row in rows.items():
        if name.startswith("lattice"):
            lists = [(rows[f"{k}-best"]["wer"], f"{k}-best") for k in LISTS
                     if rows[f"{k}-best"]["milliseconds"] <= row["milliseconds"]]
            row["best list in that time"] = min(lists, default=None)
        print(name, row, file=sys.stderr, flush=True)
    return rows


def calibration(pairs, ready, backend):
    """Posteriors to confidences, fitted on the dev sets. Parameters: pairs, ready (SecondPass), backend. Returns a dict."""
    best = (-np.inf, None)
    rescored = [(ready.rescore(lattice), text) for name in TUNED_ON for lattice, text in pairs[name]]
    for scale in SCALES:
        raw, right = [], []
        for lattice, text in rescored:
            reading = backend(nbest.nbest)(lattice, 1)[0]
            raw.append(confidence.word_confidences(lattice, reading.arcs, backend(arc_posteriors)(lattice, scale)))
            right += [said == heard for said, heard in wer.alignment(text, " ".join(reading.words)) if heard]
        raw, right = np.concatenate(raw), np.array(right)
        fitted = confidence.fit_calibration(raw, right)
        sure = confidence.calibrate(raw, *fitted)
        likelihood = float(np.log(np.where(right, sure, 1 - sure)).mean())
        found = {"scale": scale, "slope": round(float(fitted.a), 4), "offset": round(float(fitted.b), 4)}
        best = max(best, (likelihood, found), key=lambda pair: pair[0])
    return best[1]


def row_of(errors, first, words):
    """Figures of one system on one set. Parameters: errors, first (of the first pass), words (int64 [N] each). Returns a dict."""
    change = bootstrap.difference(errors[None], first[None], words)
    low, high = bootstrap.interval(errors, words)
    return {"wer": round(errors.sum() / words.sum(), 4), "ci95": [round(low, 4), round(high, 4)],
            "relative": round(errors.sum() / first.sum() - 1, 4), "difference": [round(float(value), 4) for value in change[:3]]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--beam", type=int, default=SearchSettings().beam)
    for name in ("ngram", "neural", "source"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--curve", action="store_true", help="only lattices against lists, with the shipped weights")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="time only each Nth lattice")
    options = parser.parse_args()
    backend, loaded = select("fast"), SecondPass.load(options.ngram, options.neural, options.source)
    models = {"ngram": loaded.ngram, "neural": loaded.neural, "source": loaded.source}
    spec = RecogniserSpec(options.model, beam=options.beam)
    if options.curve:
        print(json.dumps(curves(options, loaded.warm(), spec, backend), indent=1))
        return
    pairs = {name: lattices(options.work, name, spec) for name in SETS}
    report = {"perplexity": {name: perplexities(found, models, backend) for name, found in pairs.items()}}
    rows = {name: features(found, models, backend) for name, found in pairs.items()}
    words = {name: np.array([n for n, _, _ in found], np.int64) for name, found in rows.items()}
    first = {name: np.array([errors[0] for _, errors, _ in found], np.int64) for name, found in rows.items()}
    report["first"] = {name: row_of(first[name], first[name], words[name]) for name in SETS}
    report["oracle"] = {name: round(sum(int(errors.min()) for _, errors, _ in found) / words[name].sum(), 4)
                        for name, found in rows.items()}
    for system, names in SYSTEMS.items():
        mixture = tune(rows, names)
        report[system] = {"mixture": mixture} | {name: row_of(errors_of(found, vector(mixture)), first[name], words[name])
                                                 for name, found in rows.items()}
        print(system, json.dumps(report[system]), file=sys.stderr, flush=True)
    ready = SecondPass(**models, mixture=Mixture(**report["both"]["mixture"])).warm()
    report["calibration"] = calibration(pairs, ready, backend)
    report["curve"] = {name: curve(pairs[name], ready, first[name], words[name], backend, options.every)
                       for name in MEASURED_WHOLE}
    print(json.dumps(report, indent=1))


def curves(options, ready, spec, backend):
    """Lattices against lists alone. Parameters: options, ready, spec, backend. Returns a dict."""
    found = {}
    for name in MEASURED_WHOLE:
        pairs = lattices(options.work, name, spec)
        texts = [text for _, text in pairs]
        first = wer.score(texts, [" ".join(backend(nbest.nbest)(lattice, 1)[0].words) for lattice, _ in pairs]).errors
        words = np.array([len(text.split()) for text in texts], np.int64)
        print(name, file=sys.stderr, flush=True)
        found[name] = {"first": row_of(first, first, words)} | curve(pairs, ready, first, words, backend, options.every)
    return found


def perplexities(pairs, models, backend):
    """Of the transcripts, a word, the end of the sentence counted. Parameters: pairs, models, backend. Returns a dict."""
    sentences = [text.split() for _, text in pairs]
    n_words = sum(len(words) + 1 for words in sentences)
    return {name: round(float(np.exp(-sentence_scores(model, sentences, backend).sum() / n_words)), 2)
            for name, model in models.items() if model is not None}


if __name__ == "__main__":
    main()
