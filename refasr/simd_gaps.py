"""More operations on tiles of 32-bit sums, for weights stored without their zeros: see `refasr.simd_int8`.

Scattered codes are spread over a block by a mask of bits. Squares of 4 outputs by 4 inputs fill a sixteenth of what a step
multiplies: so the lanes are 16 input vectors (columns) there, which need the inputs turned, and whose sums are turned back; or,
for a single column, four squares at a time.
"""

import numpy as np

from refasr.jit import cgutils, instruction, ir, types
from refasr.simd_int8 import (
    BIT, BLOCK, CODES, INDEX, LANES, QUAD, SUMS, WORD, column_places, dot, has_feature, moved, plain_add_dots, pointer, spread)

SIDE, SQUARE = 4, 16  # outputs and codes of a square
SHUFFLES = {  # of two vectors of 16: the first or second half of each quarter, word by word or in pairs; quarters 0, 2 or 1, 3
    "low": [q + n for q in (0, 4, 8, 12) for n in (0, 16, 1, 17)],
    "high": [q + n for q in (2, 6, 10, 14) for n in (0, 16, 1, 17)],
    "low pairs": [q + n for q in (0, 4, 8, 12) for n in (0, 1, 16, 17)],
    "high pairs": [q + n for q in (2, 6, 10, 14) for n in (0, 1, 16, 17)],
    "even": [q + n for q in (0, 8, 16, 24) for n in range(4)], "odd": [q + n for q in (4, 12, 20, 28) for n in range(4)]}


def plain_count_bits(mask):
    """How many bits are set. Parameters: mask (uint64). Returns int."""
    return int(np.bitwise_count(mask))


@instruction(plain_count_bits)
def count_bits(_, mask):
    """Code of `plain_count_bits`. Parameters: _, mask. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        kind = ir.FunctionType(INDEX, [INDEX])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.ctpop.i64"), values)

    return types.int64(types.uint64), generate


def plain_add_spread_dots(tile, codes, start, mask, x, place, stride):
    """Like `plain_add_dots` for one block, of which memory holds only the codes whose bit is set in the mask.

    Parameters
    ----------
    tile : tile             R = 1.
    codes : int8 [..]       One code for each bit that is set; the next 64 numbers may be read.
    start : int
    mask : uint64           Bit i belongs to code i of the block.
    x : uint32 [..]
    place, stride : int

    Returns
    -------
    tile
    """
    block, bits = np.zeros(BLOCK, np.int8), np.flatnonzero([int(mask) >> i & 1 for i in range(BLOCK)])
    block[bits] = codes[start : start + bits.size]
    return plain_add_dots(tile, 1, block, 0, x, place, stride)


@instruction(plain_add_spread_dots)
def add_spread_dots(_, tile, codes, start, mask, x, place, stride):
    """Code of `plain_add_spread_dots`. Parameters: _, tile, codes, start, mask, x, place, stride. Returns a pair."""

    def generate(context, builder, signature, values):
        sums, code_array, start, mask, *x_values = values
        where, zeros = builder.bitcast(mask, ir.VectorType(BIT, BLOCK)), ir.Constant(CODES, None)
        source = pointer(context, builder, codes, code_array, start, CODES)
        if has_feature(context, "avx512vbmi2"):
            name, kind = "llvm.x86.avx512.mask.expand.v64i8", ir.FunctionType(CODES, [CODES, CODES, where.type])
            operands = [builder.load(source, align=1), zeros, where]
        else:  # LLVM takes it apart, bit by bit
            name, kind = "llvm.masked.expandload.v64i8", ir.FunctionType(CODES, [source.type, where.type, CODES])
            operands = [source, where, zeros]
        block = builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)
        for c, column in enumerate(column_places(context, builder, x, x_values, tile.columns)):
            inputs = spread(builder, builder.load(column, align=4))
            sums = builder.insert_value(sums, dot(context, builder, builder.extract_value(sums, c), inputs, block), c)
        return sums

    return tile(tile, codes, types.int64, types.uint64, x, types.int64, types.int64), generate


def plain_entry(array, index):
    """array[index] as int64, without the test for a negative index. Parameters: array (int32), index. Returns int64."""
    return np.int64(array[index])


@instruction(plain_entry)
def entry(_, array, index):
    """Code of `plain_entry`. Parameters: _, array, index. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        return builder.sext(builder.load(pointer(context, builder, array, *values, WORD)), INDEX)

    return types.int64(array, types.int64), generate


