"""What a beam search asks of the integer network: `refasr.search.scorer` with the operations of `docs/arithmetic.md`.

States are codes, equal on every machine; log-probabilities are float32, by the same log-softmax as the float network's.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.compress import integer_ops as ops
from refasr.errors import RangeError
from refasr.search.log_softmax import log_softmax

I8, I16, I32, F32 = np.int8, np.int16, np.int32, np.float32


class IntegerScorer(NamedTuple):
    """The text side in integers; rows of matrices are outputs."""

    table: np.ndarray            # int8 (V, E)     embedding of each unit
    input: np.ndarray            # int8 (4P, E)    LSTM, gates in the order input, forget, cell, output
    recurrent: np.ndarray        # int8 (4P, P)
    cell: ops.Cell
    norm: ops.Norm
    text: np.ndarray             # int8 (J, P)     joiner's projection of the text side
    text_rescale: ops.Rescale
    joint: ops.Joint
    output: np.ndarray           # int8 (V, J)
    output_rescale: ops.Rescale
    scale: np.ndarray            # float32 (1,)    of the logits

    @property
    def widths(self):
        """P, J and V."""
        return self.norm.gain.size, self.text.shape[0], len(self.table)

    @property
    def types(self):
        """Of audio and text projections, and of the predictor's h and c."""
        return I8, I8, I8, I16


def exact_product(x, w):
    """Sums of products. Parameters: x (int8 [B, K]), w (int8 [N, K]). Returns int32 [B, N]."""
    return x.astype(I32) @ w.astype(I32).T


def next_text(labels, h, c, scorer):
    """Take one label each into some hypotheses; `scorer.next_text` in integers.

    Parameters
    ----------
    labels : int32 [B], 0 <= label < V    The unit just written; blank at the start.
    h : int8 [B, P]                       State of the predictor before it.
    c : int16 [B, P]
    scorer : IntegerScorer

    Returns
    -------
    (int8 [B, J], int8 [B, P], int16 [B, P])    Projected text encoding, and the state after the label.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: B*((E+P)*4P + P*J) MAC.
    """
    check_text(labels, h, c, scorer)
    ax, ah = exact_product(scorer.table[labels], scorer.input), exact_product(h, scorer.recurrent)
    h, c = ops.lstm_cell(ax, ah, c, scorer.cell)
    return ops.rescale_rows(exact_product(ops.layer_norm(h, scorer.norm), scorer.text), scorer.text_rescale), h, c


def unit_scores(audio, text, scorer):
    """Log-probability of every unit for some hypotheses in one frame; `scorer.unit_scores` in integers.

    Parameters
    ----------
    audio : int8 [J]          Projected encoding of the frame.
    text : int8 [B, J]        From `next_text`.
    scorer : IntegerScorer

    Returns
    -------
    float32 [B, V]

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS. Cost: B*J*V MAC, B*J look-ups, B*V exponentials.
    """
    check_scores(audio, text, scorer)
    hidden = ops.join(np.tile(audio, (len(text), 1)), text, scorer.joint)
    logits = ops.logit_rows(exact_product(hidden, scorer.output), scorer.output_rescale)
    return log_softmax(logits.astype(F32) * scorer.scale)


def check_text(labels, h, c, scorer):
    """Validate the arguments of `next_text`. Parameters: labels, h, c, scorer."""
    check_scorer(scorer)
    checks.array("labels", labels, I32, (None,))
    for name, value, dtype in (("h", h, I8), ("c", c, I16)):
        checks.array(name, value, dtype, (labels.size, scorer.widths[0]))
    if labels.size and (labels.min() < 0 or labels.max() >= len(scorer.table)):
        raise RangeError(f"labels: got {labels.min()} to {labels.max()}, expected 0 to {len(scorer.table) - 1}")


def check_scores(audio, text, scorer):
    """Validate the arguments of `unit_scores`. Parameters: audio, text, scorer."""
    check_scorer(scorer)
    checks.array("audio", audio, I8, scorer.text.shape[:1])
    checks.array("text", text, I8, (None, audio.size))


def check_scorer(scorer):
    """Validate the weights: shapes that fit together. Parameters: scorer."""
    checks.array("table", scorer.table, I8, (None, None))
    checks.array("norm.gain", scorer.norm.gain, np.int16, (None,))
    checks.array("text", scorer.text, I8, (None, scorer.norm.gain.size))
    width, joint, n_units = scorer.widths
    shapes = {"input": (4 * width, scorer.table.shape[1]), "recurrent": (4 * width, width), "output": (n_units, joint)}
    for name, shape in shapes.items():
        checks.array(name, getattr(scorer, name), I8, shape)
    checks.array("scale", scorer.scale, F32, (1,))
    if 0 in (n_units, width, joint):
        raise RangeError(f"scorer: got {n_units} units and widths {width}, {joint}, expected at least 1 of each")
