"""The lattice as a few hundred bytes: the only thing that leaves the device. `docs/lattice-wire.md` is the specification.

    magic, version | length | flags, body (deflated where that is shorter) | CRC-32

Columns rather than arcs, so that like stands beside like: first all sources, then all targets, and so on; each is written as
small differences, seven bits to a byte. Nothing is rounded: the scores of a lattice are whole numbers already.
"""

import struct
import zlib

import numpy as np

from refasr.errors import FormatError, RangeError, RefasrError
from refasr.lattice.lattice import ARC_FIELDS, Lattice, check_lattice

MAGIC, VERSION = b"RFL", 1
DEFLATED, HAS_LM, HAS_BIAS = 1, 2, 4
MICROSECONDS = 1_000_000
LARGEST_BODY = 1 << 24      # bytes, inflated
LONGEST_NUMBER = 10         # bytes of 7 bits
LEAST_ARC = 6               # bytes: one for each column that is always there
LONGEST_WORD = 1000         # bytes


def encode(lattice):
    """Write a lattice as bytes.

    Parameters
    ----------
    lattice : Lattice

    Returns
    -------
    bytes

    Raises
    ------
    DTypeError, ShapeError    As `check_lattice`.
    RangeError                Also for a frame that is no whole number of microseconds, a word too long, a lattice too large.
    """
    check_lattice(lattice)
    flags = HAS_LM * bool(lattice.lm.any()) + HAS_BIAS * bool(lattice.bias.any())
    body = b"".join((head(lattice), *map(spelled, ("", *lattice.words[1:]), lattice.words[1:]), columns(lattice, flags)))
    if len(body) > LARGEST_BODY:
        raise RangeError(f"lattice: got {len(body)} bytes, expected up to {LARGEST_BODY}; prune it")
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    squeezed = number(len(body)) + squeezer.compress(body) + squeezer.flush()
    if len(squeezed) < len(body):
        flags, body = flags | DEFLATED, squeezed
    data = MAGIC + bytes([VERSION]) + number(1 + len(body)) + bytes([flags]) + body
    return data + struct.pack("<I", zlib.crc32(data))


def head(lattice):
    """Length of a frame and sizes. Parameters: lattice. Returns bytes."""
    microseconds = round(lattice.frame_seconds * MICROSECONDS)
    if microseconds / MICROSECONDS != lattice.frame_seconds:
        raise RangeError(f"frame_seconds: got {lattice.frame_seconds}, expected a whole number of microseconds")
    return b"".join(map(number, (microseconds, lattice.n_nodes, len(lattice.words) - 1, lattice.n_arcs)))


def spelled(before, word):
    """A word after the one before it: bytes in common, bytes that follow. Parameters: before, word. Returns bytes."""
    before, word = before.encode(), word.encode()
    if not 0 < len(word) <= LONGEST_WORD:
        raise RangeError(f"words: got one of {len(word)} bytes, expected 1 to {LONGEST_WORD}; only word 0 is empty")
    same = next((i for i, (a, b) in enumerate(zip(before, word)) if a != b), min(len(before), len(word)))
    return number(same) + number(len(word) - same) + word[same:]


def columns(lattice, flags):
    """All arcs. Parameters: lattice, flags. Returns bytes."""
    wide = {name: getattr(lattice, name).astype(np.int64) for name in ARC_FIELDS}
    rows = [np.diff(wide["source"], prepend=0), wide["target"] - wide["source"] - 1, wide["word"],
            zigzag(np.diff(wide["start"], prepend=0)), wide["end"] - wide["start"], zigzag(wide["acoustic"])]
    rows += [zigzag(wide[name]) for name, flag in (("lm", HAS_LM), ("bias", HAS_BIAS)) if flags & flag]
    return b"".join(number(value) for row in rows for value in row.tolist())