def turned(builder, rows):
    """Columns of a square of 16 by 16 words. Parameters: builder, rows (16 LLVM vectors). Returns 16 LLVM vectors.

    Four rounds of 16 shuffles: quarters of four rows become quarters of four columns, then quarters are brought together.
    """
    def shuffle(kind, a, b):
        return builder.shuffle_vector(a, b, ir.Constant(SUMS, SHUFFLES[kind]))

    groups = []
    for a, b, c, d in zip(*[iter(rows)] * 4):
        low, high = (shuffle("low", a, b), shuffle("low", c, d)), (shuffle("high", a, b), shuffle("high", c, d))
        groups.append([shuffle(kind, *pair) for pair in (low, high) for kind in ("low pairs", "high pairs")])
    columns = [None] * LANES
    for j, quarters in enumerate(zip(*groups)):
        for first, kind in enumerate(("even", "odd")):
            halves = [shuffle(kind, *quarters[:2]), shuffle(kind, *quarters[2:])]
            columns[4 * first + j], columns[4 * first + 8 + j] = shuffle("even", *halves), shuffle("odd", *halves)
    return columns


def plain_turn_words(x, start, stride, out, at):
    """out[at + 16 k + r] = x[start + r stride + k], for 16 r and 16 k. Parameters: x, start, stride, out, at. Returns nothing."""
    rows = [x[start + r * stride :][:LANES] for r in range(LANES)]
    out[at : at + LANES**2] = np.array(rows).T.reshape(-1)


@instruction(plain_turn_words)
def turn_words(_, x, start, stride, out, at):
    """Code of `plain_turn_words`. Parameters: _, x, start, stride, out, at. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        array, start, stride, out_array, at = values
        places = column_places(context, builder, x, (array, start, stride), LANES)
        rows = [builder.load(builder.bitcast(place, SUMS.as_pointer()), align=4) for place in places]
        target = pointer(context, builder, out, out_array, at, SUMS)
        for k, column in enumerate(turned(builder, rows)):
            builder.store(column, moved(builder, target, k), align=4)
        return context.get_dummy_value()

    return types.void(x, types.int64, types.int64, out, types.int64), generate


def plain_add_square(tile, codes, start, x, place):
    """Add products of a square at codes[start:] and the quads of 16 columns at x[place:]: row r of the tile is output r.

    Parameters: tile (R = 4, C = 1, one lane a column), codes (int8), start, x (uint32), place. Returns the tile.
    """
    square = codes[start : start + SQUARE].reshape(SIDE, QUAD).astype(np.int32)
    quads = x[place : place + LANES].view(np.uint8).reshape(LANES, QUAD).astype(np.int32)
    return tile + (square @ quads.T)[:, None]


@instruction(plain_add_square)
def add_square(_, tile, codes, start, x, place):
    """Code of `plain_add_square`. Parameters: _, tile, codes, start, x, place. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        sums, code_array, start, x_array, place = values
        inputs = builder.load(pointer(context, builder, x, x_array, place, CODES), align=4)
        outputs = pointer(context, builder, codes, code_array, start, WORD)
        for r in range(SIDE):
            row = spread(builder, builder.load(moved(builder, outputs, r), align=1))
            sums = builder.insert_value(sums, dot(context, builder, builder.extract_value(sums, r), inputs, row), r)
        return sums

    return tile(tile, codes, types.int64, x, types.int64), generate


