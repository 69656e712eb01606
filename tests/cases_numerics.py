"""Cases for `refasr.numerics`: all float32 there are, the borders of every branch, and arguments to refuse."""

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

BORDERS = (0.0, -0.0, 1.0, -1.0, 0.70710678, 1.41421356, 7.9053111, -7.9053111, -87.0, 88.0, 127.5, 1e-38, 3e38, 1e-45,
           float("inf"), float("-inf"), float("nan"))


def floats(dtype, n):
    """Arrays of n numbers, chosen one by one (a third are borders) or all at random. Parameters: dtype, n. Returns a strategy."""
    width = np.dtype(dtype).itemsize * 8
    borders = st.sampled_from([float(dtype(value)) for value in BORDERS])
    each = hnp.arrays(dtype, n, elements=st.one_of(borders, st.floats(-100, 100, width=width), st.floats(width=width)))
    dense = st.tuples(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0, 10.0, 90.0])).map(
        lambda seed_range: np.random.default_rng(seed_range[0]).normal(0, seed_range[1], n).astype(dtype))
    return st.one_of(each, dense, dense.map(np.abs))


def hostile(array):
    """What a careless caller may pass instead. Parameters: array. Returns a strategy of arrays and other objects."""
    other = np.float64 if array.dtype == np.float32 else np.float32
    with np.errstate(over="ignore"):
        return st.sampled_from([array.astype(other), array.reshape(-1, 1), np.repeat(array, 2)[::2], array.tolist(), None])


@st.composite
def vectors(draw, dtype, count):
    """Argument tuples of `count` equally long vectors; now and then one is wrong. Parameters: draw, dtype, count."""
    n = draw(st.one_of(st.integers(0, 40), st.just(300)))
    arguments = [draw(floats(dtype, n)) for _ in range(count)]
    if draw(st.integers(0, 5)) == 0:
        victim = draw(st.integers(0, count - 1))
        arguments[victim] = draw(st.one_of(hostile(arguments[victim]), floats(dtype, n + 1)))
    return tuple(arguments)


CASES = {f"refasr.numerics.{name}": vectors(np.float32, 1) for name in ("exp", "log", "tanh", "sigmoid")}
CASES["refasr.numerics.log_add"] = vectors(np.float64, 2)
