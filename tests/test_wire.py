"""The wire form: round trips, damage, and a decoder written from `docs/lattice-wire.md` alone."""

import dataclasses
import pathlib
import re
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refasr.errors import FormatError, RangeError
from refasr.lattice import wire
from refasr.lattice.lattice import ARC_FIELDS, make_lattice

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "lattice-wire.md"
SMALL = make_lattice(["", "hi", "high"], 3, [(0, 1, 1, 0, 5, -1024, 0, 0), (0, 1, 2, 0, 6, -3000, 0, 512), (1, 2, 0, 6, 6, -7, 0, 0)])


@st.composite
def lattices(draw):
    """Any lattice. Parameters: draw. Returns a Lattice."""
    n_nodes = draw(st.integers(2, 8))
    words = ["", *draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), max_size=6))]
    score = st.integers(-(2**30), 2**30)
    arcs = []
    for _ in range(draw(st.integers(0, 12))):
        source = draw(st.integers(0, n_nodes - 2))
        start = draw(st.integers(0, 2**20))
        word = draw(st.integers(0, len(words) - 1))
        arcs.append((source, draw(st.integers(source + 1, n_nodes - 1)), word, start, start + draw(st.integers(1, 300)),
                     draw(score), draw(st.sampled_from([0, 0, -5])), draw(st.sampled_from([0, 0, 1024]))))
    return make_lattice(words, n_nodes, arcs, draw(st.sampled_from([0.04, 0.01, 0.08])))


def same(one, other):
    """Whether two lattices are equal. Parameters: one, other. Returns bool."""
    return ((one.words, one.n_nodes, one.frame_seconds) == (other.words, other.n_nodes, other.frame_seconds)
            and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARC_FIELDS))


def stranger(data):
    """A decoder by the document: plain lists, no refasr. Parameters: data. Returns (frame in us, nodes, words, arcs)."""
    def varint(source):
        value = shift = 0
        while True:
            byte = source.pop(0)
            value += (byte % 128) * 2**shift
            shift += 7
            if byte < 128:
                return value
    assert data[:4] == b"RFL\x01" and int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-4])
    rest = list(data[4:-4])
    assert varint(rest) == len(rest)
    flags = rest.pop(0)
    if flags & 1:
        size = varint(rest)
        rest = list(zlib.decompress(bytes(rest), -15))
        assert len(rest) == size
    frame, n_nodes, n_words, n_arcs = (varint(rest) for _ in range(4))
    words = [b""]
    for _ in range(n_words):
        keep, more = varint(rest), varint(rest)
        words.append(words[-1][:keep] + bytes(rest[:more]))
        del rest[:more]
    table = [[varint(rest) for _ in range(n_arcs)] for _ in range(6 + bool(flags & 2) + bool(flags & 4))]
    assert rest == []
    sign = lambda z: -(z + 1) // 2 if z % 2 else z // 2
    arcs, source, start = [], 0, 0
    for i in range(n_arcs):
        source, start = source + table[0][i], start + sign(table[3][i])
        extra = [sign(column[i]) for column in table[6:]]
        lm = extra.pop(0) if flags & 2 else 0
        arcs.append((source, source + table[1][i] + 1, table[2][i], start, start + table[4][i], sign(table[5][i]), lm,
                     extra.pop(0) if flags & 4 else 0))
    return frame, n_nodes, [word.decode() for word in words], arcs


@given(lattices())
def test_round_trip_and_the_stranger_agree(lattice):
    data = wire.encode(lattice)
    assert same(wire.decode(data), lattice)
    frame, n_nodes, words, arcs = stranger(data)
    assert same(make_lattice(words, n_nodes, arcs, frame / 1e6), lattice)


def test_document_has_the_example():
    text = DOCUMENT.read_text()
    block = re.search(r"```\n((?:[0-9a-f]{2}[^\n]*\n)+)```", text).group(1)
    written = bytes.fromhex("".join(line.split("  ")[0] for line in block.splitlines()))
    assert written == wire.encode(SMALL)


def test_every_cut_and_every_flipped_bit_is_noticed():
    data = wire.encode(SMALL)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            wire.decode(data[:length])
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            wire.decode(bytes(damaged))
    with pytest.raises(FormatError):
        wire.decode(data + b"\0")


def sealed(payload):
    """A frame with a right checksum around any payload. Parameters: payload (flags and body). Returns bytes."""
    data = b"RFL\x01" + wire.number(len(payload)) + payload
    return data + zlib.crc32(data).to_bytes(4, "little")


@given(st.binary(max_size=60), st.integers(0, 7))
def test_hostile_bodies_with_a_right_checksum(body, flags):
    for payload in (bytes([flags]) + body, bytes([flags | 1]) + wire.number(len(body)) + zlib.compress(body)[2:-4]):
        try:
            wire.decode(sealed(payload))
        except FormatError:
            continue


@given(st.data())
def test_a_changed_number_is_refused_or_another_lattice(data):
    body = bytearray(wire.head(SMALL) + b"".join(map(wire.spelled, ("", "hi"), ("hi", "high"))) + wire.columns(SMALL, 4))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    try:
        lattice = wire.decode(sealed(b"\x04" + bytes(body)))
    except FormatError:
        return
    assert same(wire.decode(wire.encode(lattice)), lattice)


def test_small_bytes_cannot_ask_for_much():
    bomb = zlib.compress(bytes(1 << 26), 9)[2:-4]
    for size in (1 << 26, 1 << 24, 100):
        with pytest.raises(FormatError):
            wire.decode(sealed(b"\x01" + wire.number(size) + bomb))
    with pytest.raises(FormatError, match="arcs"):
        wire.decode(sealed(b"\x00" + b"".join(map(wire.number, (40000, 2, 0, 2**40)))))


def test_what_cannot_be_written():
    with pytest.raises(RangeError, match="microseconds"):
        wire.encode(dataclasses.replace(SMALL, frame_seconds=1 / 3))
    with pytest.raises(RangeError, match="words"):
        wire.encode(dataclasses.replace(SMALL, words=("", "hi", "")))
