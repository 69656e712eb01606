"""Tiles of 32-bit sums for int8 products: like the tiles of `refasr.simd`, with one vector a block of 16 outputs.

A step multiplies four codes of each of 16 outputs by four bytes of one input vector and adds all to 16 sums. Processors with
AVX-512 VNNI do that in one instruction; elsewhere the same integers come out of generic vectors, in several. Which of the
two is read off the code generator's own feature list, so that NUMBA_CPU_NAME and NUMBA_CPU_FEATURES are respected. Loads and
stores are raw, so NUMBA_BOUNDSCHECK cannot see them.
"""

import numpy as np

from refasr.jit import cgutils, instruction, ir, models, register_model, types

LANES, QUAD = 16, 4  # outputs of a block; inputs that one step multiplies
BLOCK = LANES * QUAD
BIT, BYTE, WORD, INDEX = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
SUMS, CODES, HALVES = ir.VectorType(WORD, LANES), ir.VectorType(BYTE, BLOCK), ir.VectorType(ir.IntType(16), BLOCK // 2)


class SumTile(types.Type):
    """Numba's type of a tile of sums.

    Parameters
    ----------
    blocks : int     R, blocks of 16 outputs.
    columns : int    C, input vectors.
    """

    def __init__(self, blocks, columns):
        self.blocks, self.columns = blocks, columns
        super().__init__(name=f"SumTile({blocks}, {columns})")


@register_model(SumTile)
class SumTileModel(models.PrimitiveModel):
    """A tile is R*C vectors; LLVM keeps each in a register. Parameters: manager, tile."""

    def __init__(self, manager, tile):
        super().__init__(manager, tile, ir.ArrayType(SUMS, tile.blocks * tile.columns))


def has_feature(context, name):
    """Whether the code is for a processor with this feature. Parameters: context (Numba's), name (LLVM's). Returns bool."""
    return f"+{name}" in getattr(context.codegen(), "_tm_features", "").split(",")


def pointer(context, builder, kind, array, index, target):
    """Pointer to an element, as `target`. Parameters: context, builder, kind, array, index, target. Returns an LLVM value."""
    data = cgutils.create_struct_proxy(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), target.as_pointer())


def after(builder, index, step):
    """index + step. Parameters: builder, index, step (int or LLVM value). Returns an LLVM value."""
    return builder.add(index, ir.Constant(INDEX, step) if isinstance(step, int) else step)


