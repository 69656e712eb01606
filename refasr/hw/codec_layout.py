"""What stands around the weights in a codec stream: header, frequency table, tile index. See `docs/weight-codec.md`.

Everything is checked before it is believed: a declared size is compared with the bytes there are, and with what the caller
expects, before anything is allocated for it.
"""

import dataclasses
import struct
import zlib

import numpy as np

from refasr import checks
from refasr.errors import FormatError, RangeError

MAGIC, VERSION = b"RFWC", 1
HEAD = struct.Struct("<4sBBHIIIHHI")  # magic, version, width, lanes, codes, codes a tile, bytes, table bytes, reserved, CRC-32
CRC_PLACE = HEAD.size - 4
ENTRY_BYTES = 8  # of the tile index: kind and length, CRC-32
CONSTANT, PACKED, CODED = 0, 1, 2
PRECISION = 12  # frequencies add up to 4096
TOTAL = 1 << PRECISION
TO_TEXT = bytes.maketrans(b"\0\1", b"01")
MOST_LANES, LARGEST_TILE, MOST_CODES = 256, 1 << 28, (1 << 32) - 1
FIRST_STATE = 1 << 16


@dataclasses.dataclass(frozen=True)
class Layout:
    """A stream taken apart, all but the tiles themselves.

    width : bits of a code, 2 to 8.
    lanes : number of states that take turns.
    n_codes, tile_codes : codes in all, and in each tile but the last.
    table : uint32 [4096], the decoding table; empty if no tile needs it.
    kinds : uint8 [tiles], CONSTANT, PACKED or CODED.
    offsets : int64 [tiles + 1], where each tile begins, and the end of the stream.
    crc : uint32 [tiles], CRC-32 of the codes of each tile, as bytes.
    """

    width: int
    lanes: int
    n_codes: int
    tile_codes: int
    table: np.ndarray
    kinds: np.ndarray
    offsets: np.ndarray
    crc: np.ndarray

    @property
    def n_tiles(self):
        """How many tiles there are."""
        return self.kinds.size

    def span(self, tile):
        """The codes of a tile. Parameters: tile. Returns slice."""
        return slice(tile * self.tile_codes, min(self.n_codes, (tile + 1) * self.tile_codes))


def misfit(what, got, expected, offset):
    """The error for a damaged stream. Parameters: what, got, expected, offset. Returns FormatError."""
    return FormatError(f"weight stream: got {what} {got}, expected {expected}; fetch it again", int(offset))


def pack(symbols, width):
    """`width` bits of each symbol, the lowest first. Parameters: symbols (uint8 [n]), width. Returns bytes."""
    bits = np.unpackbits(symbols[:, None], axis=1, count=width, bitorder="little")
    return np.packbits(bits, bitorder="little").tobytes()


def unpack(content, width, n):
    """Inverse of `pack`. Parameters: content (uint8 array), width, n. Returns uint8 [n]."""
    if width == 8:
        return content
    bits = np.unpackbits(content, bitorder="little")[:n * width].reshape(n, width)
    return np.packbits(bits, axis=1, bitorder="little")[:, 0]


