"""Tiles of vectors for Numba kernels: the block of a matrix product that stays in registers.

A tile of R rows and C vectors is one value of a kernel. Its operations are written once more in NumPy, as the
`plain` functions, which say what they mean and stand in for them with NUMBA_DISABLE_JIT=1. The vectors are LLVM's generic
ones: every processor gets the instructions that it has. Loads and stores are raw, so NUMBA_BOUNDSCHECK cannot see them.
"""

import numpy as np

from refasr.jit import cgutils, instruction, ir, models, register_model, types

INDEX, INT32 = ir.IntType(64), ir.IntType(32)


class Tile(types.Type):
    """Numba's type of a tile.

    Parameters
    ----------
    rows : int       R.
    columns : int    C, in vectors.
    lanes : int      Numbers in a vector.
    """

    def __init__(self, rows, columns, lanes):
        self.rows, self.columns, self.lanes = rows, columns, lanes
        self.vector = ir.VectorType(ir.FloatType(), lanes)
        super().__init__(name=f"Tile({rows}, {columns}, {lanes})")


@register_model(Tile)
class TileModel(models.PrimitiveModel):
    """A tile is R*C vectors; LLVM keeps each in a register.

    Parameters
    ----------
    manager : DataModelManager    Numba's.
    tile : Tile                   The type.
    """

    def __init__(self, manager, tile):
        super().__init__(manager, tile, ir.ArrayType(tile.vector, tile.rows * tile.columns))


def element(context, builder, kind, array, index, target=None):
    """Pointer to an element, as `target`. Parameters: context, builder, kind, array, index, target. Returns an LLVM value."""
    place = builder.gep(cgutils.create_struct_proxy(kind)(context, builder, array).data, [index])
    return place if target is None else builder.bitcast(place, target.as_pointer())


def shifted(builder, index, step, times):
    """index + step * times. Parameters: builder, index, step, times (int). Returns an LLVM value."""
    return builder.add(index, builder.mul(step, ir.Constant(INDEX, times)))


def each_vector(builder, tile, start, stride):
    """Where the vectors of a tile are in memory. Parameters: builder, tile, start, stride. Returns a list of (n, index)."""
    lanes = ir.Constant(INDEX, tile.lanes)
    rows = [shifted(builder, start, stride, r) for r in range(tile.rows)]
    return list(enumerate(shifted(builder, row, lanes, c) for row in rows for c in range(tile.columns)))


def plain_zero_tile(rows, columns, lanes):
    """Tile of zeros. Parameters: rows, columns, lanes (constants). Returns the tile."""
    return np.zeros((rows, columns * lanes), np.float32)


@instruction(plain_zero_tile)
def zero_tile(_, rows, columns, lanes):
    """Code of `plain_zero_tile`. Parameters: _, rows, columns, lanes. Returns (signature, code generator)."""
    tile = Tile(rows.literal_value, columns.literal_value, lanes.literal_value)
    return tile(rows, columns, lanes), lambda context, *_: ir.Constant(context.get_value_type(tile), None)


def plain_load_tile(tile, x, start, stride):
    """Like `tile`, from x[start + r stride : ... + C lanes]. Parameters: tile, x, start, stride. Returns the tile."""
    return np.array([x.reshape(-1)[start + r * stride :][: tile.shape[1]] for r in range(len(tile))])


@instruction(plain_load_tile)
def load_tile(_, tile, x, start, stride):
    """Code of `plain_load_tile`. Parameters: _, tile, x, start, stride. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        sums, x_value, start, stride = values
        for n, index in each_vector(builder, tile, start, stride):
            place = element(context, builder, x, x_value, index, tile.vector)
            sums = builder.insert_value(sums, builder.load(place, align=4), n)
        return sums

    return tile(tile, x, types.int64, types.int64), generate


def plain_store_tile(tile, out, start, stride):
    """Row r of the tile becomes out[start + r stride : ... + C lanes]. Parameters: tile, out, start, stride. Returns nothing."""
    for r, row in enumerate(tile):
        out.reshape(-1)[start + r * stride :][: len(row)] = row


@instruction(plain_store_tile)
def store_tile(_, tile, out, start, stride):
    """Code of `plain_store_tile`. Parameters: _, tile, out, start, stride. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        sums, out_value, start, stride = values
        for n, index in each_vector(builder, tile, start, stride):
            place = element(context, builder, out, out_value, index, tile.vector)
            builder.store(builder.extract_value(sums, n), place, align=4)
        return context.get_dummy_value()

    return types.void(tile, out, types.int64, types.int64), generate


def plain_add_outer(tile, a, start, stride, b, row):
    """tile + outer(a[start], a[start + stride], ...; b[row:]). Parameters: tile, a, start, stride, b, row. Returns the tile."""
    column = a.reshape(-1)[start + stride * np.arange(len(tile))]
    return tile + np.outer(column, b.reshape(-1)[row : row + tile.shape[1]])


@instruction(plain_add_outer)
def add_outer(_, tile, a, start, stride, b, row):
    """Code of `plain_add_outer`. Parameters: _, tile, a, start, stride, b, row. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        sums, a_value, start, stride, b_value, row = values
        kind = ir.FunctionType(tile.vector, [tile.vector] * 3)
        multiply_add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{tile.lanes}f32")
        lanes, nothing = ir.Constant(INDEX, tile.lanes), ir.Constant(tile.vector, ir.Undefined)
        indices = [shifted(builder, row, lanes, c) for c in range(tile.columns)]
        vectors = [builder.load(element(context, builder, b, b_value, index, tile.vector), align=4) for index in indices]
        for r in range(tile.rows):
            number = builder.load(element(context, builder, a, a_value, shifted(builder, start, stride, r)))
            first = builder.insert_element(nothing, number, ir.Constant(INT32, 0))
            spread = builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(INT32, tile.lanes), [0] * tile.lanes))
            for n, vector in enumerate(vectors, r * tile.columns):
                total = builder.call(multiply_add, [spread, vector, builder.extract_value(sums, n)])
                sums = builder.insert_value(sums, total, n)
        return sums

    return tile(tile, a, types.int64, types.int64, b, types.int64), generate
