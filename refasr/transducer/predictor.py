"""The predictor: an LSTM over the labels emitted so far; it never hears the audio.

    g_u = LayerNorm(Lstm(Embedding(y_u))),  y_0 = blank stands for the start
"""

from typing import NamedTuple

import numpy as np

from refasr.nn import layer_norm as norm
from refasr.nn import lstm, recurrent
from refasr.nn.embedding import embedding, embedding_backward
from refasr.transducer.encoder import layer_gradients, layer_of
from refasr.transducer.units import BLANK


class PredictorCache(NamedTuple):
    """What the backward pass needs."""

    labels: np.ndarray    # int32 (U+1, B)
    embedded: np.ndarray  # float32 (R, E), R = (U+1) B
    outputs: np.ndarray   # float32 (R, P)
    lstm: lstm.LstmCache
    norm: norm.LayerNormCache


class Predictor:
    """Labels in, text encodings out; the state is explicit.

    Parameters
    ----------
    parameters : dict of str to float32 array    Named as in `model.parameter_shapes`.
    backend : Backend                            From `twins.select`.
    """

    def __init__(self, parameters, backend):
        self.table, self.layer = parameters["predictor.embedding"], layer_of(parameters, "predictor")
        self._layer, self._norm = backend(recurrent.recurrent_layer), backend(norm.layer_norm)
        self._sequence, self._norm_backward = backend(lstm.lstm_sequence), backend(norm.layer_norm_backward)
        self._sequence_backward = backend(lstm.lstm_sequence_backward)

    def before(self):
        """State before the first label. Returns an LstmState."""
        return lstm.zero_state(self.layer.lstm)

    def start(self):
        """Encoding and state when nothing was said. Returns (float32 [P], LstmState)."""
        return self.predict(BLANK, self.before())

    def predict(self, label, state):
        """Take one label in.

        Parameters
        ----------
        label : int           The unit just emitted, or blank at the start.
        state : LstmState     Not modified.

        Returns
        -------
        (float32 [P], LstmState)
        """
        rows, after = self._layer(embedding(label, self.table)[None], state, self.layer.lstm, self.layer.gain, self.layer.bias)
        return rows[0], after

    def forward(self, labels):
        """Encode padded label sequences for training.

        Parameters
        ----------
        labels : int32 [U+1, B]    Blank first, then the labels; padded with blank.

        Returns
        -------
        (float32 [U+1, B, P], PredictorCache)
        """
        embedded = embedding(labels.ravel(), self.table)
        outputs, cache = self._sequence(embedded, everywhere(labels), self.layer.lstm)
        normal, norm_cache = self._norm(outputs, self.layer.gain, self.layer.bias)
        return normal.reshape(*labels.shape, -1), PredictorCache(labels, embedded, outputs, cache, norm_cache)

    def backward(self, dg, cache):
        """Gradients of `forward`.

        Parameters
        ----------
        dg : float32 [U+1, B, P]    Gradient of the encodings.
        cache : PredictorCache      From `forward`.

        Returns
        -------
        dict of str to float32 array
        """
        doutputs, dgain, dbias = self._norm_backward(dg.reshape(-1, dg.shape[-1]), cache.norm, self.layer.gain)
        active = everywhere(cache.labels)
        dembedded, weights = self._sequence_backward(doutputs, cache.embedded, active, cache.outputs, cache.lstm, self.layer.lstm)
        gradients = layer_gradients("predictor", weights, dgain, dbias)
        gradients["predictor.embedding"] = embedding_backward(dembedded, cache.labels, len(self.table))
        return gradients


def everywhere(labels):
    """Every sequence runs to the end: padding is cheap here. Parameters: labels, [U+1, B]. Returns int32 [U+1]."""
    return np.full(len(labels), labels.shape[1], np.int32)
