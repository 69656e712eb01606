"""Numba twin of `refasr.hw.gemm`: dot products of four bytes in register tiles, over weights packed once.

Inputs become unsigned by adding 128, as the instruction wants them; what that adds to a sum depends on the weights alone and
is what the sum starts at. Inputs are packed per call, in groups of 8 rows (16 for layouts with gaps), the rest in groups of
4, 2, 1: a word of 4 inputs of each row, then the next 4. A dense tile is 2 blocks by 8 rows: 10 loads for 16 dot products.
While a panel of weights is used for the second time or more, the next comes to the second cache.
"""

import numpy as np

from refasr.hw import gemm as reference
from refasr.jit import kernel, scalar
from refasr.simd_int8 import add_dots, add_spread_dots, add_sums, count_bits, fetch_ahead, start_sums, store_sums, zero_sums
from refasr.twins import BITS, twin_of

FLIP_WORD, FLIP_BYTE = np.uint32(0x80808080), np.uint8(0x80)
BLOCK, PANEL_BYTES, PANEL_ROWS, EDGE_ROWS = 64, 256, 64, 16
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
def _copy_edge(edge, width, out, first, row, end):
    """Outputs row...end of a group of rows, from the buffer in which tiles that reach beyond are stored."""
    for c in range(width):
        for r in range(end - row):
            out[first + c, row + r] = edge[c, r]


@scalar
def _dense_tile(tile, width, codes, offsets, packed, n_words, panel, block, first, target, place, stride, ahead, step):
    """Some blocks of a panel with one group of rows. No branch between sums and store, or LLVM moves them to memory."""
    begin, x = panel * n_words * PANEL_BYTES + block * BLOCK, first * n_words
    tile = start_sums(tile, offsets, panel * PANEL_ROWS + block * 16)
    for k in range(n_words):
        fetch_ahead(codes, ahead + k * step)
        tile = add_dots(tile, codes, begin + k * PANEL_BYTES, packed, x + k * width)
    store_sums(tile, target, place + block * 16, stride)


