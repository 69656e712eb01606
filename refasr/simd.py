"""Tiles of vectors for Numba kernels: the block of a matrix product that stays in registers.

A tile of R rows and C vectors of 16 lanes is one value of a kernel. Its operations are written once more in NumPy, as the
`plain` functions, which say what they mean and stand in for them with NUMBA_DISABLE_JIT=1. The vectors are LLVM's generic
ones: every processor gets the instructions that it has. Loads and stores are raw, so NUMBA_BOUNDSCHECK cannot see them.
"""

import numpy as np

from refasr.jit import cgutils, instruction, ir, models, register_model, types

LANES = 16
INDEX, INT32 = ir.IntType(64), ir.IntType(32)
VECTOR = ir.VectorType(ir.FloatType(), LANES)


class Tile(types.Type):
    """Numba's type of a tile.

    Parameters
    ----------
    rows : int       R.
    columns : int    C, in vectors.
    """

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        super().__init__(name=f"Tile({rows}, {columns})")


@register_model(Tile)
class TileModel(models.PrimitiveModel):
    """A tile is R*C vectors; LLVM keeps each in a register.

    Parameters
    ----------
    manager : DataModelManager    Numba's.
    tile : Tile                   The type.
    """

    def __init__(self, manager, tile):
        super().__init__(manager, tile, ir.ArrayType(VECTOR, tile.rows * tile.columns))


def element(context, builder, kind, array, index):
    """Pointer to one element of a contiguous array. Parameters: context, builder, kind, array, index. Returns an LLVM value."""
    return builder.gep(cgutils.create_struct_proxy(kind)(context, builder, array).data, [index])


def shifted(builder, index, step, times):
    """index + step * times. Parameters: builder, index, step, times (int). Returns an LLVM value."""
    return builder.add(index, builder.mul(step, ir.Constant(INDEX, times)))


def plain_zero_tile(rows, columns):
    """Tile of zeros. Parameters: rows, columns (constants). Returns the tile."""
    return np.zeros((rows, columns * LANES), np.float32)


@instruction(plain_zero_tile)
def zero_tile(_, rows, columns):
    """Code of `plain_zero_tile`. Parameters: _, rows, columns. Returns (signature, code generator)."""
    tile = Tile(rows.literal_value, columns.literal_value)
    return tile(rows, columns), lambda *_: ir.Constant(ir.ArrayType(VECTOR, tile.rows * tile.columns), None)


def plain_add_outer(tile, a, start, stride, b, row):
    """tile + outer(a[start], a[start + stride], ...; b[row:row + 16 C]). Parameters: tile, a, start, stride, b, row. Returns the tile."""
    a, b = a.reshape(-1), b.reshape(-1)
    return tile + np.outer(a[start : start + stride * (len(tile) - 1) + 1 : stride], b[row : row + tile.shape[1]])


@instruction(plain_add_outer)
def add_outer(_, tile, a, start, stride, b, row):
    """Code of `plain_add_outer`. Parameters: _, tile, a, start, stride, b, row. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        sums, a_value, start, stride, b_value, row = values
        multiply_add = cgutils.get_or_insert_function(builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fma.v{LANES}f32")
        one = ir.Constant(INDEX, LANES)
        places = [element(context, builder, b, b_value, shifted(builder, row, one, c)) for c in range(tile.columns)]
        vectors = [builder.load(builder.bitcast(place, VECTOR.as_pointer()), align=4) for place in places]
        everywhere, undefined = ir.Constant(ir.VectorType(INT32, LANES), [0] * LANES), ir.Constant(VECTOR, ir.Undefined)
        for r in range(tile.rows):
            number = builder.load(element(context, builder, a, a_value, shifted(builder, start, stride, r)))
            first = builder.insert_element(undefined, number, ir.Constant(INT32, 0))
            spread = builder.shuffle_vector(first, undefined, everywhere)
            for c, vector in enumerate(vectors, r * tile.columns):
                sums = builder.insert_value(sums, builder.call(multiply_add, [spread, vector, builder.extract_value(sums, c)]), c)
        return sums

    return tile(tile, a, types.int64, types.int64, b, types.int64), generate


def plain_store_tile(tile, out, start, stride):
    """Row r of the tile becomes out[start + r stride : ... + 16 C]. Parameters: tile, out, start, stride. Returns nothing."""
    for r, row in enumerate(tile):
        out.reshape(-1)[start + r * stride :][: len(row)] = row


@instruction(plain_store_tile)
def store_tile(_, tile, out, start, stride):
    """Code of `plain_store_tile`. Parameters: _, tile, out, start, stride. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        sums, out_value, start, stride = values
        for r in range(tile.rows):
            for c in range(tile.columns):
                index = shifted(builder, shifted(builder, start, stride, r), ir.Constant(INDEX, LANES), c)
                place = builder.bitcast(element(context, builder, out, out_value, index), VECTOR.as_pointer())
                builder.store(builder.extract_value(sums, r * tile.columns + c), place, align=4)
        return context.get_dummy_value()

    return types.void(tile, out, types.int64, types.int64), generate
