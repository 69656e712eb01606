"""The lattice as a few hundred bytes: the only thing that leaves the device. `docs/lattice-wire.md` is the specification.

    magic, version | length | bits | CRC-32

Columns rather than arcs, so that like stands beside like: first all sources, then all targets, and so on. Times are written as
differences from what the arcs before suggest, words letter by letter in a fixed code for English, and each column in the Rice
code that suits it best, which leaves a general compressor nothing to do. Nothing is rounded: scores are whole numbers already.
"""

import struct
import zlib

import numpy as np

from refasr.errors import FormatError, RangeError, RefasrError
from refasr.lattice.lattice import ARC_FIELDS, Lattice, check_lattice
from refasr.lattice.wire_bits import Reader, long_number, plain, rice, spelled

MAGIC, VERSION = b"RFL", 1
MICROSECONDS = 1_000_000
LARGEST_BODY = 1 << 20      # bytes
MOST = 1 << 17              # arcs, and words, so that a lie about them costs a second or two at most
LONGEST_LENGTH = 3          # bytes of the number that says how long the body is
LEAST_WORD = LEAST_ARC = 6  # bits
ALL_ZERO, NEVER_ABOVE_ZERO, SIGNED = 0, 1, 2    # kinds of a column of scores


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
    if max(lattice.n_arcs, len(lattice.words) - 1) > MOST:
        raise RangeError(f"lattice: got {lattice.n_arcs} arcs and {len(lattice.words) - 1} words, expected up to {MOST} each; "
                         "prune it")
    bits = "".join([head(lattice), *map(spelled, lattice.words[1:]), *columns(lattice)])
    size = (len(bits) + 7) // 8
    if size > LARGEST_BODY:
        raise RangeError(f"lattice: got {size} bytes, expected up to {LARGEST_BODY}; prune it")
    body = int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")
    data = MAGIC + bytes([VERSION]) + seven_bits_a_byte(size) + body
    return data + struct.pack("<I", zlib.crc32(data))


def seven_bits_a_byte(value):
    """The lowest seven bits first; the top bit says that more follow. Parameters: value. Returns bytes.

    Examples
    --------
    >>> seven_bits_a_byte(300).hex()
    'ac02'
    """
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def head(lattice):
    """Length of a frame and sizes. Parameters: lattice. Returns text of 0 and 1."""
    microseconds = round(lattice.frame_seconds * MICROSECONDS)
    if microseconds / MICROSECONDS != lattice.frame_seconds:
        raise RangeError(f"frame_seconds: got {lattice.frame_seconds}, expected a whole number of microseconds")
    if lattice.n_nodes >= 2**31:
        raise RangeError(f"n_nodes: got {lattice.n_nodes}, expected less than 2^31; prune it")
    return "".join(map(long_number, (microseconds, lattice.n_nodes, len(lattice.words) - 1, lattice.n_arcs)))


def columns(lattice):
    """All arcs, column by column. Parameters: lattice. Returns an iterator of texts of 0 and 1."""
    source, target, word, start, end, *scores = (getattr(lattice, name).astype(np.int64) for name in ARC_FIELDS)
    yield rice(np.diff(source, prepend=0))
    yield rice(target - source - 1)
    known, marks = 0, []
    for number in word.tolist():
        marks.append(0 if number == known + 1 else number + 1)
        known = max(known, number)
    yield rice(np.array(marks, np.int64))
    guess, rows = Times(), []
    for arc in zip(source.tolist(), target.tolist(), start.tolist(), end.tolist()):
        rows.append((arc[2] - guess.start(arc[0]), arc[3] - guess.end(*arc[1:3])))
        guess.learn(*arc)
    starts, ends = np.array(rows, np.int64).reshape(-1, 2).T
    yield rice(zigzag(starts))
    yield rice(zigzag(ends))
    for values in scores:
        kind = SIGNED if (values > 0).any() else NEVER_ABOVE_ZERO if values.any() else ALL_ZERO
        yield plain(kind, 2) + ("" if kind == ALL_ZERO else rice(-values if kind == NEVER_ABOVE_ZERO else zigzag(values)))


