"""Strategies for the scale of rows that are to be rounded."""

import numpy as np
from hypothesis import strategies as st

from cases_transducer import poison

SIZES = st.sampled_from([0.0, 1e-42, 1e-30, 1e-3, 1.0, 1e30])
LIMITS = st.sampled_from([1, 3, 7, 15, 31, 62, 63, 127])


@st.composite
def matrices(draw):
    """Weights, some of them zero, some already rounded. Parameters: draw. Returns (weights, limit)."""
    source, limit = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(LIMITS)
    weights = (source.standard_t(3, (draw(st.integers(0, 5)), draw(st.integers(0, 40)))) * draw(SIZES)).astype(np.float32)
    weights[source.random(weights.shape) < draw(st.sampled_from([0.0, 0.5, 0.95, 1.0]))] = 0
    if draw(st.booleans()):
        weights = np.float32(0.125) * np.clip(np.round(weights), -limit, limit)
    return weights, limit


@st.composite
def spoilt(draw):
    """One thing wrong. Parameters: draw. Returns (weights, limit)."""
    weights = np.ones((3, 4), np.float32)
    return draw(st.sampled_from([(poison(weights, np.nan), 7), (poison(weights, np.inf), 7), (weights.astype(float), 7),
                                 (weights[0], 7), (weights.T, 7), (weights, 0), (weights, 128), (None, 7)]))


CASES = {"refasr.train.row_scale.row_scale": st.integers(0, 3).flatmap(lambda choice: matrices() if choice else spoilt())}
