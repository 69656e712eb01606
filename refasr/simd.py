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


# ---- Streams: the weight codec's sixteen states in one vector ----

WORDS, BYTES = ir.VectorType(ir.IntType(16), 16), ir.VectorType(ir.IntType(8), 16)


class Lanes(types.Type):
    """Numba's type of sixteen unsigned numbers of 32 bits."""

    def __init__(self):
        self.vector = ir.VectorType(INT32, 16)
        super().__init__(name="Lanes")


LANES = Lanes()


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """One vector, in one or more registers.

    Parameters
    ----------
    manager : DataModelManager    Numba's.
    lanes : Lanes                 The type.
    """

    def __init__(self, manager, lanes):
        super().__init__(manager, lanes, lanes.vector)


def plain_wide_lanes():
    """Whether sixteen lanes are faster than one after the other: the processor has AVX-512. Returns bool."""
    return False


def has_wide_lanes(context):
    """Whether code is generated for AVX-512. Parameters: context. Returns bool."""
    return "+avx512f" in getattr(context.codegen(), "_tm_features", "").split(",")


@instruction(plain_wide_lanes)
def wide_lanes(_):
    """Code of `plain_wide_lanes`: a constant. Parameters: _. Returns (signature, code generator)."""
    return types.boolean(), lambda context, *_: ir.Constant(ir.IntType(1), int(has_wide_lanes(context)))


def plain_load_lanes(x, start):
    """x[start : start + 16]. Parameters: x (uint32), start. Returns the lanes."""
    return x[start : start + 16].copy()


@instruction(plain_load_lanes)
def load_lanes(_, x, start):
    """Code of `plain_load_lanes`. Parameters: _, x, start. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        return builder.load(element(context, builder, x, *values, LANES.vector), align=4)

    return LANES(x, types.int64), generate


def plain_store_lanes(lanes, x, start):
    """x[start : start + 16] = lanes. Parameters: lanes, x, start. Returns nothing."""
    x[start : start + 16] = lanes


@instruction(plain_store_lanes)
def store_lanes(_, lanes, x, start):
    """Code of `plain_store_lanes`. Parameters: _, lanes, x, start. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        builder.store(values[0], element(context, builder, x, *values[1:], LANES.vector), align=4)
        return context.get_dummy_value()

    return types.void(LANES, x, types.int64), generate


def plain_read_symbols(x, table, content, place, out, first):
    """Sixteen steps of `codec.read_lanes`. Parameters: x, table, content, place, out, first. Returns (lanes, new place)."""
    entry = table[x & 4095]
    state = (entry >> 20) * (x >> 12) + (entry >> 8 & 4095)
    out[first : first + 16] = entry & 255
    small = np.flatnonzero(state < 1 << 16)
    words = content[place : place + 2 * small.size].copy().view("<u2")
    state[small] = state[small] << 16 | words
    return state.astype(np.uint32), place + 2 * small.size


def spread_words(context, builder, source, small):
    """Words at `source`, one for each lane that is small. Parameters: context, builder, source, small. Returns an LLVM value."""
    vector = LANES.vector
    if has_wide_lanes(context):
        words = builder.zext(builder.load(source, align=1), vector)
        kind = ir.FunctionType(vector, [vector, vector, small.type])
        expand = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.mask.expand.v16i32")
        return builder.call(expand, [words, ir.Constant(vector, None), small])
    kind = ir.FunctionType(WORDS, [source.type, small.type, WORDS])
    expand = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.expandload.v16i16")
    return builder.zext(builder.call(expand, [source, small, ir.Constant(WORDS, None)]), vector)


def look_up(context, builder, table, indices):
    """Entries of a table of 32-bit words. Parameters: context, builder, table (pointer), indices. Returns an LLVM value."""
    vector = LANES.vector
    if has_wide_lanes(context):
        mask, byte = ir.VectorType(ir.IntType(1), 16), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(vector, [vector, byte, vector, mask, INT32])
        gather = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.mask.gather.dpi.512")
        every, size = ir.Constant(mask, [1] * 16), ir.Constant(INT32, 4)
        return builder.call(gather, [ir.Constant(vector, None), builder.bitcast(table, byte), indices, every, size])
    found = ir.Constant(vector, ir.Undefined)
    for lane in range(16):
        index = builder.zext(builder.extract_element(indices, ir.Constant(INT32, lane)), INDEX)
        found = builder.insert_element(found, builder.load(builder.gep(table, [index])), ir.Constant(INT32, lane))
    return found


@instruction(plain_read_symbols)
def read_symbols(_, x, table, content, place, out, first):
    """Code of `plain_read_symbols`; looks at 32 bytes. Parameters: _, x, table, content, place, out, first. Returns a pair."""

    def generate(context, builder, signature, values):
        state, table_value, content_value, place_value, out_value, first_value = values
        vector = LANES.vector
        each = lambda number: ir.Constant(vector, [number] * 16)
        entries = builder.bitcast(element(context, builder, table, table_value, ir.Constant(INDEX, 0)), INT32.as_pointer())
        entry = look_up(context, builder, entries, builder.and_(state, each(4095)))
        within = builder.and_(builder.lshr(entry, each(8)), each(4095))
        state = builder.add(builder.mul(builder.lshr(entry, each(20)), builder.lshr(state, each(12))), within)
        target = element(context, builder, out, out_value, first_value, BYTES)
        builder.store(builder.trunc(entry, BYTES), target, align=1)
        small = builder.icmp_unsigned("<", state, each(1 << 16))
        words = spread_words(context, builder, element(context, builder, content, content_value, place_value, WORDS), small)
        state = builder.select(small, builder.or_(builder.shl(state, each(16)), words), state)
        short = ir.IntType(16)
        count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(short, [short]), "llvm.ctpop.i16")
        taken = builder.zext(builder.call(count, [builder.bitcast(small, short)]), INDEX)
        moved = builder.add(place_value, builder.shl(taken, ir.Constant(INDEX, 1)))
        return context.make_tuple(builder, signature.return_type, [state, moved])

    result = types.Tuple((LANES, types.int64))
    return result(LANES, table, content, types.int64, out, types.int64), generate
