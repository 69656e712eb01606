"""Numba kernels for the layouts of `refasr.hw.gemm_gaps`; `refasr.hw.gemm_fast` says how the dense one works, and calls these.

With 16 rows, inputs are turned: words of 16 rows beside each other. A block multiplies a word of each, 17 loads for 16 dot
products. A square multiplies its outputs by 16 rows in the lanes, 5 loads for 4, and the sums are turned back at the end. Fewer
rows read the inputs as they are: up to 8 for a block, each alone for squares, four of which then fill the lanes.

Another kernel may call `_blocks`, `_squares` and `_bitmap`, with `packed` of at least `_words` uint32; no check, no allocation.
"""

import numpy as np

from refasr.jit import kernel, scalar
from refasr.simd_gaps import (
    add_four_squares, add_spread_dots, add_square, count_bits, entry, store_four_sums, store_turned, turn_words)
from refasr.simd_int8 import add_dots, add_sums, fetch_ahead, flip_block, start_sums, store_sums, zero_sums

FLIP_BYTE = np.uint8(0x80)
BLOCK, LANES, SQUARE, SIDE, LINE = 64, 16, 16, 4, 64
AHEAD = 512  # bytes of codes that the bitmap's loop fetches ahead
FEW = 4      # below so many rows, squares are multiplied four at a time, each row on its own


@scalar
def _words(n_rows, n_inputs):
    """Words that a kernel needs at most for its copies of the inputs: as they are, and turned, from a cache line on."""
    return (n_rows + LANES - 1) // LANES * LANES * ((n_inputs + 3) // 4) * 2 + LANES


