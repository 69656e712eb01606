"""Strategies for `.refasr` files: contents of all kinds, and files with something wrong, their check sums often right."""

import hashlib
import struct
import zlib

import numpy as np
from cases_codec import spread
from hypothesis import strategies as st

from refasr.compress.container import Coded, Contents

NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,9}\Z")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False),
                    TEXTS)
OBJECTS = st.dictionaries(TEXTS, st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(
    TEXTS, inner, max_size=3)), max_leaves=6), max_size=4)
KINDS = ("int8", "int16", "int32", "int64", "float32", "float64")


@st.composite
def arrays(draw):
    """A plain array. Parameters: draw. Returns an array."""
    shape, kind = tuple(draw(st.lists(st.integers(1, 4), max_size=4))), np.dtype(draw(st.sampled_from(KINDS)))
    source = np.random.default_rng(draw(st.integers(0, 999)))
    if kind.kind == "f":
        return np.asarray(source.standard_normal(shape) * 10.0 ** source.integers(-30, 30)).astype(kind)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    form = draw(st.integers(0, 3))  # all of the range; a small part of it, in steps; one value; the two ends
    if form == 1:
        step, most = 1 << draw(st.integers(0, 3)), draw(st.integers(0, 3))
        found = draw(st.integers(low, high - 8 * most)) + step * source.integers(0, most, shape, np.int64, endpoint=True)
    elif form == 2:
        found = np.full(shape, draw(st.sampled_from([low, -1, 0, high])))
    elif form == 3:
        found = np.where(source.random(shape) < 0.5, low, high)
    else:
        found = source.integers(low, high, shape, kind, endpoint=True)
    return np.asarray(found).astype(kind)


@st.composite
def contents(draw):
    """What a file may hold. Parameters: draw. Returns Contents."""
    names, coded = draw(st.lists(NAMES, unique=True, max_size=5)), {}
    n_coded, source = draw(st.integers(0, len(names))), np.random.default_rng(draw(st.integers(0, 999)))
    for name in names[:n_coded]:
        shape, bits = (draw(st.integers(1, 40)), draw(st.integers(1, 40))), draw(st.integers(2, 8))
        codes = spread(source, shape[0] * shape[1], bits, 0.3, draw(st.sampled_from([0.0, 0.3, 1.0])))
        coded[name] = Coded(codes.reshape(shape), bits)
    return Contents(draw(OBJECTS), coded, {name: draw(arrays()) for name in names[n_coded:]})


def resealed(file):
    """The file with check sums that hold, wherever its table leads, so that what is behind is looked at.

    Parameters
    ----------
    file : bytes

    Returns
    -------
    bytes
    """
    file = bytearray(file)
    if len(file) < 64:
        return bytes(file)
    end = 64 + 24 * min(struct.unpack_from("<I", file, 44)[0], (len(file) - 64) // 24)
    for entry in range(64, end, 24):
        size = struct.unpack_from("<Q", file, entry + 8)[0]
        start = end + -end % 8
        end = start + size
        if end > len(file):
            break
        struct.pack_into("<I", file, entry + 16, zlib.crc32(file[start:end]))
    file[8:40] = hashlib.sha256(file[40:]).digest()
    return bytes(file)


HUGE = st.sampled_from([0, 1, 2, 3, 64, 4096, 4097, 65536, 2**28, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1])


@st.composite
def damage(draw, file):
    """The file with something wrong, its check sums often right. Parameters: draw, file (bytes). Returns bytes."""
    file, kind = bytearray(file), draw(st.integers(0, 5))
    if kind == 0:
        file = file[:draw(st.integers(0, len(file)))]
    elif kind == 1:
        file += draw(st.binary(min_size=1, max_size=70))
    elif kind == 2:
        form = draw(st.sampled_from(["<B", "<H", "<I", "<Q"]))
        place = draw(st.integers(40 // struct.calcsize(form), len(file) // struct.calcsize(form) - 1)) * struct.calcsize(form)
        struct.pack_into(form, file, place, draw(HUGE) % (1 << 8 * struct.calcsize(form)))
    elif kind == 3:
        a, b, n = (draw(st.integers(0, len(file))) for _ in range(3))
        file[a:a + n % 99] = file[b:b + n % 99]
    else:
        for _ in range(draw(st.integers(1, 3))):
            file[draw(st.integers(0, len(file) - 1))] ^= draw(st.integers(1, 255))
    if draw(st.booleans()) and len(file) >= 64:
        struct.pack_into("<Q", file, 48, len(file))
    return resealed(file) if draw(st.booleans()) else bytes(file)
