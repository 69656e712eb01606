"""Products of int8 activations with int8 weights that were packed once, in exact 32-bit sums.

    y[n, m] = sum_k x[n, k] w[m, k]

Weights are cut in blocks of 16 outputs by 4 inputs, 64 codes that one step multiplies. Four layouts hold the same numbers:

    dense     every block, in panels of 4 blocks down (64 outputs), then 4 inputs at a time to the right, both filled up with 0
    blocks    row of blocks by row of blocks, only blocks with a code other than 0, each with its place
    squares   the same with squares of 4 outputs by 4 inputs, a multiple of 4 in each row of them
    bitmap    every block as 64 bits that say where codes are not 0, and those codes

The product does not depend on the layout; its cost does, and `choose_layout` says how.

No sum can overflow: |x|, |w| <= 128, so |y| <= 16384 K, below 2**31 for K <= 131071, which packing checks. A twin may add
in any order and let intermediate results wrap: they are equal modulo 2**32, and the result is in range.
"""

import dataclasses

import numpy as np

from refasr import checks
from refasr.errors import DTypeError, FormatError, RangeError
from refasr.hw import gemm_gaps

LAYOUTS = ("dense", "blocks", "squares", "bitmap")
OUTPUTS, INPUTS, PANEL, SIDE = 16, 4, 4, 4  # rows and columns of a block; blocks of a panel; rows of a square
BLOCK, SQUARE = OUTPUTS * INPUTS, SIDE * INPUTS
MOST_INPUTS = (2**31 - 1) // 128**2
ALIGNMENT_BYTES = 64
CACHE_BYTES = 32 << 20  # beyond this, weights are taken to come from memory at every product
BLOCK_COST = 1.6        # time of a block that has to be found, dense = 1; see `choose_layout`
SQUARE_COSTS = 0.4, 1.2  # and of a square, with 16 rows and more, and with fewer
USUAL_ROWS = 16
MASK_BYTES = BLOCK // 8
CODE = np.dtype(np.int8)


