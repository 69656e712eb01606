"""One recording through a network, by greedy search, frame by frame: on the chip, or with the integer network to compare."""

from typing import NamedTuple

import numpy as np

from refasr import stages
from refasr.audio import SAMPLE_RATE_HZ
from refasr.recognise import FLUSH_FRAMES
from refasr.search import greedy


class Heard(NamedTuple):
    """What was found.

    labels : tuple of int       Units written.
    score : float               Log-probability of the path; every logit of the search has a part in it.
    runs : dict                 How often the programs run: frame, unit, node (as `Chip.runs` counts them).
    """

    labels: tuple
    score: float
    runs: dict


def codes_of(model, network, samples, backend):
    """Stacked frames as the encoder takes them, with the silence that brings out the last word.

    Parameters
    ----------
    model : IntegerModel
    network : IntegerNetwork or ProcessorNetwork
    samples : float32 [S]    At 16 kHz.
    backend : Backend

    Returns
    -------
    int8 [T, K]
    """
    features, stacking = stages.features_stage(model, backend), stages.stacking_stage(model, network)
    flush_seconds = model.card.get("flush_frames", FLUSH_FRAMES) * model.architecture.stack / 100
    silence = np.zeros(round(flush_seconds * SAMPLE_RATE_HZ), np.float32)
    frames, _ = features.step(np.concatenate([samples, silence]), features.start())
    return stacking.step(frames, stacking.start())[0]


def hear(network, codes):
    """Search. Parameters: network (IntegerNetwork or ProcessorNetwork), codes (int8 [T, K]). Returns Heard."""
    encoder, search, labels = network.encoder.start(), greedy.start(network), []
    for frame in codes:
        h, encoder, _ = network.encoder.encode(frame, encoder)
        units, search = greedy.step(network, h, search)
        labels += [label for label, _ in units]
    runs = {("frame", ()): len(codes), ("unit", ()): 1 + len(labels), ("node", ()): len(codes) + len(labels)}
    return Heard(tuple(labels), search.score, runs)
