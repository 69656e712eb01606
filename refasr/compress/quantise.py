"""From the float network to the integer one, without further training: codes, biases, multipliers, shifts.

`docs/arithmetic.md`, section 7, says what each stored number stands for. All is computed once, in float64.
"""

import math

import numpy as np

from refasr.compress.calibrate import inputs_of_matrices
from refasr.compress.integer_model import IntegerModel, checked
from refasr.compress.layout import (CELL_BITS, INT16, LOGIT_LIMIT, MOST_BITS, NORM_BITS, code_shapes, linear_layers,
                                    recurrent_layers)
from refasr.compress.proofs import most_of_sum
from refasr.compress.rounding import compensated_codes, nearest, row_scales
from refasr.errors import RangeError
from refasr.nn.layer_norm import EPSILON

GATE_UNIT = 4096.0        # of a pre-activation: 2^12
PRODUCT_UNIT = 2.0**30    # of gate times tanh
TABLE_UNIT = 2.0**15
LARGEST_BIAS = 1 << 28
LINEAR_BIASES = {"joiner.audio": "joiner.bias", "joiner.output": "joiner.output_bias"}
MULTIPLIER_BITS = 16      # that may be other than 0: 2^-16 of a factor is far below what codes lose, and a file is shorter
CELL_ROOM = 1.3           # cells may grow beyond what calibration saw
MEASURED = "accuracy", "emission_delay"  # keys of a card
LARGEST_CELL = 32.0       # where cells count without end, tanh has long been 1; a finer unit is worth more


def quantise(model, calibration, bits=None):
    """Make the integer model.

    Parameters
    ----------
    model : Model
    calibration : Calibration     From `calibrate.calibrate`, of the same model.
    bits : int, dict or None      2 to 8; a dict gives widths by tensor name, and 8 to those it does not name; None: those that
                                  the model was trained for.

    Returns
    -------
    IntegerModel                  Checked as if it came from a file. Its card lacks what was measured on the float model.

    Raises
    ------
    RangeError, FormatError
    """
    architecture = model.architecture
    widths = tensor_widths(trained_widths(model.card) if bits is None else bits, architecture)
    work = Quantiser(model.parameters, calibration, widths, inputs_of_matrices(architecture))
    for name, _, width in recurrent_layers(architecture):
        if name == "predictor":
            work.embedding()
        work.lstm(name)
        work.norm(name, width)
    for name, _, _ in linear_layers(architecture):
        work.linear(name)
    work.joint()
    made = IntegerModel(architecture, work.codes, widths, work.arrays, work.scalars, work.scales, model.mean,
                        model.reciprocal_deviation, model.units,
                        {key: value for key, value in model.card.items() if key not in MEASURED})
    return checked(made)


def trained_widths(card):
    """Widths that the weights were trained for. Parameters: card (of a float model). Returns int or dict, as `quantise` takes it.

    Levels chosen among the 8-bit codes are 8-bit codes, and so is what was not trained for any.
    """
    trained = card.get("quantised")
    return trained.get("bits") if isinstance(trained, dict) and trained.get("levels") == "uniform" else MOST_BITS


def tensor_widths(bits, architecture):
    """Width of each tensor. Parameters: bits (as in `quantise`), architecture. Returns a dict; raises RangeError."""
    names = list(code_shapes(architecture))
    widths = bits if isinstance(bits, dict) else dict.fromkeys(names, bits)
    for name, width in widths.items():
        if name not in names or not isinstance(width, int) or not 2 <= width <= MOST_BITS:
            raise RangeError(f"bits: got {name}: {width!r}, expected 2 to {MOST_BITS} for one of {', '.join(names)}")
    return {name: widths.get(name, MOST_BITS) for name in names}


def multiplier_of(real):
    """Multipliers and shifts of real factors. Parameters: real (float64 [N], >= 0). Returns (int32 [N], int8 [N])."""
    shift = shift_of(real)
    return multiplier_at(real, shift), shift.astype(np.int8)


