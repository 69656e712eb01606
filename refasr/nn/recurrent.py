"""A recurrent layer of a stream: an LSTM and its layer normalisation, one frame after the other, with explicit state.

    (h[t], c[t]) = Lstm(x[t], h[t-1], c[t-1]),  y[t] = LayerNorm(h[t])

The network uses it wherever it listens or writes; in training the two parts are apart, because each has its own gradient.
"""

import numpy as np

from refasr import checks
from refasr.nn import layer_norm as norm
from refasr.nn import lstm

F32 = np.float32


def recurrent_layer(x, state, weights, gain, bias):
    """The next frames of one stream.

    Parameters
    ----------
    x : float32 [T, K]       Input frames; may be none.
    state : LstmState        State before the first of them; not modified.
    weights : LstmWeights    Of the LSTM.
    gain : float32 [N]       Of the normalisation.
    bias : float32 [N]       Of the normalisation.

    Returns
    -------
    (float32 [T, N], LstmState)    Normalised outputs, and the state after the last frame. The same bits however the frames
                                   are cut.

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BOUND, sums in another order, carried along by the recurrence. Cost: T*(K+N)*4N MAC, which reads all weights T times.
    """
    check_recurrent(x, state, weights, gain, bias)
    y = np.empty((len(x), state.h.size), F32)
    for t, frame in enumerate(x):
        state = lstm.lstm_step(frame, state, weights)
        y[t] = norm.layer_norm(state.h[None], gain, bias)[0][0]
    return y, state


def check_recurrent(x, state, weights, gain, bias):
    """Validate the arguments. Parameters: x, state, weights, gain, bias."""
    checks.array("x", x, F32, (None, None))
    lstm.check_weights(weights, x.shape[1])
    width = weights.recurrent.shape[:1]
    for name, value in (("state.h", state.h), ("state.c", state.c), ("gain", gain), ("bias", bias)):
        checks.array(name, value, F32, width)