class Times:
    """What the arcs so far suggest for the times of the next."""

    def __init__(self):
        self.left, self.entered = {}, {}

    def start(self, source):
        """As the last arc that leaves there; else as the last one into it ended; else 0. Parameters: source. Returns int."""
        return self.left.get(source, self.entered.get(source, 0))

    def end(self, target, start):
        """As the last arc into there; else as the arc's own start. Parameters: target, start. Returns int."""
        return self.entered.get(target, start)

    def learn(self, source, target, start, end):
        """An arc. Parameters: source, target, start, end."""
        self.left[source], self.entered[target] = start, end


def zigzag(values):
    """Small numbers of either sign as small numbers: 0, -1, 1, -2 become 0, 1, 2, 3. Parameters: values. Returns int64 [N]."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


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
    data = bytes(data)
    if data[:3] != MAGIC:
        raise FormatError("lattice: got other bytes, expected RFL first; this is not a lattice", 0)
    if data[3:4] != bytes([VERSION]):
        raise FormatError(f"lattice: got version {[*data[3:4]]}, expected {VERSION}; a newer refasr may read it", 3)
    first = 5
    while first < 4 + LONGEST_LENGTH and data[first - 1 : first] > b"\x7f":
        first += 1
    size = sum((byte & 127) << 7 * i for i, byte in enumerate(data[4:first]))
    if data[4:first] != seven_bits_a_byte(size) or size > LARGEST_BODY or len(data) != first + size + 4:
        raise FormatError(f"lattice: got {len(data)} bytes that claim a body of {size}, expected {first} more than that and 4, "
                          f"and at most {LARGEST_BODY}; it is cut off, or damaged", 4)
    if struct.unpack("<I", data[-4:])[0] != zlib.crc32(data[:-4]):
        raise FormatError("lattice: got another checksum than its bytes have, expected the same; it was damaged", len(data) - 4)
    reader = Reader(data[first:-4], first)
    try:
        lattice = read_body(reader)
        check_lattice(lattice)
        return lattice
    except FormatError:
        raise
    except RefasrError as error:
        raise FormatError(f"lattice: {error}", first) from error


def read_body(reader):
    """The lattice of a body, not yet checked. Parameters: reader (Reader). Returns a Lattice; raises FormatError."""
    frame_seconds = reader.size("microseconds", 1, 10 * MICROSECONDS) / MICROSECONDS
    n_nodes = reader.size("nodes", 2, 2**31 - 1)
    n_words = reader.size("words", 0, min(MOST, reader.left() // LEAST_WORD))
    n_arcs = reader.size("arcs", 0, min(MOST, reader.left() // LEAST_ARC))
    words = ("", *(reader.word() for _ in range(n_words)))
    source, gap, mark, start, end = (reader.column(n_arcs) for _ in range(5))
    scores = [read_scores(reader, n_arcs) for _ in range(3)]
    if reader.left() > 7 or "1" in reader.bits[reader.at :]:
        raise reader.wrong(f"{reader.left()} bits after the last column", "less than 8, all 0")
    signed = lambda z: -(z + 1) // 2 if z & 1 else z // 2
    node, known, guess, rows = 0, 0, Times(), []
    for i in range(n_arcs):
        node += source[i]
        word = mark[i] - 1 if mark[i] else known + 1
        known = max(known, word)
        begin = guess.start(node) + signed(start[i])
        target = node + gap[i] + 1
        rows.append((node, target, word, begin, guess.end(target, begin) + signed(end[i])))
        guess.learn(node, *(rows[-1][j] for j in (1, 3, 4)))
    table = np.array([*np.array(rows, np.int64).reshape(-1, 5).T, *np.array(scores, np.int64)])
    if table.size and np.abs(table).max() >= 2**31:
        raise reader.wrong("a number past 32 bits", "less")
    return Lattice(words, n_nodes, *np.ascontiguousarray(table, np.int32), frame_seconds)


def read_scores(reader, n_arcs):
    """A column of scores. Parameters: reader, n_arcs. Returns a list of int."""
    kind = reader.plain(2)
    if kind > SIGNED:
        raise reader.wrong(f"the kind {kind} of scores", "0, 1 or 2")
    if kind == ALL_ZERO:
        return [0] * n_arcs
    values = reader.column(n_arcs)
    return [-value for value in values] if kind == NEVER_ABOVE_ZERO else [-(z + 1) // 2 if z & 1 else z // 2 for z in values]
