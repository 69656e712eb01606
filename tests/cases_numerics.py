"""Cases for `refasr.numerics`: all float32 there are, the borders of every branch, and arguments to refuse."""

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

BORDERS = (0.0, -0.0, 1.0, -1.0, 0.70710678, 1.41421356, 7.9053111, -7.9053111, -87.0, 88.0, 127.5, 1e-38, 3e38, 1e-45,
           float("inf"), float("-inf"), float("nan"))


def floats(dtype, n):
    """Arrays of n numbers, one in three a border. Parameters: dtype, n. Returns a strategy."""
    width = np.dtype(dtype).itemsize * 8
    borders = st.sampled_from([float(dtype(value)) for value in BORDERS])
    usual = st.floats(-100, 100, width=width)
    return hnp.arrays(dtype, n, elements=st.one_of(borders, usual, st.floats(width=width)))


def hostile(array):
    """What a careless caller may pass instead. Parameters: array. Returns a strategy of arrays and other objects."""
    other = np.float64 if array.dtype == np.float32 else np.float32
    with np.errstate(over="ignore"):
        return st.sampled_from([array.astype(other), array.reshape(-1, 1), np.repeat(array, 2)[::2], array.tolist(), None])


@st.composite
def vectors(draw, dtype, count):
    """Argument tuples of `count` equally long vectors; now and then one is wrong. Parameters: draw, dtype, count."""
    n = draw(st.integers(0, 40))
    arguments = [draw(floats(dtype, n)) for _ in range(count)]
    if draw(st.integers(0, 5)) == 0:
        victim = draw(st.integers(0, count - 1))
        arguments[victim] = draw(st.one_of(hostile(arguments[victim]), floats(dtype, n + 1)))
    return tuple(arguments)


CASES = {f"refasr.numerics.{name}": vectors(np.float32, 1) for name in ("exp", "log", "tanh", "sigmoid")}
CASES["refasr.numerics.log_add"] = vectors(np.float64, 2)
