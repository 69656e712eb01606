"""K9, one utterance: from what the other stages gave in a frame to what the end-pointer has to know.

    mel, encoding, search -> Observation(posterior, text, stable, pause, length, cost)
"""

import math
from typing import NamedTuple

import numpy as np

from refasr.endpoint import features, model
from refasr.endpoint.trail import NOTHING, trail_of
from refasr.errors import RangeError
from refasr.transducer.units import CHARACTERS


class Observation(NamedTuple):
    """What is known after a frame.

    posterior : 0 to 1, that the speaker has finished; 0 without a model.
    text, stable : the best hypothesis, and its words that no other disputes.
    pause_s : since the last unit, or since the start without words.
    length_s : of the utterance.
    cost : -ln p(the text is complete); 0 without a model.
    """

    posterior: float
    text: str
    stable: str
    pause_s: float
    length_s: float
    cost: float


class Completeness:
    """Log-odds that a text is complete; what two texts share is computed once.

    Parameters
    ----------
    weights : TextWeights
    backend : Backend
    """

    def __init__(self, weights, backend):
        self.weights, self.step = weights, backend(model.complete)
        self.labels, self.known = (), [(0.0, model.zero_state(weights.recurrent))]

    def of(self, labels):
        """Parameters: labels (tuple of int). Returns a float; 0 of no text."""
        if labels != self.labels:
            shorter = min(len(self.labels), len(labels))
            same = next((i for i in range(shorter) if self.labels[i] != labels[i]), shorter)
            del self.known[same + 1:]
            for label in labels[same:]:
                logit, state = self.step(label, self.known[-1][1], self.weights)
                self.known.append((float(logit[0]), state))
            self.labels = labels
        return self.known[-1][0]


class Follower:
    """The end-pointer's memory of one utterance.

    Parameters
    ----------
    recogniser : Recogniser
    endpoint : EndpointModel or None    None: there is no posterior, and rules decide.
    """

    def __init__(self, recogniser, endpoint):
        self.units, self.seconds = recogniser.model.units, recogniser.frame_seconds
        self.trail, self.heard, self.frame = trail_of(recogniser.start().search), NOTHING, 0
        self.endpoint = endpoint
        if endpoint is not None:
            check_fit(endpoint, recogniser)
            self.completeness = Completeness(endpoint.text, recogniser.backend)
            self.finished, self.state = recogniser.backend(model.finished), model.zero_state(endpoint.sound.recurrent)

    def step(self, mel, encoding, written, search):
        """One frame.

        Parameters
        ----------
        mel : float32 [4, F]             Log-mel energies of its windows.
        encoding : float32 [D]           What the encoder gave.
        written : list                   What the search wrote in this frame.
        search : BeamState or SearchState    After it.

        Returns
        -------
        Observation
        """
        before, self.heard = self.heard, self.trail.take(written, search)
        posterior, cost = 0.0, 0.0
        if self.endpoint is not None:
            complete = self.completeness.of(self.heard.labels)
            sound = features.sound_features(mel, encoding if self.endpoint.sizes.encoder else None)
            decoder = features.decoder_features(self.heard, before.score, self.frame, complete, self.units, self.seconds)
            probability, self.state = self.finished(sound, decoder, self.state, self.endpoint.sound)
            posterior, cost = float(probability[0]), math.log1p(math.exp(-max(complete, -50.0)))
        pause = (self.frame - self.heard.last_frame) * self.seconds
        self.frame += 1
        return Observation(posterior, features.text_of(self.heard, self.units), features.stable_text(self.heard, self.units),
                           pause, self.frame * self.seconds, cost)


def check_fit(endpoint, recogniser):
    """Require that an end-point model can follow a recogniser. Parameters: endpoint, recogniser. Raises RangeError."""
    if tuple(recogniser.model.units) != CHARACTERS:
        raise RangeError("endpoint: got a recogniser with other units, expected those of refasr.transducer.units; use rules")
    n_bands = recogniser.model.mean.size
    wide = recogniser.network.encoder.encodings == np.float32 and recogniser.model.architecture.encoder_widths[-1]
    if endpoint.sizes.mel != n_bands or endpoint.sizes.encoder not in (0, wide):
        raise RangeError(f"endpoint: got a model for {endpoint.sizes.mel} bands and {endpoint.sizes.encoder} encoder outputs, "
                         f"expected {n_bands} and {wide or 0}; use the one that came with the recogniser, or rules")
