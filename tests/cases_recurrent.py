"""Strategies for the twin of `refasr.nn.recurrent`."""

from cases_nn import layer, normal, sometimes_spoilt
from hypothesis import strategies as st

from refasr.nn import lstm


def frames(draw):
    """Parameters: draw. Returns the arguments of `recurrent_layer`."""
    n_inputs, width, weights = layer(draw)
    state = lstm.LstmState(normal(draw, width), normal(draw, width))
    return normal(draw, draw(st.integers(0, 4)), n_inputs), state, weights, normal(draw, width), normal(draw, width)


CASES = {"refasr.nn.recurrent.recurrent_layer": sometimes_spoilt(frames)}
