"""Recognise the utterances of a corpus and score them: error rates, their interval, and the computing time.

    real-time factor = seconds computed / seconds of audio

Reading and converting the files is not counted. Utterances that cannot be read, or whose transcript the units cannot
spell, are reported and left out; the others are done.
"""

import dataclasses
import math
import time

import numpy as np

from refasr import corpus
from refasr.audio import SAMPLE_RATE_HZ
from refasr.errors import RefasrError
from refasr.metrics import bootstrap, wer
from refasr.metrics.text import normalise


@dataclasses.dataclass(frozen=True)
class Heard:
    """One recognised utterance: normalised texts, times in seconds."""

    utterance: corpus.Utterance
    reference: str
    hypothesis: str
    audio_seconds: float
    compute_seconds: float


def hear(utterance, recognise, notice=None):
    """Recognise one utterance.

    Parameters
    ----------
    utterance : Utterance
    recognise : function                     float32 [S] at 16 kHz -> text.
    notice : function of one str, or None    Told of conversions.

    Returns
    -------
    Heard

    Raises
    ------
    FormatError                              For its transcript or its file.
    """
    reference = corpus.transcript(utterance)
    samples = corpus.read_samples(utterance, notice)
    begin = time.perf_counter()
    text = recognise(samples)
    seconds = time.perf_counter() - begin
    return Heard(utterance, reference, normalise(text), samples.size / SAMPLE_RATE_HZ, seconds)


def hear_all(utterances, recognise, complain, notice=None):
    """Recognise many utterances, after one second of silence that is not counted and pays for compilation.

    Parameters
    ----------
    utterances : iterable of Utterance
    recognise : function                     float32 [S] at 16 kHz -> text.
    complain : function of an exception      Told of each utterance that is left out.
    notice : function of one str, or None    Told of conversions.

    Returns
    -------
    list of Heard
    """
    recognise(np.zeros(SAMPLE_RATE_HZ, np.float32))
    heard = []
    for utterance in utterances:
        try:
            heard.append(hear(utterance, recognise, notice))
        except RefasrError as error:
            complain(error)
    return heard


def summarise(heard, seed=0):
    """Figures of a set of recognised utterances.

    Parameters
    ----------
    heard : list of Heard    At least one.
    seed : int               Of the bootstrap.

    Returns
    -------
    dict                     wer, ser, ci95 ([low, high] of wer), substitutions, deletions, insertions, n_utterances, n_words,
                             rtf. Fractions; None stands for a rate without words or a factor without audio.
    """
    score = wer.score([item.reference for item in heard], [item.hypothesis for item in heard])
    audio, compute = sum(item.audio_seconds for item in heard), sum(item.compute_seconds for item in heard)
    return {"wer": finite_or_none(score.wer), "ser": score.ser,
            "ci95": [finite_or_none(bound) for bound in bootstrap.interval(score.errors, score.words, seed=seed)],
            "substitutions": score.substitutions, "deletions": score.deletions, "insertions": score.insertions,
            "n_utterances": score.n_utterances, "n_words": score.n_words, "rtf": compute / audio if audio else None}


def finite_or_none(value):
    """JSON has no infinity. Parameters: value. Returns the value or None."""
    return value if math.isfinite(value) else None


def spread(utterances, limit):
    """At most `limit` utterances, evenly spread over the list. Parameters: utterances, limit (None: all). Returns a list."""
    if limit is None or limit >= len(utterances):
        return list(utterances)
    return [utterances[i * len(utterances) // limit] for i in range(limit)]
