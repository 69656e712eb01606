"""The end-point model: how likely is it that the speaker has finished? One frame of sound and decoder features at a time.

    completeness   l' = LSTM(unit, l)                              text complete?    log-odds = w . l' + b
    acoustic       h' = LSTM((sound - mean) scale, h)              does it sound like the end?
    joined         p  = sigmoid(v . tanh(M [h', decoder] + m) + n)

The decoder features hold the pause, the completeness and how well the best hypothesis does (`refasr.endpoint.features`).
Source: Maas, Rastrow et al. 2018, "Combining acoustic embeddings and decoding features for end-of-utterance detection in
real-time far-field speech recognition systems": acoustic LSTM, LSTM over the one-best text, pause features, joined.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks, numerics
from refasr.errors import RangeError
from refasr.nn.lstm import LstmState, activate, next_cell

F32 = np.float32
LARGEST_INPUT = 1e4


class EndpointWeights(NamedTuple):
    """The acoustic layer and what joins it with the decoder's features.

    mean, scale : float32 [I]                     Of the sound.
    input, recurrent, bias : [I, 4N], [N, 4N], [4N]    As LstmWeights.
    joint, joint_bias : float32 [N + D, M], [M]
    output, output_bias : float32 [M], [1]
    """

    mean: np.ndarray
    scale: np.ndarray
    input: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    joint: np.ndarray
    joint_bias: np.ndarray
    output: np.ndarray
    output_bias: np.ndarray


class TextWeights(NamedTuple):
    """The completeness of a text.

    table : float32 [V, 4N]                       A row for each unit.
    recurrent, bias : float32 [N, 4N], [4N]
    output, output_bias : float32 [N], [1]
    """

    table: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    output: np.ndarray
    output_bias: np.ndarray


def zero_state(recurrent):
    """State before the first frame or unit. Parameters: recurrent (float32 [N, 4N]). Returns an LstmState of zeros."""
    return LstmState(np.zeros(len(recurrent), F32), np.zeros(len(recurrent), F32))


def add_rows(total, x, weight):
    """Add x W, row after row, so that the order of the sum is written. Parameters: total, x, weight. Returns float32 [N]."""
    for value, row in zip(x, weight):
        total = total + value * row
    return total


def finished(sound, decoder, state, weights):
    """One frame: has the speaker finished?

    Parameters
    ----------
    sound : float32 [I], finite, up to 1e4     From `features.sound_features`.
    decoder : float32 [D], likewise            From `features.decoder_features`.
    state : LstmState                          Of the acoustic layer; not modified.
    weights : EndpointWeights

    Returns
    -------
    (float32 [1], LstmState)                   Probability, and the state after the frame.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS, sums in a written order. Cost: (I + N) 4N + (N + D) M + M MAC.
    """
    check_finished(sound, decoder, state, weights)
    a = add_rows(weights.bias, (sound - weights.mean) * weights.scale, weights.input)
    h, c, _ = next_cell(activate(add_rows(a, state.h, weights.recurrent)), state.c)
    hidden = numerics.tanh(add_rows(weights.joint_bias, np.concatenate([h, decoder]), weights.joint))
    return numerics.sigmoid(add_rows(weights.output_bias, hidden, weights.output[:, None])), LstmState(h, c)


def complete(label, state, weights):
    """One unit: does the text end after it?

    Parameters
    ----------
    label : int, 0 to V-1
    state : LstmState          After the units before; not modified.
    weights : TextWeights

    Returns
    -------
    (float32 [1], LstmState)   Log-odds, and the state after the unit.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS, sums in a written order. Cost: 4N N + N MAC.
    """
    check_complete(label, state, weights)
    a = add_rows(weights.bias + weights.table[label], state.h, weights.recurrent)
    h, c, _ = next_cell(activate(a), state.c)
    return add_rows(weights.output_bias, h, weights.output[:, None]), LstmState(h, c)


def require_small(name, value):
    """Validate inputs. Parameters: name, value (float32 array)."""
    if value.size and not np.abs(value).max() <= LARGEST_INPUT:
        raise RangeError(f"{name}: got {np.abs(value).max()}, expected finite numbers up to {LARGEST_INPUT:g}; repair the input")


def check_state(state, width):
    """Validate a state. Parameters: state, width."""
    checks.array("state.h", state.h, F32, (width,))
    checks.array("state.c", state.c, F32, (width,))
    require_small("state.h", state.h)
    require_small("state.c", state.c)


def check_finished(sound, decoder, state, weights):
    """Validate the arguments of `finished`. Parameters: sound, decoder, state, weights."""
    check_weights(weights)
    n_sound, width = len(weights.input), len(weights.recurrent)
    checks.array("sound", sound, F32, (n_sound,))
    checks.array("decoder", decoder, F32, (len(weights.joint) - width,))
    require_small("sound", sound)
    require_small("decoder", decoder)
    check_state(state, width)


def check_weights(weights):
    """Validate. Parameters: weights (EndpointWeights)."""
    checks.array("weights.recurrent", weights.recurrent, F32, (None, None))
    checks.array("weights.joint", weights.joint, F32, (None, None))
    checks.array("weights.input", weights.input, F32, (None, None))
    n_sound, width, n_joint = len(weights.input), len(weights.recurrent), weights.joint.shape[1]
    if len(weights.joint) < width:
        raise RangeError(f"weights.joint: got {len(weights.joint)} rows, expected at least {width}; load the model again")
    for name, shape in (("mean", (n_sound,)), ("scale", (n_sound,)), ("input", (n_sound, 4 * width)),
                        ("recurrent", (width, 4 * width)), ("bias", (4 * width,)), ("joint_bias", (n_joint,)),
                        ("output", (n_joint,)), ("output_bias", (1,))):
        checks.array(f"weights.{name}", getattr(weights, name), F32, shape)


def check_complete(label, state, weights):
    """Validate the arguments of `complete`. Parameters: label, state, weights."""
    checks.array("weights.table", weights.table, F32, (None, None))
    checks.array("weights.recurrent", weights.recurrent, F32, (None, None))
    width = len(weights.recurrent)
    for name, shape in (("table", (len(weights.table), 4 * width)), ("recurrent", (width, 4 * width)), ("bias", (4 * width,)),
                        ("output", (width,)), ("output_bias", (1,))):
        checks.array(f"weights.{name}", getattr(weights, name), F32, shape)
    checks.between("label", label, 0, len(weights.table) - 1)
    if not isinstance(label, int):
        raise RangeError(f"label: got {label!r}, expected a whole number")
    check_state(state, width)
