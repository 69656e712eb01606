"""The integer LSTM and its normalisation, over frames: what the encoder and the predictor are made of.

    ax = x Wx,  ah = h Wh,  (h, c) = lstm_cell(ax, ah, c),  y = layer_norm(h)

Sums of integers do not depend on their order, so the fast twin multiplies all frames with Wx at once.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.compress import integer_ops as ops
from refasr.errors import DTypeError, RangeError
from refasr.hw import gemm

I8, I16 = np.int8, np.int16


class IntegerLstm(NamedTuple):
    """An LSTM's weights: rows are gates, in the order input, forget, cell, output."""

    input: gemm.PackedWeights        # (4N, K)
    recurrent: gemm.PackedWeights    # (4N, N), layout "dense"
    cell: ops.Cell


class IntegerState(NamedTuple):
    """What one stream remembers between frames."""

    h: np.ndarray  # int8 (N,)
    c: np.ndarray  # int16 (N,)


def zero_state(width):
    """State before the first frame (A20). Parameters: width. Returns an IntegerState."""
    return IntegerState(np.zeros(width, I8), np.zeros(width, I16))


def lstm_step(x, h, c, lstm):
    """One step of some streams (A15 to A19).

    Parameters
    ----------
    x : int8 [B, K]         Their next inputs.
    h : int8 [B, N]         State before.
    c : int16 [B, N]
    lstm : IntegerLstm

    Returns
    -------
    (int8 [B, N], int16 [B, N])    h and c after.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: B*(K+N)*4N MAC, 5*B*N look-ups.
    """
    check_step(x, h, c, lstm)
    return ops.lstm_cell(gemm.product(x, lstm.input), gemm.product(h, lstm.recurrent), c, lstm.cell)


def recurrent_layer(x, state, lstm, norm):
    """The next frames of one stream, each normalised (A15 to A23).

    Parameters
    ----------
    x : int8 [T, K]         Input frames; may be none.
    state : IntegerState    State before the first of them; not modified.
    lstm : IntegerLstm
    norm : Norm

    Returns
    -------
    (int8 [T, N], IntegerState)    Normalised outputs, and the state after the last frame.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: T*(K+N)*4N MAC.
    """
    check_layer(x, state, lstm, norm)
    y, h, c = np.empty((len(x), state.h.size), I8), state.h[None], state.c[None]
    for t in range(len(x)):
        h, c = lstm_step(x[t : t + 1], h, c, lstm)
        y[t] = ops.layer_norm(h, norm)[0]
    return y, IntegerState(h[0].copy(), c[0].copy())


def check_step(x, h, c, lstm):
    """Validate. Parameters: x, h, c, lstm."""
    check_lstm(lstm)
    checks.array("x", x, I8, (None, lstm.input.n_inputs))
    for name, value, dtype in (("h", h, I8), ("c", c, I16)):
        checks.array(name, value, dtype, (len(x), lstm.recurrent.n_inputs))


def check_layer(x, state, lstm, norm):
    """Validate. Parameters: x, state, lstm, norm."""
    check_lstm(lstm)
    checks.array("x", x, I8, (None, lstm.input.n_inputs))
    checks.array("state.h", state.h, I8, (lstm.recurrent.n_inputs,))
    checks.array("state.c", state.c, I16, state.h.shape)
    ops.check_norm(state.h[None], norm)


def check_lstm(lstm):
    """Validate weights that belong together. Parameters: lstm."""
    for name, weights in (("input", lstm.input), ("recurrent", lstm.recurrent)):
        if not isinstance(weights, gemm.PackedWeights):
            raise DTypeError(f"{name}: got {type(weights).__name__}, expected PackedWeights; use pack_weights")
    n_gates = 4 * lstm.recurrent.n_inputs
    if lstm.recurrent.layout != "dense" or (lstm.input.n_outputs, lstm.recurrent.n_outputs) != (n_gates, n_gates):
        raise RangeError(f"lstm: got {lstm.recurrent.layout} weights of {lstm.input.n_outputs} and "
                         f"{lstm.recurrent.n_outputs} rows, expected dense ones of {n_gates} rows")
    ops.check_cell_arrays(lstm.cell, (n_gates,))
