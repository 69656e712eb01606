"""Count errors: greedy search, layer by layer over whole recordings, which gives what frame by frame gives."""

import numpy as np

from refasr import corpus
from refasr.features import fbank
from refasr.metrics import wer
from refasr.search import greedy
from refasr.transducer.model import assemble
from refasr.transducer.units import decode_labels

TRAIL_SAMPLES = 5600  # silence in which the last word is written; training has up to 0.4 s of it
F32 = np.float32


class Examination:
    """Recordings and what is said in them.

    Parameters
    ----------
    utterances : list of Utterance
    profile : str                     Feature profile.
    backend : Backend                 From `twins.select`.
    """

    def __init__(self, utterances, profile, backend):
        self.texts, self.backend = [corpus.transcript(item) for item in utterances], backend
        log_mel, plan, silence = backend(fbank.log_mel), fbank.Plan.of(profile), np.zeros(TRAIL_SAMPLES, F32)
        self.frames = [log_mel(np.concatenate([corpus.read_samples(item), silence]), plan) for item in utterances]

    def score(self, model):
        """Errors of a network. Parameters: model (Model). Returns a Score."""
        network = assemble(model, self.backend)
        return wer.score(self.texts, [self.hear(model, network, frames) for frames in self.frames])

    def hear(self, model, network, frames):
        """Recognise one recording. Parameters: model, network, frames (float32 [T, F]). Returns text."""
        stack = model.architecture.stack
        normal = (frames - model.mean) * model.reciprocal_deviation
        x = np.ascontiguousarray(normal[: len(normal) // stack * stack].reshape(-1, stack * normal.shape[1]))
        for index, state in enumerate(network.encoder.start()):
            x, _ = network.encoder.encode_layer(index, x, state)
        search, labels = greedy.start(network), []
        for h in x:
            emitted, search = greedy.step(network, h, search)
            labels += [label for label, _ in emitted]
        return decode_labels(labels)
