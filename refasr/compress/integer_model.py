"""The integer network as data: codes, multipliers, tables of scales. `docs/arithmetic.md` says what is computed with them.

    contents = to_contents(model)         header (JSON), coded tensors, plain arrays: what a container stores
    model = from_contents(*contents)      the same model, or FormatError
"""

import dataclasses
import math

import numpy as np

from refasr.compress import proofs
from refasr.compress.container import Coded, Contents
from refasr.compress.layout import ARITHMETIC, MOST_BITS, array_specs, code_shapes, scalar_ranges, scale_names
from refasr.errors import FormatError
from refasr.transducer.model import Architecture
from refasr.transducer.model_file import (LARGEST_PARAMETERS, NORMALISATION_LIMIT, misfit, read_architecture, read_card,
                                          read_units)

LEAST_SCALE, LARGEST_SCALE = 1e-12, 1e12


@dataclasses.dataclass(frozen=True)
class IntegerModel:
    """Everything a recogniser needs, with an integer network. Names are those of `docs/arithmetic.md`, section 6.

    architecture : Architecture
    codes : dict of str to int8 [N, K]      Coded tensors, rows are outputs (A2).
    bits : dict of str to int, 2 to 8       Width of each tensor's codes.
    arrays : dict of str to array           Biases, multipliers, shifts; the types are those of `layout.array_specs`.
    scalars : dict of str to int            `cell_bits`, `norm_bits`, `norm_epsilon` of each layer.
    scales : dict of str to float           What one step of each activation is worth; no part of the arithmetic (A3).
    mean, reciprocal_deviation : float32 [F]    Global feature normalisation.
    units : tuple of str                    Position is the id; blank is 0.
    card : dict                             The model card, shown by `refasr info`.
    """

    architecture: Architecture
    codes: dict
    bits: dict
    arrays: dict
    scalars: dict
    scales: dict
    mean: np.ndarray
    reciprocal_deviation: np.ndarray
    units: tuple
    card: dict


def to_contents(model):
    """What a container has to store. Parameters: model (IntegerModel). Returns container.Contents; nothing is copied."""
    header = {"arithmetic": ARITHMETIC, "architecture": dataclasses.asdict(model.architecture), "units": list(model.units),
              "scalars": dict(model.scalars), "scales": dict(model.scales), "card": model.card}
    header["architecture"]["encoder_widths"] = list(model.architecture.encoder_widths)
    coded = {name: Coded(model.codes[name], model.bits[name]) for name in code_shapes(model.architecture)}
    arrays = {name: model.arrays[name] for name in array_specs(model.architecture)}
    arrays |= {"mean": model.mean, "reciprocal_deviation": model.reciprocal_deviation}
    return Contents(header, coded, arrays)