def require_whole(name, value, low, high):
    """Require a whole number from low to high. Parameters: name, value, low, high."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise RangeError(f"{name}: got {value!r}, expected a whole number from {low} to {high}")


def decoding_table(frequencies):
    """One word for each of the 4096 slots, as a processor would store it.

        table[start(s) + i] = frequency(s) * 2^20 + i * 2^8 + (code of s modulo 256)       0 <= i < frequency(s)

    Parameters
    ----------
    frequencies : int64 [2^width]    Adding up to 4096, each below 4096; symbol s is code s - 2^(width-1).

    Returns
    -------
    uint32 [4096]
    """
    start = np.cumsum(frequencies) - frequencies
    slot_symbol = np.repeat(np.arange(frequencies.size), frequencies)
    within = np.arange(TOTAL) - start[slot_symbol]
    code = (slot_symbol - frequencies.size // 2) & 255
    return (frequencies[slot_symbol] << 20 | within << 8 | code).astype(np.uint32)


def write_frequencies(frequencies):
    """Serialise the frequency table: lengths in bits by differences, in unary; then the bits below the highest.

    Parameters
    ----------
    frequencies : int64 [2^width]

    Returns
    -------
    bytes
    """
    bits, before = [], 0
    for frequency in frequencies.tolist():
        length = frequency.bit_length()
        step, before = length - before, length
        bits += [1] * (2 * step - 1 if step > 0 else -2 * step) + [0]
        bits += [frequency >> i & 1 for i in range(length - 1)]
    return np.packbits(np.array(bits, np.uint8), bitorder="little").tobytes()


def read_frequencies(content, width, offset):
    """Inverse of `write_frequencies`.

    Parameters
    ----------
    content : bytes    The table, all of it.
    width : int        Bits of a code.
    offset : int       Where the table stands in the stream, for the errors.

    Returns
    -------
    int64 [2^width]

    Raises
    ------
    FormatError        If the content is no table, or is longer than its table.
    """
    bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little").tobytes().translate(TO_TEXT).decode()
    frequencies, length, place = [], 0, 0
    for _ in range(1 << width):
        end = bits.find("0", place)
        zigzag = end - place
        length += (zigzag + 1) // 2 if zigzag % 2 else -(zigzag // 2)
        if end < 0 or not 0 <= length <= PRECISION or end + length > len(bits):
            raise misfit("a frequency table", "that is damaged", f"{1 << width} frequencies", offset + place // 8)
        place = end + max(1, length)
        frequencies.append(1 << length - 1 | int("0" + bits[place - 1:end:-1], 2) if length else 0)
    if sum(frequencies) != TOTAL or "1" in bits[place:] or len(bits) - place >= 8:
        raise misfit("frequencies that add up to", sum(frequencies), f"{TOTAL}, and nothing after them", offset + place // 8)
    return np.array(frequencies, np.int64)


def read_table(content, width, offset):
    """Decoding table of a serialised frequency table. Parameters: content, width, offset. Returns uint32 [4096]."""
    return decoding_table(read_frequencies(content.tobytes(), width, offset))


def write_stream(width, lanes, n_codes, tile_codes, table, tiles):
    """Put a stream together.

    Parameters
    ----------
    width, lanes, n_codes, tile_codes : int    As in `Layout`.
    table : bytes                              Of `write_frequencies`, or empty.
    tiles : list of (kind, bytes, int)         Kind, content, CRC-32 of the codes.

    Returns
    -------
    uint8 [B]
    """
    index = b"".join(struct.pack("<II", len(content) << 2 | kind, crc) for kind, content, crc in tiles)
    n_bytes = HEAD.size + len(table) + len(index) + sum(len(content) for _, content, _ in tiles)
    if n_bytes >= 1 << 32:
        raise FormatError(f"weight stream: got {n_bytes} bytes, expected less than 4 GiB; divide the tensor")
    head = HEAD.pack(MAGIC, VERSION, width, lanes, n_codes, tile_codes, n_bytes, len(table), 0, 0)[:CRC_PLACE]
    crc = struct.pack("<I", zlib.crc32(head + table + index))
    return np.frombuffer(b"".join([head, crc, table, index, *(content for _, content, _ in tiles)]), np.uint8).copy()


def read_layout(stream, n_codes=None, tabulate=read_table):
    """Header, frequency table and tile index of a stream.

    Parameters
    ----------
    stream : uint8 [B]       The whole stream; may lie in a mapped file.
    n_codes : int or None    How many codes there must be, if that is known.
    tabulate : function      `read_table`, or what is faster.

    Returns
    -------
    Layout

    Raises
    ------
    FormatError              With the offset of what is wrong.
    """
    checks.array("stream", stream, np.uint8, (None,))
    if stream.size < HEAD.size:
        raise misfit("a stream of", f"{stream.size} bytes", f"at least {HEAD.size}", stream.size)
    magic, version, width, lanes, declared, tile_codes, n_bytes, table_bytes, reserved, crc = HEAD.unpack(stream[:HEAD.size])
    for what, value, good, expected, place in (
            ("the mark", magic, magic == MAGIC, MAGIC, 0), ("version", version, version == VERSION, VERSION, 4),
            ("width", width, 2 <= width <= 8, "2 to 8 bits", 5), ("lanes", lanes, 1 <= lanes <= MOST_LANES, "1 to 256", 6),
            ("number of codes", declared, n_codes in (None, declared), n_codes, 8),
            ("codes a tile", tile_codes, 1 <= tile_codes <= LARGEST_TILE, f"1 to {LARGEST_TILE}", 12),
            ("length", n_bytes, n_bytes == stream.size, stream.size, 16), ("reserved bytes", reserved, reserved == 0, 0, 22)):
        if not good:
            raise misfit(what, value, expected, place)
    n_tiles, start = -(-declared // tile_codes), HEAD.size + table_bytes
    end = start + n_tiles * ENTRY_BYTES
    if end > stream.size:
        raise misfit("table and index of", f"{end - HEAD.size} bytes", f"at most {stream.size - HEAD.size}", 12)
    if zlib.crc32(stream[HEAD.size:end], zlib.crc32(stream[:CRC_PLACE])) != crc:
        raise misfit("a check sum", "that does not match", f"that of the first {end} bytes", CRC_PLACE)
    table = np.zeros(0, np.uint32)
    if table_bytes:
        table = tabulate(stream[HEAD.size:start], width, HEAD.size)
    entries = stream[start:end].copy().view("<u4").reshape(-1, 2)
    kinds, lengths = (entries[:, 0] & 3).astype(np.uint8), (entries[:, 0] >> 2).astype(np.int64)
    offsets = end + np.append(0, np.cumsum(lengths))
    layout = Layout(width, lanes, declared, tile_codes, table, kinds, offsets, entries[:, 1].astype(np.uint32))
    check_index(layout, start, stream.size)
    return layout


def check_index(layout, place, n_bytes):
    """Require lengths that their kinds can have. Parameters: layout, place (of the index), n_bytes (of the stream)."""
    counts = np.full(layout.n_tiles, layout.tile_codes, np.int64)
    counts[-1:] -= layout.n_tiles * layout.tile_codes - layout.n_codes
    lengths, states = np.diff(layout.offsets), 4 * layout.lanes
    fits = np.where(layout.kinds == CONSTANT, lengths == 1, lengths == (counts * layout.width + 7) // 8)
    coded = (lengths >= states) & (lengths <= states + 2 * counts) & (lengths % 2 == 0) & (layout.table.size > 0)
    bad = ~np.where(layout.kinds == CODED, coded, fits) | (layout.kinds > CODED)
    if bad.any():
        tile = int(np.flatnonzero(bad)[0])
        raise misfit(f"tile {tile} of kind {layout.kinds[tile]} and", f"{lengths[tile]} bytes",
                     f"what {counts[tile]} codes can take", place + tile * ENTRY_BYTES)
    if layout.offsets[-1] != n_bytes:
        raise misfit("tiles that end at", layout.offsets[-1], n_bytes, place)
