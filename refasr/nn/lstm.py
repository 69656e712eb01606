"""The LSTM layer: one step, a batch of sequences, and the backward pass through time.

    a = x Wx + h Wh + b,  split in four blocks of N:  a_i, a_f, a_g, a_o
    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o);  g = tanh(a_g)
    c' = f c + i g,  h' = o tanh(c')

Source: Hochreiter & Schmidhuber 1997; forget gate of Gers 2000; no peepholes.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks, numerics

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


def lstm_sequence(x, weights):
    """A batch of sequences from zero state, keeping what the backward pass needs.

    Parameters
    ----------
    x : float32 [T, B, K]    Inputs; shorter sequences are padded at the end, which no earlier frame can see.
    weights : LstmWeights    Of the layer.

    Returns
    -------
    (float32 [T, B, N], LstmCache)    Outputs h, and the cache.

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BOUND, sums in another order, carried along by the recurrence. Cost: T*B*(K+N)*4N MAC.
    """
    check_sequence(x, weights)
    n_frames, batch, _ = x.shape
    width = weights.recurrent.shape[0]
    gates = np.empty((n_frames, batch, 4 * width), F32)
    outputs, cells, cell_tanh = (np.empty((n_frames, batch, width), F32) for _ in range(3))
    h = c = np.zeros((batch, width), F32)
    for t in range(n_frames):
        gates[t] = activate(x[t] @ weights.input + h @ weights.recurrent + weights.bias)
        h, c, cell_tanh[t] = next_cell(gates[t], c)
        outputs[t], cells[t] = h, c
    return outputs, LstmCache(gates, cells, cell_tanh)


def lstm_sequence_backward(dh, x, outputs, cache, weights):
    """Gradients of `lstm_sequence`, from the last frame to the first.

    Parameters
    ----------
    dh : float32 [T, B, N]         Gradient of the outputs.
    x : float32 [T, B, K]          Inputs of the forward pass.
    outputs : float32 [T, B, N]    Outputs of the forward pass.
    cache : LstmCache              From the forward pass.
    weights : LstmWeights          Of the layer.

    Returns
    -------
    (dx, LstmWeights)              Gradient of the inputs, and of the weights.

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BOUND; both are linear in dh and differ only in the order of sums. Cost: twice the forward pass.
    """
    check_backward(dh, x, outputs, cache, weights)
    n_frames, batch, width = dh.shape
    da = np.empty((n_frames, batch, 4 * width), F32)
    dh_next = dc = np.zeros((batch, width), F32)
    for t in range(n_frames - 1, -1, -1):
        i, f, g, o = np.split(cache.gates[t], 4, axis=-1)
        c_before = cache.cells[t - 1] if t > 0 else np.zeros((batch, width), F32)
        dh_t = dh[t] + dh_next
        dc = dc + dh_t * o * (F32(1) - cache.cell_tanh[t] * cache.cell_tanh[t])
        da[t] = np.concatenate([dc * g * i * (F32(1) - i), dc * c_before * f * (F32(1) - f), dc * i * (F32(1) - g * g),
                                dh_t * cache.cell_tanh[t] * o * (F32(1) - o)], axis=-1)
        dc = dc * f
        dh_next = da[t] @ weights.recurrent.T
    return weight_gradients(da, x, outputs, weights)


def weight_gradients(da, x, outputs, weights):
    """From pre-activation gradients to those of inputs and weights: three matrix products over all frames at once.

    Parameters
    ----------
    da : float32 [T, B, 4N]        Gradient of the pre-activations.
    x : float32 [T, B, K]          Inputs.
    outputs : float32 [T, B, N]    Outputs.
    weights : LstmWeights          Of the layer.

    Returns
    -------
    (dx, LstmWeights)
    """
    rows = da.reshape(-1, da.shape[-1])
    dx = (rows @ weights.input.T).reshape(x.shape)
    before, after = outputs[:-1].reshape(-1, outputs.shape[-1]), da[1:].reshape(-1, da.shape[-1])
    return dx, LstmWeights(x.reshape(len(rows), -1).T @ rows, before.T @ after, rows.sum(axis=0))


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


def check_sequence(x, weights):
    """Validate the arguments of a sequence. Parameters: x, weights."""
    checks.array("x", x, F32, (None, None, None))
    checks.between("T", x.shape[0], 1, 1 << 24)
    checks.between("B", x.shape[1], 1, 1 << 16)
    check_weights(weights, x.shape[2])


def check_backward(dh, x, outputs, cache, weights):
    """Validate the backward arguments. Parameters: dh, x, outputs, cache, weights."""
    check_sequence(x, weights)
    wanted = (*x.shape[:2], weights.recurrent.shape[0])
    for name, value in (("dh", dh), ("outputs", outputs), ("cache.cells", cache.cells), ("cache.cell_tanh", cache.cell_tanh)):
        checks.array(name, value, F32, wanted)
    checks.array("cache.gates", cache.gates, F32, (*wanted[:2], 4 * wanted[2]))