def padded_outputs(n_outputs):
    """Outputs in whole panels. Parameters: n_outputs. Returns int."""
    return -(-n_outputs // (OUTPUTS * PANEL)) * OUTPUTS * PANEL


@dataclasses.dataclass(frozen=True, eq=False)
class PackedWeights:
    """Weights as kernels read them; made by `pack_weights`. Kernels trust it, so it is checked here once, then read-only.

    Parameters
    ----------
    layout : one of LAYOUTS
    n_outputs, n_inputs : int      M, K.
    codes : int8 [..]              Of the blocks in order: 16 outputs of 4 inputs each; squares: 4 of 4; bitmap: without zeros,
                                   then 64 zeros.
    offsets : int32 [M, whole panels]    -128 sum_k w[m, k]: what a sum starts at if 128 was added to each input.
    starts : int64 [..]            blocks, squares: index of the first of each row, and the end; bitmap: of the first code.
    places : int32 [..]            blocks, squares: column of each.
    masks : uint64 [..]            bitmap: of each block; bit 4 r + c is set where code (r, c) is not 0.
    """

    layout: str
    n_outputs: int
    n_inputs: int
    codes: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    places: np.ndarray
    masks: np.ndarray

    def __post_init__(self):
        if self.layout not in LAYOUTS:
            raise RangeError(f"layout: got {self.layout!r}, expected one of {', '.join(LAYOUTS)}")
        checks.between("n_outputs", self.n_outputs, 0, 2**31 - 1)
        checks.between("n_inputs", self.n_inputs, 0, MOST_INPUTS)
        n_rows, n_columns = self.n_block_rows, self.n_block_columns
        n_codes, n_starts, n_places, n_masks = {
            "dense": (padded_outputs(self.n_outputs) * n_columns * INPUTS, 0, 0, 0),
            "blocks": (self.places.size * BLOCK, n_rows + 1, None, 0),
            "squares": (self.places.size * SQUARE, n_rows * OUTPUTS // SIDE + 1, None, 0),
            "bitmap": (None, n_rows + 1, 0, n_rows * n_columns)}[self.layout]
        checks.array("codes", self.codes, np.int8, (n_codes,))
        checks.array("offsets", self.offsets, np.int32, (padded_outputs(self.n_outputs),))
        checks.array("starts", self.starts, np.int64, (n_starts,))
        checks.array("places", self.places, np.int32, (n_places,))
        checks.array("masks", self.masks, np.uint64, (n_masks,))
        if self.layout in ("blocks", "squares"):
            inside = self.places.size == 0 or (self.places.min() >= 0 and self.places.max() < n_columns)
            fours = self.layout == "blocks" or not np.any(self.starts % SIDE)
            ordered = self.starts[0] == 0 and self.starts[-1] == self.places.size and np.all(np.diff(self.starts) >= 0)
            if not (inside and fours and ordered):
                raise FormatError("weights: got blocks outside the matrix, expected what pack_weights makes; pack again")
        if self.layout == "bitmap":
            counts = np.bitwise_count(self.masks.reshape(n_rows, n_columns)).sum(axis=1, dtype=np.int64)
            ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
            if not np.array_equal(ends, self.starts) or self.codes.size != ends[-1] + BLOCK:
                raise FormatError("weights: got masks that disagree with the codes, expected what pack_weights makes; pack again")
        for name in ("codes", "offsets", "starts", "places", "masks"):
            getattr(self, name).flags.writeable = False

    @property
    def n_block_rows(self):
        """Blocks that lie below each other, in whole panels."""
        return padded_outputs(self.n_outputs) // OUTPUTS

    @property
    def n_block_columns(self):
        """Blocks that lie beside each other."""
        return -(-self.n_inputs // INPUTS)

    @property
    def n_bytes(self):
        """What a product reads of the weights."""
        return sum(part.nbytes for part in (self.codes, self.offsets, self.starts, self.places, self.masks))


def in_blocks(w, n_outputs, height=OUTPUTS):
    """Cut a matrix in blocks, filled up with zeros.

    Parameters: w, n_outputs (a multiple of 16), height (of a block: 16, or 4 for squares). Returns int8 [M/height, K/4, codes].
    """
    n_columns = -(-w.shape[1] // INPUTS)
    full = np.zeros((n_outputs, n_columns * INPUTS), np.int8)
    full[: len(w), : w.shape[1]] = w
    parts = full.reshape(n_outputs // height, height, n_columns, INPUTS).transpose(0, 2, 1, 3)
    return parts.reshape(n_outputs // height, n_columns, height * INPUTS)


def aligned(values):
    """The same numbers in one row that begins at a cache line, where loads are fastest. Parameters: values. Returns an array."""
    raw = np.empty(values.nbytes + ALIGNMENT_BYTES, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT_BYTES
    out = raw[start : start + values.nbytes].view(values.dtype)
    out[:] = values.reshape(-1)
    return out


def choose_layout(w, n_rows=USUAL_ROWS):
    """The layout with the least work: a rule that depends on the weights, and on how many rows products usually have.

    With B blocks in all (dense counts whole panels), b blocks and q squares that hold a code other than 0, and z such codes:

        blocks    if 1.6 b <= B: a block that has to be found takes up to 1.6 times as long (512 inputs; 1 or 4 rows; 16: 1.3)
        squares   if s q <= B, and less than 1.6 b. With 16 rows a square takes s = 0.4 of a block of 4: its instructions are
                  filled by 16 rows; fewer leave lanes empty, or inputs have to be put together: s = 1.2
        bitmap    else, if B is more than 32 MB and 8 B + z <= 0.75 * 64 B: reading costs more than multiplying then, and the
                  zeros are not read; smaller weights stay in a cache, where finding a code costs more than multiplying a zero
        dense     else

    Parameters
    ----------
    w : int8 [M, K]
    n_rows : int    Of a usual product.

    Returns
    -------
    one of LAYOUTS
    """
    checks.array("w", w, np.int8, (None, None))
    parts = in_blocks(w, padded_outputs(len(w)))
    n_blocks, n_codes, squares = parts.size // BLOCK, np.count_nonzero(w), parts.reshape(-1, SQUARE).any(axis=1)
    costs = {"blocks": BLOCK_COST * np.count_nonzero(squares.reshape(-1, BLOCK // SQUARE).any(axis=1)),
             "squares": SQUARE_COSTS[n_rows < USUAL_ROWS] * np.count_nonzero(squares)}
    best = min(costs, key=costs.get)
    if n_blocks and costs[best] <= n_blocks:
        return best
    if parts.nbytes > CACHE_BYTES and MASK_BYTES * n_blocks + n_codes <= 0.75 * parts.nbytes:
        return "bitmap"
    return "dense"


def pack_weights(w, layout=None, n_rows=USUAL_ROWS):
    """Put weights in the order in which products read them.

    Parameters
    ----------
    w : int8 [M, K]             K <= 131071, so that no sum overflows.
    layout : str or None        None leaves the choice to `choose_layout`.
    n_rows : int                Of a usual product, for that choice.

    Returns
    -------
    PackedWeights

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    checks.array("w", w, np.int8, (None, None))
    checks.between("n_inputs", w.shape[1], 0, MOST_INPUTS)
    layout = choose_layout(w, n_rows) if layout is None else layout
    if layout not in LAYOUTS:
        raise RangeError(f"layout: got {layout!r}, expected one of {', '.join(LAYOUTS)}")
    n_outputs = padded_outputs(len(w))
    offsets = np.zeros(n_outputs, np.int32)
    offsets[: len(w)] = -128 * w.sum(axis=1, dtype=np.int64)
    starts, places, masks = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.uint64)
    parts = in_blocks(w, n_outputs, SIDE if layout == "squares" else OUTPUTS)
    if layout == "dense":
        codes = parts.reshape(len(parts) // PANEL, PANEL, parts.shape[1], BLOCK).transpose(0, 2, 1, 3)
    elif layout == "bitmap":
        codes, starts, masks = gemm_gaps.pack_bitmap(parts)
    else:
        codes, starts, places = gemm_gaps.pack_parts(parts, SIDE if layout == "squares" else 1)
    return PackedWeights(layout, *w.shape, aligned(codes), aligned(offsets), starts, places, aligned(masks))


def unpack_weights(weights):
    """The matrix again. Parameters: weights (PackedWeights). Returns int8 [M, K]."""
    n_rows, n_columns = weights.n_block_rows, weights.n_block_columns
    shape = (n_rows, n_columns, BLOCK) if weights.layout != "squares" else (n_rows * OUTPUTS // SIDE, n_columns, SQUARE)
    if weights.layout == "dense":
        panels = weights.codes.reshape(n_rows // PANEL, n_columns, PANEL, BLOCK)
        parts = panels.transpose(0, 2, 1, 3).reshape(shape)
    elif weights.layout == "bitmap":
        parts = gemm_gaps.unpack_bitmap(weights.codes, weights.masks, shape)
    else:
        parts = gemm_gaps.unpack_parts(weights.codes, weights.starts, weights.places, shape)
    cells = parts.reshape(*shape[:2], shape[2] // INPUTS, INPUTS).transpose(0, 2, 1, 3)
    full = cells.reshape(n_rows * OUTPUTS, n_columns * INPUTS)
    return np.ascontiguousarray(full[: weights.n_outputs, : weights.n_inputs])


def check_inputs(x, weights):
    """What both twins refuse. Parameters: x, weights. Raises DTypeError, ShapeError."""
    if not isinstance(weights, PackedWeights):
        raise DTypeError(f"weights: got {type(weights).__name__}, expected PackedWeights; use pack_weights")
    checks.array("x", x, CODE, (None, weights.n_inputs))


def product(x, weights):
    """Product of a batch of inputs with packed weights.

        y[n, m] = sum_k x[n, k] w[m, k]

    Parameters
    ----------
    x : int8 [N, K]             Row by row the inputs of one frame or one stream; -128 is allowed.
    weights : PackedWeights     w, int8 [M, K].

    Returns
    -------
    int32 [N, M]                Exact.

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS. Cost: N*M*K multiply-adds, in the layouts without zeros times their share of blocks.
    """
    check_inputs(x, weights)
    return x.astype(np.int32) @ unpack_weights(weights).T.astype(np.int32)
