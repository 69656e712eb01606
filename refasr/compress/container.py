"""The model container: a `.refasr` file of one JSON object, tensors of codes in compressed form, and plain arrays.

It knows nothing of networks: what the tensors mean is the matter of who packs them. Equal contents give equal bytes, and the
file carries the SHA-256 of all that it holds. `docs/model-container.md` is the specification; the code of a tensor is in
`hw/codec.py`, that of packed arrays in `packed_ints.py`. `container_layout.py` has what stands around the tensors,
`container_parts.py` takes a file apart.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.compress import packed_ints
from refasr.compress.container_layout import (LONGEST_AXIS, MODEL_HEADER, MOST_AXES, MOST_CODES, MOST_PACKED, NAME, PACKED_TYPES,
                                              TENSOR_SECTION, VALUE_TYPES, VERSION, join_sections, map_file, write_tensor)
from refasr.compress.container_parts import inside, take_apart
from refasr.compress.strict_json import write_json
from refasr.errors import DTypeError, RangeError
from refasr.hw import codec
from refasr.hw.codec_layout import require_whole
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


def check_plain(name, value):
    """Require an array that can be stored. Parameters: name, value. Returns the name of its type."""
    kind = getattr(getattr(value, "dtype", None), "name", type(value).__name__)
    if not isinstance(value, np.ndarray) or kind not in VALUE_TYPES[1:] or not value.dtype.isnative:
        raise DTypeError(f"{name}: got {kind}, expected an array of {', '.join(VALUE_TYPES[1:])}; convert it explicitly")
    if value.ndim > MOST_AXES or value.size == 0 or max(value.shape, default=1) > LONGEST_AXIS:
        raise RangeError(f"{name}: got shape {list(value.shape)}, expected 0 to {MOST_AXES} axes, none of them empty")
    checks.finite(name, value)
    return kind


def plain_sections(plain):
    """Arrays as sections: packed if that is shorter, while a reader takes more packed numbers.

    Parameters
    ----------
    plain : dict of str to array

    Yields
    ------
    kind, required, bytes
    """
    n_packed = 0
    for name in sorted(plain):
        value, kind = plain[name], check_plain(name, plain[name])
        content = write_tensor(name, kind, value.shape, value.astype(value.dtype.newbyteorder("<")).tobytes())
        if kind in PACKED_TYPES and n_packed + value.size <= MOST_PACKED:
            shorter = write_tensor(name, kind, value.shape, packed_ints.pack(value), packed=True)
            if len(shorter) < len(content):
                content, n_packed = shorter, n_packed + value.size
        yield TENSOR_SECTION, True, content


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
                          *plain_sections(plain)])


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


def contents_of(place, image, backend="fast"):
    """Read a file from memory.

    Parameters
    ----------
    place : str                        Name of the file, for the errors.
    image : uint8 [B]                  All of it.
    backend : "fast" or "reference"

    Returns
    -------
    Contents                           Plain arrays are views of the image, unless packed; codes are decoded.

    Raises
    ------
    FormatError                        With the offset of what is wrong.
    """
    header, tensors, _, _ = take_apart(place, image)
    decode, coded, plain = select(backend)(codec.decode), {}, {}
    for tensor, held in tensors:
        if tensor.kind != "codes":
            plain[tensor.name] = held
            continue
        codes = inside(place, tensor, decode, held.n_codes)
        coded[tensor.name] = Coded(codes.reshape(tensor.shape), held.width)
    return Contents(header, coded, plain)


def read_contents(path, backend="fast"):
    """Read a `.refasr` file.

    Parameters
    ----------
    path : str or Path
    backend : "fast" or "reference"

    Returns
    -------
    Contents       Plain arrays lie in the mapped file and are read only, unless packed; codes are decoded.

    Raises
    ------
    FormatError    With the offset of what is wrong.

    Notes
    -----
    Memory: a byte a code, of which there are at most 2^27, whatever the file claims; 8 a packed number, at most 2^20, and 60 more
    while it is unpacked; and the JSON object.
    """
    return contents_of(str(path), map_file(path), backend)


def describe(path):
    """What a file holds, without decoding its codes; all check sums but those of the codes themselves are compared.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict    For JSON: file, bytes, format, sha256, header, tensors (name, type, packed, shape, bytes; for codes also bits,
            bits_a_weight, tiles, tile_codes, lanes) and sections (type, required, offset, bytes).

    Raises
    ------
    FormatError
    """
    image = map_file(path)
    header, tensors, sections, digest = take_apart(str(path), image)
    rows = []
    for tensor, held in tensors:
        row = {"name": tensor.name, "type": tensor.kind, "packed": tensor.packed, "shape": list(tensor.shape),
               "bytes": tensor.values.size}
        if tensor.kind == "codes":
            row |= {"bits": held.width, "bits_a_weight": 8 * tensor.values.size / held.n_codes, "tiles": held.n_tiles,
                    "tile_codes": held.tile_codes, "lanes": held.lanes}
        rows.append(row)
    return {"file": str(path), "bytes": image.size, "format": VERSION, "sha256": digest, "header": header, "tensors": rows,
            "sections": [{"type": section.kind.decode(), "required": section.required, "offset": section.start,
                          "bytes": section.content.size} for section in sections]}
