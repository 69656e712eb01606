"""A `.refasr` file taken apart and checked: all that `docs/model-container.md` says, but the codes themselves."""

import math

import numpy as np

from refasr.compress import packed_ints
from refasr.compress.container_layout import (LARGEST_TILE, MODEL_HEADER, MOST_CODES, MOST_PACKED, misfit, read_json,
                                              read_sections, read_tensor)
from refasr.errors import FormatError
from refasr.hw.codec_layout import read_layout


def take_apart(place, image):
    """Check everything but the codes.

    Parameters
    ----------
    place : str          Name of the file, for the errors.
    image : uint8 [B]

    Returns
    -------
    dict, list of (Tensor, Layout or array), list of Section, str    Header; tensors; all sections; SHA-256.

    Raises
    ------
    FormatError
    """
    sections, digest = read_sections(place, image)
    known = [section for section in sections if section.required]
    if not known or known[0].kind != MODEL_HEADER:
        raise misfit(place, "as the first section", known[0].kind.decode() if known else "none", "JSON", image.size)
    header, tensors, before, counts = read_json(place, known[0]), [], (False, ""), {"codes": 0, "packed numbers": 0}
    for section in known[1:]:
        if section.kind == MODEL_HEADER:
            raise misfit(place, "another section", "JSON", "one", section.start)
        tensor = read_tensor(place, section)
        key = tensor.kind != "codes", tensor.name
        if key <= before:
            raise misfit(place, "a tensor", f"{tensor.name} after {before[1]}", "codes first, names in order", section.start)
        before = key
        tensors.append((tensor, held_by(place, tensor, counts)))
    names = [tensor.name for tensor, _ in tensors]
    if len(set(names)) < len(names):
        raise misfit(place, "codes and a plain array of", "the same name", "different names", image.size)
    return header, tensors, sections, digest


def held_by(place, tensor, counts):
    """What a tensor holds. Parameters: place, tensor, counts (of those before; it is added). Returns a Layout or an array."""
    what = "codes" if tensor.kind == "codes" else "packed numbers"
    if what == "codes" or tensor.packed:  # few bytes may ask for many
        counts[what] += math.prod(tensor.shape)
        most = MOST_CODES if what == "codes" else MOST_PACKED
        if counts[what] > most:
            raise misfit(place, f"{tensor.name} of shape", list(tensor.shape), f"at most {most} {what} in all", tensor.start)
    if what == "codes":
        layout = inside(place, tensor, read_layout, math.prod(tensor.shape))
        if layout.tile_codes > LARGEST_TILE:
            raise misfit(place, f"{tensor.name} in tiles of", layout.tile_codes, f"at most {LARGEST_TILE} codes",
                         tensor.start + 12)
        return layout
    if tensor.packed:
        return inside(place, tensor, packed_ints.unpack, math.prod(tensor.shape), tensor.kind).reshape(tensor.shape)
    if tensor.kind.startswith("float") and not np.isfinite(tensor.array).all():
        raise misfit(place, tensor.name, "with values that are not finite", "numbers", tensor.start)
    return tensor.array


def inside(place, tensor, read, *wanted):
    """Read a tensor's values; errors say where in the file. Parameters: place, tensor, read, *wanted. Returns of `read`."""
    try:
        return read(tensor.values, *wanted)
    except FormatError as error:
        raise FormatError(f"{place}: {tensor.name}: {error} of its values", tensor.start + error.offset) from error
