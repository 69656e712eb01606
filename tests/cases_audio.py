"""Strategies for the twins of `refasr.audio`."""

import numpy as np
from hypothesis import strategies as st

SAMPLES = st.tuples(st.integers(0, 400), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-30, 0.1, 1.0, 1e30])).map(
    lambda parts: (parts[2] * np.random.default_rng(parts[1]).standard_normal(parts[0])).astype(np.float32))
FACTORS = st.one_of(st.floats(0.8, 1.25), st.sampled_from([0.8, 1, 1.0, np.float32(1.1), 1.25]))
SPOILT = st.sampled_from([np.zeros(4), np.zeros((2, 2), np.float32), np.zeros(8, np.float32)[::2], np.zeros(4, np.int16),
                          [0.5], None])
WRONG = st.sampled_from([0.79, 1.26, 0.0, -1.0, np.nan, np.inf])
STRANGE = st.sampled_from([np.array([np.nan, 1, -np.inf, 0], np.float32), np.full(30, np.inf, np.float32)])

CASES = {
    "refasr.audio.speed.change_speed": st.one_of(st.tuples(SAMPLES, FACTORS), st.tuples(STRANGE, FACTORS),
                                                 st.tuples(SPOILT, FACTORS), st.tuples(SAMPLES, WRONG)),
}
