"""Make the integer model from the float one, without training, and measure what it costs. Needs the speech of `data/README.md`.

    python data/training/quantise_report.py data/models/float.npz --write data/models/int8.refasr
    python data/training/quantise_report.py data/models/float.npz --compare 8 5 4 [--beam 8] [--every 2] > report.json
    python data/training/quantise_report.py data/models/float.npz --sensitivity

Activations are calibrated on speech to train on, 60 recordings of each source; errors are counted on sets of which none is
trained on. --sensitivity narrows one layer at a time and tells by how much the logits suffer (signal to noise, in dB, on other
recordings to train on), and with --greedy also the word error rate of greedy search on dev sets.
"""

import argparse
import json
import pathlib

import numpy as np

from refasr import corpus, models
from refasr.compress import calibrate, container, integer_model, quantise
from refasr.compress.layout import code_shapes
from refasr.metrics import bootstrap, wer
from refasr.recognise import Recogniser
from refasr.search.hypotheses import SearchSettings
from refasr.transducer.units import BLANK, encode_text
from refasr.twins import select

SPEECH = pathlib.Path(__file__).parents[3] / "shared" / "speech"
HEARD = (("recorded.tsv", "source=gsc"), ("recorded.tsv", "source=fsdd"), ("recorded.tsv", "source=libri"),
         ("recorded.tsv", "source=prompts"), ("synthetic.tsv", "source=kokoro"))
SETS = {"gsc dev": ("recorded.tsv", "source=gsc", "split=dev"), "fsdd dev": ("recorded.tsv", "source=fsdd", "split=dev"),
        "barista": ("recorded.tsv", "source=barista"), "kokoro dev": ("synthetic.tsv", "source=kokoro", "split=dev")}
REAL = ("gsc dev", "fsdd dev", "barista")
BACKEND = select("fast")


def training_speech(model, n_each, seed):
    """Recordings to train on. Parameters: model, n_each (of a source), seed. Returns a list of (frames, labels)."""
    rng, chosen = np.random.default_rng(seed), []
    for manifest, source in HEARD:
        items = corpus.select(corpus.read_manifest(SPEECH / manifest), [source, "split=train"])
        chosen += [items[i] for i in rng.choice(len(items), n_each, replace=False)]
    return [(calibrate.stacked_frames(model, corpus.read_samples(item), BACKEND), encode_text(corpus.transcript(item)))
            for item in chosen]


def read_sets(every):
    """What errors are counted on. Parameters: every (take each n-th recording). Returns a dict of lists of (samples, text)."""
    return {name: [(corpus.read_samples(item), corpus.transcript(item)) for item in
                   corpus.select(corpus.read_manifest(SPEECH / manifest), where)[::every]]
            for name, (manifest, *where) in SETS.items()}


def count(model, sets, search):
    """Errors of a model. Parameters: model, sets, search (SearchSettings or None). Returns a dict of Score by set."""
    recogniser = Recogniser(model, search=search)
    return {name: wer.score([text for _, text in items], [recogniser.transcribe_samples(samples).text for samples, _ in items])
            for name, items in sets.items()}


def compared(plain, coded):
    """Error rates, their difference and its paired bootstrap interval. Parameters: plain, coded (Score). Returns a dict."""
    _, low, high, _ = bootstrap.difference(coded.errors[None], plain.errors[None], plain.words)
    return {"float": round(plain.wer, 4), "integer": round(coded.wer, 4), "difference": round(coded.wer - plain.wer, 4),
            "ci95": [round(low, 4), round(high, 4)], "relative": round(coded.wer / plain.wer - 1, 4),
            "words": int(plain.words.sum())}


def pooled(scores):
    """One score of the real sets. Parameters: scores (dict of Score). Returns a Score."""
    parts = [scores[name] for name in REAL]
    joined = [np.concatenate([getattr(part, field) for part in parts]) for field in ("errors", "words")]
    return argparse.Namespace(errors=joined[0], words=joined[1], wer=joined[0].sum() / joined[1].sum())


def compare(model, calibration, options):
    """Yield a line for each width. Parameters: model, calibration, options."""
    sets, search = read_sets(options.every), SearchSettings(beam=options.beam) if options.beam > 1 else None
    plain = count(model, sets, search)
    for bits in options.compare:
        coded = count(quantise.quantise(model, calibration, bits), sets, search)
        rows = {name: compared(plain[name], coded[name]) for name in sets}
        yield {"bits": bits, "beam": options.beam, **rows, "real sets pooled": compared(pooled(plain), pooled(coded))}


def logits_of(model, utterances):
    """Logits on the straight path through each grid, without their mean. Parameters: model, utterances. Returns [R, V]."""
    network, rows = models.assemble(model, BACKEND), []
    for frames, labels in utterances:
        x = network.encoder.enter(frames)
        for index, state in enumerate(network.encoder.start()):
            x, _ = network.encoder.encode_layer(index, x, state)
        text, _ = network.predictor.forward(np.append(BLANK, labels).astype(np.int32)[:, None])
        audio, text = network.joiner.project_audio(x), network.joiner.project_text(text[:, 0])
        rows += [network.joiner.join_projected(audio[t], text[t * len(text) // len(audio)]) for t in range(len(audio))]
    logits = np.stack(rows)
    return logits - logits.mean(axis=1, keepdims=True)


def sensitivity(model, calibration, options):
    """Yield a line for each layer and width. Parameters: model, calibration, options."""
    utterances = training_speech(model, 8, seed=1)
    exact = logits_of(model, utterances)
    sets = read_sets(options.every) if options.greedy else {}
    layers = [[name] for name in code_shapes(model.architecture)]
    for names, bits in [([], 8), *((names, bits) for names in layers for bits in (5, 4, 3))]:
        made = quantise.quantise(model, calibration, dict.fromkeys(names, bits))
        noise = np.square(logits_of(made, utterances) - exact).sum()
        row = {"narrowed": names, "bits": bits, "weights": int(sum(made.codes[name].size for name in names)),
               "signal to noise (dB)": round(float(10 * np.log10(np.square(exact).sum() / noise)), 2)}
        yield row | {name: round(score.wer, 4) for name, score in count(made, sets, None).items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--bits", type=int, help="of the file to write; default 8, or as trained")
    parser.add_argument("--compare", type=int, nargs="+", default=[], metavar="BITS")
    parser.add_argument("--beam", type=int, default=SearchSettings().beam)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take each N-th recording of the sets")
    parser.add_argument("--sensitivity", action="store_true")
    parser.add_argument("--greedy", action="store_true")
    options = parser.parse_args()
    model = models.load(options.model)
    calibration = calibrate.calibrate(model, training_speech(model, 60, seed=0), BACKEND)
    if options.write:
        made = quantise.quantise(model, calibration, options.bits)
        container.write_contents(options.write, integer_model.to_contents(made))
    for row in (*(compare(model, calibration, options) if options.compare else ()),
                *(sensitivity(model, calibration, options) if options.sensitivity else ())):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
