"""Strategies for the twins of the weight codec: codes of all widths and densities, streams good and damaged."""

import struct
import zlib

import numpy as np
from hypothesis import strategies as st

from refasr.errors import RefasrError
from refasr.hw import codec
from refasr.hw.codec_layout import CRC_PLACE, ENTRY_BYTES, HEAD, read_layout

LANE_COUNTS = st.sampled_from([1, 2, 3, 16, 48, 64, 64, 64, 65, 256])
ODD_NUMBERS = st.sampled_from([0, -1, 2**40, 1.5, 8.0, None, True, "8", float("nan")])
HUGE = st.sampled_from([0, 1, 2, 3, 255, 256, 257, 65535, 65536, 2**28, 2**28 + 1, 2**31, 2**32 - 1])
FIELDS = {4: "<B", 5: "<B", 6: "<H", 8: "<I", 12: "<I", 16: "<I", 20: "<H", 22: "<H"}


def spread(source, n, width, sharpness, density):
    """Codes of a bell shape. Parameters: source, n, width, sharpness, density (of what is not zero). Returns int8 [n]."""
    half = 1 << width - 1
    codes = np.clip(np.rint(source.standard_normal(n) * half * sharpness), -half, half - 1)
    return np.where(source.random(n) < density, codes, 0).astype(np.int8)


@st.composite
def tensors(draw, largest=3000):
    """Codes with constant stretches. Parameters: draw, largest. Returns (codes, width)."""
    width, source = draw(st.integers(2, 8)), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.one_of(st.sampled_from([0, 1, 2, 63, 64, 65, 128, 1000]), st.integers(0, largest)))
    codes = spread(source, n, width, draw(st.sampled_from([0.02, 0.1, 0.3, 5.0])), draw(st.sampled_from([0.0, 0.02, 0.3, 1.0])))
    a, b = sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=2)))
    codes[a:b] = draw(st.one_of(st.just(0), st.integers(-(1 << width - 1), (1 << width - 1) - 1)))
    return codes, width


@st.composite
def encodings(draw, largest=3000):
    """Good arguments of `encode`. Parameters: draw, largest. Returns a tuple."""
    codes, width = draw(tensors(largest))
    sizes = st.one_of(st.sampled_from([64, 1 << 16, 1 << 28]), st.integers(max(1, codes.size // 20), codes.size + 2))
    return codes, width, draw(sizes), draw(LANE_COUNTS)


@st.composite
def spoilt_encodings(draw):
    """Arguments of `encode` with one thing wrong, or nearly. Parameters: draw. Returns a tuple."""
    arguments = list(draw(encodings(300)))
    codes, place = arguments[0], draw(st.integers(0, 9))
    if place in (1, 2, 3):
        arguments[place] = draw(ODD_NUMBERS)
    else:
        arguments[0] = (codes.astype(np.int16), codes[::2], codes[:, None], codes.tolist(), None,
                        np.append(codes, np.int8(-128)), np.append(codes, np.int8(127)))[draw(st.integers(0, 6))]
    return tuple(arguments)


def resealed(stream):
    """The stream with a header check sum that holds, so that what is behind is looked at. Parameters: stream. Returns bytes."""
    if len(stream) < HEAD.size:
        return bytes(stream)
    stream = bytearray(stream)
    tile_codes = max(1, struct.unpack_from("<I", stream, 12)[0])
    n_tiles = -(-struct.unpack_from("<I", stream, 8)[0] // tile_codes)
    end = HEAD.size + struct.unpack_from("<H", stream, 20)[0] + n_tiles * ENTRY_BYTES
    crc = zlib.crc32(stream[HEAD.size:min(end, len(stream))], zlib.crc32(stream[:CRC_PLACE]))
    struct.pack_into("<I", stream, CRC_PLACE, crc)
    return bytes(stream)


@st.composite
def damage(draw, stream):
    """The stream with something wrong, its header check sum often right. Parameters: draw, stream (bytes). Returns bytes."""
    stream, kind = bytearray(stream), draw(st.integers(0, 4))
    if kind == 0:
        stream = stream[:draw(st.integers(0, len(stream)))]
    elif kind == 1:
        stream += draw(st.binary(min_size=1, max_size=9))
    elif kind == 2:
        place = draw(st.sampled_from(sorted(FIELDS)))
        form = FIELDS[place]
        struct.pack_into(form, stream, place, draw(HUGE) % (1 << 8 * struct.calcsize(form)))
    else:
        head = HEAD.size + struct.unpack_from("<H", stream, 20)[0] + 40
        for _ in range(draw(st.integers(1, 3))):
            place = draw(st.one_of(st.integers(0, len(stream) - 1), st.integers(0, min(head, len(stream) - 1))))
            stream[place] ^= draw(st.integers(1, 255))
    if draw(st.booleans()) and len(stream) >= HEAD.size:
        struct.pack_into("<I", stream, 16, len(stream))
    return resealed(stream) if draw(st.booleans()) else bytes(stream)


@st.composite
def decodings(draw):
    """A stream, good or damaged, and how many codes are expected. Parameters: draw. Returns a tuple."""
    arguments = draw(encodings())
    stream, n_codes = codec.encode(*arguments), arguments[0].size
    choice = draw(st.integers(0, 9))
    if choice == 0:
        return draw(st.sampled_from([stream.astype(np.int8), stream[::2], stream[None], stream.tobytes(), None])), n_codes
    if choice == 1:
        return stream, draw(st.one_of(ODD_NUMBERS, st.just(n_codes + 1)))
    if choice < 7:
        stream = np.frombuffer(draw(damage(stream.tobytes())), np.uint8).copy()
    return stream, n_codes


@st.composite
def tile_decodings(draw):
    """A stream, damaged behind its index at most, with its layout and a tile. Parameters: draw. Returns a tuple."""
    stream, n_codes = draw(decodings())
    try:
        layout = read_layout(stream, n_codes if isinstance(n_codes, int) else None)
    except RefasrError:
        arguments = draw(encodings(400))
        stream = codec.encode(*arguments)
        layout = read_layout(stream)
        place = int(layout.offsets[0])
        if place < stream.size and draw(st.booleans()):
            stream[draw(st.integers(place, stream.size - 1))] ^= 1
    stream = stream[:-1] if draw(st.integers(0, 9)) == 0 else stream
    return stream, layout, draw(st.one_of(st.integers(0, max(0, layout.n_tiles - 1)), st.just(layout.n_tiles), ODD_NUMBERS))


CASES = {
    "refasr.hw.codec.encode": st.one_of(encodings(), encodings(), spoilt_encodings()),
    "refasr.hw.codec.decode": decodings(),
    "refasr.hw.codec.decode_tile": tile_decodings(),
}