def from_contents(header, coded, plain, place="model"):
    """The model of some contents, checked: nothing that passes can overflow, or read outside a table.

    Parameters
    ----------
    header : dict                               As from JSON.
    coded : dict of str to (int8 [N, K], int)
    plain : dict of str to array
    place : str or Path                         For the error: the file.

    Returns
    -------
    IntegerModel

    Raises
    ------
    FormatError                                 For anything missing, superfluous or out of range.
    """
    keys = {"arithmetic", "architecture", "units", "scalars", "scales", "card"}
    if not isinstance(header, dict) or set(header) != keys:
        got = f"header {sorted(header)!r:.200}" if isinstance(header, dict) else "no header"
        raise misfit(place, got, ", ".join(sorted(keys)))
    if header["arithmetic"] != ARITHMETIC or isinstance(header["arithmetic"], bool):
        raise misfit(place, f"arithmetic {header['arithmetic']!r:.20}", ARITHMETIC, "update refasr or fetch the model again")
    if not isinstance(header["architecture"], dict):
        raise misfit(place, "no architecture", "an object")
    architecture = read_architecture(place, header["architecture"])
    shapes = code_shapes(architecture)
    if sum(map(math.prod, shapes.values())) > LARGEST_PARAMETERS:
        raise misfit(place, "an architecture with too many weights", f"at most {LARGEST_PARAMETERS}")
    units, card = read_units(place, header["units"], architecture), read_card(place, header["card"])
    scalars = read_scalars(place, header["scalars"], scalar_ranges(architecture))
    scales = read_scales(place, header["scales"], scale_names(architecture))
    same_names(place, coded, shapes)
    codes = {name: read_codes(f"{place}: {name}", coded[name], shape) for name, shape in shapes.items()}
    specs, bins = array_specs(architecture), (architecture.n_inputs // architecture.stack,)
    same_names(place, plain, [*specs, "mean", "reciprocal_deviation"])
    found = {name: read_values(f"{place}: {name}", plain[name], *spec) for name, spec in specs.items()}
    mean = read_values(f"{place}: mean", plain["mean"], np.float32, bins, -NORMALISATION_LIMIT, NORMALISATION_LIMIT)
    deviation = read_values(f"{place}: reciprocal_deviation", plain["reciprocal_deviation"], np.float32, bins,
                            np.finfo(np.float32).tiny, NORMALISATION_LIMIT)
    model = IntegerModel(architecture, codes, {name: coded[name][1] for name in shapes}, found, scalars, scales, mean, deviation,
                         units, card)
    proofs.prove(place, model)
    return model


def same_names(place, found, expected):
    """Require exactly these names. Parameters: place, found (dict), expected (names). Raises FormatError."""
    if not isinstance(found, dict) or set(found) != set(expected):
        odd = sorted(map(str, set(found) ^ set(expected)))[:3] if isinstance(found, dict) else ["no names"]
        raise misfit(place, f"other contents ({', '.join(odd):.100})", "those of the architecture")


def read_scalars(place, values, ranges):
    """Check whole numbers. Parameters: place, values (from JSON), ranges (low and high by name). Returns a dict of int."""
    same_names(place, values, ranges)
    for name, (low, high) in ranges.items():
        value = values[name]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise misfit(f"{place}: {name}", f"{value!r:.20}", f"a whole number from {low} to {high}")
    return {name: values[name] for name in ranges}


def read_scales(place, values, names):
    """Check scales. Parameters: place, values (from JSON), names. Returns a dict of float."""
    same_names(place, values, names)
    for name in names:
        value = values[name]
        if not isinstance(value, float | int) or isinstance(value, bool) or not LEAST_SCALE <= value <= LARGEST_SCALE:
            raise misfit(f"{place}: scale {name}", f"{value!r:.20}", f"a number from {LEAST_SCALE} to {LARGEST_SCALE}")
    return {name: float(values[name]) for name in names}


def read_codes(place, entry, shape):
    """Check a coded tensor. Parameters: place, entry (codes, bits), shape. Returns int8 [N, K], contiguous."""
    if not isinstance(entry, tuple | list) or len(entry) != 2:
        raise misfit(place, "no coded tensor", "codes and their width")
    codes, bits = entry
    if not isinstance(bits, int) or isinstance(bits, bool) or not 2 <= bits <= MOST_BITS:
        raise misfit(place, f"codes of {bits!r:.20} bits", f"2 to {MOST_BITS}")
    limit = 2 ** (bits - 1) - 1
    return read_values(place, codes, np.int8, shape, -limit, limit)


def read_values(place, values, dtype, shape, low, high):
    """Check an array. Parameters: place, values, dtype, shape, low, high. Returns the array, contiguous."""
    if not isinstance(values, np.ndarray) or values.dtype != dtype or values.shape != shape:
        got = f"{values.dtype} {list(values.shape)!r:.60}" if isinstance(values, np.ndarray) else type(values).__name__
        raise misfit(place, got, f"{np.dtype(dtype)} {list(shape)}")
    if not (np.isfinite(values).all() and values.min() >= low and values.max() <= high):
        raise misfit(place, f"values from {values.min()} to {values.max()}", f"{low} to {high}")
    return np.ascontiguousarray(values)


def checked(model):
    """The same model, checked as if it came from a file. Parameters: model (IntegerModel). Returns an IntegerModel.

    Raises FormatError, for a scale or sum that a file must not hold.
    """
    if not isinstance(model, IntegerModel):
        raise FormatError(f"model: got {type(model).__name__}, expected an IntegerModel")
    return from_contents(*to_contents(model))
