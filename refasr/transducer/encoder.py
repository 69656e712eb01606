"""The encoder: unidirectional LSTM layers, each followed by layer normalisation; no look-ahead.

    h_0 = stacked log-mel frame;  h_l = LayerNorm(Lstm_l(h_{l-1}))
"""

from typing import NamedTuple

import numpy as np

from refasr.nn import layer_norm as norm
from refasr.nn import lstm, recurrent


class EncoderLayer(NamedTuple):
    """One layer's weights."""

    lstm: lstm.LstmWeights
    gain: np.ndarray  # float32 (N,)
    bias: np.ndarray  # float32 (N,)


def layer_of(parameters, prefix):
    """View of one layer in a parameter dictionary. Parameters: parameters, prefix. Returns an EncoderLayer."""
    take = lambda name: parameters[f"{prefix}.{name}"]
    weights = lstm.LstmWeights(take("input"), take("recurrent"), take("bias"))
    return EncoderLayer(weights, take("norm_gain"), take("norm_bias"))


def layer_gradients(prefix, weights, gain, bias):
    """Name a layer's gradients. Parameters: prefix, weights, gain, bias. Returns a dict."""
    names = ("input", "recurrent", "bias", "norm_gain", "norm_bias")
    return {f"{prefix}.{name}": value for name, value in zip(names, (*weights, gain, bias))}


class FrameByFrame:
    """What encoders of all kinds share: `encode_layer` for each layer, and `macs`, are theirs."""

    def encode(self, features, state, *, context=None):
        """Encode one frame.

        Parameters
        ----------
        features : float32 or int8 [K]    One stacked, normalised frame, from `enter`.
        state : tuple                     One layer's state each; not modified.
        context : None                    Reserved for later techniques.

        Returns
        -------
        (h, state, cost_macs)             [D] of the type of the features, the new state, multiply-accumulates spent.
        """
        h, after = features[None], []
        for index, before in enumerate(state):
            h, now = self.encode_layer(index, h, before)
            after.append(now)
        return h[0], tuple(after), self.macs


class Encoder(FrameByFrame):
    """Frames in, encodings out; the state is explicit and belongs to the caller.

    Parameters
    ----------
    parameters : dict of str to float32 array    Named as in `model.parameter_shapes`.
    n_layers : int                               Number of layers.
    backend : Backend                            From `twins.select`.
    """

    encodings = np.float32  # type of what it gives

    def __init__(self, parameters, n_layers, backend):
        self.layers = [layer_of(parameters, f"encoder.{index}") for index in range(n_layers)]
        self._layer, self._norm = backend(recurrent.recurrent_layer), backend(norm.layer_norm)
        self._sequence, self._norm_backward = backend(lstm.lstm_sequence), backend(norm.layer_norm_backward)
        self._sequence_backward = backend(lstm.lstm_sequence_backward)
        self.macs = sum(layer.lstm.input.size + layer.lstm.recurrent.size for layer in self.layers)

    def start(self):
        """State before the first frame: a tuple with one LstmState a layer."""
        return tuple(lstm.zero_state(layer.lstm) for layer in self.layers)

    def enter(self, frames):
        """Stacked frames as the first layer takes them. Parameters: frames, float32 [T, K]. Returns the same."""
        return frames

    def encode_layer(self, index, x, state):
        """One layer of the next frames, one after the other.

        Parameters
        ----------
        index : int           Which layer, from 0.
        x : float32 [T, K]    The frames, or the outputs of the layer before.
        state : LstmState     Not modified.

        Returns
        -------
        (float32 [T, N], LstmState)
        """
        layer = self.layers[index]
        return self._layer(x, state, layer.lstm, layer.gain, layer.bias)

    def forward(self, x, active, masks=None):
        """Encode a batch for training; its frames are rows, as in `lstm_sequence`.

        Parameters
        ----------
        x : float32 [R, K]                         Stacked frames.
        active : int32 [T]                         How many utterances have a frame t.
        masks : list of float32 [R, N], or None    Dropout factors of each layer's output.

        Returns
        -------
        (float32 [R, D], list)                     Encodings, and one cache a layer for `backward`.
        """
        caches = []
        for index, layer in enumerate(self.layers):
            outputs, cache = self._sequence(x, active, layer.lstm)
            normal, norm_cache = self._norm(outputs, layer.gain, layer.bias)
            caches.append((x, outputs, cache, norm_cache))
            x = normal if masks is None else normal * masks[index]
        return x, caches

    def backward(self, dh, active, caches, masks=None):
        """Gradients of `forward`.

        Parameters
        ----------
        dh : float32 [R, D]                        Gradient of the encodings.
        active : int32 [T]                         As in `forward`.
        caches : list                              From `forward`.
        masks : list of float32 [R, N], or None    The same masks.

        Returns
        -------
        dict of str to float32 array               Gradient of every encoder parameter.
        """
        gradients = {}
        for index in range(len(self.layers) - 1, -1, -1):
            layer, (x, outputs, cache, norm_cache) = self.layers[index], caches[index]
            dh = dh if masks is None else dh * masks[index]
            doutputs, dgain, dbias = self._norm_backward(dh, norm_cache, layer.gain)
            dh, weights = self._sequence_backward(doutputs, x, active, outputs, cache, layer.lstm, want_dx=index > 0)
            gradients |= layer_gradients(f"encoder.{index}", weights, dgain, dbias)
        return gradients
