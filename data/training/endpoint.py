"""Train the end-point model and tune its thresholds.

    python data/training/endpoint.py SETTINGS.toml TEXT.txt SETS OUT.npz [--text-from MODEL.npz]

SETS is the folder with train*.npz and dev*.npz of `endpoint_data.py`. Of the final's thresholds and least pauses, those with the
shortest waits are taken whose early cut-offs on dev stay below the goal; then, of those of the speculative one that lead it by
200 ms in the median, those that agree with it best.
"""

import argparse
import pathlib
import tomllib

import endpoint_sets
import numpy as np
from scipy.signal import lfilter

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

    def make(chosen):
        sequences = []
        for i in chosen:
            case = train[i]
            target = (case.times >= case.end).astype(np.float32)
            weight = np.where(case.times >= case.end + settings["after_s"], settings["late_weight"], 1.0).astype(np.float32)
            for begin, end in case.pauses:
                weight[(case.times >= begin) & (case.times < end + 0.1)] = settings["pause_weight"]
            sequences.append((*disturbed(case, settings, rng), target, weight))
        return fit.batch_of(sequences)
    batches = [lambda i=rng.integers(len(train), size=settings["batch"]): make(i) for _ in range(settings["steps"])]
    return fit.fit(start, fit.sound_loss, batches, settings["learning_rate"], BACKEND, report_every(100, "sound"))


def disturbed(case, settings, rng):
    """Another room, microphone, loudness and text: of a few thousand utterances the network would otherwise learn each one.

    Parameters
    ----------
    case : Case
    settings : dict
    rng : numpy.random.Generator

    Returns
    -------
    (sound, decoder)                 float32 [T, I], [T, D]
    """
    sound, decoder, n = case.sound.copy(), case.decoder.copy(), len(case.sound)
    energy, chance = sound[:, :40].astype(np.float64), rng.random(3)
    loud = np.percentile(energy.mean(axis=1), 95)
    if chance[0] < settings["echo_chance"]:
        energy = echoing(energy, rng.uniform(*settings["t60_s"]), rng.uniform(*settings["echo_nats"]))
    if chance[1] < settings["floor_chance"]:
        floor = loud - rng.uniform(*settings["floor_nats"]) + colour(rng, 1.0) + 0.4 * rng.standard_normal((n, 40))
        spoken = speaking(case, energy, loud) if chance[2] < settings["floor_in_speech"] else np.full(n, True)
        energy = np.where(spoken[:, None], np.logaddexp(energy, floor), energy)
    energy += settings["gain_nats"] * rng.standard_normal() + colour(rng, settings["colour_nats"])
    sound[:, :40] = energy + rng.standard_normal((n, 40)) * settings["frame_nats"]
    changed = np.flatnonzero(np.diff(decoder[:, 3], prepend=np.nan) != 0)    # the text did
    wrong = rng.standard_normal(n)[changed[np.searchsorted(changed, np.arange(n), side="right") - 1]] * settings["text_nats"] / 4
    decoder[:, 3] += wrong
    decoder[:, 4] += wrong * (decoder[:, 4] != 0)
    return sound.astype(np.float32), decoder.astype(np.float32)


def colour(rng, nats):
    """A smooth curve over the bands. Parameters: rng, nats (of its knots). Returns float64 [40]."""
    return np.interp(np.arange(40), np.linspace(0, 39, 6), nats * rng.standard_normal(6))


def echoing(energy, t60_s, below_nats):
    """Let each frame ring on. Parameters: energy (nats [T, F]), t60_s, below_nats (of the echo's start). Returns nats [T, F]."""
    kept, power = 10 ** (-6 * endpoint_sets.FRAME_S / t60_s), np.exp(energy)
    return np.log(power + np.exp(-below_nats) * lfilter([0.0, 1.0], [1.0, -kept], power, axis=0) + 1e-12)


def speaking(case, energy, loud):
    """Where a recording's own noise is heard: in speech, not in pauses. Parameters: case, energy, loud. Returns bool [T]."""
    heard = np.flatnonzero(energy.mean(axis=1) > loud - 4)
    inside = (np.arange(len(energy)) >= (heard[0] if heard.size else 0)) & (case.times < case.end)
    for begin, end in case.pauses:
        inside &= (case.times < begin) | (case.times >= end)
    return inside


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("settings", "text", "sets", "out"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--text-from", type=pathlib.Path, help="take the completeness network of this model")
    parser.add_argument("--goal", type=float, default=0.06, help="early cut-offs allowed on dev")
    options = parser.parse_args()
    settings = tomllib.loads(options.settings.read_text())
    if options.text_from:
        text = load_endpoint(options.text_from).text
    else:
        lines = options.text.read_text().splitlines()
        text = text_network(settings["text"], np.random.default_rng(settings["seed"]), lines)
    halves = lambda group: type(group)(*(array.astype(np.float16).astype(np.float32) for array in group))  # as in the file
    text, wide = halves(text), settings["encoder"]
    sets = {"train": [], "dev": []}
    for name, cases in sets.items():
        for path in sorted(options.sets.glob(f"{name}*.npz")):
            cases += list(endpoint_sets.read(path, text, wide)) * (settings["sound"]["hard_times"] if "hard" in path.name else 1)
    widths, rng = (settings["acoustic"], settings["joint"]), np.random.default_rng([settings["seed"], 1])
    sound = halves(sound_network(settings["sound"], widths, rng, sets["train"]))
    n_sound, n_text = len(sound.mean), len(text.recurrent)
    sizes = Sizes(40, n_sound - 40, settings["acoustic"], settings["joint"], n_text)
    requests = [case for case in sets["dev"] if case.source != "libri"]    # a read passage has many ends of sentences
    thresholds, points = endpoint_sets.tune(endpoint_sets.tracks(requests, sound), options.goal)
    print("thresholds", thresholds)
    card = {"thresholds": thresholds, "points": points, "training": {name: len(cases) for name, cases in sets.items()}}
    save_endpoint(options.out, EndpointModel(sizes, sound, text, card))


if __name__ == "__main__":
    main()