def plain_add_four_squares(tile, codes, start, x, places):
    """Add products of squares s = 0 ... 3 at codes[start:] and quads x[places[s]]: lane 4 s + r is a part of output r.

    Parameters: tile (R = C = 1), codes (int8), start, x (uint32), places (4 int). Returns the tile.
    """
    squares = codes[start : start + SIDE * SQUARE].reshape(SIDE, SIDE, QUAD).astype(np.int32)
    quads = x[np.array(places)].view(np.uint8).reshape(SIDE, QUAD).astype(np.int32)
    return tile + np.einsum("srq,sq->sr", squares, quads).reshape(1, 1, LANES)


@instruction(plain_add_four_squares)
def add_four_squares(_, tile, codes, start, x, places):
    """Code of `plain_add_four_squares`. Parameters: _, tile, codes, start, x, places. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        sums, code_array, start, x_array, places = values
        inputs = ir.Constant(SUMS, None)
        for s in range(SIDE):
            place = pointer(context, builder, x, x_array, builder.extract_value(places, s), WORD)
            quad = spread(builder, builder.load(place, align=4))
            here = ir.Constant(ir.VectorType(BIT, LANES), [lane // SIDE == s for lane in range(LANES)])
            inputs = builder.select(here, quad, inputs)
        squares = builder.load(pointer(context, builder, codes, code_array, start, CODES), align=1)
        total = dot(context, builder, builder.extract_value(sums, 0), inputs, squares)
        return builder.insert_value(sums, total, 0)

    return tile(tile, codes, types.int64, x, types.UniTuple(types.int64, SIDE)), generate


def plain_store_turned(tiles, offsets, row, out, start, stride):
    """Lane n of the 16 sums of four tiles, with offsets[row:] added, becomes out[start + n stride : ... + 16].

    Parameters: tiles (4, R = 4, C = 1), offsets (int32), row, out (int32), start, stride. Returns nothing.
    """
    sums = np.concatenate(tiles).reshape(LANES, LANES) + offsets[row : row + LANES, None]
    for n in range(LANES):
        out.reshape(-1)[start + n * stride :][:LANES] = sums[:, n]


@instruction(plain_store_turned)
def store_turned(_, tiles, offsets, row, out, start, stride):
    """Code of `plain_store_turned`. Parameters: _, tiles, offsets, row, out, start, stride. Returns (signature, generator)."""

    def generate(context, builder, signature, values):
        tile_values, offset_array, row, *out_values = values
        sums = [builder.extract_value(builder.extract_value(tile_values, n), r) for n in range(SIDE) for r in range(SIDE)]
        first = builder.load(pointer(context, builder, offsets, offset_array, row, SUMS), align=4)
        for place, column in zip(column_places(context, builder, out, out_values, LANES), turned(builder, sums)):
            builder.store(builder.add(column, first), builder.bitcast(place, SUMS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(tiles, offsets, types.int64, out, types.int64, types.int64), generate


def plain_store_four_sums(tile, offsets, row, out, start):
    """Sums of lanes r, 4 + r, 8 + r, 12 + r, and offsets[row + r], become out[start + r], r < 4.

    Parameters: tile (R = C = 1), offsets (int32), row, out (int32), start. Returns nothing.
    """
    out.reshape(-1)[start : start + SIDE] = tile.reshape(SIDE, SIDE).sum(axis=0, dtype=np.int32) + offsets[row : row + SIDE]


@instruction(plain_store_four_sums)
def store_four_sums(_, tile, offsets, row, out, start):
    """Code of `plain_store_four_sums`. Parameters: _, tile, offsets, row, out, start. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        sums, offset_array, row, out_array, start = values
        few, lanes = ir.VectorType(WORD, SIDE), builder.extract_value(sums, 0)
        total = builder.load(pointer(context, builder, offsets, offset_array, row, few), align=4)
        for s in range(SIDE):
            part = ir.Constant(few, list(range(SIDE * s, SIDE * s + SIDE)))
            total = builder.add(total, builder.shuffle_vector(lanes, ir.Constant(SUMS, ir.Undefined), part))
        builder.store(total, pointer(context, builder, out, out_array, start, few), align=4)
        return context.get_dummy_value()

    return types.void(tile, offsets, types.int64, out, types.int64), generate
