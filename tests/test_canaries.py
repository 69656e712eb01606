"""Twins with raw loads and stores, which no bounds check sees: a fence around every buffer must stay as it was.

Arguments, and every array that the twin allocates, are put between two fences whose bytes are all ones, NaN to a float.
A stray write changes a fence; a stray read that matters, also one of memory not yet written, makes the result NaN.
"""

import dataclasses
import os

import numpy as np
import pytest
from agreement import snapshot
from cases import CASES
from house import RAW
from hypothesis import given
from hypothesis import strategies as st
from test_twins import outcome

from refasr.twins import TWINS

FENCE_BYTES, ALIGNMENT_BYTES = 512, 64
ALLOCATE = np.empty
NAMES = sorted(name for name in set(TWINS) & set(CASES) if TWINS[name].fast.__module__ in RAW)


class Fences:
    """Allocates arrays between fences, and remembers them."""

    def __init__(self):
        self.raw = []

    def empty(self, shape, dtype=np.float64):
        """Stands in for numpy.empty. Parameters: shape, dtype. Returns an array full of ones in every bit."""
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        raw = ALLOCATE(size + 2 * FENCE_BYTES + ALIGNMENT_BYTES, np.uint8)
        raw[:] = 0xFF
        start = FENCE_BYTES + -(raw.ctypes.data + FENCE_BYTES) % ALIGNMENT_BYTES
        self.raw.append((raw, start, start + size))
        return raw[start:start + size].view(dtype).reshape(shape)

    def zeros(self, shape, dtype=np.float64):
        """Stands in for numpy.zeros. Parameters: shape, dtype. Returns an array."""
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def empty_like(self, array):
        """Stands in for numpy.empty_like. Parameters: array. Returns an array."""
        return self.empty(array.shape, array.dtype)

    def zeros_like(self, array):
        """Stands in for numpy.zeros_like. Parameters: array. Returns an array."""
        return self.zeros(array.shape, array.dtype)

    def enclose(self, value):
        """Copy the arrays of an argument into fenced memory. Parameters: value (nested). Returns the same structure."""
        if isinstance(value, np.ndarray) and value.flags.c_contiguous and value.dtype != object:
            copy = self.empty_like(value)
            copy[...] = value
            return copy
        if isinstance(value, tuple):
            parts = map(self.enclose, value)
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        if dataclasses.is_dataclass(value):
            fields = {field.name: self.enclose(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return dataclasses.replace(value, **fields)
        return [self.enclose(part) for part in value] if isinstance(value, list) else value

    def broken(self):
        """How many fences were written to."""
        return sum(not (np.all(raw[:start] == 0xFF) and np.all(raw[end:] == 0xFF)) for raw, start, end in self.raw)


def test_fences_notice_a_stray_write():
    fences = Fences()
    array = fences.enclose((np.arange(5, dtype=np.float32),))[0]
    assert fences.broken() == 0 and array.ctypes.data % ALIGNMENT_BYTES == 0
    np.lib.stride_tricks.as_strided(array, shape=(6,))[5] = 1
    assert fences.broken() == 1


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="uncompiled, NumPy checks every index")
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_twin_stays_within_its_buffers(name, data):
    arguments = data.draw(CASES[name])
    want, error = outcome(TWINS[name].fast, arguments)  # also compiles, which needs the true numpy.empty
    fences = Fences()
    enclosed = fences.enclose(arguments)
    with pytest.MonkeyPatch.context() as patch:
        for function in ("empty", "zeros", "empty_like", "zeros_like"):
            patch.setattr(np, function, getattr(fences, function))
        got, got_error = outcome(TWINS[name].fast, enclosed)
    assert fences.broken() == 0
    assert (got_error, snapshot(got)) == (error, snapshot(want))
