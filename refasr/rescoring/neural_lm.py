"""The neural language model: an LSTM that spells, one unit after the other, and says how probable each was.

    e[u] = table[unit u-1],  (h[u], c[u]) = Lstm(e[u], h[u-1], c[u-1]),  p[u] = softmax(h[u] W + b)
    ln P(words) = sum over u of ln p[u][unit u],   unit 0 and the last: </s>

Units are the recogniser's own: letters, with a mark before each word. So any word that the recogniser can write has a
probability, also a name that no text held; a table of words would have spent nearly all of its weights on rows for words that
training hardly ever saw. The cost is a step a letter instead of one a word, which the second pass can afford.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks, numerics
from refasr.errors import RangeError, ShapeError
from refasr.nn import embedding, linear, lstm
from refasr.nn.lstm import LstmWeights
from refasr.transducer.units import CHARACTERS

F32 = np.float32
STOP = CHARACTERS.index("</s>")     # before the first unit and after the last
LONGEST_WORD = 200                  # units of a text scored at once


class NeuralLm(NamedTuple):
    """Weights; all float32."""

    table: np.ndarray        # (V, E)
    input: np.ndarray        # (E, 4N)  LSTM, gates in the order input, forget, cell, output
    recurrent: np.ndarray    # (N, 4N)
    bias: np.ndarray         # (4N,)
    output: np.ndarray       # (N, V)
    output_bias: np.ndarray  # (V,)


class LmState(NamedTuple):
    """What B histories left behind."""

    h: np.ndarray  # float32 (B, N)
    c: np.ndarray  # float32 (B, N)


class LmSizes(NamedTuple):
    """Widths of a model: units, embedding, cells."""

    units: int = len(CHARACTERS)
    embedded: int = 64
    width: int = 512


def parameter_shapes(sizes):
    """Shapes by name, in the order of the flat vector. Parameters: sizes (LmSizes). Returns a dict."""
    v, e, n = sizes
    return dict(zip(NeuralLm._fields, ((v, e), (e, 4 * n), (n, 4 * n), (4 * n,), (n, v), (v,))))


def start(weights, backend):
    """The state before a sentence. Parameters: weights, backend (from `twins.select`). Returns an LmState of one row."""
    width = len(weights.recurrent)
    before = LmState(*np.zeros((2, 1, width), F32))
    return backend(spell)(np.array([STOP], np.int32), np.array([1], np.int32), before, weights)[1]


def spell(units, ends, state, weights):
    """Probability of some units after each of some histories, and the histories with them.

    Parameters
    ----------
    units : int32 [U]         Units of all B texts, end to end; each text up to 200.
    ends : int32 [B]          Where each text ends in `units`; a text may be empty.
    state : LmState           Of B histories; not modified.
    weights : NeuralLm

    Returns
    -------
    (float32 [B], LmState)    Natural logarithms, 0 for an empty text, and the states after the texts.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BOUND, sums of N products in another order, carried along by the recurrence. Cost: U*(N*4N + N*V) MAC, and B*N*4N
    reads of weights where one text is much longer than the others.
    """
    check_spell(units, ends, state, weights)
    logp = np.zeros(len(ends), F32)
    h, c = state.h.copy(), state.c.copy()
    starts = np.append(0, ends)[:-1]
    for t in range(int((ends - starts).max(initial=0))):
        rows = np.flatnonzero(ends - starts > t)
        label = units[starts[rows] + t]
        logp[rows] += log_softmax(h[rows] @ weights.output + weights.output_bias)[np.arange(rows.size), label]
        a = embedding.embedding(label, weights.table) @ weights.input + h[rows] @ weights.recurrent + weights.bias
        h[rows], c[rows], _ = lstm.next_cell(lstm.activate(a), c[rows])
    return logp, LmState(h, c)


def log_softmax(logits):
    """Logarithms of probabilities. Parameters: logits, float32 [B, V]. Returns float32 [B, V]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = numerics.exp(shifted.ravel()).reshape(shifted.shape).sum(axis=1)
    return shifted - numerics.log(total)[:, None]


def check_spell(units, ends, state, weights):
    """Validate the arguments. Parameters: units, ends, state, weights. Raises DTypeError, ShapeError, RangeError."""
    check_weights(weights)
    checks.array("units", units, np.int32, (None,))
    checks.array("ends", ends, np.int32, (None,))
    lengths = np.diff(ends, prepend=np.int32(0))
    if (ends[-1] if ends.size else 0) != units.size or lengths.min(initial=0) < 0 or lengths.max(initial=0) > LONGEST_WORD:
        raise ShapeError(f"ends: got texts that do not fit {units.size} units, expected rising numbers up to that, and texts up "
                         f"to {LONGEST_WORD} units")
    if units.size and not (units.min() >= 0 and units.max() < len(weights.table)):
        raise RangeError(f"units: got {units.min()} to {units.max()}, expected 0 to {len(weights.table) - 1}")
    for name, value in zip(("state.h", "state.c"), state):
        checks.array(name, value, F32, (ends.size, len(weights.recurrent)))


def check_weights(weights):
    """Validate a model's shapes. Parameters: weights. Raises DTypeError, ShapeError."""
    checks.array("weights.table", weights.table, F32, (None, None))
    checks.array("weights.recurrent", weights.recurrent, F32, (None, None))
    sizes = LmSizes(*weights.table.shape, len(weights.recurrent))
    for name, shape in parameter_shapes(sizes).items():
        checks.between(f"sizes of weights.{name}", min(shape), 1, 1 << 16)
        checks.array(f"weights.{name}", getattr(weights, name), F32, shape)


def objective(inputs, targets, active, weights, backend):
    """Loss of a batch of sentences and its gradient.

        loss = - sum over rows of ln softmax(h W + b)[target]

    Parameters
    ----------
    inputs, targets : int32 [R]        Unit read and unit to be written, as rows: place 0 of every sentence, then place 1 of
                                       those that have one, ...
    active : int32 [T], falling        How many sentences have a place t; see `lstm.lstm_sequence`.
    weights : NeuralLm
    backend : Backend

    Returns
    -------
    (float, NeuralLm)                  Loss in nats, and gradients.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    layer = LstmWeights(weights.input, weights.recurrent, weights.bias)
    x = embedding.embedding(inputs, weights.table)
    h, cache = backend(lstm.lstm_sequence)(x, active, layer)
    logp = log_softmax(linear.linear(h, weights.output, weights.output_bias))
    rows = np.arange(targets.size)
    dlogits = numerics.exp(logp.ravel()).reshape(logp.shape)
    dlogits[rows, targets] -= F32(1)
    dh, doutput, doutput_bias = linear.linear_backward(dlogits, h, weights.output)
    dx, dlayer = backend(lstm.lstm_sequence_backward)(dh, x, active, h, cache, layer)
    dtable = embedding.embedding_backward(dx, inputs, len(weights.table))
    return -float(logp[rows, targets].sum(dtype=np.float64)), NeuralLm(dtable, *dlayer, doutput, doutput_bias)
