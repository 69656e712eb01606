"""Forced alignment: the single best path of known labels through the T x (U+1) grid, and the word times it gives.

The grid and its scores are those of `refasr.transducer.loss`; here the sum over paths becomes a maximum (Viterbi).
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError, ShapeError
from refasr.transducer import loss
from refasr.transducer.loss import IMPOSSIBLE
from refasr.transducer.units import BLANK, WORD_MARK

LARGEST_GRID = 100_000_000    # nodes; five minutes of fast speech take a quarter of it
FRAMES_AT_ONCE = 32           # of the grid's hidden layer, so that memory holds scores only


class BestPath(NamedTuple):
    """The most probable alignment.

    frames : int32 [U]    Frame in which each label is written; never decreases.
    score : float         Natural logarithm of the path's probability.
    """

    frames: np.ndarray
    score: float


class Word(NamedTuple):
    """A word and its time, in seconds from the start; the end is exclusive."""

    word: str
    start: float
    end: float


def best_path(logits, labels):
    """Most probable path that writes the labels.

    Parameters
    ----------
    logits : float32 [T, U+1, V]     Joiner outputs, finite, T >= 1.
    labels : int32 [U], 1..V-1       Unit numbers; blank (0) is not a label.

    Returns
    -------
    BestPath

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: T*(U+1)*V exponentials.
    """
    return viterbi(*loss.node_scores(logits, labels))


def viterbi(logp_blank, logp_label):
    """Most probable path, given the scores of the moves.

        best[t, u] = max(best[t-1, u] + logp_blank[t-1, u], best[t, u-1] + logp_label[t, u-1]),  best[0, 0] = 0

    Parameters
    ----------
    logp_blank : float64 [T, U+1]    From `loss.node_scores`.
    logp_label : float64 [T, U]

    Returns
    -------
    BestPath                         Among equals, the one that writes its last labels earliest.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: T*(U+1) comparisons.
    """
    loss.check_scores(logp_blank, logp_label)
    n_frames, n_labels = logp_label.shape
    label = np.pad(logp_label, ((0, 0), (0, 1)), constant_values=IMPOSSIBLE)
    best, from_label = np.full((n_frames, n_labels + 1), IMPOSSIBLE), np.zeros((n_frames, n_labels + 1), bool)
    best[0, 0] = 0.0
    for d in range(1, n_frames + n_labels):
        t, u = loss.diagonal(d, n_frames, n_labels)
        by_blank = np.where(t > 0, best[t - 1, u] + logp_blank[t - 1, u], IMPOSSIBLE)
        by_label = np.where(u > 0, best[t, u - 1] + label[t, u - 1], IMPOSSIBLE)
        from_label[t, u] = by_label > by_blank
        best[t, u] = np.where(from_label[t, u], by_label, by_blank)
    return BestPath(trace(from_label), float(best[-1, -1] + logp_blank[-1, -1]))


def trace(from_label):
    """Follow the moves back from the end. Parameters: from_label (bool, T by U+1). Returns int32 [U]."""
    t, u = from_label.shape[0] - 1, from_label.shape[1] - 1
    frames = np.empty(u, np.int32)
    while u:
        if from_label[t, u]:
            u -= 1
            frames[u] = t
        else:
            t -= 1
    return frames


def score_grid(network, h, labels, backend):
    """Scores of all moves for one utterance, a few frames at a time.

    Parameters
    ----------
    network : Network       From `model.assemble`.
    h : float32 [T, D]      Encodings of the frames, T >= 1; int8 of an IntegerNetwork.
    labels : int32 [U]      Unit numbers of the text.
    backend : Backend       From `twins.select`.

    Returns
    -------
    logp_blank : float64 [T, U+1]
    logp_label : float64 [T, U]

    Raises
    ------
    ShapeError              If there is no frame.
    RangeError              If the grid would not fit into a sensible amount of memory.
    """
    checks.array("h", h, network.encoder.encodings, (None, None))
    if len(h) == 0:
        raise ShapeError("h: got no frame, expected at least one; give a longer recording")
    if len(h) * (labels.size + 1) > LARGEST_GRID:
        raise RangeError(f"labels: got a grid of {len(h)} x {labels.size + 1} nodes, expected up to {LARGEST_GRID}; "
                         "split the recording")
    g, _ = network.predictor.forward(np.append(np.int32(BLANK), labels)[:, None])
    audio, text = network.joiner.project_audio(h), network.joiner.project_text(g[:, 0])
    scores, parts = backend(loss.node_scores), []
    for t in range(0, len(h), FRAMES_AT_ONCE):
        parts.append(scores(network.joiner.forward(audio[t:t + FRAMES_AT_ONCE], text)[0], labels))
    return tuple(np.concatenate(part) for part in zip(*parts))


def word_times(frames, units, frame_seconds):
    """Times of the words, from the frames of their units.

    Parameters
    ----------
    frames : int32 [U], >= 0, never decreasing    Frame in which each unit was written.
    units : sequence of str [U]                   Their text; a word begins with a unit that starts with the word mark.
    frame_seconds : float                         Length of a frame.

    Returns
    -------
    list of Word                                  First unit's frame to last unit's frame, end exclusive. Words never
                                                  overlap and last a frame at least: one that starts in the frame where
                                                  the last one ended begins after it.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Examples
    --------
    >>> word_times(np.array([2, 3, 5, 9, 9], np.int32), ["\u2581", "h", "i", "\u2581", "a"], 0.04)
    [Word(word='hi', start=0.08, end=0.24), Word(word='a', start=0.36, end=0.4)]
    """
    checks.array("frames", frames, np.int32, (len(units),))
    if frames.size and (frames[0] < 0 or (np.diff(frames) < 0).any()):
        raise RangeError("frames: got frames that decrease or are negative, expected the order of speech; pass a path's frames")
    spans = []    # text, first frame, last frame
    for unit, frame in zip(units, frames.tolist()):
        if unit.startswith(WORD_MARK) or not spans:
            spans.append(["", frame, frame])
        spans[-1][0] += unit.removeprefix(WORD_MARK)
        spans[-1][2] = frame
    words, end = [], 0
    for text, first, last in spans:
        if text:
            start = max(first, end)
            end = max(last, start) + 1
            words.append(Word(text, round(start * frame_seconds, 6), round(end * frame_seconds, 6)))
    return words
