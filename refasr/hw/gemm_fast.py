"""Numba twin of `refasr.hw.gemm`: dot products of four bytes in register tiles, over weights packed once.

Inputs become unsigned by adding 128, as the instruction wants them; what that adds to a sum depends on the weights alone and
is what the sum starts at. Kernels do that first, into `packed`, and then read each input row on its own: no reordering.

A dense tile is a panel (4 blocks) by up to 6 rows: 10 loads for 24 dot products. Weights beyond the second cache are fetched
to it one panel ahead, except where all is read once: processors see that coming. Other layouts are in `gemm_gaps_fast`.

Another kernel may call `dense_row`, or `_dense` for several rows, without a check or an allocation.
"""

import numpy as np

from refasr.hw import gemm as reference
from refasr.hw.gemm_gaps_fast import FEW, LANES, _bitmap, _blocks, _flip, _squares, _words
from refasr.jit import kernel, scalar
from refasr.simd_int8 import add_dots, add_sums, fetch_ahead, start_sums, store_sums, zero_sums
from refasr.twins import BITS, twin_of

INT32 = np.dtype(np.int32)
PANEL_BYTES, PANEL_ROWS = 256, 64
WIDEST, STEPS = 6, 4              # rows of a tile; words of a row between two turns of its loop
LINE, LINES, FETCHERS = 64, 4, 4  # lines fetched ahead in a turn, by the first tiles of a panel: 4 times 4 are the 16 of a turn
NEAR_BYTES = 1 << 20              # weights up to here are taken to lie in the second cache anyway


@scalar
def _dense_tile(tile, codes, begin, offsets, row, packed, place, n_words, out, at, ahead, step):
    """A panel with one group of rows. Without a branch, or Numba counts references to arrays, slowly."""
    tile, k = start_sums(tile, offsets, row, 0), 0
    for _ in range(n_words // STEPS):
        for j in range(LINES):
            fetch_ahead(codes, ahead + j * LINE)
        tile = add_dots(tile, STEPS, codes, begin + k * PANEL_BYTES, packed, place + k, n_words)
        k, ahead = k + STEPS, ahead + step
    while k < n_words:
        tile = add_dots(tile, 1, codes, begin + k * PANEL_BYTES, packed, place + k, n_words)
        k += 1
    store_sums(tile, out, at, out.shape[1])


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
    size, n_groups = n_words * PANEL_BYTES, (n_rows + WIDEST - 1) // WIDEST
    far = codes.size > NEAR_BYTES and n_groups > 1
    for p in range(n_outputs // PANEL_ROWS):
        row, begin, first = p * PANEL_ROWS, p * size, 0
        for g in range(n_groups):
            width = (n_rows - first) // (n_groups - g)
            place, at, ahead, step = first * n_words, first * n_outputs + row, begin, 0
            if far and g < FETCHERS and begin + size < codes.size:
                ahead, step = begin + size + g * LINES * LINE * (n_words // STEPS), LINES * LINE
            if width == 6:
                _dense_tile(zero_sums(4, 6), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, step)
            elif width == 5:
                _dense_tile(zero_sums(4, 5), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, step)
            elif width == 4:
                _dense_tile(zero_sums(4, 4), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, step)
            elif width == 3:
                _dense_tile(zero_sums(4, 3), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, step)
            elif width == 2:
                _dense_tile(zero_sums(4, 2), codes, begin, offsets, row, packed, place, n_words, out, at, ahead, step)
            else:
                _thin_tile(zero_sums(4, 1), codes, begin, offsets, row, packed, place, n_words, out, at)
            first += width


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
    reference.check_inputs(x, weights)
    n_rows, layout, codes, offsets, n_outputs = len(x), weights.layout, weights.codes, weights.offsets, weights.n_outputs
    out_rows = n_rows if n_rows < FEW or layout != "squares" else -(-n_rows // LANES) * LANES
    out = np.empty((out_rows, offsets.size), INT32)  # kernels fill whole panels, and squares 16 rows
    if layout == "dense":
        _product_dense(codes, offsets, x, out)
    elif layout == "blocks":
        _product_blocks(codes, offsets, weights.starts, weights.places, x, out)
    elif layout == "squares":
        _product_squares(codes, offsets, weights.starts, weights.places, x, out)
    else:
        _product_bitmap(codes, offsets, weights.starts, weights.masks, x, out)
    if n_outputs != offsets.size:
        return out[:n_rows, :n_outputs].copy()
    return out if n_rows == out_rows else out[:n_rows]