@scalar
def _flip(x, packed, at):
    """packed[at:] = inputs + 128, row by row in whole words. Returns words in a row."""
    n_rows, n_inputs = x.shape
    n_words, octets, done = (n_inputs + 3) // 4, packed.view(np.uint8), 0
    if n_inputs % 4 == 0:  # then rows follow each other without a gap
        for done in range(0, x.size - BLOCK + 1, BLOCK):
            flip_block(x, done, packed, at + done // 4)
        done = x.size // BLOCK * BLOCK
    for i in range(done, x.size):
        n, k = i // n_inputs, i % n_inputs
        octets[4 * (at + n * n_words) + k] = np.uint8(x[n, k]) ^ FLIP_BYTE
    if n_inputs % 4:
        for n in range(n_rows):
            for k in range(n_inputs, 4 * n_words):
                octets[4 * (at + n * n_words) + k] = 0
    return n_words


@scalar
def _line_words(packed):
    """Words before the first cache line that begins within: loads of whole vectors should not straddle two."""
    return (-packed.ctypes.data % LINE) // 4


@scalar
def _turn(packed, n_words, begin, at):
    """packed[at + 16 k + n] = word k of row n, for 16 rows at packed[begin:]."""
    k = 0
    for _ in range(n_words // LANES):
        turn_words(packed, begin + k, n_words, packed, at + k * LANES)
        k += LANES
    while k < n_words:
        for n in range(LANES):
            packed[at + k * LANES + n] = packed[begin + n * n_words + k]
        k += 1


@scalar
def _gap_step(tile, codes, b, places, packed, place, width, stride):
    return add_dots(tile, 1, codes, b * BLOCK, packed, place + entry(places, b) * width, stride)


@scalar
def _gap_tile(tile, zero, n_chains, width, stride, codes, offsets, begin, end, places, packed, x, row, out, at):
    """A row of blocks with one group of rows, in 1, 2 or 4 chains of sums so that none waits for itself."""
    tile, b = start_sums(tile, offsets, row, 0), begin
    if n_chains > 1:
        second, third, fourth = zero, zero, zero
        for _ in range((end - begin) // n_chains):
            tile = _gap_step(tile, codes, b, places, packed, x, width, stride)
            second = _gap_step(second, codes, b + 1, places, packed, x, width, stride)
            if n_chains == 4:
                third = _gap_step(third, codes, b + 2, places, packed, x, width, stride)
                fourth = _gap_step(fourth, codes, b + 3, places, packed, x, width, stride)
            b += n_chains
        tile = add_sums(add_sums(tile, second), add_sums(third, fourth))
    while b < end:
        tile = _gap_step(tile, codes, b, places, packed, x, width, stride)
        b += 1
    store_sums(tile, out, at, out.shape[1])


@kernel
def _blocks(codes, offsets, starts, places, x, packed, out):
    """Rows of blocks; each meets all groups of rows while it is near: groups of 16, turned, then of 8 and fewer as they are."""
    n_rows, n_outputs = out.shape
    n_words, n_turned = (x.shape[1] + 3) // 4, n_rows // LANES * LANES
    t = _line_words(packed)
    rows = t + n_turned * n_words
    _flip(x, packed, rows)
    for first in range(0, n_turned, LANES):
        _turn(packed, n_words, rows + first * n_words, t + first * n_words)
    for r in range(starts.size - 1):
        b, e, row, width = starts[r], starts[r + 1], r * LANES, 8
        for first in range(0, n_turned, LANES):
            wide, begin = zero_sums(1, 16), t + first * n_words
            _gap_tile(wide, wide, 1, 16, 1, codes, offsets, b, e, places, packed, begin, row, out, first * n_outputs + row)
        first = n_turned
        while first < n_rows:
            while width > n_rows - first:
                width //= 2
            at, begin = first * n_outputs + row, rows + first * n_words
            if width == 8:
                half = zero_sums(1, 8)
                _gap_tile(half, half, 2, 1, n_words, codes, offsets, b, e, places, packed, begin, row, out, at)
            elif width == 4:
                few = zero_sums(1, 4)
                _gap_tile(few, few, 4, 1, n_words, codes, offsets, b, e, places, packed, begin, row, out, at)
            elif width == 2:
                two = zero_sums(1, 2)
                _gap_tile(two, two, 4, 1, n_words, codes, offsets, b, e, places, packed, begin, row, out, at)
            else:
                one = zero_sums(1, 1)
                _gap_tile(one, one, 4, 1, n_words, codes, offsets, b, e, places, packed, begin, row, out, at)
            first += width


@scalar
def _square(tile, codes, s, places, packed, at):
    return add_square(tile, codes, s * SQUARE, packed, at + entry(places, s) * LANES)


@scalar
def _square_row(zero, codes, s, end, places, packed, at):
    """Four outputs of 16 rows, in four chains of sums."""
    first, second, third, fourth = zero, zero, zero, zero
    for _ in range((end - s) // SIDE):
        first = _square(first, codes, s, places, packed, at)
        second = _square(second, codes, s + 1, places, packed, at)
        third = _square(third, codes, s + 2, places, packed, at)
        fourth = _square(fourth, codes, s + 3, places, packed, at)
        s += SIDE
    return add_sums(add_sums(first, second), add_sums(third, fourth))


@scalar
def _four_squares(tile, codes, s, places, packed, begin):
    four = begin + entry(places, s), begin + entry(places, s + 1), begin + entry(places, s + 2), begin + entry(places, s + 3)
    return add_four_squares(tile, codes, s * SQUARE, packed, four)


@scalar
def _four_outputs(zero, codes, offsets, s, end, places, packed, begin, row, out, at):
    """Four outputs of one row, in two chains of sums."""
    first, second = zero, zero
    for _ in range((end - s) // (2 * SIDE)):
        first = _four_squares(first, codes, s, places, packed, begin)
        second = _four_squares(second, codes, s + SIDE, places, packed, begin)
        s += 2 * SIDE
    while s < end:
        first = _four_squares(first, codes, s, places, packed, begin)
        s += SIDE
    store_four_sums(add_sums(first, second), offsets, row, out, at)


@kernel
def _squares(codes, offsets, starts, places, x, packed, out):
    """Rows of squares; for up to 3 rows each on its own, else 16 rows at a time, turned: `out` has whole sixteens of rows."""
    n_rows, n_outputs = out.shape
    n_words = (x.shape[1] + 3) // 4
    t = _line_words(packed)
    rows = t if n_rows < FEW else t + (n_rows + LANES - 1) // LANES * LANES * n_words
    _flip(x, packed, rows)
    if n_rows < FEW:
        for q in range(starts.size - 1):
            for n in range(n_rows):
                begin, at = rows + n * n_words, n * n_outputs + q * SIDE
                _four_outputs(zero_sums(1, 1), codes, offsets, starts[q], starts[q + 1], places, packed, begin, q * SIDE, out, at)
        return
    for first in range(0, n_rows, LANES):
        _turn(packed, n_words, rows + first * n_words, t + first * n_words)
    for q in range(0, starts.size - 1, SIDE):
        for first in range(0, n_rows, LANES):
            zero, at, row = zero_sums(4, 1), t + first * n_words, q * SIDE
            tiles = (_square_row(zero, codes, starts[q], starts[q + 1], places, packed, at),
                     _square_row(zero, codes, starts[q + 1], starts[q + 2], places, packed, at),
                     _square_row(zero, codes, starts[q + 2], starts[q + 3], places, packed, at),
                     _square_row(zero, codes, starts[q + 3], starts[q + 4], places, packed, at))
            store_turned(tiles, offsets, row, out, first * n_outputs + row, n_outputs)


@scalar
def _map_step(tile, codes, b, mask, packed, place, n_words):
    fetch_ahead(codes, b + AHEAD)
    return add_spread_dots(tile, codes, b, mask, packed, place, n_words)


@scalar
def _map_rows(zero, codes, offsets, starts, masks, packed, n_words, x, r, out, at):
    """Four rows of blocks with one group of rows: four chains of sums, none of which waits for itself."""
    m, row, n_outputs = r * n_words, r * 16, out.shape[1]
    first, second = start_sums(zero, offsets, row, 0), start_sums(zero, offsets, row + 16, 0)
    third, fourth = start_sums(zero, offsets, row + 32, 0), start_sums(zero, offsets, row + 48, 0)
    a, b, c, d = starts[r], starts[r + 1], starts[r + 2], starts[r + 3]
    for k in range(n_words):
        bits = masks[m + k], masks[m + n_words + k], masks[m + 2 * n_words + k], masks[m + 3 * n_words + k]
        first = _map_step(first, codes, a, bits[0], packed, x + k, n_words)
        second = _map_step(second, codes, b, bits[1], packed, x + k, n_words)
        third = _map_step(third, codes, c, bits[2], packed, x + k, n_words)
        fourth = _map_step(fourth, codes, d, bits[3], packed, x + k, n_words)
        a, b, c, d = a + count_bits(bits[0]), b + count_bits(bits[1]), c + count_bits(bits[2]), d + count_bits(bits[3])
    store_sums(first, out, at, n_outputs)
    store_sums(second, out, at + 16, n_outputs)
    store_sums(third, out, at + 32, n_outputs)
    store_sums(fourth, out, at + 48, n_outputs)


@kernel
def _bitmap(codes, offsets, starts, masks, x, packed, out):
    """Four rows of blocks at a time; each four meet all groups of rows while they are near."""
    n_words = _flip(x, packed, 0)
    n_rows, n_outputs = out.shape
    for r in range(0, starts.size - 1, 4):
        first, width = 0, 4
        while first < n_rows:
            while width > n_rows - first:
                width //= 2
            x0, at = first * n_words, first * n_outputs + r * 16
            if width == 4:
                _map_rows(zero_sums(1, 4), codes, offsets, starts, masks, packed, n_words, x0, r, out, at)
            elif width == 2:
                _map_rows(zero_sums(1, 2), codes, offsets, starts, masks, packed, n_words, x0, r, out, at)
            else:
                _map_rows(zero_sums(1, 1), codes, offsets, starts, masks, packed, n_words, x0, r, out, at)
            first += width
