"""Numba twin of `refasr.hw.gemm`: dot products of four bytes in register tiles, over weights packed once.

Inputs become unsigned by adding 128, as the instruction wants them; what that adds to a sum depends on the weights alone and
is what the sum starts at. Inputs are packed per call, in groups of 8 rows (16 for layouts with gaps), the rest in groups of
4, 2, 1: a word of 4 inputs of each row, then the next 4. A dense tile is 2 blocks by 8 rows: 10 loads for 16 dot products.
While a panel of weights is used, the next comes to the second cache, except where all is read once: processors see that coming.
"""

import numpy as np

from refasr.hw import gemm as reference
from refasr.jit import kernel, scalar
from refasr.simd_int8 import add_dots, add_spread_dots, add_sums, count_bits, fetch_ahead, start_sums, store_sums, zero_sums
from refasr.twins import BITS, twin_of

FLIP_WORD, FLIP_BYTE = np.uint32(0x80808080), np.uint8(0x80)
BLOCK, PANEL, PANEL_BYTES, PANEL_ROWS = 64, 4, 256, 64
WIDEST_DENSE, WIDEST_BLOCKS, WIDEST_BITMAP = 8, 16, 4
LINE, AHEAD = 64, 512
NEAR_BYTES = 1 << 20  # weights up to here are taken to lie in the second cache anyway


@scalar
def _pack_words(words, packed, first, width):
    n_words = words.shape[1]
    for k in range(n_words):
        for j in range(width):
            packed[first * n_words + k * width + j] = words[first + j, k] ^ FLIP_WORD


