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

    gates: np.ndarray      # float32 (T, B, 4N)  after their sigmoid or tanh
    cells: np.ndarray      # float32 (T, B, N)
    cell_tanh: np.ndarray  # float32 (T, B, N)


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


def lstm_sequence(x, weights, active=None):
    """A batch of sequences from zero state, keeping what the backward pass needs.

    Parameters
    ----------
    x : float32 [T, B, K]              Inputs, the longest sequence first, padded at the end.
    weights : LstmWeights              Of the layer.
    active : int32 [T], or None        How many sequences have a frame t: they are the first ones. None: all, always.

    Returns
    -------
    (float32 [T, B, N], LstmCache)     Outputs h, and the cache; both are 0 where a sequence has ended.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BOUND, sums in another order, carried along by the recurrence. Cost: sum(active)*(K+N)*4N MAC.
    """
    check_sequence(x, weights, active)
    n_frames, batch, _ = x.shape
    width = weights.recurrent.shape[0]
    gates = np.zeros((n_frames, batch, 4 * width), F32)
    outputs, cells, cell_tanh = (np.zeros((n_frames, batch, width), F32) for _ in range(3))
    h = c = np.zeros((batch, width), F32)
    for t, n in enumerate(rows_by_frame(x, active)):
        gates[t, :n] = activate(x[t, :n] @ weights.input + h[:n] @ weights.recurrent + weights.bias)
        h, c, cell_tanh[t, :n] = next_cell(gates[t, :n], c[:n])
        outputs[t, :n], cells[t, :n] = h, c
    return outputs, LstmCache(gates, cells, cell_tanh)


def rows_by_frame(x, active):
    """Rows to compute at each frame. Parameters: x, active (or None). Returns int32 [T]."""
    return np.full(x.shape[0], x.shape[1], np.int32) if active is None else active


def lstm_sequence_backward(dh, x, outputs, cache, weights, active=None, want_dx=True):
    """Gradients of `lstm_sequence`, from the last frame to the first.

    Parameters
    ----------
    dh : float32 [T, B, N]         Gradient of the outputs; ignored where a sequence has ended.
    x : float32 [T, B, K]          Inputs of the forward pass.
    outputs : float32 [T, B, N]    Outputs of the forward pass.
    cache : LstmCache              From the forward pass.
    weights : LstmWeights          Of the layer.
    active : int32 [T], or None    As in the forward pass.
    want_dx : bool                 False for a first layer, whose inputs are data and need no gradient.

    Returns
    -------
    (dx or None, LstmWeights)      Gradient of the inputs, and of the weights.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BOUND; both are linear in dh and differ only in the order of sums. Cost: twice the forward pass.
    """
    check_backward(dh, x, outputs, cache, weights, active)
    n_frames, batch, width = dh.shape
    da = np.zeros((n_frames, batch, 4 * width), F32)
    dh_next, dc = np.zeros((batch, width), F32), np.zeros((batch, width), F32)
    rows = rows_by_frame(x, active)
    for t in range(n_frames - 1, -1, -1):
        n = rows[t]
        i, f, g, o = np.split(cache.gates[t, :n], 4, axis=-1)
        cell_tanh = cache.cell_tanh[t, :n]
        c_before = cache.cells[t - 1, :n] if t > 0 else np.zeros((n, width), F32)
        dh_t = dh[t, :n] + dh_next[:n]
        dc[:n] += dh_t * o * (F32(1) - cell_tanh * cell_tanh)
        da[t, :n] = np.concatenate([dc[:n] * g * i * (F32(1) - i), dc[:n] * c_before * f * (F32(1) - f),
                                    dc[:n] * i * (F32(1) - g * g), dh_t * cell_tanh * o * (F32(1) - o)], axis=-1)
        dc[:n] *= f
        dh_next[:n] = da[t, :n] @ weights.recurrent.T
    return da @ weights.input.T if want_dx else None, weight_gradients(da, x, outputs)


def weight_gradients(da, x, outputs):
    """From pre-activation gradients to those of the weights: over all frames at once.

    Parameters
    ----------
    da : float32 [T, B, 4N]        Gradient of the pre-activations, 0 where a sequence has ended.
    x : float32 [T, B, K]          Inputs.
    outputs : float32 [T, B, N]    Outputs.

    Returns
    -------
    LstmWeights
    """
    flat = lambda array: array.reshape(-1, array.shape[-1])
    return LstmWeights(flat(x).T @ flat(da), flat(outputs[:-1]).T @ flat(da[1:]), flat(da).sum(axis=0))


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


def check_sequence(x, weights, active):
    """Validate the arguments of a sequence. Parameters: x, weights, active."""
    checks.array("x", x, F32, (None, None, None))
    checks.between("T", x.shape[0], 1, 1 << 24)
    checks.between("B", x.shape[1], 1, 1 << 16)
    checks.between("K", x.shape[2], 1, 1 << 16)
    check_weights(weights, x.shape[2])
    if active is not None:
        checks.array("active", active, np.int32, x.shape[:1])
        checks.between("active", active[0], 0, x.shape[1])
        checks.between("active", active[-1], 0, x.shape[1])
        if (active[1:] > active[:-1]).any():
            raise RangeError("active: got a rise, expected the longest sequence first; sort the batch by length")


def check_backward(dh, x, outputs, cache, weights, active):
    """Validate the backward arguments. Parameters: dh, x, outputs, cache, weights, active."""
    check_sequence(x, weights, active)
    wanted = (*x.shape[:2], weights.recurrent.shape[0])
    for name, value in (("dh", dh), ("outputs", outputs), ("cache.cells", cache.cells), ("cache.cell_tanh", cache.cell_tanh)):
        checks.array(name, value, F32, wanted)
    checks.array("cache.gates", cache.gates, F32, (*wanted[:2], 4 * wanted[2]))
