"""Turn a trained network into the shipped model: measure the stored file, write what was measured on its card.

    python data/training/ship.py work/float-average.npz data/models/float.npz data/training/float-[1-5].toml
    python data/training/ship.py work/int8.refasr data/models/int8.refasr

The model is first stored as it will be shipped (float16, or integers) and everything is measured on that. Accuracy is that of
`refasr evaluate` on the whole sets listed below; none of them is trained on. The calibration of confidences is fitted on all
of them but barista.
"""

import argparse
import dataclasses
import json
import pathlib

import numpy as np
from search_report import Report

from refasr import corpus, models
from refasr.cli.recogniser import DEFAULT_BEAM
from refasr.compress.container import write_contents
from refasr.compress.integer_model import IntegerModel, to_contents
from refasr.evaluate import hear_all, summarise
from refasr.metrics.latency import emission_delays, speech_end
from refasr.recognise import Recogniser
from refasr.recogniser_spec import RecogniserSpec
from refasr.train.config import read_config
from refasr.train.examples import training_files
from refasr.transducer.model_file import save_model

HERE = pathlib.Path(__file__).parent
SPEECH = HERE.parents[2] / "shared" / "speech"
FLUSH_FRAMES = 6
SETS = [("barista: real people ordering coffee, never trained on", "recorded.tsv", ["source=barista"]),
        ("gsc dev: real people, single command words, unseen speakers", "recorded.tsv", ["source=gsc", "split=dev"]),
        ("fsdd dev: one real person, single digits, unseen speaker", "recorded.tsv", ["source=fsdd", "split=dev"]),
        ("libri dev: real people reading (pseudo-labelled), unseen speakers", "recorded.tsv", ["source=libri", "split=dev"]),
        ("kokoro dev: synthetic voices never trained on", "synthetic.tsv", ["source=kokoro", "split=dev"]),
        ("kokoro test: synthetic voices never trained on", "synthetic.tsv", ["source=kokoro", "split=test"]),
        ("kokoro-personal dev: synthetic, names in no training text", "synthetic.tsv", ["source=kokoro-personal", "split=dev"])]
ORIGINS = json.loads((HERE / "sources.json").read_text())


def delays(recogniser, utterances):
    """Emission delay on clean recordings of one word that were recognised correctly.

    Parameters
    ----------
    recogniser : Recogniser
    utterances : list of Utterance

    Returns
    -------
    dict                             Summary in seconds.
    """
    emitted, ended = [], []
    for utterance in utterances:
        samples = corpus.read_samples(utterance)
        stream = recogniser.stream()
        stream.accept(samples)
        if stream.finish().text == corpus.transcript(utterance):
            last = stream.emissions[-1].frame
            emitted.append((last * recogniser.frame_samples + recogniser.reach_samples) / 16000)
            ended.append(speech_end(samples))
    summary = emission_delays(np.array(emitted), np.array(ended))
    return {"words": summary["n"]} | {name.removesuffix("_ms"): value / 1000 for name, value in summary.items() if name != "n"}


def training_sources(configs):
    """Hours, licence and origin of everything trained on. Parameters: configs (list of TrainConfig). Returns a list of dict."""
    hours = {}
    for config in configs:
        for utterance in {item for share in training_files(config) for item in share}:
            hours.setdefault(utterance.source, {})[utterance.file] = utterance
    return [{"source": source, "recordings": len(files)} | ORIGINS[source] for source, files in sorted(hours.items())]


def measured(path):
    """What is measured on a stored model, for its card. Parameters: path. Returns a dict."""
    greedy, accuracy = Recogniser.load(path), []
    default = RecogniserSpec(str(path), beam=DEFAULT_BEAM).load()
    for decoder, used in ((f"beam {DEFAULT_BEAM}, the default", default), ("greedy", greedy)):
        for name, manifest, where in SETS:
            chosen = corpus.select(corpus.read_manifest(SPEECH / manifest), where)
            heard = hear_all(chosen, lambda samples: used.transcribe_samples(samples).text, print)
            accuracy.append({"set": f"{decoder}: {name}", "where": where} | summarise(heard))
            print(decoder, name, json.dumps(accuracy[-1]), flush=True)
    words = corpus.select(corpus.read_manifest(SPEECH / "recorded.tsv"), ["split=dev"])
    single = [item for item in words if item.source in ("gsc", "fsdd")]
    return {"accuracy": accuracy, "emission_delay": delays(greedy, single), "confidence": Report(path).calibration()}


def store(path, model):
    """Write a model of either kind. Parameters: path, model (Model or IntegerModel)."""
    if isinstance(model, IntegerModel):
        write_contents(path, to_contents(model))
    else:
        save_model(path, model)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=pathlib.Path)
    parser.add_argument("shipped", type=pathlib.Path)
    parser.add_argument("configs", nargs="*", type=pathlib.Path, help="the configurations of all stages, in order; without any, "
                        "the card keeps what it says of the training")
    options = parser.parse_args()
    configs, model = [read_config(path) for path in options.configs], models.load(options.trained)
    card = model.card | {"name": options.shipped.stem}
    if configs:
        card = {"name": options.shipped.stem, "licence": "Apache-2.0 (weights); the recordings are not part of it",
                "flush_frames": FLUSH_FRAMES, "stages": [path.name for path in options.configs],
                "steps": sum(config.schedule.end() for config in configs), "training": training_sources(configs)}
    store(options.shipped, dataclasses.replace(model, card=card))
    store(options.shipped, dataclasses.replace(model, card=card | measured(options.shipped)))


if __name__ == "__main__":
    main()
