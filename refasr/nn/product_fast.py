"""Numba twin of `refasr.nn.product`: register tiles over a second matrix that is packed once and used many times.

BLAS packs its operands in every call. A recurrent layer multiplies a few rows by the same megabyte of weights at every
frame, so that half of its time would go into packing; here the weights are packed once a sequence. The packed matrix is
cut in panels of 64 columns, stored one after the other, K rows of 64 each; a tile of 4 rows by 64 columns takes 8 loads
for every 16 multiply-adds, which keeps the multipliers busy at any number of rows. Sums run in k order, one chain each.

Source: the panels of Goto & van de Geijn 2008, Anatomy of high-performance matrix multiplication, section 4.
"""

import numpy as np

from refasr import checks
from refasr.jit import kernel, scalar
from refasr.nn import product as reference
from refasr.simd import add_outer, store_tile, zero_tile
from refasr.twins import BOUND, twin_of

F32 = np.float32
EPS = float(np.finfo(F32).eps)
PANEL, ROWS = 64, 4
ZERO = F32(0)


@kernel
def _pack(b, panel):
    """Panels of b, [ceil(N / panel), K, panel], the last filled up with zeros."""
    depth, width = b.shape
    panels = np.zeros(((width + panel - 1) // panel, depth, panel), np.float32)
    for p in range(panels.shape[0]):
        first = p * panel
        for k in range(depth):
            for j in range(min(panel, width - first)):
                panels[p, k, j] = b[k, first + j]
    return panels


@scalar
def _fill_tile(tile, n_rows, a, row, panels, p, out, edge):
    """One tile of the product, `n_rows` high: some rows of `out`, and the columns of panel p."""
    depth, panel, width = panels.shape[1], panels.shape[2], out.shape[1]
    first = p * panel
    for k in range(depth):
        tile = add_outer(tile, a, row * depth + k, depth, panels, (p * depth + k) * panel)
    if first + panel <= width:
        store_tile(tile, out, row * width + first, width)
        return
    store_tile(tile, edge, 0, panel)
    for r in range(n_rows):
        for j in range(width - first):
            out[row + r, first + j] = edge[r, j]


@kernel
def _multiply(a, panels, out):
    """out = a b, where `panels` is b packed in panels of 64."""
    n_rows = out.shape[0]
    whole, left = n_rows // ROWS * ROWS, n_rows % ROWS
    edge = np.empty((ROWS, PANEL), np.float32)
    for p in range(panels.shape[0]):
        for row in range(0, whole, ROWS):
            _fill_tile(zero_tile(4, 4, 16), ROWS, a, row, panels, p, out, edge)
        if left == 3:
            _fill_tile(zero_tile(3, 4, 16), 3, a, whole, panels, p, out, edge)
        elif left == 2:
            _fill_tile(zero_tile(2, 4, 16), 2, a, whole, panels, p, out, edge)
        elif left == 1:
            _fill_tile(zero_tile(1, 4, 16), 1, a, whole, panels, p, out, edge)


@kernel
def _product(a, b, out):
    _multiply(a, _pack(b, PANEL), out)


def _bound(a, b):
    size = np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64))
    return (2 * a.shape[1] + 2) * EPS * size + 1e-37


@twin_of(reference.product, agree=BOUND(_bound, "sums of K products in another order"))
def product(a, b):
    checks.array("a", a, F32, (None, None))
    checks.array("b", b, F32, (a.shape[1], None))
    out = np.empty((a.shape[0], b.shape[1]), F32)
    _product(a, b, out)
    return out
