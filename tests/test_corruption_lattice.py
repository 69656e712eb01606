"""Damaged and hostile lattices on the wire get FormatError, in bounded time and memory; what is accepted is a good lattice."""

import time
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refasr.errors import FormatError
from refasr.lattice import wire, wire_bits
from refasr.lattice.lattice import check_lattice, make_lattice
from test_wire import same

SECONDS, BYTES = 30.0, 40 << 20
LATTICE = make_lattice(["", "play", "some", "sam", "Zo\u00eb's"], 5, [
    (0, 1, 1, 2, 8, -120, -2000, 512), (0, 2, 4, 2, 9, -3000, -2500, 0), (1, 2, 0, 8, 9, -12, 0, 0),
    (1, 3, 2, 8, 15, -50, -100, 0), (2, 3, 3, 9, 15, -70, 300, 0), (3, 4, 0, 15, 15, 5, 0, -512)], 0.04)
DATA = wire.encode(LATTICE)


def sealed(body):
    """A frame with a right length and checksum around any body. Parameters: body. Returns bytes."""
    data = b"RFL\x01" + wire.seven_bits_a_byte(len(body)) + body
    return data + zlib.crc32(data).to_bytes(4, "little")


def packed(bits):
    """A frame around bits. Parameters: bits (text). Returns bytes."""
    bits = bits.replace(" ", "")
    return sealed(bytes(int(bits[i:i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8)))


def refused_or_good(data):
    """Decode, soon and in little memory; what comes is good and survives a round trip. Parameters: data. Returns it or None."""
    tracemalloc.start()
    begin = time.process_time()
    try:
        lattice = wire.decode(data)
    except FormatError as error:
        assert "\n" not in str(error) and (error.offset is None or 0 <= error.offset <= len(data))
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < BYTES and time.process_time() - begin < SECONDS
    check_lattice(lattice)
    assert same(wire.decode(wire.encode(lattice)), lattice)
    return lattice


def test_every_cut_and_every_flipped_bit_is_noticed():
    for length in range(len(DATA)):
        assert refused_or_good(DATA[:length]) is None
    for bit in range(8 * len(DATA)):
        damaged = bytearray(DATA)
        damaged[bit // 8] ^= 1 << bit % 8
        assert refused_or_good(bytes(damaged)) is None
    assert refused_or_good(DATA + b"\0") is None


@given(st.data())
def test_any_byte_may_become_any_other(data):
    damaged = bytearray(DATA)
    damaged[data.draw(st.integers(0, len(DATA) - 1))] ^= data.draw(st.integers(1, 255))
    assert refused_or_good(bytes(damaged)) is None


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda rest: b"RFL\x01" + rest)))
def test_noise(data):
    assert refused_or_good(data) is None


@settings(max_examples=300)
@given(st.binary(max_size=80))
def test_noise_with_a_right_checksum(body):
    refused_or_good(sealed(body))


@settings(max_examples=300)
@given(st.data())
def test_damage_with_a_right_checksum(data):
    body = bytearray(DATA[5:-4])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    refused_or_good(sealed(bytes(body[:data.draw(st.integers(0, len(body)))])))
    refused_or_good(sealed(bytes(body)))


def long(*values):
    """Sizes at the front of a body. Parameters: *values. Returns text of 0 and 1."""
    return "".join(map(wire_bits.long_number, values))


@pytest.mark.parametrize("bits, match", [
    (long(0, 2, 0, 0), "microseconds"), (long(10_000_001, 2, 0, 0), "microseconds"), (long(1, 1, 0, 0), "nodes"),
    (long(1, 2, 2**30), "words"), (long(1, 2, 0, 2**30), "arcs"), (long(1, 2, 1, 0) + "000" * 9, "0 bytes"),
    (long(1, 2, 1, 0) + "1111111 11111111 000" + "0" * 99, "UTF-8"), (long(1, 2, 1, 0) + "111", "expected"),
    (long(1, 2, 1, 0) + "001" * 1001 + "0" * 99, "1 to 1000"), (long(1, 2, 0, 0) + "0" * 25 + "11" + "0" * 40, "kind 3"),
    (long(1, 2, 0, 0) + "0" * 31 + "0" * 8, "after the last column"), (long(1, 2, 0, 0) + "0" * 31 + "1", "last column"),
    (long(1, 2, 0, 1) + "00000" + "1" * 24 + "1" * 32 + "0" * 60, "lattice"), (long(1, 2, 0, 9) + "00000" + "1" * 60, "lattice"),
    (long(1, 2, 0, 9) + "11111" + "1" * 200, "cut off"), (long(1, 3, 0, 1) + "00000 110" + "0" * 99, "lattice"),
    (long(1, 2, 0, 1) + ("00000 0" * 2 + "00000 0" + "00000 0" * 2 + "000000"), "word"),      # a new word where there is none
    (long(1, 2, 0, 1) + ("00000 0" * 2 + "00000 10" + "00000 10" + "00000 0" + "000000"), "start"),   # a time before 0
    (long(1, 2, 1, 1) + "001000" + ("00000 0" * 5 + "000000"), "without length"),
    (long(1, 2, 0, 1) + ("00000 0" + "00000 10" + "00000 10" + "00000 0" * 2 + "000000"), "past node"),
    (long(1, 2, 0, 2) + ("00000 00" * 2 + "00000 10110" + "00000 00" * 2 + "000000"), "0 to 0")])
def test_each_promise(bits, match):
    with pytest.raises(FormatError, match=match):
        wire.decode(packed(bits))


def test_arcs_out_of_order():
    good = long(1, 3, 0, 2) + "00000 00" + "00000 010" + "00000 1010" + "00000 00" * 2 + "000000"
    assert wire.decode(packed(good)).target.tolist() == [1, 2]
    with pytest.raises(FormatError, match="order"):
        wire.decode(packed(good.replace("00000 010" + "00000 1010", "00000 100" + "00000 1010")))


def test_length_of_the_body():
    for length in (b"\xb0\x00", b"\x80\x80\x80\x80\x00", b"\xff\xff\xff\x7f", b"\xff" * 9 + b"\x7f", b"\x80"):
        assert refused_or_good(b"RFL\x01" + length + DATA[5:]) is None
    assert refused_or_good(sealed(bytes(wire.LARGEST_BODY + 1))) is None


def test_large_hostile_bodies_are_refused_soon():
    for fill in (b"\x00", b"\xff", b"\x55"):
        refused_or_good(sealed(fill * 50_000))
    zeros = "00000" + "0" * 20_000
    lattice = refused_or_good(packed(long(1, 2, 0, 20_000) + zeros * 2 + "00000" + "10" * 20_000 + zeros * 2 + "000000"))
    assert lattice.n_arcs == 20_000, "the most arcs that so few bytes can hold"


def test_the_most_that_is_read_takes_bounded_time_and_memory():
    zeros = "00000" + "0" * wire.MOST
    for bits in (long(1, 2, 0, wire.MOST) + zeros * 2 + "00000" + "10" * wire.MOST + zeros * 2 + "000000",
                 long(1, 2, wire.MOST, 0) + "001000" * wire.MOST + "0" * 31):
        begin = time.process_time()
        check_lattice(wire.decode(packed(bits)))
        assert time.process_time() - begin < SECONDS
    for sizes, match in (((1, 2, wire.MOST + 1, 0), "words"), ((1, 2, 0, wire.MOST + 1), "arcs")):
        with pytest.raises(FormatError, match=match):
            wire.decode(packed(long(*sizes) + "0" * 8 * wire.MOST))
