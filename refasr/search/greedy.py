"""Greedy search: at every frame, take the best unit until it is blank."""

from typing import NamedTuple

import numpy as np

from refasr.nn.lstm import LstmState
from refasr.transducer.units import BLANK

MAX_SYMBOLS_PER_FRAME = 16  # characters come in bursts of up to nine; the cap only stops a broken model


class GreedyState(NamedTuple):
    """The text side of one stream: the projected text encoding, and the predictor's state."""

    text: np.ndarray  # float32 (J,)
    predictor: LstmState


def start(network):
    """State before the first frame. Parameters: network. Returns a GreedyState."""
    g, state = network.predictor.start()
    return GreedyState(network.joiner.project_text(g), state)


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
        if label == BLANK:
            break
        shifted = logits - logits[label]
        emitted.append((label, -float(np.log(np.exp(shifted).sum()))))
        g, predictor = network.predictor.predict(label, state.predictor)
        state = GreedyState(network.joiner.project_text(g), predictor)
    return emitted, state
