"""Strategies for the twins of `refasr.metrics`."""

import numpy as np
from hypothesis import strategies as st

WORDS = st.lists(st.one_of(st.integers(0, 3), st.sampled_from([-2**31, 2**31 - 1])), max_size=12)


def as_ids(words, dtype=np.int32):
    """Ids of one text. Parameters: words, dtype. Returns an array."""
    return np.array(words, dtype)


SPOILT = st.sampled_from([np.zeros(2, np.int64), np.zeros((2, 2), np.int32), np.zeros(6, np.int32)[::2], [1, 2], None, 3.0])
TEXT = WORDS.map(as_ids)
PAIR = st.one_of(st.tuples(TEXT, TEXT), st.tuples(TEXT, SPOILT), st.tuples(SPOILT, TEXT))


@st.composite
def several(draw):
    """Texts end to end, sometimes with ends that do not fit. Parameters: draw. Returns the arguments of `edit_distances`."""
    pairs = draw(st.lists(st.tuples(WORDS, WORDS), max_size=5))
    sides = []
    for side in zip(*pairs) if pairs else ([], []):
        ends = np.cumsum([len(words) for words in side], dtype=np.int64)
        sides += [as_ids([word for words in side for word in words]), ends]
    spoil = draw(st.integers(0, 7))
    if spoil < 4 and pairs:
        sides[spoil] = draw(st.sampled_from([sides[spoil][:-1], sides[spoil][::-1].copy(), sides[spoil] - 1,
                                             sides[spoil].astype(np.float64)]))
    return tuple(sides)


CASES = {
    "refasr.metrics.edit_distance.edit_distance": PAIR,
    "refasr.metrics.edit_distance.edit_distances": several(),
    "refasr.metrics.edit_distance.align": PAIR,
}