@kernel
def _dense(codes, offsets, x, packed, out, edge):
    """All panels; each meets all groups of rows while it is near. Of the next, each of the first 4 tiles fetches a quarter."""
    _pack_inputs(x, packed, WIDEST_DENSE)
    n_rows, n_outputs = out.shape
    if n_rows == 0:
        return
    n_words = packed.size // n_rows
    quarter, size = n_words * LINE, n_words * PANEL_BYTES
    for p in range((n_outputs + PANEL_ROWS - 1) // PANEL_ROWS):
        row, first, width, ahead = p * PANEL_ROWS, 0, 8, (p + 1) * size
        ragged = row + PANEL_ROWS > n_outputs
        target, stride = (edge, PANEL_ROWS) if ragged else (out, n_outputs)
        while first < n_rows:
            while width > n_rows - first:
                width //= 2
            place = 0 if ragged else first * n_outputs + row
            step = LINE if ahead < (p + 2) * size and ahead < codes.size and codes.size > NEAR_BYTES else 0
            ahead = ahead if step else p * size
            if width == 8:
                _dense_tile(zero_sums(2, 8), 8, codes, offsets, packed, n_words, p, 0, first, target, place, stride, ahead, step)
                ahead += quarter * (step // LINE)
                _dense_tile(zero_sums(2, 8), 8, codes, offsets, packed, n_words, p, 2, first, target, place, stride, ahead, step)
                ahead = ahead + quarter if step else codes.size
            elif width == 4:
                _dense_tile(zero_sums(4, 4), 4, codes, offsets, packed, n_words, p, 0, first, target, place, stride, ahead, step)
            elif width == 2:
                _dense_tile(zero_sums(4, 2), 2, codes, offsets, packed, n_words, p, 0, first, target, place, stride, ahead, step)
            else:
                _dense_tile(zero_sums(4, 1), 1, codes, offsets, packed, n_words, p, 0, first, target, place, stride, ahead, step)
            if ragged:
                _copy_edge(edge, width, out, first, row, n_outputs)
            first += width


@scalar
def _gap_step(tile, codes, b, places, packed, place, width):
    return add_dots(tile, codes, b * BLOCK, packed, place + np.int64(places[b]) * width)


@scalar
def _gap_tile(tile, zero, n_chains, width, codes, offsets, begin, end, places, packed, x, row, target, at, stride):
    """A row of blocks with one group of rows, in 1, 2 or 4 chains of sums so that none waits for itself."""
    tile, b = start_sums(tile, offsets, row), begin
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
    store_sums(tile, target, at, stride)


@kernel
def _blocks(codes, offsets, starts, places, x, packed, out, edge):
    """Rows of blocks; each meets all groups of rows while it is near."""
    _pack_inputs(x, packed, WIDEST_BLOCKS)
    n_rows, n_outputs = out.shape
    if n_rows == 0:
        return
    n_words = packed.size // n_rows
    for r in range(starts.size - 1):
        b, e, row, first, width = starts[r], starts[r + 1], r * 16, 0, 16
        ragged = row + 16 > n_outputs
        target, stride = (edge, PANEL_ROWS) if ragged else (out, n_outputs)
        while first < n_rows:
            while width > n_rows - first:
                width //= 2
            at, begin = 0 if ragged else first * n_outputs + row, first * n_words
            if width == 16:
                wide = zero_sums(1, 16)
                _gap_tile(wide, wide, 1, 16, codes, offsets, b, e, places, packed, begin, row, target, at, stride)
            elif width == 8:
                half = zero_sums(1, 8)
                _gap_tile(half, half, 2, 8, codes, offsets, b, e, places, packed, begin, row, target, at, stride)
            elif width == 4:
                few = zero_sums(1, 4)
                _gap_tile(few, few, 4, 4, codes, offsets, b, e, places, packed, begin, row, target, at, stride)
            elif width == 2:
                two = zero_sums(1, 2)
                _gap_tile(two, two, 4, 2, codes, offsets, b, e, places, packed, begin, row, target, at, stride)
            else:
                one = zero_sums(1, 1)
                _gap_tile(one, one, 4, 1, codes, offsets, b, e, places, packed, begin, row, target, at, stride)
            if ragged:
                _copy_edge(edge, width, out, first, row, n_outputs)
            first += width


@scalar
def _map_step(tile, codes, b, mask, packed, place):
    fetch_ahead(codes, b + AHEAD)
    return add_spread_dots(tile, codes, b, mask, packed, place)


@scalar
def _map_row(zero, width, codes, offsets, starts, masks, packed, n_words, x, r, target, at, stride):
    """One row of blocks with one group of rows."""
    tile, m, a = start_sums(zero, offsets, r * 16), r * n_words, starts[r]
    for k in range(n_words):
        tile = _map_step(tile, codes, a, masks[m + k], packed, x + k * width)
        a += count_bits(masks[m + k])
    store_sums(tile, target, at, stride)


@scalar
def _map_rows(zero, width, codes, offsets, starts, masks, packed, n_words, x, r, out, at):
    """Four rows of blocks with one group of rows: four chains of sums, none of which waits for itself."""
    m, row, n_outputs = r * n_words, r * 16, out.shape[1]
    first, second = start_sums(zero, offsets, row), start_sums(zero, offsets, row + 16)
    third, fourth = start_sums(zero, offsets, row + 32), start_sums(zero, offsets, row + 48)
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


@scalar
def _map_group(zero, width, codes, offsets, starts, masks, packed, n_words, first, r, out, edge):
    """Four rows of blocks if they are whole; else one. Whole or not, `_bitmap` knows how many."""
    row, n_outputs = r * 16, out.shape[1]
    at = first * n_outputs + row
    if row + PANEL_ROWS <= n_outputs:
        _map_rows(zero, width, codes, offsets, starts, masks, packed, n_words, first * n_words, r, out, at)
    else:
        _map_row(zero, width, codes, offsets, starts, masks, packed, n_words, first * n_words, r, edge, 0, PANEL_ROWS)
        _copy_edge(edge, width, out, first, row, min(row + 16, n_outputs))


@kernel
def _bitmap(codes, offsets, starts, masks, x, packed, out, edge):
    """Four rows of blocks at a time; each four meet all groups of rows while they are near."""
    _pack_inputs(x, packed, WIDEST_BITMAP)
    n_rows, n_outputs = out.shape
    if n_rows == 0:
        return
    r, n_words = 0, packed.size // n_rows
    while r < starts.size - 1:
        first, width = 0, 4
        while first < n_rows:
            while width > n_rows - first:
                width //= 2
            if width == 4:
                _map_group(zero_sums(1, 4), 4, codes, offsets, starts, masks, packed, n_words, first, r, out, edge)
            elif width == 2:
                _map_group(zero_sums(1, 2), 2, codes, offsets, starts, masks, packed, n_words, first, r, out, edge)
            else:
                _map_group(zero_sums(1, 1), 1, codes, offsets, starts, masks, packed, n_words, first, r, out, edge)
            first += width
        r += 4 if (r + 4) * 16 <= n_outputs else 1


@twin_of(reference.product, agree=BITS)
def product(x, weights):
    reference.check_inputs(x, weights)
    n_rows = len(x)
    out = np.empty((n_rows, weights.n_outputs), np.int32)
    packed = np.empty(n_rows * ((weights.n_inputs + 3) // 4), np.uint32)
    edge = np.empty((EDGE_ROWS, PANEL_ROWS), np.int32) if weights.n_outputs % PANEL_ROWS else out
    if weights.layout == "dense":
        _dense(weights.codes, weights.offsets, x, packed, out, edge)
    elif weights.layout == "blocks":
        _blocks(weights.codes, weights.offsets, weights.starts, weights.places, x, packed, out, edge)
    else:
        _bitmap(weights.codes, weights.offsets, weights.starts, weights.masks, x, packed, out, edge)
    return out
