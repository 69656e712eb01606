"""The LSTM layer: one step, a batch of sequences, and the backward pass through time.

    a = x Wx + h Wh + b,  split in four blocks of N:  a_i, a_f, a_g, a_o
    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o);  g = tanh(a_g)
    c' = f c + i g,  h' = o tanh(c')

Source: Hochreiter & Schmidhuber 1997; forget gate of Gers 2000; no peepholes.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks, numerics
from refasr.errors import RangeError

F32 = np.float32


class LstmWeights(NamedTuple):
    """Gate blocks in the order input, forget, cell, output along the last axis."""

    input: np.ndarray      # float32 (K, 4N)
    recurrent: np.ndarray  # float32 (N, 4N)
    bias: np.ndarray       # float32 (4N,)


class LstmState(NamedTuple):
    """What one stream remembers between frames."""

    h: np.ndarray  # float32 (N,)  output
    c: np.ndarray  # float32 (N,)  cell


class LstmCache(NamedTuple):
    """What the backward pass needs."""

    gates: np.ndarray      # float32 (R, 4N)  after their sigmoid or tanh
    cells: np.ndarray      # float32 (R, N)
    cell_tanh: np.ndarray  # float32 (R, N)


def zero_state(weights):
    """State before the first frame. Parameters: weights. Returns an LstmState of zeros."""
    width = weights.recurrent.shape[0]
    return LstmState(np.zeros(width, F32), np.zeros(width, F32))


def activate(a):
    """Gates from pre-activations. Parameters: a, float32 [..., 4N]. Returns float32 [..., 4N]."""
    width = a.shape[-1] // 4
    gates = numerics.sigmoid(a.ravel()).reshape(a.shape)
    cell = slice(2 * width, 3 * width)
    gates[..., cell] = numerics.tanh(a[..., cell].ravel()).reshape(*a.shape[:-1], width)
    return gates


def next_cell(gates, c):
    """Apply the gates. Parameters: gates [..., 4N], c [..., N]. Returns (h, c, tanh(c)), each [..., N]."""
    i, f, g, o = np.split(gates, 4, axis=-1)
    c = f * c + i * g
    cell_tanh = numerics.tanh(c.ravel()).reshape(c.shape)
    return o * cell_tanh, c, cell_tanh


def lstm_step(x, state, weights):
    """One frame of one stream.

    Parameters
    ----------
    x : float32 [K]          Input frame.
    state : LstmState        State before the frame; not modified.
    weights : LstmWeights    Of the layer.

    Returns
    -------
    LstmState                State after the frame; its h is the layer's output.

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BOUND, sums of K+N products in another order. Cost: (K+N)*4N MAC.
    """
    check_step(x, state, weights)
    a = x @ weights.input + state.h @ weights.recurrent + weights.bias
    h, c, _ = next_cell(activate(a), state.c)
    return LstmState(h, c)


def lstm_sequence(x, active, weights):
    """A batch of sequences from zero state, keeping what the backward pass needs.

    Parameters
    ----------
    x : float32 [R, K]                 Inputs as rows: frame 0 of every sequence, then frame 1 of those that have one, ...
    active : int32 [T], falling        How many sequences have a frame t: the first ones, for the longest stands first.
    weights : LstmWeights              Of the layer.

    Returns
    -------
    (float32 [R, N], LstmCache)        Outputs h, and the cache.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BOUND, sums in another order, carried along by the recurrence. Cost: R*(K+N)*4N MAC.
    """
    check_sequence(x, active, weights)
    n_rows, width = len(x), weights.recurrent.shape[0]
    gates = np.empty((n_rows, 4 * width), F32)
    outputs, cells, cell_tanh = (np.empty((n_rows, width), F32) for _ in range(3))
    h = c = np.zeros((active[0], width), F32)
    for n, now in zip(active, rows_by_frame(active)):
        gates[now] = activate(x[now] @ weights.input + h[:n] @ weights.recurrent + weights.bias)
        h, c, cell_tanh[now] = next_cell(gates[now], c[:n])
        outputs[now], cells[now] = h, c
    return outputs, LstmCache(gates, cells, cell_tanh)


def lstm_sequence_backward(dh, x, active, outputs, cache, weights, want_dx=True):
    """Gradients of `lstm_sequence`, from the last frame to the first.

    Parameters
    ----------
    dh : float32 [R, N]           Gradient of the outputs.
    x : float32 [R, K]            Inputs of the forward pass.
    active : int32 [T]            Of the forward pass.
    outputs : float32 [R, N]      Of the forward pass.
    cache : LstmCache             Of the forward pass.
    weights : LstmWeights         Of the layer.
    want_dx : bool                False for a first layer, whose inputs are data and need no gradient.

    Returns
    -------
    (dx or None, LstmWeights)     Gradient of the inputs, and of the weights.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BOUND; both are linear in dh and differ only in the order of sums. Cost: twice the forward pass.
    """
    check_backward(dh, x, active, outputs, cache, weights)
    da = np.empty(cache.gates.shape, F32)
    dh_next, dc = (np.zeros((active[0], dh.shape[1]), F32) for _ in range(2))
    cells_before = frame_before(cache.cells, active)
    for n, now in reversed(list(zip(active, rows_by_frame(active)))):
        i, f, g, o = np.split(cache.gates[now], 4, axis=-1)
        c_before, cell_tanh, dc_now = cells_before[now], cache.cell_tanh[now], dc[:n]
        dh_now = dh[now] + dh_next[:n]
        dc_now += dh_now * o * (F32(1) - cell_tanh * cell_tanh)
        da[now] = np.concatenate([dc_now * g * i * (F32(1) - i), dc_now * c_before * f * (F32(1) - f),
                                  dc_now * i * (F32(1) - g * g), dh_now * cell_tanh * o * (F32(1) - o)], axis=-1)
        dc_now *= f
        dh_next[:n] = da[now] @ weights.recurrent.T
    dweights = LstmWeights(x.T @ da, frame_before(outputs, active).T @ da, da.sum(axis=0))
    return da @ weights.input.T if want_dx else None, dweights


def rows_by_frame(active):
    """Where each frame's rows are. Parameters: active, int32 [T]. Returns a list of T slices."""
    ends = np.cumsum(active)
    return [slice(end - n, end) for n, end in zip(active, ends)]


