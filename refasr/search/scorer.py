"""What a beam search asks of the network, in a written order of sums, so that both twins rank hypotheses by the same bits.

A search decides; where two scores differ in the last place, two correct implementations may decide differently and are
then hard to compare. Here every sum runs in index order, from the first term to the last, each product and each sum
rounded to float32. The order costs nothing: the lanes of a vector are the outputs.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks, numerics
from refasr.errors import RangeError
from refasr.nn.layer_norm import EPSILON
from refasr.search import integer_scorer
from refasr.search.log_softmax import log_softmax, ordered_sum

F32 = np.float32


class Scorer(NamedTuple):
    """Weights of the text side: predictor and joiner. All float32."""

    table: np.ndarray        # (V, E)   embedding of each unit
    input: np.ndarray        # (E, 4P)  LSTM, gates in the order input, forget, cell, output
    recurrent: np.ndarray    # (P, 4P)
    bias: np.ndarray         # (4P,)
    gain: np.ndarray         # (P,)     layer normalisation
    shift: np.ndarray        # (P,)
    text: np.ndarray         # (P, J)   joiner's projection of the text side
    output: np.ndarray       # (J, V)
    output_bias: np.ndarray  # (V,)

    @property
    def widths(self):
        """P, J and V."""
        return self.gain.size, *self.output.shape

    @property
    def types(self):
        """Of audio and text projections, and of the predictor's h and c."""
        return F32, F32, F32, F32


def scorer_of(network):
    """The weights of a network's text side. Parameters: network. Returns a Scorer, or an IntegerScorer of an IntegerNetwork."""
    if hasattr(network, "scorer"):
        return network.scorer
    layer, joiner = network.predictor.layer, network.joiner
    arrays = (network.predictor.table, *layer.lstm, layer.gain, layer.bias, joiner.text, joiner.output, joiner.output_bias)
    return Scorer(*map(np.ascontiguousarray, arrays))


def ordered_product(x, weights, start):
    """x W + start, each sum from its first term to its last.

    Parameters
    ----------
    x : float32 [B, K]
    weights : float32 [K, N]
    start : float32 [N]    What the sums begin with.

    Returns
    -------
    float32 [B, N]
    """
    total = np.tile(start, (len(x), 1))
    for k, row in enumerate(weights):
        total += x[:, k, None] * row
    return total


def next_text(labels, h, c, scorer):
    """Take one label each into some hypotheses.

        a = x Wx + b + h Wh,  c' = f c + i g,  h' = o tanh(c'),  text = LayerNorm(h') B

    Parameters
    ----------
    labels : int32 [B], 0 <= label < V    The unit just written; blank at the start.
    h, c : float32 [B, P]                 State of the predictor before it.
    scorer : Scorer                       An IntegerScorer takes and gives the types of `integer_scorer.next_text`.

    Returns
    -------
    (float32 [B, J], float32 [B, P], float32 [B, P])    Projected text encoding, and the state after the label.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: B*((E+P)*4P + P*J) MAC.
    """
    if isinstance(scorer, integer_scorer.IntegerScorer):
        return integer_scorer.next_text(labels, h, c, scorer)
    check_text(labels, h, c, scorer)
    a = ordered_product(h, scorer.recurrent, scorer.bias)
    for k, column in enumerate(scorer.table[labels].T):
        a += column[:, None] * scorer.input[k]
    width = h.shape[1]
    gates = numerics.sigmoid(a.ravel()).reshape(a.shape)
    g = numerics.tanh(a[:, 2 * width : 3 * width].ravel()).reshape(h.shape)
    c = gates[:, width : 2 * width] * c + gates[:, :width] * g
    h = gates[:, 3 * width :] * numerics.tanh(c.ravel()).reshape(c.shape)
    centred = h - (ordered_sum(h) / F32(width))[:, None]
    reciprocal = F32(1) / np.sqrt(ordered_sum(centred * centred) / F32(width) + EPSILON)
    normal = centred * reciprocal[:, None] * scorer.gain + scorer.shift
    return ordered_product(normal, scorer.text, np.zeros(scorer.text.shape[1], F32)), h, c


def unit_scores(audio, text, scorer):
    """Log-probability of every unit for some hypotheses in one frame.

        z = tanh(audio + text) W + c,  logp = z - (max z + ln sum exp(z - max z))

    Parameters
    ----------
    audio : float32 [J]       Projected encoding of the frame, bias included.
    text : float32 [B, J]     From `next_text`.
    scorer : Scorer           An IntegerScorer takes the types of `integer_scorer.unit_scores`.

    Returns
    -------
    float32 [B, V]

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS. Cost: B*J*V MAC, B*(J+V) exponentials.
    """
    if isinstance(scorer, integer_scorer.IntegerScorer):
        return integer_scorer.unit_scores(audio, text, scorer)
    check_scores(audio, text, scorer)
    hidden = numerics.tanh((audio + text).ravel()).reshape(text.shape)
    return log_softmax(ordered_product(hidden, scorer.output, scorer.output_bias))


def check_text(labels, h, c, scorer):
    """Validate the arguments of `next_text`. Parameters: labels, h, c, scorer."""
    check_scorer(scorer)
    checks.array("labels", labels, np.int32, (None,))
    for name, value in (("h", h), ("c", c)):
        checks.array(name, value, F32, (labels.size, scorer.gain.size))
    if labels.size and (labels.min() < 0 or labels.max() >= len(scorer.table)):
        raise RangeError(f"labels: got {labels.min()} to {labels.max()}, expected 0 to {len(scorer.table) - 1}")


def check_scores(audio, text, scorer):
    """Validate the arguments of `unit_scores`. Parameters: audio, text, scorer."""
    check_scorer(scorer)
    checks.array("audio", audio, F32, scorer.output.shape[:1])
    checks.array("text", text, F32, (None, audio.size))


def check_scorer(scorer):
    """Validate the weights: shapes that fit together. Parameters: scorer."""
    if isinstance(scorer, integer_scorer.IntegerScorer):
        return integer_scorer.check_scorer(scorer)
    checks.array("table", scorer.table, F32, (None, None))
    checks.array("gain", scorer.gain, F32, (None,))
    checks.array("text", scorer.text, F32, (scorer.gain.size, None))
    (n_units, embedded), width = scorer.table.shape, scorer.gain.size
    shapes = {"input": (embedded, 4 * width), "recurrent": (width, 4 * width), "bias": (4 * width,), "shift": (width,),
              "output": (scorer.text.shape[1], n_units), "output_bias": (n_units,)}
    for name, shape in shapes.items():
        checks.array(name, getattr(scorer, name), F32, shape)
    if 0 in (n_units, width, scorer.text.shape[1]):
        raise RangeError(f"scorer: got {n_units} units and widths {width}, {scorer.text.shape[1]}, expected at least 1 of each")
