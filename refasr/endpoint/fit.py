"""Training of the end-point model: gradients of both of its networks, and one loop for either.

Both learn a probability by cross entropy, a weighted mean over positions: after each unit of a text, does it end here; after
each frame of an utterance, had the speaker finished.
"""

from typing import NamedTuple

import numpy as np

from refasr.endpoint.model import EndpointWeights, TextWeights
from refasr.nn import lstm
from refasr.nn.lstm import LstmWeights
from refasr.nn.optimiser import AdamRates, AdamState, adam, gradient_scale

F32 = np.float32
CLIP = 1.0


class Sequences(NamedTuple):
    """A batch, as rows: position 0 of every sequence, then position 1 of those that have one, ...; the longest stands first.

    active : int32 [T]          How many sequences reach each position.
    inputs : tuple of arrays    [R] labels, or [R, I] sound and [R, D] decoder features.
    target, weight : float32 [R]
    """

    active: np.ndarray
    inputs: tuple
    target: np.ndarray
    weight: np.ndarray


def batch_of(sequences):
    """Lay out sequences as rows.

    Parameters
    ----------
    sequences : list of tuple of arrays    The inputs, then target and weight, each with a row for every position.

    Returns
    -------
    Sequences
    """
    ordered = sorted(sequences, key=lambda sequence: -len(sequence[-1]))
    lengths = np.array([len(sequence[-1]) for sequence in ordered])
    active = np.array([(lengths > t).sum() for t in range(lengths[0])], np.int32)
    columns = []
    for parts in zip(*ordered):
        padded = np.zeros((len(parts), lengths[0], *parts[0].shape[1:]), parts[0].dtype)
        for row, part in zip(padded, parts):
            row[:len(part)] = part
        columns.append(np.concatenate([padded[:n, t] for t, n in enumerate(active)]))
    return Sequences(active, tuple(columns[:-2]), *columns[-2:])


def cross_entropy(logit, target, weight):
    """Weighted mean of the cross entropy, and its gradient.

        loss = sum w (ln(1 + e^z) - y z) / sum w

    Parameters
    ----------
    logit, target, weight : float32 [R]

    Returns
    -------
    (float, float32 [R])
    """
    total = weight.sum()
    loss = np.logaddexp(0, logit.astype(np.float64)) - target * logit
    return float((loss * weight).sum() / total), ((1 / (1 + np.exp(-logit)) - target) * weight / total).astype(F32)


def text_loss(weights, batch, backend):
    """Loss of the completeness network, and its gradient. Parameters: weights (TextWeights), batch (Sequences), backend.

    Returns
    -------
    (float, TextWeights)
    """
    layer = LstmWeights(weights.table, weights.recurrent, weights.bias)
    labels = batch.inputs[0]
    x = np.zeros((labels.size, len(weights.table)), F32)
    x[np.arange(labels.size), labels] = 1
    h, cache = backend(lstm.lstm_sequence)(x, batch.active, layer)
    loss, slope = cross_entropy(h @ weights.output + weights.output_bias[0], batch.target, batch.weight)
    dh = np.ascontiguousarray(slope[:, None] * weights.output)
    _, back = backend(lstm.lstm_sequence_backward)(dh, x, batch.active, h, cache, layer, False)
    return loss, TextWeights(*back, h.T @ slope, slope.sum(keepdims=True))


def sound_loss(weights, batch, backend):
    """Loss of the acoustic and joined network, and its gradient. Parameters: weights (EndpointWeights), batch, backend.

    Returns
    -------
    (float, EndpointWeights)    Nothing is learned of mean and scale.
    """
    layer = LstmWeights(weights.input, weights.recurrent, weights.bias)
    sound, decoder = batch.inputs
    x, width = np.ascontiguousarray((sound - weights.mean) * weights.scale), len(weights.recurrent)
    h, cache = backend(lstm.lstm_sequence)(x, batch.active, layer)
    both = np.concatenate([h, decoder], axis=1)
    hidden = np.tanh(both @ weights.joint + weights.joint_bias)
    loss, slope = cross_entropy(hidden @ weights.output + weights.output_bias[0], batch.target, batch.weight)
    da = slope[:, None] * weights.output * (1 - hidden * hidden)
    dh = np.ascontiguousarray((da @ weights.joint.T)[:, :width])
    _, back = backend(lstm.lstm_sequence_backward)(dh, x, batch.active, h, cache, layer, False)
    return loss, EndpointWeights(np.zeros_like(weights.mean), np.zeros_like(weights.scale), *back, both.T @ da, da.sum(axis=0),
                                 hidden.T @ slope, slope.sum(keepdims=True))


def fit(weights, loss_of, batches, learning_rate, backend, report=lambda step, loss: None):
    """Learn by Adam, with a rate that falls to zero.

    Parameters
    ----------
    weights : TextWeights or EndpointWeights     To start from.
    loss_of : function                           `text_loss` or `sound_loss`.
    batches : sequence of functions () -> Sequences    One a step.
    learning_rate : float                        At the start.
    backend : Backend
    report : function of (step, loss)

    Returns
    -------
    as weights                                   The running average of the weights, which does better than the last ones.
    """
    flat = np.concatenate([array.ravel() for array in weights])
    state = AdamState(np.zeros_like(flat), np.zeros_like(flat), flat.copy())
    for step, make in enumerate(batches):
        loss, gradient = loss_of(unflatten(flat, weights), make(), backend)
        slope = np.concatenate([array.ravel() for array in gradient])
        scale, _ = gradient_scale(slope, CLIP)
        rate = learning_rate * min(1.0, (step + 1) / 30) * (1 - step / len(batches))
        flat, state = backend(adam)(flat, slope * F32(scale), state, step, AdamRates(rate))
        report(step, loss)
    return unflatten(state.average, weights)


def unflatten(flat, like):
    """Cut a vector into the arrays of a NamedTuple. Parameters: flat (float32 [N]), like. Returns what `like` is."""
    ends = np.cumsum([array.size for array in like])
    return type(like)(*(part.reshape(array.shape) for part, array in zip(np.split(flat, ends[:-1]), like)))


def start_text(rng, n_units, width):
    """Random weights. Parameters: rng, n_units, width. Returns TextWeights."""
    return TextWeights(uniform(rng, n_units, 4 * width, fan=width), uniform(rng, width, 4 * width), forgetting(width),
                       uniform(rng, width), np.zeros(1, F32))


def start_sound(rng, mean, scale, n_decoder, widths):
    """Random weights. Parameters: rng, mean, scale, n_decoder, widths (acoustic, joint). Returns EndpointWeights."""
    width, n_joint = widths
    return EndpointWeights(mean, scale, uniform(rng, mean.size, 4 * width), uniform(rng, width, 4 * width), forgetting(width),
                           uniform(rng, width + n_decoder, n_joint), np.zeros(n_joint, F32), uniform(rng, n_joint),
                           np.zeros(1, F32))


def uniform(rng, *shape, fan=None):
    """Weights that keep the size of what passes. Parameters: rng, *shape, fan (inputs; None: the first axis). Returns float32."""
    limit = (fan or shape[0]) ** -0.5
    return rng.uniform(-limit, limit, shape).astype(F32)


def forgetting(width):
    """Bias of an LSTM whose cells at first remember. Parameters: width. Returns float32 [4N]."""
    bias = np.zeros(4 * width, F32)
    bias[width:2 * width] = 1
    return bias
