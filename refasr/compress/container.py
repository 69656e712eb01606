"""The model container: a `.refasr` file of one JSON object, tensors of codes in compressed form, and plain arrays.

It knows nothing of networks: what the tensors mean is the matter of who packs them. Equal contents give equal bytes, and the
file carries the SHA-256 of all that it holds. `docs/model-container.md` is the specification; the code of a tensor is in
`hw/codec.py`, what stands around the tensors in `container_layout.py`.
"""

import math
from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.compress.container_layout import (LARGEST_TILE, LONGEST_AXIS, MODEL_HEADER, MOST_AXES, MOST_CODES, NAME,
                                              TENSOR_SECTION, VALUE_TYPES, VERSION, join_sections, map_file, misfit, read_json,
                                              read_sections, read_tensor, write_tensor)
from refasr.compress.strict_json import write_json
from refasr.errors import DTypeError, FormatError, RangeError
from refasr.hw import codec
from refasr.hw.codec_layout import read_layout, require_whole
from refasr.twins import select
from refasr.whole_file import whole_file


class Coded(NamedTuple):
    """A tensor of whole-number weights.

    codes : int8 [N, K]    Each in -2^(bits-1) ... 2^(bits-1) - 1.
    bits : int, 2 to 8
    """

    codes: np.ndarray
    bits: int


class Contents(NamedTuple):
    """What a file holds.

    header : dict                   Of what JSON has; no tuples.
    coded : dict of str to Coded    Or to any pair of codes and bits.
    plain : dict of str to array    int8 ... int64, float32 or float64; 0 to 4 axes, none empty; finite. Names are letters, digits
                                    and `_.-`, and none is in both.
    """

    header: dict
    coded: dict
    plain: dict


def check_name(name):
    """Require a name. Parameters: name."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise RangeError(f"name of a tensor: got {name!r:.60}, expected 1 to 200 letters, digits and _.-; rename it")


def coded_section(name, coded, backend):
    """A tensor of codes as a section.

    Parameters
    ----------
    name : str
    coded : Coded        Or any pair.
    backend : Backend    From `twins.select`.

    Returns
    -------
    kind, required, bytes

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    codes, bits = coded
    require_whole(f"{name}: bits", bits, 2, 8)
    checks.array(name, codes, np.int8, (None, None))
    half = 1 << bits - 1
    if not codes.size or not (-half <= codes.min() and codes.max() < half):
        raise RangeError(f"{name}: got {'no codes' if not codes.size else f'{codes.min()}..{codes.max()}'}, expected some in "
                         f"{-half}..{half - 1} for {bits} bits")
    stream = backend(codec.encode)(codes.ravel(), int(bits))
    return TENSOR_SECTION, True, write_tensor(name, "codes", codes.shape, stream.tobytes())


def plain_section(name, value):
    """An array as a section. Parameters: name, value. Returns kind, required, bytes."""
    kind = getattr(getattr(value, "dtype", None), "name", type(value).__name__)
    if not isinstance(value, np.ndarray) or kind not in VALUE_TYPES[1:] or not value.dtype.isnative:
        raise DTypeError(f"{name}: got {kind}, expected an array of {', '.join(VALUE_TYPES[1:])}; convert it explicitly")
    if value.ndim > MOST_AXES or value.size == 0 or max(value.shape, default=1) > LONGEST_AXIS:
        raise RangeError(f"{name}: got shape {list(value.shape)}, expected 0 to {MOST_AXES} axes, none of them empty")
    checks.finite(name, value)
    return TENSOR_SECTION, True, write_tensor(name, kind, value.shape, value.astype(value.dtype.newbyteorder("<")).tobytes())


def image_of(contents, backend="fast"):
    """A file as bytes: the JSON object, then the tensors of codes, then the plain arrays, both in the order of their names.

    Parameters
    ----------
    contents : Contents                Or any such triple.
    backend : "fast" or "reference"    Both give the same bytes.

    Returns
    -------
    bytes

    Raises
    ------
    DTypeError, ShapeError, RangeError    If something cannot be stored as it is.
    """
    header, coded, plain = contents
    for name in (*coded, *plain):
        check_name(name)
        if name in coded and name in plain:
            raise RangeError(f"{name}: got codes and a plain array of this name, expected one; rename one")
    if sum(np.size(codes) for codes, _ in coded.values()) > MOST_CODES:
        raise RangeError(f"model: got more codes, expected at most {MOST_CODES} in all; make it smaller")
    twins = select(backend)
    return join_sections([(MODEL_HEADER, True, write_json(header)),
                          *(coded_section(name, coded[name], twins) for name in sorted(coded)),
                          *(plain_section(name, plain[name]) for name in sorted(plain))])


def write_contents(path, contents, backend="fast"):
    """Write a `.refasr` file; the old one stays until the new one is complete.

    Parameters
    ----------
    path : str or Path
    contents : Contents
    backend : "fast" or "reference"

    Raises
    ------
    DTypeError, ShapeError, RangeError    As in `image_of`.
    FormatError                           If the place cannot be written.
    """
    image = image_of(contents, backend)
    with whole_file(path) as file:
        file.write(image)


