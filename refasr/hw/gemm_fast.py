"""Numba twin of `refasr.hw.gemm`: dot products of four bytes in register tiles, over weights packed once.

Inputs become unsigned by adding 128, as the instruction wants them; what that adds to a sum depends on the weights alone and
is what the sum starts at. Kernels do that first, into `packed`, and then read each input row on its own: no reordering.

A dense tile is a panel (4 blocks) by up to 6 rows: 10 loads for 24 dot products. Where weights beyond the second cache meet 13
to 16 rows, reading them is what takes time: then it is half a panel by 7 or 8 rows, which reads them twice, not three times.
Such weights are fetched to the second cache one panel ahead, a little in each turn of a loop, so that all tiles of a panel share
the wait; except where all is read once: processors see that coming. Other layouts are in `gemm_gaps_fast`.

Another kernel may call `dense_row`, or `_dense` for several rows, without a check or an allocation.
"""

import numpy as np

from refasr.hw import gemm as reference
from refasr.hw.gemm_gaps_fast import FEW, LANES, _bitmap, _blocks, _flip, _squares, _words
from refasr.jit import kernel, scalar
from refasr.simd_int8 import add_dots, add_spaced_dots, add_sums, fetch_ahead, start_sums, store_sums, zero_sums
from refasr.twins import BITS, twin_of

INT32, CODE, ARRAY = np.dtype(np.int32), np.dtype(np.int8), np.ndarray
PANEL, PANEL_BYTES, PANEL_ROWS = 4, 256, 64
HALF_BYTES, HALF_ROWS = 128, 32
WIDEST, STEPS = 6, 4              # rows of a tile of a whole panel; words of a row in a turn of its loop
WIDE, WIDE_ROWS = 8, (13, 16)     # rows of a tile of half a panel, and of a product that is made of two groups of those
LINE, FETCHES = 64, 4             # fetches of lines in each turn, closer together the more tiles share them
NEAR_BYTES = 1 << 20              # weights up to here are taken to lie in the second cache anyway