def frame_before(rows, active):
    """For each row, that of the same sequence one frame earlier; 0 at the start. Parameters: rows, active. Returns an array."""
    places, result = rows_by_frame(active), np.zeros_like(rows)
    for n, now, before in zip(active[1:], places[1:], places):
        result[now] = rows[before][:n]
    return result


def check_weights(weights, n_inputs):
    """Validate a layer's weights. Parameters: weights, n_inputs."""
    checks.array("weights.recurrent", weights.recurrent, F32, (None, None))
    width = weights.recurrent.shape[0]
    checks.between("N", width, 1, 1 << 16)
    checks.array("weights.recurrent", weights.recurrent, F32, (width, 4 * width))
    checks.array("weights.input", weights.input, F32, (n_inputs, 4 * width))
    checks.array("weights.bias", weights.bias, F32, (4 * width,))


def check_step(x, state, weights):
    """Validate the arguments of one step. Parameters: x, state, weights."""
    checks.array("x", x, F32, (None,))
    check_weights(weights, x.shape[0])
    checks.array("state.h", state.h, F32, weights.recurrent.shape[:1])
    checks.array("state.c", state.c, F32, weights.recurrent.shape[:1])


def check_sequence(x, active, weights):
    """Validate the arguments of a sequence. Parameters: x, active, weights."""
    checks.array("active", active, np.int32, (None,))
    checks.between("T", len(active), 1, 1 << 24)
    checks.between("active", active[-1], 1, 1 << 16)
    if (active[1:] > active[:-1]).any():
        raise RangeError("active: got a rise, expected the longest sequence first; sort the batch by length")
    checks.array("x", x, F32, (int(active.sum()), None))
    checks.between("K", x.shape[1], 1, 1 << 16)
    check_weights(weights, x.shape[1])


def check_backward(dh, x, active, outputs, cache, weights):
    """Validate the backward arguments. Parameters: dh, x, active, outputs, cache, weights."""
    check_sequence(x, active, weights)
    wanted = (len(x), weights.recurrent.shape[0])
    for name, value in (("dh", dh), ("outputs", outputs), ("cache.cells", cache.cells), ("cache.cell_tanh", cache.cell_tanh)):
        checks.array(name, value, F32, wanted)
    checks.array("cache.gates", cache.gates, F32, (len(x), 4 * wanted[1]))
