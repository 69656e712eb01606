"""What stands around the tensors in a `.refasr` file: header, section table, tensor heads. See `docs/model-container.md`.

Nothing is believed before it is checked: every length is compared with the bytes there are before anything is made of it.
"""

import hashlib
import math
import mmap
import os
import re
import struct
import zlib
from typing import NamedTuple

import numpy as np

from refasr.compress.strict_json import LARGEST_HEADER_BYTES, parse_json
from refasr.errors import FormatError, RangeError

MARK, VERSION = b"\x89RFASR\r\n", 2
HEAD = struct.Struct("<8s32sIIQQ")      # mark, SHA-256 of what follows it, version, sections, bytes, reserved
ENTRY = struct.Struct("<4sIQII")        # of the section table: type, flags, bytes, CRC-32, reserved
TENSOR = struct.Struct("<HBBI")         # of a tensor section: bytes of its name, type of its values, axes, reserved
HASHED_FROM = 40
ALIGNMENT = 8                           # the widest value, so that plain arrays are used where they lie
REQUIRED = 1                            # the only flag
MODEL_HEADER, TENSOR_SECTION = b"JSON", b"TENS"
VALUE_TYPES = ("codes", "int8", "int16", "int32", "int64", "float32", "float64")
PACKED_TYPES = VALUE_TYPES[1:5]         # their numbers in a file go on where those of VALUE_TYPES end
LARGEST_FILE_BYTES, MOST_SECTIONS = 1 << 28, 4096
MOST_AXES, LONGEST_AXIS, MOST_CODES, MOST_PACKED, LARGEST_TILE = 4, (1 << 31) - 1, 1 << 27, 1 << 20, 1 << 16
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")  # a name of a file, too


class Section(NamedTuple):
    """One section of a file.

    kind : bytes [4]; required : bool.
    start : where its content begins in the file.
    content : uint8 [B], a view.
    """

    kind: bytes
    required: bool
    start: int
    content: np.ndarray


class Tensor(NamedTuple):
    """A tensor section taken apart.

    name : str; kind : of VALUE_TYPES; packed : bool; shape : tuple of int.
    start : where its values begin in the file.
    values : uint8 [B], a view: a weight stream, packed numbers, or the values themselves.
    """

    name: str
    kind: str
    packed: bool
    shape: tuple
    start: int
    values: np.ndarray

    @property
    def array(self):
        """The values of an array that is not packed, a view."""
        return self.values.view(np.dtype(self.kind).newbyteorder("<")).reshape(self.shape)


def misfit(place, what, got, expected, offset):
    """The error for a damaged file. Parameters: place (its name), what, got, expected, offset. Returns FormatError."""
    return FormatError(f"{place}: got {what} {got}, expected {expected}; fetch the model again", int(offset))


def aligned(place):
    """The next multiple of 8. Parameters: place. Returns int."""
    return place + -place % ALIGNMENT


def read_json(place, section):
    """The model header. Parameters: place, section. Returns a dict."""
    if section.content.size > LARGEST_HEADER_BYTES:
        raise misfit(place, "JSON of", f"{section.content.size} bytes", f"at most {LARGEST_HEADER_BYTES}", section.start)
    try:
        return parse_json(section.content.tobytes())
    except (ValueError, RecursionError) as error:
        raise misfit(place, "a model header with", " ".join(str(error).split())[:80], "a JSON object", section.start) from error


def write_tensor(name, kind, shape, values, packed=False):
    """The content of a tensor section. Parameters: name, kind, shape, values (bytes), packed. Returns bytes."""
    number = len(VALUE_TYPES) + PACKED_TYPES.index(kind) if packed else VALUE_TYPES.index(kind)
    head = TENSOR.pack(len(name), number, len(shape), 0) + struct.pack(f"<{len(shape)}Q", *shape) + name.encode()
    return head + (b"" if packed else bytes(-len(head) % ALIGNMENT)) + values


def read_tensor(place, section):
    """Take a tensor section apart.

    Parameters
    ----------
    place : str          Name of the file, for the errors.
    section : Section

    Returns
    -------
    Tensor               Of values of the length that its shape asks for, if they are neither codes nor packed.

    Raises
    ------
    FormatError
    """
    content, start = section.content, section.start
    if content.size < TENSOR.size:
        raise misfit(place, "a tensor of", f"{content.size} bytes", f"at least {TENSOR.size}", start)
    name_bytes, number, n_axes, reserved = TENSOR.unpack(content[:TENSOR.size])
    axes_end, packed = TENSOR.size + 8 * n_axes, number >= len(VALUE_TYPES)
    values_from = axes_end + name_bytes if packed else aligned(axes_end + name_bytes)
    kinds = VALUE_TYPES + PACKED_TYPES
    if number >= len(kinds) or n_axes > MOST_AXES or reserved or (number == 0 and n_axes != 2):
        raise misfit(place, "a tensor head", content[:TENSOR.size].tobytes().hex(),
                     f"a type from 0 to {len(kinds) - 1} with axes for it", start)
    if values_from > content.size:
        raise misfit(place, "a tensor head of", f"{values_from} bytes", f"at most {content.size}", start)
    shape = struct.unpack(f"<{n_axes}Q", content[TENSOR.size:axes_end])
    name = content[axes_end:axes_end + name_bytes].tobytes().decode("latin-1")
    if not NAME.fullmatch(name) or content[axes_end + name_bytes:values_from].any():
        raise misfit(place, "a tensor of the name", ascii(name[:40]), "letters, digits and _.- and then zeros", start + axes_end)
    if not all(1 <= length <= LONGEST_AXIS for length in shape):
        raise misfit(place, f"{name} of shape", list(shape), f"axes of 1 to {LONGEST_AXIS}", start + TENSOR.size)
    kind, values = kinds[number], content[values_from:]
    if number and not packed and math.prod(shape) * np.dtype(kind).itemsize != values.size:
        raise misfit(place, f"{name} of", f"{values.size} bytes", f"{list(shape)} of {kind}", start + values_from)
    return Tensor(name, kind, packed, shape, start + values_from, values)