def shift_of(real):
    """The shift with which the rounded multiplier has 31 bits. Parameters: real (float64 [N]). Returns int64 [N], 1 to 62."""
    fraction, exponent = np.frexp(real)
    full = np.floor(np.ldexp(fraction, MULTIPLIER_BITS) + 0.5) >= 2.0**MULTIPLIER_BITS
    shift = np.where(real > 0, 31 - exponent - full, 62)
    if shift.size and shift.min() < 1:
        raise RangeError(f"scales: got a factor of {real.max()}, expected less than 2^30; calibrate again")
    return np.minimum(shift, 62)


def multiplier_at(real, shift):
    """Multipliers for shifts that are given, rounded once, to 16 significant bits. Parameters: real, shift. Returns int32 [N]."""
    whole = np.ldexp(real, shift.astype(int))
    zeros = np.maximum(np.frexp(whole)[1] - MULTIPLIER_BITS, 0)  # low bits that become 0
    return np.ldexp(np.floor(np.ldexp(whole, -zeros) + 0.5), zeros).astype(np.int32)


def gate_units(n_rows):
    """Steps in each row's unit of pre-activation: sigmoid gates take half of it. Parameters: n_rows. Returns float64 [N]."""
    unit = np.full(n_rows, GATE_UNIT / 2)
    unit[n_rows // 2 : n_rows * 3 // 4] = GATE_UNIT
    return unit


class Quantiser:
    """The numbers of one model while they are made.

    Parameters
    ----------
    parameters : dict of str to float32 array
    calibration : Calibration
    widths : dict of str to int     Of each tensor's codes.
    inputs : dict of str to str     Which activation each matrix multiplies.
    """

    def __init__(self, parameters, calibration, widths, inputs):
        self.parameters = {name: value.astype(np.float64) for name, value in parameters.items()}
        self.calibration, self.widths, self.inputs = calibration, widths, inputs
        self.codes, self.arrays, self.scalars, self.scales = {}, {}, {}, dict(calibration.scales)
        self.arrays["input_reciprocal"] = np.array([1 / self.scales["input"]], np.float32)

    def matrix(self, name, bias):
        """Codes of a matrix. Parameters: name, bias (float64 [N]). Returns the rows' scales, such that the bias fits."""
        w, limit = self.parameters[name].T.copy(), 2 ** (self.widths[name] - 1) - 1
        moment, source = self.calibration.moments[name], self.scales[self.inputs[name]]
        scales = row_scales(w, limit, np.diag(moment))
        scales = np.maximum(scales, np.maximum(np.abs(bias) / (source * LARGEST_BIAS), 1e-9))
        self.codes[name] = compensated_codes(w, scales, limit, moment)
        return scales

    def embedding(self):
        """The predictor's table: at 8 bits the codes are the activations; narrower, each row has a scale of its own."""
        table, width = self.parameters["predictor.embedding"], self.widths["predictor.embedding"]
        scale, limit = self.scales["predictor.embedded"], 2 ** (width - 1) - 1
        rows = np.full(len(table), scale)
        if width < MOST_BITS:
            rows = np.maximum(row_scales(table, limit, np.ones(table.shape[1])), 1e-9)
        self.codes["predictor.embedding"] = nearest(table, rows, limit).astype(np.int8)
        multiplier, shift = multiplier_of(rows / scale)
        self.arrays |= {"predictor.embedding_multiplier": multiplier, "predictor.embedding_shift": shift}

    def lstm(self, name):
        """An LSTM. Parameters: name (of the layer)."""
        bias, hidden = self.parameters[f"{name}.bias"], self.scales[f"{name}.hidden"]
        by_input = self.scales[self.inputs[f"{name}.input"]] * self.matrix(f"{name}.input", bias)
        by_state = hidden * self.matrix(f"{name}.recurrent", np.zeros_like(bias))
        unit = gate_units(bias.size)
        shift = np.minimum(shift_of(unit * by_input), shift_of(unit * by_state))
        peak = CELL_ROOM * min(max(self.calibration.cell_peaks[name], 1e-6), LARGEST_CELL)
        fitting = math.floor(math.log2(INT16 / peak))
        multiplier, hidden_shift = multiplier_of(np.array([1 / (PRODUCT_UNIT * hidden)]))
        self.scalars[f"{name}.cell_bits"] = min(max(fitting, CELL_BITS[0]), CELL_BITS[1])
        self.arrays |= {f"{name}.bias": nearest(bias, by_input, LARGEST_BIAS).astype(np.int32),
                        f"{name}.input_multiplier": multiplier_at(unit * by_input, shift),
                        f"{name}.recurrent_multiplier": multiplier_at(unit * by_state, shift),
                        f"{name}.shift": shift.astype(np.int8),
                        f"{name}.hidden_multiplier": multiplier, f"{name}.hidden_shift": hidden_shift}

    def norm(self, name, width):
        """A layer normalisation. Parameters: name (of the layer), width."""
        gain, bias = self.parameters[f"{name}.norm_gain"], self.parameters[f"{name}.norm_bias"]
        scale = self.scales[f"{name}.output"]
        largest = max(np.abs(gain).max() / scale, np.abs(bias).max() / scale / 65536, 1e-9)
        bits = min(math.floor(math.log2(INT16 / largest)), NORM_BITS[1])
        if bits < NORM_BITS[0]:
            raise RangeError(f"{name}.norm: got a gain or bias of {largest:g} steps of its output, expected up to {INT16}; "
                             "calibrate on more speech")
        self.scalars[f"{name}.norm_bits"] = bits
        self.scalars[f"{name}.norm_epsilon"] = max(1, round(width**2 * float(EPSILON) / self.scales[f"{name}.hidden"] ** 2))
        self.arrays[f"{name}.norm_gain"] = np.rint(np.ldexp(gain / scale, bits)).astype(np.int16)
        self.arrays[f"{name}.norm_bias"] = np.rint(np.ldexp(bias / scale, bits)).astype(np.int32)

    def linear(self, name):
        """A matrix of the joiner. Parameters: name."""
        zeros = np.zeros(self.parameters[name].shape[1])
        bias = self.parameters.get(LINEAR_BIASES.get(name), zeros)
        by_row = self.scales[self.inputs[name]] * self.matrix(name, bias)
        whole = nearest(bias, by_row, LARGEST_BIAS).astype(np.int32)
        if name == "joiner.output":
            most = (most_of_sum(self.codes[name], whole) * by_row).max()
            unit = 2.0 ** -math.floor(math.log2((LOGIT_LIMIT - 2) / most))
            self.scales["joiner.logits"], self.arrays["logit_scale"] = unit, np.array([unit], np.float32)
        multiplier, shift = multiplier_of(by_row / self.scales["joiner.logits" if name == "joiner.output" else name])
        self.arrays |= {f"{name}_bias": whole, f"{name}_multiplier": multiplier, f"{name}_shift": shift}

    def joint(self):
        """The joint layer."""
        audio, text = (np.array([GATE_UNIT * self.scales[f"joiner.{side}"]]) for side in ("audio", "text"))
        shift = np.minimum(shift_of(audio), shift_of(text))
        multiplier, hidden_shift = multiplier_of(np.array([1 / (TABLE_UNIT * self.scales["joiner.hidden"])]))
        self.arrays |= {"joiner.audio_rescale": multiplier_at(audio, shift), "joiner.text_rescale": multiplier_at(text, shift),
                        "joiner.add_shift": shift.astype(np.int8), "joiner.hidden_multiplier": multiplier,
                        "joiner.hidden_shift": hidden_shift}
