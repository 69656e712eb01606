"""A damaged or hostile weight stream is refused with FormatError, or is read right; never more memory than was asked for."""

import os
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from cases_codec import FIELDS, damage, resealed, spread, tensors
from hypothesis import given
from hypothesis import strategies as st
from weight_stream_reader import read_stream

from refasr.errors import FormatError
from refasr.hw import codec, codec_fast, codec_layout
from refasr.twins import select

CODES = spread(np.random.default_rng(9), 9000, 5, 0.2, 0.7)
CODES[3000:6500] = 3
GOOD = codec.encode(CODES, 5, 1500, 16).tobytes()
BOTH = [select("reference"), select("fast")]
SLOWLY = os.environ.get("NUMBA_DISABLE_JIT") == "1"  # then the fast twin takes a thousand times as long
OVERHEAD_BYTES, SECONDS = 1 << 20, 20.0


def attempt(stream, n_codes):
    """Decode with both twins. Parameters: stream (bytes), n_codes. Returns the codes or None; they agree."""
    results = []
    for backend in BOTH:
        try:
            results.append(backend(codec.decode)(np.frombuffer(stream, np.uint8), n_codes).tolist())
        except FormatError as error:
            assert isinstance(error.offset, int) and 0 <= error.offset <= len(stream)
            assert "\n" not in str(error) and "got" in str(error) and "expected" in str(error)
            results.append(None)
    assert results[0] == results[1]
    return results[0]


def refused(stream, n_codes=CODES.size, match=None):
    """Require FormatError from both twins. Parameters: stream (bytes), n_codes, match."""
    for backend in BOTH:
        with pytest.raises(FormatError, match=match):
            backend(codec.decode)(np.frombuffer(stream, np.uint8), n_codes)


@given(st.data())
def test_damage_is_noticed_or_does_not_matter(data):
    bad = data.draw(damage(GOOD))
    assert attempt(bad, CODES.size) in (None, CODES.tolist())


@given(st.data(), tensors(400))
def test_what_is_read_is_what_the_document_says(data, tensor):
    codes, width = tensor
    bad = data.draw(damage(codec_fast.encode(codes, width, 100, 4).tobytes()))
    found = attempt(bad, codes.size)
    try:
        want = read_stream(bad, codes.size)
    except (AssertionError, StopIteration, IndexError):
        want = None
    assert found == want
    assert found in (None, codes.tolist())


@given(st.one_of(st.binary(max_size=100), st.binary(max_size=200).map(lambda rest: b"RFWC\1" + rest)))
def test_noise(content):
    refused(content, 1000)
    refused(resealed(content), 1000)


def test_every_truncation_is_refused():
    for n in range(len(GOOD)):
        with pytest.raises(FormatError):
            codec_fast.decode(np.frombuffer(GOOD[:n], np.uint8), CODES.size)


@pytest.mark.parametrize("place", sorted(FIELDS))
def test_lying_headers(place):
    form = FIELDS[place]
    bits = 8 * struct.calcsize(form)
    for value in {0, 1, 3, 2**bits - 1, 2**(bits - 1), 2**28 % 2**bits, 9}:
        bad = bytearray(GOOD)
        if struct.unpack_from(form, bad, place)[0] != value:
            struct.pack_into(form, bad, place, value)
            refused(bytes(bad))
            refused(resealed(bad))


def test_sizes_are_not_believed():
    """A stream of a few bytes that says it holds 4 G codes, to a caller who expects as many."""
    n_codes = (1 << 32) - 1
    head = struct.pack("<4sBBHIIIHHI", b"RFWC", 1, 8, 64, n_codes, 1, 28, 0, 0, 0)
    entry = struct.pack("<II", 1 << 2, 0)
    tracemalloc.start()
    try:
        begin = time.process_time()
        refused(resealed(head), n_codes, "table and index")
        many = bytearray(resealed(head + entry * 1000))
        struct.pack_into("<I", many, 16, len(many))
        refused(bytes(many), n_codes, "table and index")
        bomb = bytearray(head + entry + b"\0")
        struct.pack_into("<II", bomb, 12, 1 << 28, len(bomb))
        refused(resealed(bomb), 100, "number of codes")
        assert tracemalloc.get_traced_memory()[1] < OVERHEAD_BYTES and time.process_time() - begin < SECONDS
    finally:
        tracemalloc.stop()


