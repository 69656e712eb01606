"""What the end-point model sees of one encoder frame: sound, and what the decoder makes of it.

    sound     mean log-mel energies of the frame's four windows [F], and the encoder's output [D] where the model uses it
    decoder   pause so far, whether there are words, how complete the text is, how the best hypothesis is doing

The pause is counted from the frame in which the last unit was written, by the frame counter alone, so that nothing depends
on how the samples were cut.
"""

import math
from typing import NamedTuple

import numpy as np

from refasr.transducer.units import WORD_MARK, decode_labels

F32 = np.float32
N_DECODER = 8
LONGEST_PAUSE_S = 4.0     # longer ones look the same
WORST_NATS, FULL_MARGIN = 6.0, 16.0


class FrameFeatures(NamedTuple):
    """Inputs of the model for one frame.

    sound : float32 [F + D]
    decoder : float32 [N_DECODER]
    """

    sound: np.ndarray
    decoder: np.ndarray


def sound_features(mel, encoding=None):
    """The first part.

    Parameters
    ----------
    mel : float32 [4, F]                  Log-mel energies of the encoder frame's windows.
    encoding : float32 [D] or None        The encoder's output for it.

    Returns
    -------
    float32 [F] or [F + D]
    """
    energy = mel[0]
    for row in mel[1:]:
        energy = energy + row
    energy = energy * F32(1 / len(mel))
    return energy if encoding is None else np.concatenate([energy, encoding.astype(F32)])


def decoder_features(heard, score_before, frame, complete, unit_texts, frame_seconds):
    """The second part.

    Parameters
    ----------
    heard : Heard                   What the search knew after this frame.
    score_before : float            The best hypothesis' score a frame before.
    frame : int                     Number of this frame, from the start of the utterance.
    complete : float                Log-odds that the text ends here; see `completeness`.
    unit_texts : tuple of str       The recogniser's units.
    frame_seconds : float

    Returns
    -------
    float32 [N_DECODER]    Pause in seconds, its logarithm, are there words, completeness, the same if there is a pause of 0.1 s,
                           loss of the best score in this frame, margin to the second hypothesis, is a word just begun.
    """
    pause = min((frame - heard.last_frame) * frame_seconds, LONGEST_PAUSE_S)
    loss = min(max(score_before - heard.score, 0.0), WORST_NATS)
    begun = bool(heard.labels) and unit_texts[heard.labels[-1]] == WORD_MARK
    return np.array([pause, math.log1p(10 * pause), bool(heard.labels), complete / 4, complete / 4 if pause > 0.1 else 0.0,
                     loss / 2, heard.margin / FULL_MARGIN, begun], F32)


def stable_text(heard, unit_texts):
    """Words that no living hypothesis disputes; the last word counts when the next one has begun.

    Parameters
    ----------
    heard : Heard
    unit_texts : tuple of str

    Returns
    -------
    str
    """
    shared = heard.labels[:heard.n_stable]
    last_mark = max((i for i, label in enumerate(shared) if unit_texts[label] == WORD_MARK), default=0)
    return decode_labels(list(shared[:last_mark]), unit_texts)


def text_of(heard, unit_texts):
    """The best hypothesis. Parameters: heard, unit_texts. Returns str."""
    return decode_labels(list(heard.labels), unit_texts)
