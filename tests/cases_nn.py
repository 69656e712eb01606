"""Strategies for the twins of `refasr.nn` and of the joiner: all sizes around the borders of tiles, and arguments to refuse."""

import numpy as np
from hypothesis import strategies as st

from refasr.nn import layer_norm, lstm, optimiser
from refasr.transducer import joiner

SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.sampled_from([0.0, 1e-20, 0.3, 1.0, 1.0, 30.0])
WIDTHS = st.sampled_from([1, 2, 5, 16, 17])


def normal(draw, *shape):
    """Random numbers of a random scale. Parameters: draw, *shape. Returns a float32 array."""
    return (draw(SCALES) * np.random.default_rng(draw(SEEDS)).standard_normal(shape)).astype(np.float32)


def wrong(array):
    """What a careless caller may pass instead. Parameters: array. Returns a strategy."""
    return st.sampled_from([array.astype(np.float64), array[..., None], np.repeat(array, 2, axis=-1)[..., ::2],
                            np.concatenate([array, array, array]), array.tolist(), None])


def spoil(draw, value):
    """The same with one array replaced, at any depth of tuples. Parameters: draw, value. Returns another value."""
    if not isinstance(value, tuple):
        return draw(wrong(value))
    i = draw(st.sampled_from([i for i, part in enumerate(value) if isinstance(part, np.ndarray) or isinstance(part, tuple) and
                              isinstance(part[0], np.ndarray)]))
    parts = [spoil(draw, part) if i == j else part for j, part in enumerate(value)]
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)


def sometimes_spoilt(good):
    """Good arguments four times in five. Parameters: good, a function of draw that makes them. Returns a strategy."""

    @st.composite
    def arguments(draw):
        made = good(draw)
        return made if draw(st.integers(0, 4)) else spoil(draw, made)

    return arguments()


def layer(draw):
    """A layer's sizes and weights. Parameters: draw. Returns (K, N, LstmWeights)."""
    n_inputs, width = draw(st.sampled_from([1, 3, 8, 70])), draw(WIDTHS)
    weights = lstm.LstmWeights(normal(draw, n_inputs, 4 * width), normal(draw, width, 4 * width), normal(draw, 4 * width))
    return n_inputs, width, weights


def step(draw):
    """Parameters: draw. Returns the arguments of `lstm_step`."""
    n_inputs, width, weights = layer(draw)
    return normal(draw, n_inputs), lstm.LstmState(normal(draw, width), normal(draw, width)), weights


def sequence(draw):
    """Parameters: draw. Returns the arguments of `lstm_sequence`."""
    n_inputs, _, weights = layer(draw)
    active = np.array(sorted(draw(st.lists(st.integers(1, 9), min_size=1, max_size=6)), reverse=True), np.int32)
    if draw(st.integers(0, 9)) == 0:
        active = draw(st.sampled_from([active[:0], active - 9, np.append(active, np.int32(10))]))
    return normal(draw, max(0, int(active.sum())), n_inputs), active, weights


def sequence_backward(draw):
    """Parameters: draw. Returns the arguments of `lstm_sequence_backward`."""
    n_inputs, width, weights = layer(draw)
    active = np.array(sorted(draw(st.lists(st.integers(1, 9), min_size=1, max_size=6)), reverse=True), np.int32)
    x = normal(draw, int(active.sum()), n_inputs)
    outputs, cache = lstm.lstm_sequence(x, active, weights)
    return normal(draw, len(x), width), x, active, outputs, cache, weights, draw(st.booleans())


def rows(draw):
    """Parameters: draw. Returns the arguments of `layer_norm`; some rows are constant, some far from 0."""
    n_rows, width = draw(st.integers(0, 5)), draw(st.sampled_from([0, 1, 2, 7, 8, 9, 40]))
    x = normal(draw, n_rows, width) + np.float32(draw(st.sampled_from([0, 0, 1, -100])))
    x[: draw(st.integers(0, 2))] = 3
    return x, normal(draw, width), normal(draw, width)


def rows_backward(draw):
    """Parameters: draw. Returns the arguments of `layer_norm_backward`."""
    n_rows, width = draw(st.integers(0, 5)), draw(WIDTHS)
    _, cache = layer_norm.layer_norm(normal(draw, n_rows, width), normal(draw, width), normal(draw, width))
    return normal(draw, n_rows, width), cache, normal(draw, width)


def update(draw):
    """Parameters: draw. Returns the arguments of `adam`."""
    n = draw(st.integers(0, 40))
    state = optimiser.AdamState(normal(draw, n), np.abs(normal(draw, n)), normal(draw, n))
    rates = optimiser.AdamRates(draw(st.sampled_from([0.0, 1e-3, 1.0])), weight_decay=draw(st.sampled_from([0.0, 0.01])))
    return normal(draw, n), normal(draw, n), state, draw(st.integers(0, 10**6)), rates


def factors(draw):
    """Parameters: draw. Returns the arguments of `product`."""
    m, k, n = draw(st.integers(0, 9)), draw(st.sampled_from([0, 1, 2, 30])), draw(st.sampled_from([0, 1, 63, 64, 65, 130]))
    return normal(draw, m, k), normal(draw, k, n)


def grid(draw):
    """Parameters: draw. Returns the arguments of `join_grid`."""
    n_frames, n_rows = draw(st.integers(0, 3)), draw(st.integers(0, 9))
    width, n_units = draw(st.sampled_from([0, 1, 30, 64, 70])), draw(st.sampled_from([0, 1, 36, 40, 41, 90]))
    return normal(draw, n_frames, width), normal(draw, n_rows, width), normal(draw, width, n_units), normal(draw, n_units)


def grid_backward(draw):
    """Parameters: draw. Returns the arguments of `join_grid_backward`; most nodes have no gradient, as in training."""
    e, p, output, bias = grid(draw)
    logits, hidden = joiner.join_grid(e, p, output, bias)
    dlogits = normal(draw, *logits.shape)
    dlogits[np.random.default_rng(draw(SEEDS)).random(logits.shape[:2]) < 0.7] = 0
    return dlogits, hidden, output


CASES = {
    "refasr.nn.layer_norm.layer_norm": sometimes_spoilt(rows),
    "refasr.nn.layer_norm.layer_norm_backward": sometimes_spoilt(rows_backward),
    "refasr.nn.lstm.lstm_sequence": sometimes_spoilt(sequence),
    "refasr.nn.lstm.lstm_sequence_backward": sometimes_spoilt(sequence_backward),
    "refasr.nn.lstm.lstm_step": sometimes_spoilt(step),
    "refasr.nn.optimiser.adam": sometimes_spoilt(update),
    "refasr.nn.product.product": sometimes_spoilt(factors),
    "refasr.transducer.joiner.join_grid": sometimes_spoilt(grid),
    "refasr.transducer.joiner.join_grid_backward": sometimes_spoilt(grid_backward),
}
