"""Cases for the integer network: random and extreme codes, multipliers over their whole range, and arguments to refuse."""

import numpy as np
from hypothesis import strategies as st

from tiny_integer import tiny_integer_model

from refasr.compress.integer_layer import IntegerLstm, IntegerState
from refasr.compress.integer_ops import Cell, Joint, Norm, Rescale
from refasr.compress.integer_network import scorer_of
from refasr.hw.gemm import pack_weights

WIDTHS = st.sampled_from([1, 2, 3, 5, 16, 17, 33])
BATCHES = st.sampled_from([0, 1, 1, 2, 3, 5])
SEEDS = st.integers(0, 2**32 - 1)
INT32 = 2**31 - 1


def codes(rng, shape, limit=127):
    """Random codes, or only the ends. Parameters: rng, shape, limit. Returns int8."""
    if rng.random() < 0.3:
        return rng.choice(np.array([-limit, limit], np.int8), shape)
    return rng.integers(-limit, limit + 1, shape).astype(np.int8)


def sums(rng, shape):
    """Accumulators of any size. Parameters: rng, shape. Returns int32."""
    if rng.random() < 0.1:
        return rng.choice(np.array([-INT32, -1, 0, 1, INT32], np.int32), shape)
    return (rng.integers(-INT32, INT32, shape) >> rng.integers(0, 31, shape)).astype(np.int32)


def multipliers(rng, n):
    """Multipliers, now and then 0 or the largest. Parameters: rng, n. Returns int32."""
    ends = rng.choice(np.array([0, 1, 1 << 30, INT32]), n)
    return np.where(rng.random(n) < 0.2, ends, rng.integers(1 << 28, INT32, n)).astype(np.int32)


def shifts(rng, n, likely):
    """Shifts around a likely one, or anywhere. Parameters: rng, n, likely. Returns int8."""
    near = np.clip(likely + rng.integers(-4, 5, n), 1, 62)
    return np.where(rng.random(n) < 0.1, rng.integers(1, 63, n), near).astype(np.int8)


def cell_of(rng, width):
    """An LSTM's cell whose sums fit. Parameters: rng, width. Returns a Cell."""
    n = 4 * width
    pair = [multipliers(rng, n) >> 1 for _ in range(2)]
    bias = (sums(rng, n) >> 10).astype(np.int32)
    return Cell(bias, *pair, shifts(rng, n, 33), int(rng.integers(0, 13)), multipliers(rng, 1), shifts(rng, 1, 53))


def norm_of(rng, width):
    """A normalisation. Parameters: rng, width. Returns a Norm."""
    gain = rng.integers(-32767, 32768, width).astype(np.int16)
    return Norm(gain, (sums(rng, width) >> 8).astype(np.int32), int(rng.integers(0, 12)), int(rng.integers(1, 1 << 20)))


def wrong(array):
    """What a careless caller may pass instead of an array. Parameters: array. Returns a list."""
    return [array.astype(np.float64), array[..., None], np.repeat(array, 2, axis=-1)[..., ::2], array.tolist(), None,
            np.repeat(array, 2, axis=-1)]


def spoiled(draw, arguments):
    """The arguments, one time in six with something else instead of an array. Parameters: draw, arguments. Returns a tuple."""
    if draw(st.integers(0, 5)):
        return arguments
    arguments = list(arguments)
    victim = draw(st.sampled_from([i for i, value in enumerate(arguments) if isinstance(value, np.ndarray)]))
    arguments[victim] = draw(st.sampled_from(wrong(arguments[victim])))
    return tuple(arguments)


@st.composite
def requantised(draw):
    """Of `requantise_half_up`. Parameters: draw. Returns its arguments."""
    rng, n = np.random.default_rng(draw(SEEDS)), draw(WIDTHS)
    m = draw(st.sampled_from([1, n]))
    arguments = [sums(rng, (draw(BATCHES), n)), multipliers(rng, m), shifts(rng, m, 31)]
    spoil = draw(st.integers(0, 9))
    if spoil == 0:
        arguments[1] = -arguments[1]
    if spoil == 1:
        arguments[2] = (arguments[2] + 62).astype(np.int8)
    return spoiled(draw, tuple(arguments))


@st.composite
def rows(draw, kind):
    """Of the operations on rows. Parameters: draw, kind. Returns the arguments."""
    rng, n, b = np.random.default_rng(draw(SEEDS)), draw(WIDTHS), draw(BATCHES)
    if kind == "rescale":
        arguments = sums(rng, (b, n)), Rescale(sums(rng, n), multipliers(rng, n), shifts(rng, n, 40))
    elif kind == "cell":
        c = rng.integers(-32767, 32768, (b, n)).astype(np.int16)
        arguments = sums(rng, (b, 4 * n)), sums(rng, (b, 4 * n)), c, cell_of(rng, n)
    elif kind == "norm":
        flat = rng.random() < 0.2
        q = np.repeat(codes(rng, (b, 1)), n, axis=1) if flat else codes(rng, (b, n), int(rng.choice([1, 20, 127])))
        arguments = np.ascontiguousarray(q), norm_of(rng, n)
    else:
        one = lambda likely: shifts(rng, 1, likely)
        joint = Joint(multipliers(rng, 1), multipliers(rng, 1), one(30), multipliers(rng, 1), one(39))
        arguments = codes(rng, (b, n)), codes(rng, (b, n)), joint
    return spoiled(draw, arguments)


