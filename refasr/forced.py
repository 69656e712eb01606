"""Forced alignment of a recording with a known text: when was each word said, and how sure is the network of it?

The same frames, scores and word times as `refasr.recognise` gives the text that it finds itself; only the text differs.
"""

from typing import NamedTuple

import numpy as np

from refasr import words
from refasr.audio import SAMPLE_RATE_HZ
from refasr.errors import RangeError
from refasr.result import Hypothesis, Result, confidence
from refasr.stages import Emission
from refasr.transducer import align, loss
from refasr.transducer.units import encode_text


class ForcedAlignment(NamedTuple):
    """An aligned recording.

    result : Result                  Words with times; its one hypothesis has the score of the best path.
    units : tuple of str [U]         Text of each label.
    frames : int32 [U]               Frame in which the best path writes each label.
    logp_blank : float64 [T, U+1]    Scores of the moves, from which `occupancy` is made.
    logp_label : float64 [T, U]
    """

    result: Result
    units: tuple
    frames: np.ndarray
    logp_blank: np.ndarray
    logp_label: np.ndarray


def encode(recogniser, samples):
    """Encodings of the frames with sound in them.

    Parameters
    ----------
    recogniser : Recogniser
    samples : float32 [S], about -1..1    At 16 kHz.

    Returns
    -------
    float32 [T, D]                        The last frame is filled up with zeros.
    """
    filled = np.append(samples, np.zeros(recogniser.padding(samples.size), np.float32))
    rows = filled
    for key in ("K0", "K1", "K2", *(layer.key for layer in recogniser.layers)):
        rows, _ = recogniser.stages[key].step(rows, recogniser.stages[key].start())
    return rows[:recogniser.frames_of(samples.size)]


def align_samples(recogniser, samples, text):
    """Align a recording with its text.

    Parameters
    ----------
    recogniser : Recogniser
    samples : float32 [S], about -1..1    At 16 kHz, at least one frame.
    text : str                            Normalised: a-z, apostrophe and spaces.

    Returns
    -------
    ForcedAlignment

    Raises
    ------
    DTypeError, ShapeError, RangeError    Also where the recording is too short, or too long for the grid to be held.
    """
    units = recogniser.model.units
    labels = encode_text(text, units)
    h = encode(recogniser, samples)
    if len(h) == 0:
        raise RangeError(f"samples: got {samples.size}, expected at least {recogniser.window_samples}; give a longer recording")
    scores = align.score_grid(recogniser.network, h, labels, recogniser.backend)
    path = recogniser.backend(align.viterbi)(*scores)
    logp = scores[1][path.frames, np.arange(labels.size)].tolist()
    emissions = [Emission(*written) for written in zip(path.frames.tolist(), labels.tolist(), logp)]
    spoken = words.spoken_words(emissions, path.frames, units, recogniser.frame_seconds)
    hypothesis = Hypothesis(" ".join(word.word for word in spoken), path.score)
    result = Result(hypothesis.text, spoken, samples.size / SAMPLE_RATE_HZ, confidence(logp), (hypothesis,))
    return ForcedAlignment(result, tuple(units[label] for label in labels), path.frames, *scores)


def occupancy(alignment, backend):
    """Probability, given recording and text, that the path visits each node.

    Parameters
    ----------
    alignment : ForcedAlignment
    backend : Backend

    Returns
    -------
    float32 [T, U+1]
    """
    scores = alignment.logp_blank, alignment.logp_label
    blank, label = loss.move_posteriors(*scores, *backend(loss.forward_backward)(*scores))
    return blank + label
