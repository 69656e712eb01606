"""The integer network behind the interface of the float one (`refasr.transducer.model.Network`): codes in, codes out.

What the search, the alignment of words and the trace ask of a network, this one answers as well: encodings and projections are
int8, states int8 and int16, and logits float32, exact images of the int32 ones (A40).
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from refasr.compress import integer_layer as layers
from refasr.compress import integer_ops as ops
from refasr.compress.layout import recurrent_layers
from refasr.hw import gemm
from refasr.search.integer_scorer import IntegerScorer
from refasr.transducer.encoder import FrameByFrame
from refasr.transducer.units import BLANK

F32 = np.float32


class IntegerLayer(NamedTuple):
    """One layer: LSTM and normalisation."""

    lstm: layers.IntegerLstm
    norm: ops.Norm


class IntegerLinear(NamedTuple):
    """One matrix of the joiner."""

    weights: gemm.PackedWeights
    rescale: ops.Rescale


@dataclasses.dataclass(frozen=True)
class IntegerNetwork:
    """The three parts, assembled over one model and one backend, and the weights that a beam search works on."""

    encoder: object
    predictor: object
    joiner: object
    scorer: IntegerScorer


def cell_of(model, name):
    """What an LSTM stores beside its matrices. Parameters: model (IntegerModel), name. Returns a Cell."""
    take = lambda part: model.arrays[f"{name}.{part}"]
    return ops.Cell(take("bias"), take("input_multiplier"), take("recurrent_multiplier"), take("shift"),
                    model.scalars[f"{name}.cell_bits"], take("hidden_multiplier"), take("hidden_shift"))


def norm_of(model, name):
    """A layer's normalisation. Parameters: model, name. Returns a Norm."""
    return ops.Norm(model.arrays[f"{name}.norm_gain"], model.arrays[f"{name}.norm_bias"], model.scalars[f"{name}.norm_bits"],
                    model.scalars[f"{name}.norm_epsilon"])


def layer_of(model, name):
    """A layer with its weights packed. Parameters: model, name. Returns an IntegerLayer."""
    packed = [gemm.pack_weights(model.codes[f"{name}.input"]), gemm.pack_weights(model.codes[f"{name}.recurrent"], "dense")]
    return IntegerLayer(layers.IntegerLstm(*packed, cell_of(model, name)), norm_of(model, name))


def rescale_of(model, name):
    """A matrix's multipliers. Parameters: model, name. Returns a Rescale."""
    return ops.Rescale(*(model.arrays[f"{name}_{part}"] for part in ops.Rescale._fields))


def linear_of(model, name):
    """A matrix of the joiner. Parameters: model, name. Returns an IntegerLinear."""
    return IntegerLinear(gemm.pack_weights(model.codes[name]), rescale_of(model, name))


def joint_of(model):
    """The joint layer. Parameters: model. Returns a Joint."""
    return ops.Joint(*(model.arrays[f"joiner.{part}"] for part in ops.Joint._fields))


def table_of(model):
    """Embeddings of all units. Parameters: model. Returns int8 [V, E]."""
    return ops.embedding_table(model.codes["predictor.embedding"], model.arrays["predictor.embedding_multiplier"],
                               model.arrays["predictor.embedding_shift"])


def scorer_of(model):
    """The text side for a beam search. Parameters: model. Returns an IntegerScorer."""
    codes = model.codes
    return IntegerScorer(table_of(model), codes["predictor.input"], codes["predictor.recurrent"], cell_of(model, "predictor"),
                         norm_of(model, "predictor"), codes["joiner.text"], rescale_of(model, "joiner.text"), joint_of(model),
                         codes["joiner.output"], rescale_of(model, "joiner.output"), model.arrays["logit_scale"])


def assemble(model, backend):
    """Build the network over a model. Parameters: model (IntegerModel), backend. Returns an IntegerNetwork."""
    return IntegerNetwork(IntegerEncoder(model, backend), IntegerPredictor(model, backend), IntegerJoiner(model, backend),
                          scorer_of(model))