def map_file(path):
    """A file's bytes, mapped into memory.

    Parameters
    ----------
    path : str or Path    Of a plain file.

    Returns
    -------
    uint8 [B]             Read only. A file that is replaced stays as it was; one that is shortened must not be read any more.

    Raises
    ------
    FormatError           If there is none, or an empty one.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise FormatError(f"{path}: got a folder or a device, expected a model file; name one")
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise misfit(path, "an", "empty file", "a refasr model", 0)
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except OSError as error:
        raise FormatError(f"{path}: got no model file ({error.strerror}), expected one; check its name and rights") from error


def join_sections(parts):
    """Put a file together.

    Parameters
    ----------
    parts : list of (kind, required, bytes)

    Returns
    -------
    bytes

    Raises
    ------
    RangeError         If it is larger than a reader takes.
    """
    table = b"".join(ENTRY.pack(kind, REQUIRED * required, len(content), zlib.crc32(content), 0)
                     for kind, required, content in parts)
    pieces, place = [table], HEAD.size + len(table)
    for _, _, content in parts:
        pieces += [bytes(aligned(place) - place), content]
        place = aligned(place) + len(content)
    if place > LARGEST_FILE_BYTES or len(parts) > MOST_SECTIONS:
        raise RangeError(f"model: got {place} bytes in {len(parts)} sections, expected at most {LARGEST_FILE_BYTES} in "
                         f"{MOST_SECTIONS}; make it smaller")
    head = HEAD.pack(MARK, bytes(32), VERSION, len(parts), place, 0)
    digest = hashlib.sha256(head[HASHED_FROM:])
    for piece in pieces:
        digest.update(piece)
    return b"".join([MARK, digest.digest(), head[HASHED_FROM:], *pieces])


def read_sections(place, image):
    """Take a file apart and compare all check sums.

    Parameters
    ----------
    place : str          Name of the file, for the errors.
    image : uint8 [B]    The whole file; may be mapped.

    Returns
    -------
    list of Section, and the SHA-256 as 64 hexadecimal digits

    Raises
    ------
    FormatError          With the offset of what is wrong.
    """
    if not HEAD.size <= image.size <= LARGEST_FILE_BYTES:
        raise misfit(place, "a file of", f"{image.size} bytes", f"{HEAD.size} to {LARGEST_FILE_BYTES}", 0)
    mark, digest, version, n_sections, n_bytes, reserved = HEAD.unpack(image[:HEAD.size])
    for what, value, good, expected, offset in (
            ("the mark", mark, mark == MARK, MARK, 0),
            ("version", version, version == VERSION, f"{VERSION}, or a newer refasr", 40),
            ("length", n_bytes, n_bytes == image.size, image.size, 48), ("reserved bytes", reserved, reserved == 0, 0, 56),
            ("number of sections", n_sections, n_sections <= MOST_SECTIONS and HEAD.size + n_sections * ENTRY.size <= image.size,
             f"at most {MOST_SECTIONS} that fit", 44)):
        if not good:
            raise misfit(place, what, value, expected, offset)
    sections, end = [], HEAD.size + n_sections * ENTRY.size
    for offset in range(HEAD.size, HEAD.size + n_sections * ENTRY.size, ENTRY.size):
        sections.append(read_section(place, image, offset, end))
        end = sections[-1].start + sections[-1].content.size
    if end != image.size:
        raise misfit(place, "sections that end at", end, image.size, 44)
    found = hashlib.sha256(image[HASHED_FROM:]).hexdigest()
    if found != digest.hex():
        raise misfit(place, "contents of SHA-256", found, digest.hex(), 8)
    return sections, found


def read_section(place, image, entry, end):
    """One section. Parameters: place, image, entry (its place in the table), end (of the section before). Returns a Section."""
    kind, flags, n_bytes, crc, reserved = ENTRY.unpack(image[entry:entry + ENTRY.size])
    start, known = aligned(end), kind in (MODEL_HEADER, TENSOR_SECTION)
    if flags & ~REQUIRED or reserved or not kind.isalnum() or (known and not flags):
        raise misfit(place, f"section {ascii(kind.decode('latin-1'))} with flags", flags, "four letters or digits, and flags of "
                     f"version {VERSION}", entry)
    if flags and not known:
        raise misfit(place, "a required section", ascii(kind.decode("latin-1")), "JSON or TENS, or a newer refasr", entry)
    if start + n_bytes > image.size:
        raise misfit(place, "a section of", f"{n_bytes} bytes", f"at most {max(0, image.size - start)}", entry + 8)
    if image[end:start].any():
        raise misfit(place, "bytes between sections", image[end:start].tobytes().hex(), "zeros", end)
    content = image[start:start + n_bytes]
    if zlib.crc32(content) != crc:
        raise misfit(place, f"a {kind.decode()} section of CRC-32", f"{zlib.crc32(content):08x}", f"{crc:08x}", start)
    return Section(kind, bool(flags), start, content)
