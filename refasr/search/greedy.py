"""Greedy search: at every frame, take the best unit until it is blank."""

import math
from typing import NamedTuple

import numpy as np

from refasr.nn.lstm import LstmState
from refasr.transducer.units import BLANK

MAX_SYMBOLS_PER_FRAME = 16  # characters come in bursts of up to nine; the cap only stops a broken model


class GreedyState(NamedTuple):
    """The text side of one stream: the projected text encoding, the predictor's state, and the path's score so far."""

    text: np.ndarray  # float32 (J,)
    predictor: LstmState
    score: float      # logarithm of the path's probability: its units, and the blank that ends each frame


def start(network):
    """State before the first frame. Parameters: network. Returns a GreedyState."""
    g, state = network.predictor.start()
    return GreedyState(network.joiner.project_text(g), state, 0.0)


def step(network, h, state):
    """Decode one encoder frame.

    Parameters
    ----------
    network : Network       The model's parts.
    h : float32 [D]         The frame's encoding.
    state : GreedyState     Not modified.

    Returns
    -------
    (list of (label, log-probability), GreedyState)    Units emitted at this frame, in order.
    """
    audio, emitted = network.joiner.project_audio(h), []
    for _ in range(MAX_SYMBOLS_PER_FRAME):
        logits = network.joiner.join_projected(audio, state.text)
        label = int(np.argmax(logits))
        logp = log_probability(logits, label)
        state = state._replace(score=state.score + logp)
        if label == BLANK:
            break
        emitted.append((label, logp))
        g, predictor = network.predictor.predict(label, state.predictor)
        state = GreedyState(network.joiner.project_text(g), predictor, state.score)
    else:  # cut off; a path ends its frame with blank all the same
        blank = log_probability(network.joiner.join_projected(audio, state.text), BLANK)
        state = state._replace(score=state.score + blank)
    return emitted, state


def log_probability(logits, label):
    """Log-softmax of one unit, summed in float64. Parameters: logits (float32 [V]), label. Returns float, <= 0."""
    wide = logits.astype(np.float64)
    peak = wide.max()
    return min(0.0, float(wide[label] - peak) - math.log(np.exp(wide - peak).sum()))
