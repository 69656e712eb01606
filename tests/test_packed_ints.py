"""Packed whole numbers: they come back whatever they are, take the bits that they need, and damage is refused."""

import struct
import tracemalloc

import numpy as np
import pytest
from container_files import arrays
from container_reader import read_container, read_packed
from hypothesis import assume, given
from hypothesis import strategies as st

from refasr.compress import container_layout
from refasr.compress.container import Contents, contents_of, image_of
from refasr.compress.packed_ints import pack, unpack
from refasr.errors import FormatError

KINDS = ("int8", "int16", "int32", "int64")
INT64 = np.iinfo(np.int64)
HOSTILE = [[INT64.min, INT64.max], [INT64.min], [INT64.max] * 3, [0], [-1, 0], [INT64.min, 0], [0, INT64.max], [5] * 17,
           [INT64.min, INT64.min + 2**62], [-(2**62), 2**62], [1, 1 + 2**63 - 2], list(range(-70, 70)), [0, 2**40, 2**41]]


def by_arithmetic(values):
    """The same bytes from whole numbers of Python alone. Parameters: values (list of int). Returns bytes."""
    base, shift, total = min(values), 0, 0
    above = [value - base for value in values]
    while any(above) and all(u % 2 == 0 for u in above):
        above, shift = [u // 2 for u in above], shift + 1
    width = len(f"{max(above):b}") if any(above) else 0
    for i, u in enumerate(above):
        total += u * 2 ** (i * width)
    head = (base % 2**64).to_bytes(8, "little") + bytes([shift, width]) + bytes(6)
    return head + total.to_bytes((len(values) * width + 7) // 8, "little")


def returns(values):
    """Require that values come back. Parameters: values (array)."""
    content, kind = pack(values), values.dtype.name
    found = unpack(np.frombuffer(content, np.uint8), values.size, kind)
    assert found.dtype == values.dtype and found.tolist() == values.ravel().tolist()
    assert content == by_arithmetic(values.ravel().tolist())
    assert read_packed(content, 7 + KINDS.index(kind), values.size) == found.tolist()


@given(arrays())
def test_any_array_comes_back(values):
    assume(values.dtype.name in KINDS)
    returns(values)


@given(st.lists(st.integers(INT64.min, INT64.max), min_size=1, max_size=40), st.integers(0, 63))
def test_numbers_with_zeros_at_the_end_come_back(values, zeros):
    returns(np.array([value >> zeros << zeros for value in values], np.int64))


@pytest.mark.parametrize("values", HOSTILE, ids=lambda values: f"{values[0]}..{values[-1]}")
def test_extreme_numbers_come_back(values):
    returns(np.array(values, np.int64))
    returns(np.array(values[0], np.int64))  # without an axis
    returns(np.array(values * 8, np.int64).reshape(2, -1, 4)[:, ::-1].transpose(2, 0, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", range(65))
def test_every_width(width, kind):
    bits, low = np.iinfo(kind).bits, np.iinfo(kind).min
    if width <= bits:
        for n in (1, 2, 7, 8, 9, 65):
            values = np.array([low + (2**width - 1) * (i % 3 == 0) for i in range(n)], kind)
            returns(values)
            assert len(pack(values)) == 16 + ((n * width + 7) // 8 if n > 1 else 0)


def packed(base=0, shift=0, width=3, reserved=bytes(6), stream=b"\x08\x01"):
    """Packed numbers by hand. Parameters: base, shift, width, reserved, stream. Returns bytes."""
    return struct.pack("<qBB6s", base, shift, width, reserved) + stream


WRONG = [
    (b"", 4, "int32", "0 bytes", 0), (packed()[:15], 4, "int32", "15 bytes", 0), (packed()[:17], 4, "int32", "1 bytes", 16),
    (packed() + b"\0", 4, "int32", "3 bytes", 16), (packed(), 6, "int32", "2 bytes", 16), (packed(), 2, "int32", "2 bytes", 16),
    (packed(shift=64), 4, "int64", "shift of 64", 8), (packed(width=65), 4, "int64", "width of 65", 8),
    (packed(reserved=b"\0\0\0\0\0\1"), 4, "int32", "reserved", 10),
    (packed(reserved=b"\1\0\0\0\0\0"), 4, "int32", "reserved", 10),
    (packed(stream=b"\x08\x11"), 4, "int32", "after the last", 17),
    (packed(stream=b"\x08\x81"), 4, "int32", "after the last", 17),
    (packed(width=0), 4, "int32", "2 bytes of bits", 16), (packed(base=124), 4, "int8", "124 to 128", 0),
    (packed(base=-129), 4, "int8", "-129 to", 0), (packed(base=2**31 - 4), 4, "int32", "to 2147483648", 0),
    (packed(base=INT64.max), 4, "int64", "to 9223372036854775811", 0),
    (packed(shift=62), 4, "int64", "to 18446744073709551616", 0),
    (packed(shift=63, base=INT64.min), 4, "int64", "from", 0),
    (packed(base=-(2**15) - 1, width=0, stream=b""), 4, "int16", "-32769", 0),
    (packed(width=64, stream=b"\xff" * 8), 1, "int64", "to 18446744073709551615", 0),
    (packed(shift=63, width=64, stream=b"\xff" * 8), 1, "int64", "from 0 to 1701411834604692317", 0),
]


@pytest.mark.parametrize("content, n, kind, match, offset", WRONG, ids=[f"{row[3]} {row[2]}" for row in WRONG])
def test_what_is_wrong_is_refused(content, n, kind, match, offset):
    with pytest.raises(FormatError, match=f"packed numbers: got .*{match}.*expected") as caught:
        unpack(np.frombuffer(content, np.uint8), n, kind)
    assert caught.value.offset == offset


def test_the_edge_of_a_type_is_in_it():
    assert unpack(np.frombuffer(packed(base=123), np.uint8), 4, "int8").tolist() == [123, 124, 127, 123]
    whole = packed(base=INT64.min, width=64, stream=b"\xff" * 8 + bytes(8))
    assert unpack(np.frombuffer(whole, np.uint8), 2, "int64").tolist() == [INT64.max, INT64.min]
    longer = packed(shift=1, width=40, stream=(3).to_bytes(5, "little"))  # more bits than it needs: read, never written
    assert unpack(np.frombuffer(longer, np.uint8), 1, "int8").tolist() == [6]


@given(st.binary(min_size=10, max_size=40), st.integers(1, 40), st.sampled_from(KINDS))
def test_noise_is_read_as_a_stranger_reads_it(noise, n, kind):
    for content in (noise, noise[:8] + bytes([noise[8] % 70, noise[9] % 70]) + bytes(6) + noise[10:],
                    struct.pack("<bxxxxxxxBB6x", noise[0] % 99, noise[8] % 5, noise[9] % 9) + noise[10:]):
        try:
            want = read_packed(content, 7 + KINDS.index(kind), n)
        except (AssertionError, IndexError):
            want = None
        try:
            found = unpack(np.frombuffer(content, np.uint8), n, kind).tolist()
        except FormatError as error:
            assert 0 <= error.offset <= len(content)
            found = None
        assert found == want


def tensors(*parts):
    """A file of packed arrays. Parameters: *parts (name, kind, shape, values). Returns uint8 [B]."""
    sections = [(b"TENS", True, container_layout.write_tensor(*part, packed=True)) for part in parts]
    return np.frombuffer(container_layout.join_sections([(b"JSON", True, b"{}"), *sections]), np.uint8)


def test_few_bytes_do_not_ask_for_much():
    """Numbers of no bits: as many as are allowed are read, one more is refused, and both in the memory that is promised."""
    most, constant = container_layout.MOST_PACKED, packed(base=7, width=0, stream=b"")
    for parts, match in (([("a", "int64", (most,), constant)], None), ([("a", "int8", (2, most), constant)], "1048576 packed"),
                         ([("a", "int8", (2**31 - 1,) * 4, constant)], "packed numbers in all"),
                         ([("a", "int8", (most,), constant), ("b", "int8", (1,), constant)], "b of shape .1., expected at most"),
                         ([("a", "int32", (4,), packed()), ("b", "int32", (1,), packed(width=99))], "b: packed numbers: got")):
        file = tensors(*parts)
        tracemalloc.start()
        try:
            if match is None:
                assert (contents_of("x", file).plain["a"] == 7).all()
            else:
                with pytest.raises(FormatError, match=match):
                    contents_of("x", file)
            assert tracemalloc.get_traced_memory()[1] < (1 << 26) + (1 << 23)
        finally:
            tracemalloc.stop()


def kinds_in(contents):
    """Which arrays are packed. Parameters: contents. Returns a dict of name to bool."""
    sections = container_layout.read_sections("x", np.frombuffer(image_of(contents), np.uint8))[0]
    found = [container_layout.read_tensor("x", section) for section in sections[1:]]
    return {tensor.name: tensor.packed for tensor in found}


def test_packed_exactly_where_it_is_shorter():
    """A name of one letter and one axis make a head of 17 bytes: 33 and the bits if packed, else 24 and the values."""
    even = lambda width, n: np.arange(n, dtype=np.int64) % 2 * (2**width - 1)
    plain = {"a": even(1, 1), "b": even(37, 3), "c": even(40, 3), "d": np.zeros(99, np.float32), "e": np.zeros(9, np.int8),
             "f": np.zeros(10, np.int8), "g": np.arange(-128, 128).astype(np.int8), "h": np.array([3, 3, 3], np.int32)}
    assert [name for name, shorter in kinds_in(Contents({}, {}, plain)).items() if shorter] == ["b", "f", "h"]


def test_more_numbers_than_a_reader_takes_stay_plain():
    many = np.zeros(container_layout.MOST_PACKED - 9, np.int8)
    contents = Contents({}, {}, {"a": many, "b": np.zeros(10, np.int64), "c": np.zeros(9, np.int64)})
    assert kinds_in(contents) == {"a": True, "b": False, "c": True}
    found = contents_of("x", np.frombuffer(image_of(contents), np.uint8)).plain
    assert all(np.array_equal(found[name], contents.plain[name]) for name in contents.plain)
    assert read_container(image_of(Contents({}, {}, {"c": contents.plain["c"]})))[2] == {"c": (4, [9], [0] * 9)}
