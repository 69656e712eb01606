"""From units to words: when each was said, and how sure the network was.

Greedy search writes a unit when it is sure of it, often late and in bursts. The times come from the best alignment
instead: the most probable path of the recognised units over the whole utterance. A long utterance (or a broken model,
which writes without end) keeps the frames of writing, because the alignment costs frames times units.
"""

import numpy as np

from refasr.result import Word, confidence
from refasr.transducer import align
from refasr.transducer.units import RESERVED, WORD_MARK

MOST_FRAMES = 750        # 30 s: encodings are kept up to here
LARGEST_GRID = 500_000   # nodes of the alignment, about 30 s of fast speech


def unit_frames(emissions, encodings, n_frames, network, backend):
    """In which frame each unit was said.

    Parameters
    ----------
    emissions : list of Emission           Units written by the search.
    encodings : float32 [T, D] or None     Of the first n_frames or more; None if they were not kept.
    n_frames : int                         Frames with sound in them, without the silence of `finish`.
    network : Network
    backend : Backend

    Returns
    -------
    int32 [U], < n_frames, never decreasing
    """
    labels = np.array([emission.label for emission in emissions], np.int32)
    if encodings is None or labels.size == 0 or n_frames * (labels.size + 1) > LARGEST_GRID:
        return np.minimum(np.array([emission.frame for emission in emissions], np.int32), np.int32(n_frames - 1))
    scores = align.score_grid(network, np.ascontiguousarray(encodings[:n_frames]), labels, backend)
    return backend(align.viterbi)(*scores).frames


def spoken_words(emissions, frames, units, frame_seconds):
    """Join units to words; reserved units are left out.

    Parameters
    ----------
    emissions : list of Emission    Units written by the search.
    frames : int32 [U]              From `unit_frames`.
    units : tuple of str            The inventory.
    frame_seconds : float           Length of a frame.

    Returns
    -------
    tuple of Word                   Times from the first and the last unit's frame, end exclusive, a frame at least, in order
                                    and without overlap. Confidence is the geometric mean over the word's units.
    """
    kept = [i for i, emission in enumerate(emissions) if emission.label >= len(RESERVED)]
    texts = [units[emissions[i].label] for i in kept]
    timed = align.word_times(frames[kept], texts, frame_seconds)
    sure = [confidence(group) for group in word_groups(texts, [emissions[i].logp for i in kept])]
    return tuple(Word(*word, conf) for word, conf in zip(timed, sure, strict=True))


def word_groups(texts, values):
    """Values of each word's units; a mark without letters is no word. Parameters: texts, values. Returns a list of lists."""
    groups = []  # (letters, values)
    for text, value in zip(texts, values, strict=True):
        if text.startswith(WORD_MARK) or not groups:
            groups.append(["", []])
        groups[-1][0] += text.removeprefix(WORD_MARK)
        groups[-1][1].append(value)
    return [group for letters, group in groups if letters]
