"""Start a wide network from a narrow one: every unit twice, the function unchanged.

    python data/training/widen.py data/models/float.npz work/wide.npz --seed 6

A unit j of a layer becomes j and N + j with the same incoming weights, so both compute the same value. What reads the
layer splits each weight w into a w and (1 - a) w with a drawn once for every weight: the sum is as before, but the two
copies get different gradients and part in training (Net2Net, Chen 2016, arXiv 1511.05641, section 2.1; the random share
in place of their noise). Layer normalisation over two copies has the mean and variance of one.
"""

import argparse
import dataclasses
import pathlib

import numpy as np

from refasr.transducer.model import parameter_shapes
from refasr.transducer.model_file import load_model, save_model

SHARE_SPREAD = 0.25  # a ~ N(1/2, this)
NARROW_INPUTS = ("encoder.0.input", "predictor.input")  # read the features and the embedding, which stay as they are


def copy_outputs(value, n_gates):
    """Each output twice, within each gate. Parameters: value, n_gates. Returns an array with twice the columns."""
    gates = np.split(value, n_gates, axis=-1)
    return np.concatenate([np.concatenate([gate, gate], axis=-1) for gate in gates], axis=-1)


def split_inputs(value, rng):
    """Each row's weight shared between two rows. Parameters: value, rng. Returns an array with twice the rows."""
    share = rng.normal(0.5, SHARE_SPREAD, value.shape).astype(np.float32)
    return np.concatenate([share * value, (1 - share) * value], axis=0)


def widen(name, value, rng):
    """One parameter of the wide network. Parameters: name, value, rng. Returns a float32 array."""
    last = name.rsplit(".", 1)[1]
    if name in ("predictor.embedding", "joiner.output_bias"):
        return value
    if name != "joiner.output":
        value = copy_outputs(value, 4 if last in ("input", "recurrent", "bias") and name != "joiner.bias" else 1)
    return split_inputs(value, rng) if value.ndim == 2 and name not in NARROW_INPUTS else value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("narrow", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args()
    rng, narrow = np.random.default_rng(options.seed), load_model(options.narrow)
    was = narrow.architecture
    wide = dataclasses.replace(was, encoder_widths=tuple(2 * width for width in was.encoder_widths),
                               predictor_width=2 * was.predictor_width, joiner_width=2 * was.joiner_width)
    parameters = {name: widen(name, value, rng) for name, value in narrow.parameters.items()}
    assert {name: value.shape for name, value in parameters.items()} == parameter_shapes(wide)
    save_model(options.out, dataclasses.replace(narrow, architecture=wide, parameters=parameters, card={}))


if __name__ == "__main__":
    main()
