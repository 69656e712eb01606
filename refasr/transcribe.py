"""Recognise many recordings, here or in an executor (see `refasr.workers`), in bounded memory."""

import functools
import os
from typing import NamedTuple

from refasr.audio.wav import stream_audio
from refasr.errors import RefasrError
from refasr.recogniser_spec import recogniser_of
from refasr.workers import in_order


class Outcome(NamedTuple):
    """What became of a recording.

    file : str                         As it was given.
    result : Result or RefasrError
    notices : tuple of str             Of conversions, a line each.
    """

    file: str
    result: object
    notices: tuple


def transcribe_files(spec, files, executor=None, *, channel=None, strict=False):
    """Recognise recordings.

    Parameters
    ----------
    spec : RecogniserSpec
    files : list of str             Paths; "-" is standard input, without an executor.
    executor : Executor or None     Where to work; None: here. The outcomes are the same.
    channel : int or None           Which channel to take; None takes the mean of all.
    strict : bool                   Refuse what is not 16 kHz mono instead of converting it.

    Returns
    -------
    iterator of Outcome             In the order of the files.

    Raises
    ------
    FormatError                     If there is no such model, or another one where the work is done.
    """
    if executor is None:
        recogniser = spec.load()
        for file in files:
            yield transcribe_file(recogniser, file, channel=channel, strict=strict)
        return
    spec = spec.absolute()
    job = functools.partial(_transcribe_elsewhere, spec, spec.identity(), os.getcwd(), channel, strict)
    for file, outcome in in_order(executor, job, files):
        yield outcome if isinstance(outcome, Outcome) else Outcome(file, outcome, ())


def transcribe_file(recogniser, file, *, channel=None, strict=False):
    """Recognise a recording.

    Parameters
    ----------
    recogniser : Recogniser
    file : str
    channel : int or None
    strict : bool

    Returns
    -------
    Outcome
    """
    notices = []
    try:
        stream = recogniser.stream()
        for chunk in stream_audio(file, channel=channel, strict=strict, notice=notices.append):
            stream.accept(chunk)
        return Outcome(file, stream.finish(), tuple(notices))
    except RefasrError as error:
        return Outcome(file, error, tuple(notices))


def _transcribe_elsewhere(spec, identity, folder, channel, strict, file):
    """The same in a worker, which may be in another folder: what it says of the file is given the file's name back."""
    path = os.path.join(folder, file)
    _, result, notices = transcribe_file(recogniser_of(spec, identity), path, channel=channel, strict=strict)
    if isinstance(result, RefasrError):
        result = type(result)(str(result).replace(path, file))
    return Outcome(file, result, tuple(notice.replace(path, file) for notice in notices))