@scalar
def _dense_tile(tile, codes, begin, offsets, row, packed, place, n_words, out, at, ahead, gap):
    """A panel, or half of one, with one group of rows, while the next panel is fetched: every line, `gap` bytes a fetch.

    Without a branch, or Numba counts references to arrays, slowly; so nothing to fetch is a gap of 0, the same line again.
    """
    tile, k = start_sums(tile, offsets, row, 0), 0
    for _ in range(n_words // STEPS):
        for j in range(FETCHES):
            fetch_ahead(codes, ahead + j * gap)
        tile = add_spaced_dots(tile, STEPS, PANEL, codes, begin + k * PANEL_BYTES, packed, place + k, n_words)
        k, ahead = k + STEPS, ahead + FETCHES * gap
    while k < n_words:
        tile = add_spaced_dots(tile, 1, PANEL, codes, begin + k * PANEL_BYTES, packed, place + k, n_words)
        k += 1
    store_sums(tile, out, at, out.shape[1])


@scalar
def _two_tiles(zero, codes, begin, offsets, row, packed, place, n_words, out, at, ahead, gap):
    """Both halves of a panel."""
    _dense_tile(zero, codes, begin, offsets, row, packed, place, n_words, out, at, ahead, gap)
    begin, row, at, ahead = begin + HALF_BYTES, row + HALF_ROWS, at + HALF_ROWS, ahead + n_words // STEPS * FETCHES * gap
    _dense_tile(zero, codes, begin, offsets, row, packed, place, n_words, out, at, ahead, gap)


@scalar
def _thin_tile(zero, codes, begin, offsets, row, packed, place, n_words, out, at):
    """The same for one row: four chains of sums, so that none waits for itself."""
    tile, second, third, fourth, k = start_sums(zero, offsets, row, 0), zero, zero, zero, 0
    for _ in range(n_words // STEPS):
        start = begin + k * PANEL_BYTES
        tile = add_dots(tile, 1, codes, start, packed, place + k, n_words)
        second = add_dots(second, 1, codes, start + PANEL_BYTES, packed, place + k + 1, n_words)
        third = add_dots(third, 1, codes, start + 2 * PANEL_BYTES, packed, place + k + 2, n_words)
        fourth = add_dots(fourth, 1, codes, start + 3 * PANEL_BYTES, packed, place + k + 3, n_words)
        k += STEPS
    while k < n_words:
        tile = add_dots(tile, 1, codes, begin + k * PANEL_BYTES, packed, place + k, n_words)
        k += 1
    store_sums(add_sums(add_sums(tile, second), add_sums(third, fourth)), out, at, out.shape[1])


@kernel
def _dense(codes, offsets, x, packed, out):
    """All panels; each meets all groups of rows, about equally many in each, while it is near.

    Parameters: codes, offsets (dense weights'), x (int8 [N, K]), packed (uint32 [N K/4], room), out (int32 [N, whole panels]).
    """
    n_words = _flip(x, packed, 0)
    n_rows, n_outputs = out.shape
    size, far, widest = n_words * PANEL_BYTES, codes.size > NEAR_BYTES, WIDEST
    if far and WIDE_ROWS[0] <= n_rows <= WIDE_ROWS[1]:
        widest = WIDE
    n_groups = (n_rows + widest - 1) // widest
    n_tiles = 2 * n_groups if n_rows > WIDEST * n_groups else n_groups
    for p in range(n_outputs // PANEL_ROWS):
        row, begin, first, ahead, gap = p * PANEL_ROWS, p * size, 0, p * size, 0
        if far and n_tiles > 1 and begin + size < codes.size:
            ahead, gap = begin + size, min(LINE, STEPS * PANEL_BYTES // FETCHES // n_tiles)
        for g in range(n_groups):
            width = (n_rows - first) // (n_groups - g)
            place, at = first * n_words, first * n_outputs + row
            if width == 8:
                _two_tiles(zero_sums(2, 8), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, gap)
            elif width == 7:
                _two_tiles(zero_sums(2, 7), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, gap)
            elif width == 6:
                _dense_tile(zero_sums(4, 6), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, gap)
            elif width == 5:
                _dense_tile(zero_sums(4, 5), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, gap)
            elif width == 4:
                _dense_tile(zero_sums(4, 4), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, gap)
            elif width == 3:
                _dense_tile(zero_sums(4, 3), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, gap)
            elif width == 2:
                _dense_tile(zero_sums(4, 2), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, gap)
            else:
                _thin_tile(zero_sums(4, 1), codes, begin, offsets, row, packed, place, n_words, out, at)
            first, ahead = first + width, ahead + n_words // STEPS * FETCHES * gap * (n_tiles // n_groups)


@scalar
def dense_row(codes, offsets, x, packed, out):
    """Product of one input vector with dense weights, for use in other kernels, which see to it that all fits.

    Parameters
    ----------
    codes, offsets : int8, int32    Of PackedWeights, layout "dense".
    x : int8 [K]
    packed : uint32 [K/4, up]       Room for a copy.
    out : int32 [M, whole panels]   Overwritten.
    """
    _dense(codes, offsets, x.reshape((1, x.size)), packed, out.reshape((1, out.size)))


@kernel
def _product_dense(codes, offsets, x, out):
    _dense(codes, offsets, x, np.empty(x.shape[0] * ((x.shape[1] + 3) // 4), np.uint32), out)


@kernel
def _product_blocks(codes, offsets, starts, places, x, out):
    _blocks(codes, offsets, starts, places, x, np.empty(_words(x.shape[0], x.shape[1]), np.uint32), out)


@kernel
def _product_squares(codes, offsets, starts, places, x, out):
    _squares(codes, offsets, starts, places, x, np.empty(_words(x.shape[0], x.shape[1]), np.uint32), out)


@kernel
def _product_bitmap(codes, offsets, starts, masks, x, out):
    _bitmap(codes, offsets, starts, masks, x, np.empty(_words(x.shape[0], x.shape[1]), np.uint32), out)


@twin_of(reference.product, agree=BITS)
def product(x, weights):
    if (type(weights) is not reference.PackedWeights or type(x) is not ARRAY or x.dtype is not CODE or x.ndim != 2
            or x.shape[1] != weights.n_inputs or not x.flags.c_contiguous):
        reference.check_inputs(x, weights)  # decides, thoroughly; here nothing is called: one row takes no longer than checks
    n_rows, layout, codes, offsets = len(x), weights.layout, weights.codes, weights.offsets
    n_outputs, n_sums = weights.n_outputs, offsets.size
    out_rows = n_rows if layout != "squares" or n_rows < FEW else -(-n_rows // LANES) * LANES
    out = np.empty((out_rows, n_sums), INT32)  # kernels fill whole panels, and squares 16 rows
    if layout == "dense":
        _product_dense(codes, offsets, x, out)
    elif layout == "blocks":
        _product_blocks(codes, offsets, weights.starts, weights.places, x, out)
    elif layout == "squares":
        _product_squares(codes, offsets, weights.starts, weights.places, x, out)
    else:
        _product_bitmap(codes, offsets, weights.starts, weights.masks, x, out)
    if n_outputs != n_sums:
        return out[:n_rows, :n_outputs].copy()
    return out if n_rows == out_rows else out[:n_rows]