@st.composite
def inputs(draw):
    """Of `quantise_input`: also huge numbers, ties and NaN. Parameters: draw. Returns the arguments."""
    rng = np.random.default_rng(draw(SEEDS))
    x = (rng.normal(0, draw(st.sampled_from([1.0, 3.0, 1e30])), (draw(BATCHES), draw(WIDTHS)))).astype(np.float32)
    if draw(st.booleans()):
        x = np.rint(x * 2) / np.float32(2)
    if x.size and draw(st.integers(0, 9)) == 0:
        x[-1, -1] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    return spoiled(draw, (x, np.array([draw(st.sampled_from([1.0, 30.0, 1e10]))], np.float32)))


@st.composite
def tanhs(draw):
    """Of `tanh15`. Parameters: draw. Returns the arguments."""
    rng = np.random.default_rng(draw(SEEDS))
    limit = draw(st.sampled_from([32767, 32767, 200, 32769]))
    return spoiled(draw, (rng.integers(-limit, limit + 1, draw(WIDTHS) * 5).astype(np.int32),))


@st.composite
def rsqrts(draw):
    """Of `rsqrt15`: all magnitudes, borders of the table. Parameters: draw. Returns the arguments."""
    rng, n = np.random.default_rng(draw(SEEDS)), draw(WIDTHS)
    e = np.int64(1) << rng.integers(0, 62, n)
    e = np.maximum(e + rng.integers(-1, 2, n), 1) if draw(st.booleans()) else e + rng.integers(0, np.maximum(e, 1), n)
    if draw(st.integers(0, 9)) == 0:
        e[0] = draw(st.sampled_from([0, -5, 1 << 62]))
    return spoiled(draw, (e,))


def lstm_of(draw, rng, n_inputs, width):
    """Packed weights. Parameters: draw, rng, n_inputs, width. Returns an IntegerLstm."""
    limit = draw(st.sampled_from([7, 15, 127]))
    layout = draw(st.sampled_from(["dense", "dense", "blocks", "bitmap"]))
    return IntegerLstm(pack_weights(codes(rng, (4 * width, n_inputs), limit), layout),
                       pack_weights(codes(rng, (4 * width, width), limit), "dense"), cell_of(rng, width))


@st.composite
def steps(draw):
    """Of `lstm_step`. Parameters: draw. Returns the arguments."""
    rng, k, n, b = np.random.default_rng(draw(SEEDS)), draw(WIDTHS), draw(WIDTHS), draw(BATCHES)
    c = rng.integers(-32767, 32768, (b, n)).astype(np.int16)
    lstm = lstm_of(draw, rng, k, n)
    if draw(st.integers(0, 9)) == 0:
        lstm = draw(st.sampled_from([lstm._replace(input=None), lstm._replace(recurrent=lstm.input)]))
    return spoiled(draw, (codes(rng, (b, k)), codes(rng, (b, n)), c, lstm))


@st.composite
def layers(draw):
    """Of `recurrent_layer`. Parameters: draw. Returns the arguments."""
    rng, k, n = np.random.default_rng(draw(SEEDS)), draw(WIDTHS), draw(WIDTHS)
    state = IntegerState(codes(rng, n), rng.integers(-32767, 32768, n).astype(np.int16))
    if draw(st.integers(0, 9)) == 0:
        state = state._replace(c=state.c[:, None])
    return spoiled(draw, (codes(rng, (draw(BATCHES), k)), state, lstm_of(draw, rng, k, n), norm_of(rng, n)))


@st.composite
def texts(draw):
    """Of `integer_scorer.next_text`. Parameters: draw. Returns the arguments."""
    rng, b = np.random.default_rng(draw(SEEDS)), draw(BATCHES)
    scorer = scorer_of(tiny_integer_model(draw(st.sampled_from([8, 4]))))
    width, _, n_units = scorer.widths
    labels = rng.integers(0, n_units, b).astype(np.int32)
    if b and draw(st.integers(0, 9)) == 0:
        labels[0] = draw(st.sampled_from([-1, n_units]))
    c = rng.integers(-32767, 32768, (b, width)).astype(np.int16)
    if draw(st.integers(0, 9)) == 0:
        scorer = scorer._replace(output=scorer.output[:, :-1].copy())
    return spoiled(draw, (labels, codes(rng, (b, width)), c, scorer))


@st.composite
def scores(draw):
    """Of `integer_scorer.unit_scores`. Parameters: draw. Returns the arguments."""
    rng, scorer = np.random.default_rng(draw(SEEDS)), scorer_of(tiny_integer_model(draw(st.sampled_from([8, 4]))))
    joint = scorer.widths[1]
    return spoiled(draw, (codes(rng, joint), codes(rng, (draw(BATCHES), joint)), scorer))


OPS = "refasr.compress.integer_ops"
CASES = {"refasr.numerics.requantise_half_up": requantised(), "refasr.compress.tables.tanh15": tanhs(),
         "refasr.compress.tables.rsqrt15": rsqrts(), f"{OPS}.quantise_input": inputs(), f"{OPS}.rescale_rows": rows("rescale"),
         f"{OPS}.logit_rows": rows("rescale"), f"{OPS}.lstm_cell": rows("cell"), f"{OPS}.layer_norm": rows("norm"),
         f"{OPS}.join": rows("join"), "refasr.compress.integer_layer.lstm_step": steps(),
         "refasr.compress.integer_layer.recurrent_layer": layers(), "refasr.search.integer_scorer.next_text": texts(),
         "refasr.search.integer_scorer.unit_scores": scores()}
