"""Strategies for the twins of `refasr.endpoint`: small networks, tame and wild inputs, and spoilt ones."""

import numpy as np
from hypothesis import strategies as st

from refasr.endpoint.fit import start_sound, start_text
from refasr.nn.lstm import LstmState

F32 = np.float32
SIZES = st.sampled_from([0.0, 1.0, 3.0, 100.0, 9999.0])


@st.composite
def frames(draw):
    """Arguments of `finished`. Parameters: draw. Returns a tuple."""
    n_sound, n_decoder, width, joint = (draw(st.integers(low, 9)) for low in (1, 0, 1, 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vector = lambda n: (rng.standard_normal(n) * draw(SIZES)).clip(-9999, 9999).astype(F32)
    weights = start_sound(rng, vector(n_sound), np.ones(n_sound, F32), n_decoder, (width, joint))
    good = vector(n_sound), vector(n_decoder), LstmState(vector(width), vector(width)), weights
    bad = [(0, good[0].astype(np.float64)), (0, good[0][:-1]), (1, np.append(good[1], F32(np.nan))), (1, None),
           (0, np.full(n_sound, np.nan, F32)), (0, np.full(n_sound, 1e9, F32)), (1, np.full(n_decoder, -np.inf, F32)),
           (2, LstmState(good[2].h, good[2].c[:-1])), (2, LstmState(good[2].h, np.full(width, np.nan, F32))),
           (3, weights._replace(joint=weights.joint[:width - 1])), (3, weights._replace(output_bias=np.zeros(2, F32))),
           (3, weights._replace(scale=np.ones(n_sound + 1, F32)))]
    return spoilt(draw, good, bad)


@st.composite
def units(draw):
    """Arguments of `complete`. Parameters: draw. Returns a tuple."""
    n_units, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vector = lambda n: (rng.standard_normal(n) * draw(SIZES)).clip(-9999, 9999).astype(F32)
    weights = start_text(rng, n_units, width)
    good = draw(st.integers(0, n_units - 1)), LstmState(vector(width), vector(width)), weights
    bad = [(0, -1), (0, n_units), (0, 0.5), (0, 2**70), (1, LstmState(good[1].h[:-1], good[1].c)),
           (1, LstmState(good[1].h, good[1].c.astype(np.float64))), (2, weights._replace(table=weights.table[:, :-1])),
           (2, weights._replace(output=weights.output[::-1][::2]))]
    return spoilt(draw, good, bad)


def spoilt(draw, good, bad):
    """Good arguments, now and then with one of them replaced. Parameters: draw, good (tuple), bad (list of (place, value))."""
    if draw(st.integers(0, 3)):
        return good
    at, value = draw(st.sampled_from(bad))
    return (*good[:at], value, *good[at + 1:])


CASES = {"refasr.endpoint.model.finished": frames(), "refasr.endpoint.model.complete": units()}
