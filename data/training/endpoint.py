"""Train the end-point model and tune its two thresholds.

    python data/training/endpoint.py SETTINGS.toml TEXT.txt SETS OUT.npz [--text-from MODEL.npz]

SETS is the folder with train*.npz and dev.npz of `endpoint_data.py`. Of the final's thresholds and least pauses, those with the
shortest waits are taken whose early cut-offs on dev stay below the goal; then, of those of the speculative one that lead it by
200 ms in the median, those that agree with it best.
"""

import argparse
import pathlib
import tomllib

import endpoint_sets
import numpy as np

from refasr.endpoint import fit
from refasr.endpoint.features import N_DECODER
from refasr.endpoint.model_file import EndpointModel, Sizes, load_endpoint, save_endpoint
from refasr.twins import select
from refasr.transducer.units import CHARACTERS, encode_text

BACKEND = select("fast")


def report_every(n, name):
    """Print a running mean of the loss. Parameters: n, name. Returns a function for `fit.fit`."""
    seen = []

    def report(step, loss):
        seen.append(loss)
        if (step + 1) % n == 0:
            print(f"{name} step {step + 1}: loss {np.mean(seen[-n:]):.4f}", flush=True)
    return report


def text_network(settings, rng, lines):
    """Learn completeness. Parameters: settings (dict), rng, lines (of text). Returns TextWeights."""
    drawn = [encode_text(lines[i]) for i in rng.permutation(len(lines))[:settings["lines"]]]
    drawn = [labels for labels in drawn if 0 < labels.size <= 90]

    def make(chosen):
        sequences = []
        for i in chosen:
            target = np.zeros(drawn[i].size, np.float32)
            target[-1] = 1
            sequences.append((drawn[i], target, np.ones_like(target)))
        return fit.batch_of(sequences)
    batches = [lambda i=rng.integers(len(drawn), size=settings["batch"]): make(i) for _ in range(settings["steps"])]
    start = fit.start_text(rng, len(CHARACTERS), settings["cells"])
    return fit.fit(start, fit.text_loss, batches, settings["learning_rate"], BACKEND, report_every(100, "text"))


def sound_network(settings, widths, rng, train):
    """Learn to tell the end. Parameters: settings (dict), widths, rng, train (list of Case). Returns EndpointWeights."""
    everything = np.concatenate([case.sound for case in train])
    mean, deviation = everything.mean(axis=0), everything.std(axis=0)
    mean[:40], deviation[:40] = mean[:40].mean(), deviation[:40].mean()   # one level, one scale for all bands
    start = fit.start_sound(rng, mean, 1 / deviation, N_DECODER, widths)

    def make(chosen, gains):
        sequences = []
        for i, gain in zip(chosen, gains):
            case = train[i]
            target = (case.times >= case.end).astype(np.float32)
            weight = np.where(case.times >= case.end + settings["after_s"], settings["late_weight"], 1.0).astype(np.float32)
            for begin, end in case.pauses:
                weight[(case.times >= begin) & (case.times < end + 0.1)] = settings["pause_weight"]
            sequences.append((*disturbed(case, gain, settings, rng), target, weight))
        return fit.batch_of(sequences)
    batches = [lambda i=rng.integers(len(train), size=settings["batch"]), g=rng.standard_normal(settings["batch"]): make(i, g)
               for _ in range(settings["steps"])]
    return fit.fit(start, fit.sound_loss, batches, settings["learning_rate"], BACKEND, report_every(100, "sound"))


def disturbed(case, gain, settings, rng):
    """Another room, loudness and text: of a thousand utterances the network would otherwise learn each one.

    Parameters
    ----------
    case : Case
    gain : float                     Of the loudness, in standard deviations.
    settings : dict
    rng : numpy.random.Generator

    Returns
    -------
    (sound, decoder)                 float32 [T, I], [T, D]
    """
    sound, decoder, n = case.sound.copy(), case.decoder.copy(), len(case.sound)
    knots = rng.standard_normal(6) * settings["colour_nats"]
    sound[:, :40] += gain * settings["gain_nats"] + np.interp(np.arange(40), np.linspace(0, 39, 6), knots)
    sound[:, :40] += rng.standard_normal((n, 40)) * settings["frame_nats"]
    changed = np.flatnonzero(np.diff(decoder[:, 3], prepend=np.nan) != 0)    # the text did
    wrong = rng.standard_normal(n)[changed[np.searchsorted(changed, np.arange(n), side="right") - 1]] * settings["text_nats"] / 4
    decoder[:, 3] += wrong
    decoder[:, 4] += wrong * (decoder[:, 4] != 0)
    return sound.astype(np.float32), decoder.astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("settings", "text", "sets", "out"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--text-from", type=pathlib.Path, help="take the completeness network of this model")
    parser.add_argument("--goal", type=float, default=0.02, help="early cut-offs allowed on dev")
    options = parser.parse_args()
    settings = tomllib.loads(options.settings.read_text())
    rng = np.random.default_rng(settings["seed"])
    if options.text_from:
        text = load_endpoint(options.text_from).text
    else:
        text = text_network(settings["text"], rng, options.text.read_text().splitlines())
    halves = lambda group: type(group)(*(array.astype(np.float16).astype(np.float32) for array in group))  # as in the file
    text, wide = halves(text), settings["encoder"]
    sets = {name: [case for path in sorted(options.sets.glob(f"{name}*.npz")) for case in endpoint_sets.read(path, text, wide)]
            for name in ("train", "dev")}
    sound = halves(sound_network(settings["sound"], (settings["acoustic"], settings["joint"]), rng, sets["train"]))
    n_sound, n_text = len(sound.mean), len(text.recurrent)
    sizes = Sizes(40, n_sound - 40, settings["acoustic"], settings["joint"], n_text)
    requests = [case for case in sets["dev"] if case.source != "libri"]    # a read passage has many ends of sentences
    thresholds = endpoint_sets.tune(endpoint_sets.tracks(requests, sound), options.goal)
    print("thresholds", thresholds)
    card = {"thresholds": thresholds, "training": {name: len(cases) for name, cases in sets.items()}}
    save_endpoint(options.out, EndpointModel(sizes, sound, text, card))


if __name__ == "__main__":
    main()