def take_apart(place, image):
    """Check everything but the codes.

    Parameters
    ----------
    place : str          Name of the file, for the errors.
    image : uint8 [B]

    Returns
    -------
    dict, list of (Tensor, Layout or None), list of Section, str    Header; tensors; all sections; SHA-256.

    Raises
    ------
    FormatError
    """
    sections, digest = read_sections(place, image)
    known = [section for section in sections if section.required]
    if not known or known[0].kind != MODEL_HEADER:
        raise misfit(place, "as the first section", known[0].kind.decode() if known else "none", "JSON", image.size)
    header, tensors, before, n_codes = read_json(place, known[0]), [], (False, ""), 0
    for section in known[1:]:
        if section.kind == MODEL_HEADER:
            raise misfit(place, "another section", "JSON", "one", section.start)
        tensor = read_tensor(place, section)
        key = tensor.kind != "codes", tensor.name
        if key <= before:
            raise misfit(place, "a tensor", f"{tensor.name} after {before[1]}", "codes first, names in order", section.start)
        before, layout = key, None
        if tensor.kind == "codes":
            n_codes += math.prod(tensor.shape)
            layout = read_stream(place, tensor, n_codes)
        elif tensor.kind.startswith("float") and not np.isfinite(tensor.array).all():
            raise misfit(place, tensor.name, "with values that are not finite", "numbers", tensor.start)
        tensors.append((tensor, layout))
    names = [tensor.name for tensor, _ in tensors]
    if len(set(names)) < len(names):
        raise misfit(place, "codes and a plain array of", "the same name", "different names", image.size)
    return header, tensors, sections, digest


def read_stream(place, tensor, n_codes):
    """Layout of a tensor's stream. Parameters: place, tensor, n_codes (with those of the tensors before). Returns a Layout."""
    if n_codes > MOST_CODES:
        raise misfit(place, f"{tensor.name} of shape", list(tensor.shape), f"at most {MOST_CODES} codes in all", tensor.start)
    try:
        layout = read_layout(tensor.values, math.prod(tensor.shape))
    except FormatError as error:
        raise FormatError(f"{place}: {tensor.name}: {error} of its stream", tensor.start + error.offset) from error
    if layout.tile_codes > LARGEST_TILE:
        raise misfit(place, f"{tensor.name} in tiles of", layout.tile_codes, f"at most {LARGEST_TILE} codes", tensor.start + 12)
    return layout


def contents_of(place, image, backend="fast"):
    """Read a file from memory.

    Parameters
    ----------
    place : str                        Name of the file, for the errors.
    image : uint8 [B]                  All of it.
    backend : "fast" or "reference"

    Returns
    -------
    Contents                           Plain arrays are views of the image; codes are decoded.

    Raises
    ------
    FormatError                        With the offset of what is wrong.
    """
    header, tensors, _, _ = take_apart(place, image)
    decode, coded, plain = select(backend)(codec.decode), {}, {}
    for tensor, layout in tensors:
        if layout is None:
            plain[tensor.name] = tensor.array
            continue
        try:
            codes = decode(tensor.values, layout.n_codes)
        except FormatError as error:
            raise FormatError(f"{place}: {tensor.name}: {error} of its stream", tensor.start + error.offset) from error
        coded[tensor.name] = Coded(codes.reshape(tensor.shape), layout.width)
    return Contents(header, coded, plain)


def read_contents(path, backend="fast"):
    """Read a `.refasr` file.

    Parameters
    ----------
    path : str or Path
    backend : "fast" or "reference"

    Returns
    -------
    Contents       Plain arrays lie in the mapped file and are read only; codes are decoded.

    Raises
    ------
    FormatError    With the offset of what is wrong.

    Notes
    -----
    Memory: a byte a code, of which there are at most 2^27, whatever the file claims; and the JSON object.
    """
    return contents_of(str(path), map_file(path), backend)


def describe(path):
    """What a file holds, without decoding its codes; all check sums but those of the codes themselves are compared.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict    For JSON: file, bytes, format, sha256, header, tensors (name, type, shape, bytes; for codes also bits, bits_a_weight,
            tiles, tile_codes, lanes) and sections (type, required, offset, bytes).

    Raises
    ------
    FormatError
    """
    image = map_file(path)
    header, tensors, sections, digest = take_apart(str(path), image)
    rows = []
    for tensor, layout in tensors:
        row = {"name": tensor.name, "type": tensor.kind, "shape": list(tensor.shape), "bytes": tensor.values.size}
        if layout is not None:
            row |= {"bits": layout.width, "bits_a_weight": 8 * tensor.values.size / layout.n_codes, "tiles": layout.n_tiles,
                    "tile_codes": layout.tile_codes, "lanes": layout.lanes}
        rows.append(row)
    return {"file": str(path), "bytes": image.size, "format": VERSION, "sha256": digest, "header": header, "tensors": rows,
            "sections": [{"type": section.kind.decode(), "required": section.required, "offset": section.start,
                          "bytes": section.content.size} for section in sections]}