def changed_entry(tile, kind=None, length=None, crc=None):
    """GOOD with another index entry, and a header check sum that holds. Parameters: tile, kind, length, crc. Returns bytes."""
    bad = bytearray(GOOD)
    place = 28 + struct.unpack_from("<H", bad, 20)[0] + 8 * tile
    old, old_crc = struct.unpack_from("<II", bad, place)
    new = (old >> 2 if length is None else length) << 2 | (old & 3 if kind is None else kind)
    struct.pack_into("<II", bad, place, new, old_crc if crc is None else crc)
    return resealed(bad)


def test_lying_index():
    layout = codec_layout.read_layout(np.frombuffer(GOOD, np.uint8))
    assert layout.kinds.tolist() == [2, 2, 0, 0, 2, 2]
    for tile, kind in ((0, 0), (0, 1), (0, 3), (2, 1), (2, 2), (2, 3)):
        refused(changed_entry(tile, kind=kind), match=f"tile {tile} of kind {kind}")
    for tile, length in ((0, 0), (0, 63), (0, 2**30 - 1), (1, 4000), (2, 0), (2, 2)):
        refused(changed_entry(tile, length=length))
    for tile in (0, 2):
        refused(changed_entry(tile, crc=7), match="other codes than|other codes, expected")


def test_constant_beyond_the_width():
    layout, bad = codec_layout.read_layout(np.frombuffer(GOOD, np.uint8)), bytearray(GOOD)
    place = 28 + struct.unpack_from("<H", bad, 20)[0] + 8 * 2
    bad[layout.offsets[2]] = 16
    struct.pack_into("<I", bad, place + 4, zlib.crc32(b"\x10" * 1500))
    refused(resealed(bad), match="tile 2 of code")


def test_one_bit_of_every_word():
    """States, words that run out, that are left over, and other codes: each is found, and where."""
    layout = codec_layout.read_layout(np.frombuffer(GOOD, np.uint8))
    for place in range(int(layout.offsets[0]), int(layout.offsets[2]), 66 if SLOWLY else 2):
        bad = bytearray(GOOD)
        bad[place] ^= 1 << place % 8
        with pytest.raises(FormatError, match="tile [01] with") as caught:
            codec_fast.decode(np.frombuffer(bytes(bad), np.uint8), CODES.size)
        assert caught.value.offset in layout.offsets[:2]


def run_mutations(n, seed):
    """Random damage in bulk, by the fast twin. Parameters: n, seed. Returns how many were refused and read right."""
    source, refusals, right = np.random.default_rng(seed), 0, 0
    codes = spread(source, 700, 4, 0.3, 0.5)
    good = codec_fast.encode(codes, 4, 200, 4)
    for i in range(n):
        bad = good[:source.integers(good.size)].copy() if i % 5 == 0 else good.copy()
        for place in source.integers(0, max(1, bad.size), source.integers(1, 4)) if bad.size else ():
            bad[place] = source.integers(256)
        if i % 3 and bad.size >= 28:
            bad[16:20] = np.frombuffer(struct.pack("<I", bad.size), np.uint8)
            bad = np.frombuffer(resealed(bad.tobytes()), np.uint8)
        try:
            found = codec_fast.decode(bad, codes.size)
        except FormatError:
            refusals += 1
        else:
            assert np.array_equal(found, codes)
            right += 1
    return refusals, right


def test_many_mutations():
    n = 200 if SLOWLY else 10_000
    refusals, right = run_mutations(n, 1)
    assert refusals > n // 2 and refusals + right == n


@pytest.mark.slow
def test_a_million_mutations():
    assert sum(run_mutations(1_000_000, 2)) == 1_000_000
