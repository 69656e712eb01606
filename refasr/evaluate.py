"""Recognise the utterances of a corpus and score them: error rates, their interval, and the computing time.

    real-time factor = seconds computed / seconds of audio

Reading and converting the files is not counted. Utterances that cannot be read, or whose transcript the units cannot
spell, are reported and left out; the others are done.

Utterances can be shared out to an executor (see `refasr.workers`), and finished ones kept in a journal, so that an
interrupted run can go on: the error rates are the same. Times are then of whoever did the work.
"""

import dataclasses
import functools
import math
import os
import pathlib
import time

import numpy as np

from refasr import corpus
from refasr.audio import SAMPLE_RATE_HZ
from refasr.errors import FormatError, RefasrError
from refasr.journal import Journal
from refasr.metrics import bootstrap, wer
from refasr.metrics import text as scoring_text
from refasr.metrics.text import normalise
from refasr.recogniser_spec import recogniser_of
from refasr.workers import in_order


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


def hear_corpus(spec, utterances, executor=None, journal=None):
    """Recognise many utterances, here or in an executor; each process first takes the uncounted second of silence.

    Parameters
    ----------
    spec : RecogniserSpec
    utterances : list of Utterance
    executor : Executor or None       Where to work; None: here.
    journal : Journal or None         From `open_journal`: what is in it is not done again, and what is done is added.

    Returns
    -------
    iterator of (Utterance, Heard or RefasrError, tuple of str)    In order; the last are notices of conversions.

    Raises
    ------
    FormatError                       If there is no such model, or another one where the work is done.
    """
    keys = [utterance_key(item) for item in utterances] if journal is not None else []
    known = {tuple(entry["utterance"]): entry for entry in journal.entries} if journal is not None else {}
    left = [item for item, key in zip(utterances, keys) if key not in known] if known else list(utterances)
    results = hear_elsewhere(spec, left, executor) if executor is not None else hear_here(spec, left)
    for i, utterance in enumerate(utterances):
        if known and keys[i] in known:
            yield utterance, *remembered(utterance, known[keys[i]])
            continue
        outcome, notices = next(results)
        if journal is not None and isinstance(outcome, Heard):
            facts = {name: getattr(outcome, name) for name in ("hypothesis", "audio_seconds", "compute_seconds")}
            journal.append({"utterance": keys[i]} | facts | {"notices": notices})
        yield utterance, outcome, notices


def hear_here(spec, utterances):
    """Parameters: spec, utterances. Returns an iterator of (Heard or RefasrError, notices)."""
    if not utterances:
        return
    recognise = warmed(spec.load())
    for utterance in utterances:
        yield attempt(utterance, recognise)


def hear_elsewhere(spec, utterances, executor):
    """Parameters: spec, utterances, executor. Returns an iterator of (Heard or RefasrError, notices)."""
    spec = spec.absolute()
    job = functools.partial(_hear_elsewhere, spec, spec.identity(), pathlib.Path.cwd())
    for utterance, result in in_order(executor, job, utterances, name=lambda item: f"{item.origin()}: {item.file}"):
        outcome, notices = result if isinstance(result, tuple) else (result, ())
        if isinstance(outcome, Heard):
            outcome = dataclasses.replace(outcome, utterance=utterance)
        yield outcome, notices


def _hear_elsewhere(spec, identity, folder, utterance):
    """In a worker, which may be in another folder."""
    return attempt(dataclasses.replace(utterance, file=folder / utterance.file), _warmed_here(recogniser_of(spec, identity)))


def warmed(recogniser):
    """A recogniser as a function, after a second of silence. Parameters: recogniser. Returns a function float32 [S] -> text."""
    recogniser.transcribe_samples(np.zeros(SAMPLE_RATE_HZ, np.float32))
    return lambda samples: recogniser.transcribe_samples(samples).text


_warmed_here = functools.lru_cache(maxsize=1)(warmed)  # once a worker


def attempt(utterance, recognise):
    """Recognise an utterance if it can be read. Parameters: utterance, recognise. Returns (Heard or RefasrError, notices)."""
    notices = []
    try:
        return hear(utterance, recognise, notices.append), tuple(notices)
    except RefasrError as error:
        return error, tuple(notices)


def utterance_key(utterance):
    """What makes an utterance the same one in a later run: its file, unchanged, and which part of it.

    Parameters
    ----------
    utterance : Utterance

    Returns
    -------
    tuple of str and numbers    The transcript is not in it: a corrected one is scored anew, without recognising anew.
    """
    path = os.path.abspath(utterance.file)
    try:
        size, changed = os.stat(path).st_size, os.stat(path).st_mtime_ns
    except OSError:
        size, changed = None, None
    return path, utterance.start, utterance.duration, size, changed


def remembered(utterance, entry):
    """An utterance of an earlier run. Parameters: utterance, entry (of the journal). Returns (Heard or RefasrError, notices)."""
    try:
        reference = corpus.transcript(utterance)
    except RefasrError as error:
        return error, ()
    heard = Heard(utterance, reference, entry["hypothesis"], entry["audio_seconds"], entry["compute_seconds"])
    return heard, tuple(entry["notices"])


def open_journal(path, spec):
    """A journal for `hear_corpus`, new or of an interrupted run.

    Parameters
    ----------
    path : str or Path
    spec : RecogniserSpec

    Returns
    -------
    Journal                A context manager.

    Raises
    ------
    FormatError            If the file is no journal, or one of another model, option or version of refasr.
    """
    scoring = f"{scoring_text.NAME} {scoring_text.fingerprint()}"
    return Journal(path, {"work": "evaluate", "recogniser": spec.identity(), "text": scoring}, checked_entry)


def checked_entry(entry):
    """Require what `hear_corpus` reads of a journal's line. Parameters: entry. Returns it."""
    number = (int, float)
    kinds = {"utterance": list, "hypothesis": str, "audio_seconds": number, "compute_seconds": number, "notices": list}
    if not all(isinstance(entry.get(name), kind) for name, kind in kinds.items()):
        raise FormatError(f"journal: got the line {str(entry)[:60]}, expected {', '.join(kinds)}; delete the file to begin again")
    return entry


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
