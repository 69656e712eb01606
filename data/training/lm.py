"""Train the neural language model. The same command again goes on from the last checkpoint; the run is the same, bit for bit.

    python data/training/lm.py data/training/lm.toml TEXT WORK --out data/models/lm.npz
"""

import argparse
import math
import pathlib
import time
import tomllib

import numpy as np

from refasr.nn import optimiser
from refasr.rescoring import lm_file, neural_lm
from refasr.train.loop import flatten, keep_freed_memory, views
from refasr.transducer.units import encode_text
from refasr.twins import select

HELD_OUT_SENTENCES, POOL, F32 = 256, 8, np.float32


def batch_of(sentences):
    """Rows of a batch. Parameters: sentences (list of int32 [U]). Returns (inputs, targets, active), see `objective`."""
    longest_first = sorted(sentences, key=len, reverse=True)
    lengths = np.array([len(units) + 1 for units in longest_first])
    active = np.array([(lengths > t).sum() for t in range(lengths[0])], np.int32)
    table = np.full((2, lengths[0], lengths.size), neural_lm.STOP, np.int32)
    for i, units in enumerate(longest_first):
        table[0, 1 : units.size + 1, i] = table[1, : units.size, i] = units
    inside = lengths > np.arange(lengths[0])[:, None]
    return table[0][inside], table[1][inside], active


def batches(sentences, settings, step):
    """The sentences of one update: a function of the seed and the step.

    Eight batches at a time are drawn and sorted by length, so that the sentences of one are about equally long.
    """
    size = settings["sentences"] * POOL
    pools = len(sentences) // size
    a_pass, pool = divmod(step // POOL, pools)
    order = np.random.default_rng([settings["seed"], a_pass]).permutation(len(sentences))
    by_length = sorted(order[pool * size : (pool + 1) * size], key=lambda i: len(sentences[i]))
    turn = np.random.default_rng([settings["seed"], step // POOL, 1]).permutation(POOL)[step % POOL]
    return [sentences[i] for i in by_length[turn * settings["sentences"] :][: settings["sentences"]]]


def rate(settings, step):
    """Learning rate. Parameters: settings, step. Returns float."""
    climb = min(1.0, (step + 1) / settings["warmup"])
    fall = (1 + math.cos(math.pi * step / settings["steps"])) / 2
    return settings["learning_rate"] * climb * (settings["final"] + (1 - settings["final"]) * fall)


def first_weights(shapes, seed):
    """Random weights; the forget gate begins open. Parameters: shapes, seed. Returns float32 [N]."""
    rng = np.random.default_rng(seed)
    named = {name: (rng.standard_normal(shape) / math.sqrt(shape[0]) if len(shape) == 2 else np.zeros(shape)).astype(F32)
             for name, shape in shapes.items()}
    width = shapes["recurrent"][0]
    named["bias"][width : 2 * width] = 1
    return flatten(named, shapes)


def restore(folder, shapes, seed):
    """Where to go on. Parameters: folder, shapes, seed. Returns (weights, AdamState, step)."""
    path = folder / "lm-checkpoint.npz"
    if not path.exists():
        weights = first_weights(shapes, seed)
        return weights, optimiser.AdamState(np.zeros_like(weights), np.zeros_like(weights), weights.copy()), 0
    with np.load(path, allow_pickle=False) as file:
        return file["weights"], optimiser.AdamState(file["mean"], file["square"], file["average"]), int(file["step"])


def store(folder, weights, adam, step):
    """Write a checkpoint. Parameters: folder, weights, adam, step."""
    temporary = folder / "lm-checkpoint.tmp"
    with open(temporary, "wb") as file:
        np.savez(file, weights=weights, **adam._asdict(), step=step)
    temporary.replace(folder / "lm-checkpoint.npz")


def perplexity(sentences, weights, backend):
    """Nats a unit. Parameters: sentences, weights (NeuralLm), backend. Returns float."""
    loss, count = 0.0, 0
    for first in range(0, len(sentences), 64):
        rows = batch_of(sentences[first : first + 64])
        loss += neural_lm.objective(*rows, weights, backend)[0]
        count += rows[1].size
    return loss / count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("settings", "text", "work"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, help="write the finished model")
    options = parser.parse_args()
    settings = tomllib.loads(options.settings.read_text(encoding="utf-8"))
    options.work.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    backend = select("fast")
    shapes = neural_lm.parameter_shapes(neural_lm.LmSizes(embedded=settings["embedded"], width=settings["width"]))
    everything = [encode_text(line) for line in options.text.read_text(encoding="utf-8").splitlines()]
    held_out = everything[:: settings["held_out"]][:HELD_OUT_SENTENCES]
    sentences = [units for i, units in enumerate(everything) if i % settings["held_out"]]
    weights, adam, step = restore(options.work, shapes, settings["seed"])
    begin, seen, units = time.process_time(), 0.0, 0
    while step < settings["steps"]:
        rows = batch_of(batches(sentences, settings, step))
        loss, gradients = neural_lm.objective(*rows, neural_lm.NeuralLm(**views(weights, shapes)), backend)
        gradient = flatten(gradients._asdict(), shapes) / F32(rows[1].size)
        gradient *= F32(optimiser.gradient_scale(gradient, settings["clip"])[0])
        rates = optimiser.AdamRates(rate(settings, step), average_decay=settings["average_decay"])
        weights, adam = backend(optimiser.adam)(weights, gradient, adam, step, rates)
        step, seen, units = step + 1, seen + loss, units + rows[1].size
        if step % settings["checkpoint"] == 0 or step == settings["steps"]:
            store(options.work, weights, adam, step)
            nats = perplexity(held_out, neural_lm.NeuralLm(**views(adam.average, shapes)), backend)
            print(f"step {step} train {seen / units:.4f} held out {nats:.4f} nats a unit, "
                  f"{time.process_time() - begin:.0f} s of one thread", flush=True)
            seen, units = 0.0, 0
    if options.out:
        lm_file.save_lm(options.out, neural_lm.NeuralLm(**views(adam.average, shapes)))


if __name__ == "__main__":
    main()