@scalar
def _pack_bytes(x, packed, first, width, n_words):
    """The same where rows do not end with a whole word."""
    octets = packed.view(np.uint8)
    for k in range(n_words * 4):
        for j in range(width):
            value = np.uint8(x[first + j, k]) if k < x.shape[1] else FLIP_BYTE
            octets[((first * n_words) + (k // 4) * width + j) * 4 + k % 4] = value ^ FLIP_BYTE


@kernel
def _pack_inputs(x, packed, widest):
    """Groups of `widest` rows, then of half as many and so on."""
    n_rows, n_inputs = x.shape
    n_words, first, width = (n_inputs + 3) // 4, 0, widest
    if n_words == 0:
        return
    while first < n_rows:
        while width > n_rows - first:
            width //= 2
        if n_inputs % 4:
            _pack_bytes(x, packed, first, width, n_words)
        elif width == 16:
            _pack_words(x.view(np.uint32), packed, first, 16)
        elif width == 8:
            _pack_words(x.view(np.uint32), packed, first, 8)
        else:
            _pack_words(x.view(np.uint32), packed, first, width)
        first += width


@scalar
def _dense_tile(tile, width, codes, begin, offsets, row, packed, place, n_words, out, at, ahead, step):
    """Some blocks of a panel with one group of rows. Without a branch, or Numba counts references to arrays, slowly."""
    tile = start_sums(tile, offsets, row, 0)
    for k in range(n_words):
        fetch_ahead(codes, ahead + k * step)
        tile = add_dots(tile, codes, begin + k * PANEL_BYTES, packed, place + k * width)
    store_sums(tile, out, at, out.shape[1])


@kernel
def _dense(codes, offsets, x, packed, out):
    """All panels; each meets all groups of rows while it is near. Of the next, each of the first 4 tiles fetches a quarter."""
    _pack_inputs(x, packed, WIDEST_DENSE)
    n_rows, n_outputs = out.shape
    if n_rows == 0:
        return
    n_words = packed.size // n_rows
    size, far = n_words * PANEL_BYTES, codes.size > NEAR_BYTES and n_rows >= WIDEST_DENSE
    for p in range(n_outputs // PANEL_ROWS):
        row, begin, first, width, tiles = p * PANEL_ROWS, p * size, 0, 8, 0
        while first < n_rows:
            while width > n_rows - first:
                width //= 2
            step = LINE if far and tiles < PANEL and begin + size < codes.size else 0
            a = begin + size + tiles * n_words * LINE if step else begin
            place, at = first * n_words, first * n_outputs + row
            if width == 8:
                b, half = a + n_words * step, begin + 2 * BLOCK
                _dense_tile(zero_sums(2, 8), 8, codes, begin, offsets, row, packed, place, n_words, out, at, a, step)
                _dense_tile(zero_sums(2, 8), 8, codes, half, offsets, row + 32, packed, place, n_words, out, at + 32, b, step)
            elif width == 4:
                _dense_tile(zero_sums(4, 4), 4, codes, begin, offsets, row, packed, place, n_words, out, at, a, step)
            elif width == 2:
                _dense_tile(zero_sums(4, 2), 2, codes, begin, offsets, row, packed, place, n_words, out, at, a, step)
            else:
                _dense_tile(zero_sums(4, 1), 1, codes, begin, offsets, row, packed, place, n_words, out, at, a, step)
            first, tiles = first + width, tiles + 2


@scalar
def _gap_step(tile, codes, b, places, packed, place, width):
    return add_dots(tile, codes, b * BLOCK, packed, place + np.int64(places[b]) * width)


@scalar
def _gap_tile(tile, zero, n_chains, width, codes, offsets, begin, end, places, packed, x, row, out, at):
    """A row of blocks with one group of rows, in 1, 2 or 4 chains of sums so that none waits for itself."""
    tile, b = start_sums(tile, offsets, row, 0), begin
    if n_chains > 1:
        second, third, fourth = zero, zero, zero
        for _ in range((end - begin) // n_chains):
            tile = _gap_step(tile, codes, b, places, packed, x, width)
            second = _gap_step(second, codes, b + 1, places, packed, x, width)
            if n_chains == 4:
                third = _gap_step(third, codes, b + 2, places, packed, x, width)
                fourth = _gap_step(fourth, codes, b + 3, places, packed, x, width)
            b += n_chains
        tile = add_sums(add_sums(tile, second), add_sums(third, fourth))
    while b < end:
        tile = _gap_step(tile, codes, b, places, packed, x, width)
        b += 1
    store_sums(tile, out, at, out.shape[1])


@kernel
def _blocks(codes, offsets, starts, places, x, packed, out):
    """Rows of blocks; each meets all groups of rows while it is near."""
    _pack_inputs(x, packed, WIDEST_BLOCKS)
    n_rows, n_outputs = out.shape
    if n_rows == 0:
        return
    n_words = packed.size // n_rows
    for r in range(starts.size - 1):
        b, e, row, first, width = starts[r], starts[r + 1], r * 16, 0, 16
        while first < n_rows:
            while width > n_rows - first:
                width //= 2
            at, begin = first * n_outputs + row, first * n_words
            if width == 16:
                wide = zero_sums(1, 16)
                _gap_tile(wide, wide, 1, 16, codes, offsets, b, e, places, packed, begin, row, out, at)
            elif width == 8:
                half = zero_sums(1, 8)
                _gap_tile(half, half, 2, 8, codes, offsets, b, e, places, packed, begin, row, out, at)
            elif width == 4:
                few = zero_sums(1, 4)
                _gap_tile(few, few, 4, 4, codes, offsets, b, e, places, packed, begin, row, out, at)
            elif width == 2:
                two = zero_sums(1, 2)
                _gap_tile(two, two, 4, 2, codes, offsets, b, e, places, packed, begin, row, out, at)
            else:
                one = zero_sums(1, 1)
                _gap_tile(one, one, 4, 1, codes, offsets, b, e, places, packed, begin, row, out, at)
            first += width


@scalar
def _map_step(tile, codes, b, mask, packed, place):
    fetch_ahead(codes, b + AHEAD)
    return add_spread_dots(tile, codes, b, mask, packed, place)


@scalar
def _map_rows(zero, width, codes, offsets, starts, masks, packed, n_words, x, r, out, at):
    """Four rows of blocks with one group of rows: four chains of sums, none of which waits for itself."""
    m, row, n_outputs = r * n_words, r * 16, out.shape[1]
    first, second = start_sums(zero, offsets, row, 0), start_sums(zero, offsets, row + 16, 0)
    third, fourth = start_sums(zero, offsets, row + 32, 0), start_sums(zero, offsets, row + 48, 0)
    a, b, c, d = starts[r], starts[r + 1], starts[r + 2], starts[r + 3]
    for k in range(n_words):
        bits = masks[m + k], masks[m + n_words + k], masks[m + 2 * n_words + k], masks[m + 3 * n_words + k]
        first = _map_step(first, codes, a, bits[0], packed, x + k * width)
        second = _map_step(second, codes, b, bits[1], packed, x + k * width)
        third = _map_step(third, codes, c, bits[2], packed, x + k * width)
        fourth = _map_step(fourth, codes, d, bits[3], packed, x + k * width)
        a, b, c, d = a + count_bits(bits[0]), b + count_bits(bits[1]), c + count_bits(bits[2]), d + count_bits(bits[3])
    store_sums(first, out, at, n_outputs)
    store_sums(second, out, at + 16, n_outputs)
    store_sums(third, out, at + 32, n_outputs)
    store_sums(fourth, out, at + 48, n_outputs)


@kernel
def _bitmap(codes, offsets, starts, masks, x, packed, out):
    """Four rows of blocks at a time; each four meet all groups of rows while they are near."""
    _pack_inputs(x, packed, WIDEST_BITMAP)
    n_rows, n_outputs = out.shape
    if n_rows == 0:
        return
    n_words = packed.size // n_rows
    for r in range(0, starts.size - 1, 4):
        first, width = 0, 4
        while first < n_rows:
            while width > n_rows - first:
                width //= 2
            x0, at = first * n_words, first * n_outputs + r * 16
            if width == 4:
                _map_rows(zero_sums(1, 4), 4, codes, offsets, starts, masks, packed, n_words, x0, r, out, at)
            elif width == 2:
                _map_rows(zero_sums(1, 2), 2, codes, offsets, starts, masks, packed, n_words, x0, r, out, at)
            else:
                _map_rows(zero_sums(1, 1), 1, codes, offsets, starts, masks, packed, n_words, x0, r, out, at)
            first += width


@twin_of(reference.product, agree=BITS)
def product(x, weights):
    reference.check_inputs(x, weights)
    n_rows, n_outputs = len(x), weights.n_outputs
    out = np.empty((n_rows, reference.padded_outputs(n_outputs)), np.int32)  # kernels fill whole panels
    packed = np.empty(n_rows * ((weights.n_inputs + 3) // 4), np.uint32)
    if weights.layout == "dense":
        _dense(weights.codes, weights.offsets, x, packed, out)
    elif weights.layout == "blocks":
        _blocks(weights.codes, weights.offsets, weights.starts, weights.places, x, packed, out)
    else:
        _bitmap(weights.codes, weights.offsets, weights.starts, weights.masks, x, packed, out)
    return out if out.shape[1] == n_outputs else out[:, :n_outputs].copy()