class IntegerEncoder(FrameByFrame):
    """Frames in, encodings out; as `encoder.Encoder`.

    Parameters
    ----------
    model : IntegerModel
    backend : Backend
    """

    encodings = np.int8  # type of what it gives

    def __init__(self, model, backend):
        names = [name for name, _, _ in recurrent_layers(model.architecture) if name != "predictor"]
        self.layers = [layer_of(model, name) for name in names]
        self.reciprocal = model.arrays["input_reciprocal"]
        self._layer, self._quantise = backend(layers.recurrent_layer), backend(ops.quantise_input)
        self.macs = sum(part.n_outputs * part.n_inputs for layer in self.layers for part in layer.lstm[:2])

    def start(self):
        """State before the first frame: a tuple with one IntegerState a layer."""
        return tuple(layers.zero_state(layer.norm.gain.size) for layer in self.layers)

    def enter(self, frames):
        """Stacked frames as the first layer takes them (A10). Parameters: frames, float32 [T, K]. Returns int8 [T, K]."""
        return self._quantise(frames, self.reciprocal)

    def encode_layer(self, index, x, state):
        """One layer of the next frames.

        Parameters
        ----------
        index : int             Which layer, from 0.
        x : int8 [T, K]         The frames, or the outputs of the layer before.
        state : IntegerState    Not modified.

        Returns
        -------
        (int8 [T, N], IntegerState)
        """
        return self._layer(x, state, *self.layers[index])


class IntegerPredictor:
    """Labels in, text encodings out; as `predictor.Predictor`.

    Parameters
    ----------
    model : IntegerModel
    backend : Backend
    """

    def __init__(self, model, backend):
        self.table, self.layer = table_of(model), layer_of(model, "predictor")
        self._layer = backend(layers.recurrent_layer)

    def before(self):
        """State before the first label. Returns an IntegerState."""
        return layers.zero_state(self.layer.norm.gain.size)

    def start(self):
        """Encoding and state when nothing was said. Returns (int8 [P], IntegerState)."""
        return self.predict(BLANK, self.before())

    def predict(self, label, state):
        """Take one label in. Parameters: label, state (IntegerState, not modified). Returns (int8 [P], IntegerState)."""
        rows, after = self._layer(self.table[label][None], state, *self.layer)
        return rows[0], after

    def forward(self, labels):
        """Encode label sequences.

        Parameters
        ----------
        labels : int32 [U+1, B]    Blank first, then the labels.

        Returns
        -------
        (int8 [U+1, B, P], None)   There is no backward pass, and so nothing to keep for it.
        """
        columns = [self._layer(self.table[column], self.before(), *self.layer)[0] for column in labels.T]
        return np.stack(columns, axis=1), None


class IntegerJoiner:
    """Projections and joint layer; as `joiner.Joiner`.

    Parameters
    ----------
    model : IntegerModel
    backend : Backend
    """

    def __init__(self, model, backend):
        self.audio, self.text, self.output = (linear_of(model, f"joiner.{part}") for part in ("audio", "text", "output"))
        self.joint, self.scale = joint_of(model), model.arrays["logit_scale"]
        self._product, self._rescale, self._logits = map(backend, (gemm.product, ops.rescale_rows, ops.logit_rows))
        self._join = backend(ops.join)

    def project(self, x, linear):
        """A Linear of any number of rows. Parameters: x (int8 [..., K]), linear (IntegerLinear). Returns int8 [..., N]."""
        rows = self._rescale(self._product(x.reshape(-1, x.shape[-1]), linear.weights), linear.rescale)
        return rows.reshape(*x.shape[:-1], rows.shape[1])

    def project_audio(self, h):
        """Of encodings. Parameters: h, int8 [..., D]. Returns int8 [..., J]."""
        return self.project(h, self.audio)

    def project_text(self, g):
        """Of text encodings. Parameters: g, int8 [..., P]. Returns int8 [..., J]."""
        return self.project(g, self.text)

    def logits(self, e, p):
        """The integers. Parameters: e, p, int8 [B, J]. Returns int32 [B, V]."""
        return self._logits(self._product(self._join(e, p, self.joint), self.output.weights), self.output.rescale)

    def join(self, h, g, *, bias=None):
        """Logits of one node. Parameters: h (int8 [D]), g (int8 [P]), bias (reserved). Returns float32 [V]."""
        return self.join_projected(self.project_audio(h), self.project_text(g))

    def join_projected(self, e, p):
        """Logits from projections already made. Parameters: e, p, int8 [J]. Returns float32 [V]."""
        return (self.logits(e[None], p[None]).astype(F32) * self.scale)[0]

    def forward(self, e, p):
        """Logits of a whole grid. Parameters: e (int8 [T, J]), p (int8 [U+1, J]). Returns (float32 [T, U+1, V], None)."""
        pairs = np.repeat(e, len(p), axis=0), np.tile(p, (len(e), 1))
        return (self.logits(*pairs).astype(F32) * self.scale).reshape(len(e), len(p), -1), None