def zigzag(values):
    """Small numbers of either sign as small numbers: 0, -1, 1, -2 become 0, 1, 2, 3. Parameters: values. Returns int64 [N]."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


def number(value):
    """Seven bits a byte, the lowest first; the top bit says that more follow. Parameters: value (>= 0). Returns bytes.

    Examples
    --------
    >>> number(300).hex()
    'ac02'
    """
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


class Reader:
    """Takes bytes from the front. Parameters: data."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        """The next bytes. Parameters: count. Returns bytes."""
        if count > len(self.data) - self.at:
            raise FormatError(f"lattice: got {len(self.data) - self.at} bytes, expected {count} more; it is cut off", self.at)
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self):
        """The next number, in its shortest form. Returns an int."""
        value, begin = 0, self.at
        for i in range(LONGEST_NUMBER):
            byte = self.take(1)[0]
            value |= (byte & 127) << 7 * i
            if byte < 128:
                if byte == 0 and i:
                    raise FormatError("lattice: got a number with a zero at its end, expected the shortest form", begin)
                return value
        raise FormatError(f"lattice: got a number of more than {LONGEST_NUMBER} bytes, expected a smaller one", begin)

    def count(self, what, least_bytes, limit=None):
        """How many things follow; no more than the bytes left can hold. Parameters: what, least_bytes, limit. Returns an int."""
        begin, value = self.at, self.number()
        limit = (len(self.data) - self.at) // least_bytes if limit is None else limit
        if value > limit:
            raise FormatError(f"lattice: got {value} {what}, expected at most {limit}", begin)
        return value


def decode(data):
    """Read what `encode` wrote.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    Lattice

    Raises
    ------
    FormatError    With the offset, for anything else: time and memory stay within a small multiple of the length.
    """
    reader = Reader(bytes(data))
    if reader.take(3) != MAGIC:
        raise FormatError("lattice: got other bytes, expected RFL first; this is not a lattice", 0)
    version = reader.take(1)[0]
    if version != VERSION:
        raise FormatError(f"lattice: got version {version}, expected {VERSION}; a newer refasr may read it", 3)
    begin, length = reader.at, reader.number()
    payload = reader.take(length) if length else b""
    checksum = struct.unpack("<I", reader.take(4))[0]
    if not length or reader.at != len(reader.data):
        raise FormatError(f"lattice: got {length} bytes and {len(reader.data) - reader.at} after the end, expected 1 or more "
                          "and 0", begin)
    if checksum != zlib.crc32(reader.data[:-4]):
        raise FormatError("lattice: got another checksum than its bytes have, expected the same; it was damaged", reader.at - 4)
    flags = payload[0]
    if flags & ~(DEFLATED | HAS_LM | HAS_BIAS):
        raise FormatError(f"lattice: got flags {flags}, expected 0 to 7", begin)
    return parse(inflate(payload[1:]) if flags & DEFLATED else payload[1:], flags)


def inflate(squeezed):
    """Undo the deflation, up to the size it declares. Parameters: squeezed. Returns bytes."""
    reader = Reader(squeezed)
    size = reader.count("bytes", 1, LARGEST_BODY)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = stream.decompress(squeezed[reader.at :], size + 1)
    except zlib.error as error:
        raise FormatError(f"lattice: cannot be inflated: {error}", reader.at) from None
    if len(body) != size or not stream.eof or stream.unused_data:
        raise FormatError(f"lattice: got {len(body)} inflated bytes or more, expected {size}", 0)
    return body


def parse(body, flags):
    """The lattice of a body. Parameters: body (bytes), flags. Returns a Lattice."""
    reader = Reader(body)
    frame_seconds = reader.count("microseconds", 1, 10 * MICROSECONDS) / MICROSECONDS
    n_nodes = reader.count("nodes", 1, 2**31 - 1)
    n_words, n_arcs = reader.count("words", 2), reader.count("arcs", LEAST_ARC)
    words = [b""]
    for _ in range(n_words):
        same = reader.count("bytes in common", 1, len(words[-1]))
        words.append(words[-1][:same] + reader.take(reader.count("bytes", 1, LONGEST_WORD - same)))
    row = lambda: [reader.number() for _ in range(n_arcs)]
    rows = [row() for _ in range(LEAST_ARC)]
    lm = row() if flags & HAS_LM else [0] * n_arcs
    bias = row() if flags & HAS_BIAS else [0] * n_arcs
    if reader.at != len(body):
        raise FormatError(f"lattice: got {len(body) - reader.at} bytes after the last arc, expected none", reader.at)
    try:
        return assembled([word.decode() for word in words], n_nodes, np.array([*rows, lm, bias], np.uint64), frame_seconds)
    except (RefasrError, UnicodeDecodeError, OverflowError) as error:
        raise FormatError(f"lattice: {error}", 0) from error


def assembled(words, n_nodes, rows, frame_seconds):
    """Undo the differences. Parameters: words, n_nodes, rows (uint64 [8, A]), frame_seconds. Returns a checked Lattice."""
    if rows.size and rows.max() >= 2**32 or "" in words[1:]:
        raise RangeError(f"numbers: got {rows.max(initial=0)} or an empty word, expected less than 2^32")
    source, gap, word, start, length, acoustic, lm, bias = rows.astype(np.int64)
    signed = lambda values: np.where(values & 1, -(values + 1) // 2, values // 2)
    source, start = np.cumsum(source), np.cumsum(signed(start))
    fields = (source, source + gap + 1, word, start, start + length, signed(acoustic), signed(lm), signed(bias))
    if any(field.size and np.abs(field).max() >= 2**31 for field in fields):
        raise RangeError("numbers: got one past 32 bits, expected less")
    lattice = Lattice(tuple(words), n_nodes, *(np.ascontiguousarray(field, np.int32) for field in fields), frame_seconds)
    check_lattice(lattice)
    return lattice