def spread(builder, number):
    """A vector of 16 times the number. Parameters: builder, number. Returns an LLVM value."""
    nothing = ir.Constant(SUMS, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(WORD, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(SUMS, [0] * LANES))


def portable_dot(builder, sums, inputs, codes):
    """sums + four products each, of unsigned and signed bytes, in vectors that every processor has.

    Even and odd bytes become 16-bit numbers by shifts. Their products, added in pairs, are a pattern that LLVM knows where
    an instruction for it exists (x86: pmaddwd). Parameters: builder, sums, inputs, codes (LLVM values). Returns one.
    """
    wide, eight = ir.VectorType(WORD, BLOCK // 2), ir.Constant(HALVES, [8] * (BLOCK // 2))
    nothing = ir.Constant(wide, ir.Undefined)
    pick = [ir.Constant(SUMS, list(range(parity, BLOCK // 2, 2))) for parity in (0, 1)]
    u, s = builder.bitcast(inputs, HALVES), builder.bitcast(codes, HALVES)
    low = (builder.lshr(builder.shl(u, eight), eight), builder.ashr(builder.shl(s, eight), eight))
    high = (builder.lshr(u, eight), builder.ashr(s, eight))
    for a, b in (low, high):
        products = builder.mul(builder.sext(a, wide), builder.sext(b, wide))
        pair = [builder.shuffle_vector(products, nothing, parity) for parity in pick]
        sums = builder.add(sums, builder.add(*pair))
    return sums


def dot(context, builder, sums, inputs, codes):
    """The step by the best means there is. Parameters: context, builder, sums, inputs, codes (LLVM values). Returns one."""
    inputs, codes = builder.bitcast(inputs, CODES), builder.bitcast(codes, CODES)
    if not has_feature(context, "avx512vnni"):
        return portable_dot(builder, sums, inputs, codes)
    kind = ir.FunctionType(SUMS, [SUMS, CODES, CODES])
    step = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpdpbusd.512")
    return builder.call(step, [sums, inputs, codes])


def plain_zero_sums(blocks, columns):
    """Tile of zeros. Parameters: blocks, columns (constants). Returns the tile."""
    return np.zeros((blocks, columns, LANES), np.int32)


@instruction(plain_zero_sums)
def zero_sums(_, blocks, columns):
    """Code of `plain_zero_sums`. Parameters: _, blocks, columns. Returns (signature, code generator)."""
    tile = SumTile(blocks.literal_value, columns.literal_value)
    return tile(blocks, columns), lambda context, *_: ir.Constant(context.get_value_type(tile), None)


def plain_start_sums(tile, x, start, stride):
    """Column c, block r is x[start + c stride + 16 r : ... + 16]. Parameters: tile, x, start, stride. Returns the tile."""
    rows = [x.reshape(-1)[start + c * stride :][: len(tile) * LANES] for c in range(tile.shape[1])]
    return np.array(rows).reshape(-1, len(tile), LANES).transpose(1, 0, 2)


@instruction(plain_start_sums)
def start_sums(_, tile, x, start, stride):
    """Code of `plain_start_sums`. Parameters: _, tile, x, start, stride. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        sums, array, start, stride = values
        for c in range(tile.columns):
            for r in range(tile.blocks):
                place = pointer(context, builder, x, array, after(builder, start, r * LANES), SUMS)
                sums = builder.insert_value(sums, builder.load(place, align=4), r * tile.columns + c)
            start = after(builder, start, stride)
        return sums

    return tile(tile, x, types.int64, types.int64), generate


def plain_add_dots(tile, n_steps, codes, start, x, place, stride):
    """Add products of blocks at codes[start:], R after R, and quads of C columns: step s of column c is x[place + s + c stride].

    Parameters
    ----------
    tile : tile
    n_steps : int             A constant; several share the cost of finding places.
    codes : int8 [..]         Each step R blocks of 16 outputs by 4 inputs.
    start : int
    x : uint32 [..]           Quads of unsigned bytes, the inputs plus 128.
    place, stride : int

    Returns
    -------
    tile
    """
    return plain_add_spaced_dots(tile, n_steps, tile.shape[0], codes, start, x, place, stride)


def plain_add_spaced_dots(tile, n_steps, pitch, codes, start, x, place, stride):
    """Like `plain_add_dots`, but a step's R blocks begin `pitch` blocks after those of the step before: a part of a panel.

    Parameters: tile, n_steps, pitch (constants), codes, start, x, place, stride. Returns the tile.
    """
    blocks, columns = tile.shape[:2]
    for s in range(n_steps):
        w = codes[start + s * pitch * BLOCK :][: blocks * BLOCK].reshape(blocks, LANES, QUAD).astype(np.int32)
        quads = x[place + s + stride * np.arange(columns)].view(np.uint8).reshape(columns, QUAD).astype(np.int32)
        tile = tile + np.einsum("rlq,cq->rcl", w, quads)
    return tile


def moved(builder, place, steps):
    """A pointer some elements further. Parameters: builder, place, steps (int). Returns an LLVM value."""
    return builder.gep(place, [ir.Constant(INDEX, steps)])


def column_places(context, builder, kind, x, columns):
    """Pointers to the first quad of each column. Parameters: context, builder, kind, x (its array, place, stride), columns."""
    array, place, stride = x
    found = []
    for _ in range(columns):
        found.append(pointer(context, builder, kind, array, place, WORD))
        place = builder.add(place, stride)
    return found


def dots(context, builder, tile, steps, arrays, values):
    """Code of several steps. Parameters: context, builder, tile, steps (how many, pitch), arrays (types of codes, x), values."""
    sums, code_array, start, *x_values = values
    blocks = pointer(context, builder, arrays[0], code_array, start, CODES)
    columns = column_places(context, builder, arrays[1], x_values, tile.columns)
    for s in range(steps[0]):
        vectors = [builder.load(moved(builder, blocks, s * steps[1] + r), align=1) for r in range(tile.blocks)]
        for c, column in enumerate(columns):
            inputs = spread(builder, builder.load(moved(builder, column, s), align=4))
            for r, vector in enumerate(vectors):
                n = r * tile.columns + c
                sums = builder.insert_value(sums, dot(context, builder, builder.extract_value(sums, n), inputs, vector), n)
    return sums


@instruction(plain_add_dots)
def add_dots(_, tile, n_steps, codes, start, x, place, stride):
    """Code of `plain_add_dots`. Parameters: _, tile, n_steps, codes, start, x, place, stride. Returns (signature, generator)."""

    def generate(context, builder, signature, values):
        return dots(context, builder, tile, (n_steps.literal_value, tile.blocks), (codes, x), (values[0], *values[2:]))

    return tile(tile, n_steps, codes, types.int64, x, types.int64, types.int64), generate


@instruction(plain_add_spaced_dots)
def add_spaced_dots(_, tile, n_steps, pitch, codes, start, x, place, stride):
    """Code of `plain_add_spaced_dots`. Parameters: _, tile, n_steps, pitch, codes, start, x, place, stride. Returns a pair."""

    def generate(context, builder, signature, values):
        steps = n_steps.literal_value, pitch.literal_value
        return dots(context, builder, tile, steps, (codes, x), (values[0], *values[3:]))

    return tile(tile, n_steps, pitch, codes, types.int64, x, types.int64, types.int64), generate


def plain_native_dots():
    """Whether the code has one instruction for a step. Returns bool."""
    return False


@instruction(plain_native_dots)
def native_dots(_):
    """Code of `plain_native_dots`: a constant. Parameters: _. Returns (signature, code generator)."""
    return types.boolean(), lambda context, *_: ir.Constant(BIT, int(has_feature(context, "avx512vnni")))


def plain_store_sums(tile, out, start, stride):
    """Column c becomes out[start + c stride : ... + 16 R]. Parameters: tile, out, start, stride. Returns nothing."""
    for c in range(tile.shape[1]):
        out.reshape(-1)[start + c * stride :][: len(tile) * LANES] = tile[:, c].reshape(-1)


@instruction(plain_store_sums)
def store_sums(_, tile, out, start, stride):
    """Code of `plain_store_sums`. Parameters: _, tile, out, start, stride. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        sums, array, start, stride = values
        for c in range(tile.columns):
            for r in range(tile.blocks):
                place = pointer(context, builder, out, array, after(builder, start, r * LANES), SUMS)
                builder.store(builder.extract_value(sums, r * tile.columns + c), place, align=4)
            start = after(builder, start, stride)
        return context.get_dummy_value()

    return types.void(tile, out, types.int64, types.int64), generate


def plain_flip_block(x, start, out, at):
    """The 64 numbers from x[start] on, plus 128, become out[at : at + 16].

    Parameters: x (int8), start, out (uint32), at. Returns nothing.
    """
    out[at : at + LANES] = (x.reshape(-1)[start : start + BLOCK].view(np.uint8) ^ np.uint8(128)).view(np.uint32)


@instruction(plain_flip_block)
def flip_block(_, x, start, out, at):
    """Code of `plain_flip_block`. Parameters: _, x, start, out, at. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        numbers = builder.load(pointer(context, builder, x, *values[:2], CODES), align=1)
        flipped = builder.xor(numbers, ir.Constant(CODES, [128] * BLOCK))
        builder.store(flipped, pointer(context, builder, out, *values[2:], CODES), align=4)
        return context.get_dummy_value()

    return types.void(x, types.int64, out, types.int64), generate


def plain_fetch_ahead(array, index):
    """Tell the processor that array[index] will be read soon; changes no result. Parameters: array, index. Returns nothing."""


@instruction(plain_fetch_ahead)
def fetch_ahead(_, array, index):
    """Code of `plain_fetch_ahead`, to the second cache. Parameters: _, array, index. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        place = pointer(context, builder, array, values[0], values[1], BYTE)
        kind = ir.FunctionType(ir.VoidType(), [place.type, WORD, WORD, WORD])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(call, [place, *(ir.Constant(WORD, number) for number in (0, 2, 1))])  # to read, nearly near, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


def plain_add_sums(tile, other):
    """tile + other, of one shape. Parameters: tile, other. Returns the tile."""
    return tile + other


@instruction(plain_add_sums)
def add_sums(_, tile, other):
    """Code of `plain_add_sums`. Parameters: _, tile, other. Returns (signature, code generator)."""

    def generate(_, builder, signature, values):
        sums, others = values
        for n in range(tile.blocks * tile.columns):
            total = builder.add(builder.extract_value(sums, n), builder.extract_value(others, n))
            sums = builder.insert_value(sums, total, n)
        return sums

    return tile(tile, tile), generate
