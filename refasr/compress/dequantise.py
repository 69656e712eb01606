"""Back from the integer network to a float one with the same weights: every code times the scale that its multiplier stands for.

It computes in float32, without the rounding of activations, so that a packed model can teach, or be trained on. What is inverted
is section 7 of `docs/arithmetic.md`.
"""

import numpy as np

from refasr.compress.calibrate import inputs_of_matrices
from refasr.compress.layout import linear_layers, recurrent_layers
from refasr.compress.quantise import LINEAR_BIASES, gate_units
from refasr.transducer.model import Model

F32 = np.float32


def dequantise(integer):
    """The float model of an integer model.

    Parameters
    ----------
    integer : IntegerModel

    Returns
    -------
    Model                     With the integer model's card, units and normalisation.
    """
    parameters, inputs = {}, inputs_of_matrices(integer.architecture)
    for name, _, _ in recurrent_layers(integer.architecture):
        if name == "predictor":
            parameters["predictor.embedding"] = embedding(integer)
        parameters |= lstm(integer, name, inputs) | norm(integer, name)
    for name, _, _ in linear_layers(integer.architecture):
        parameters |= linear(integer, name, inputs)
    exact = {name: np.ascontiguousarray(value, F32) for name, value in parameters.items()}
    return Model(integer.architecture, exact, integer.mean, integer.reciprocal_deviation, integer.units, integer.card)


def factor(integer, multiplier, shift):
    """What a multiplier and its shift stand for. Parameters: integer, multiplier, shift (names). Returns float64 [N]."""
    return np.ldexp(integer.arrays[multiplier].astype(np.float64), -integer.arrays[shift].astype(int))


def embedding(integer):
    """The predictor's table. Parameters: integer. Returns float64 [V, E]."""
    rows = factor(integer, "predictor.embedding_multiplier", "predictor.embedding_shift") * integer.scales["predictor.embedded"]
    return integer.codes["predictor.embedding"] * rows[:, None]


def lstm(integer, name, inputs):
    """Weights of one LSTM. Parameters: integer, name, inputs (which activation each matrix multiplies). Returns a dict."""
    bias, parts = integer.arrays[f"{name}.bias"], {}
    unit = gate_units(bias.size)
    for side in ("input", "recurrent"):
        by_row, source = factor(integer, f"{name}.{side}_multiplier", f"{name}.shift") / unit, inputs[f"{name}.{side}"]
        parts[f"{name}.{side}"] = (integer.codes[f"{name}.{side}"] * (by_row / integer.scales[source])[:, None]).T
        if side == "input":
            parts[f"{name}.bias"] = bias * by_row
    return parts


def norm(integer, name):
    """A layer normalisation. Parameters: integer, name (of the layer). Returns a dict."""
    step = np.ldexp(integer.scales[f"{name}.output"], -integer.scalars[f"{name}.norm_bits"])
    return {f"{name}.norm_{part}": integer.arrays[f"{name}.norm_{part}"] * step for part in ("gain", "bias")}


def linear(integer, name, inputs):
    """A matrix of the joiner. Parameters: integer, name, inputs. Returns a dict: only two of the three have a bias."""
    scale = integer.scales["joiner.logits" if name == "joiner.output" else name]
    by_row = factor(integer, f"{name}_multiplier", f"{name}_shift") * scale
    parts = {name: (integer.codes[name] * (by_row / integer.scales[inputs[name]])[:, None]).T}
    if name in LINEAR_BIASES:
        parts[LINEAR_BIASES[name]] = integer.arrays[f"{name}_bias"] * by_row
    return parts
