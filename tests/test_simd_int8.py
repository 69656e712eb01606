"""Tiles of 32-bit sums: compiled operations do what their NumPy stand-ins say, also where the result would overflow."""

import numpy as np
import pytest

from refasr import simd_gaps, simd_int8
from refasr.jit import kernel

I8 = np.int8


@kernel
def _all_operations(codes, offsets, x, mask, out):
    tile = simd_int8.start_sums(simd_int8.zero_sums(2, 3), offsets, 1, 2)
    tile = simd_int8.add_dots(tile, 1, codes, 5, x, 2, 1)
    tile = simd_int8.add_dots(tile, 2, codes, 3, x, 1, 7)
    tile = simd_int8.add_spaced_dots(tile, 2, 3, codes, 4, x, 3, 6)
    simd_int8.fetch_ahead(codes, 64)
    simd_int8.store_sums(simd_int8.add_sums(tile, tile), out, 2, 40)
    spread = simd_gaps.add_spread_dots(simd_int8.zero_sums(1, 2), codes, 9, mask, x, 1, 5)
    simd_int8.store_sums(spread, out, 120, 16)
    return simd_gaps.count_bits(mask)


@pytest.mark.parametrize("mask", [0, 1, 2**64 - 1, 0x8000_1234_0FF0_0001])
def test_operations_do_what_their_stand_ins_say(mask):
    rng = np.random.default_rng(1)
    codes, x = rng.integers(-128, 128, 330).astype(I8), rng.integers(0, 2**32, 20, np.uint32)
    offsets, want, got = rng.integers(-2**31, 2**31, 38).astype(np.int32), np.full(155, 7, np.int32), np.full(155, 7, np.int32)
    with np.errstate(over="ignore"):
        tile = simd_int8.plain_start_sums(simd_int8.plain_zero_sums(2, 3), offsets, 1, 2)
        tile = simd_int8.plain_add_dots(tile, 1, codes, 5, x, 2, 1)
        tile = simd_int8.plain_add_dots(tile, 2, codes, 3, x, 1, 7)
        tile = simd_int8.plain_add_spaced_dots(tile, 2, 3, codes, 4, x, 3, 6)
        simd_int8.plain_store_sums(simd_int8.plain_add_sums(tile, tile), want, 2, 40)
        spread = simd_gaps.plain_add_spread_dots(simd_int8.plain_zero_sums(1, 2), codes, 9, np.uint64(mask), x, 1, 5)
    simd_int8.plain_store_sums(spread, want, 120, 16)
    assert _all_operations(codes, offsets, x, np.uint64(mask), got) == mask.bit_count()
    np.testing.assert_array_equal(got, want)


@kernel
def _gap_operations(codes, offsets, x, bytes_in, places, out, turned):
    zero, one = simd_int8.zero_sums(4, 1), simd_int8.zero_sums(1, 1)
    at = simd_gaps.entry(places, 1)
    tiles = (simd_gaps.add_square(zero, codes, 3, x, at), simd_gaps.add_square(zero, codes, 20, x, 1),
             simd_gaps.add_square(zero, codes, 36, x, 2), simd_gaps.add_square(zero, codes, 52, x, 3))
    simd_gaps.store_turned(tiles, offsets, 2, out, 5, 21)
    four = simd_gaps.add_four_squares(one, codes, 7, x, (np.int64(4), np.int64(0), np.int64(4), np.int64(9)))
    simd_gaps.store_four_sums(four, offsets, 1, out, 350)
    simd_gaps.turn_words(x, 2, 17, turned, 3)
    simd_int8.flip_block(bytes_in, 5, turned, 262)


def test_operations_on_squares_do_what_their_stand_ins_say():
    rng = np.random.default_rng(2)
    codes, bytes_in = (rng.integers(-128, 128, n).astype(I8) for n in (80, 75))
    x, places = rng.integers(0, 2**32, 280, np.uint32), np.array([2**31 - 1, 11], np.int32)
    offsets = rng.integers(-2**20, 2**20, 20).astype(np.int32)
    want, got = np.full(360, 7, np.int32), np.full(360, 7, np.int32)
    turned, got_turned = np.full(281, 9, np.uint32), np.full(281, 9, np.uint32)
    zero, one = simd_int8.plain_zero_sums(4, 1), simd_int8.plain_zero_sums(1, 1)
    places_of = (11, 1, 2, 3)
    tiles = tuple(simd_gaps.plain_add_square(zero, codes, c, x, at) for c, at in zip((3, 20, 36, 52), places_of))
    simd_gaps.plain_store_turned(tiles, offsets, 2, want, 5, 21)
    four = simd_gaps.plain_add_four_squares(one, codes, 7, x, (4, 0, 4, 9))
    simd_gaps.plain_store_four_sums(four, offsets, 1, want, 350)
    simd_gaps.plain_turn_words(x, 2, 17, turned, 3)
    simd_int8.plain_flip_block(bytes_in, 5, turned, 262)
    _gap_operations(codes, offsets, x, bytes_in, places, got, got_turned)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(got_turned, turned)
    columns = x[2:2 + 16 * 17].reshape(16, 17)[:, :16]
    np.testing.assert_array_equal(turned[3:259].reshape(16, 16), columns.T)  # apart from what the stand-in says of itself
