"""Hints to compiler and processor, as instructions of Numba kernels: they change the speed and never a result."""

from refasr.jit import cgutils, instruction, ir, types

BYTE, WORD = ir.IntType(8), ir.IntType(32)


def plain_prefer_wide():
    """Have the calling kernel use the widest vectors of the processor.

    LLVM uses half of AVX-512's on Intel processors, because the first that had them slowed down. NumPy has nothing to choose.
    """


@instruction(plain_prefer_wide)
def prefer_wide(_):
    """Code of `plain_prefer_wide`. Parameters: _. Returns (signature, code generator)."""

    def generate(context, builder, *_):
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')  # an attribute that llvmlite does not know
        return context.get_dummy_value()

    return types.none(), generate


def plain_fetch_soon(array, index):
    """Tell the processor that array[index] is needed soon; it may lie outside. Parameters: array, index. Returns nothing."""


@instruction(plain_fetch_soon)
def fetch_soon(_, array, index):
    """Code of `plain_fetch_soon`, to the second cache. Parameters: _, array, index. Returns (signature, code generator)."""

    def generate(context, builder, signature, values):
        data = cgutils.create_struct_proxy(array)(context, builder, values[0]).data
        place = builder.bitcast(builder.gep(data, [values[1]]), BYTE.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [place.type, WORD, WORD, WORD])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(call, [place, *(ir.Constant(WORD, number) for number in (0, 2, 1))])  # to read, nearly near, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate
