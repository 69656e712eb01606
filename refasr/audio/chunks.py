"""Cutting samples into chunks, and recutting a stream of chunks."""

import numpy as np

from refasr import checks
from refasr.errors import RangeError

F32 = np.float32


def split(samples, chunk_samples):
    """Cut an array into chunks; the last may be shorter, and none is empty.

    Parameters
    ----------
    samples : float32 [S]
    chunk_samples : int, >= 1

    Returns
    -------
    iterator of float32 [<= chunk_samples]    Views of the samples.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    checks.array("samples", samples, F32, (None,))
    return (samples[i:i + chunk_samples] for i in range(0, samples.size, _length(chunk_samples)))


def regroup(chunks, chunk_samples):
    """Recut a stream: same samples, in chunks of one length; the last may be shorter, and none is empty.

    Parameters
    ----------
    chunks : iterable of float32 [S]    Of any lengths, empty ones too.
    chunk_samples : int, >= 1

    Returns
    -------
    iterator of float32 [<= chunk_samples]

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Holds less than one chunk, beside the one it was given.
    """
    return _regroup(chunks, _length(chunk_samples))


def _length(chunk_samples):
    if not chunk_samples >= 1 or chunk_samples % 1:
        raise RangeError(f"chunk_samples: got {chunk_samples}, expected a whole number >= 1")
    return int(chunk_samples)


def _regroup(chunks, chunk_samples):
    waiting, n_waiting = [], 0
    for chunk in chunks:
        checks.array("chunk", chunk, F32, (None,))
        begin = 0
        while n_waiting + chunk.size - begin >= chunk_samples:
            end = begin + chunk_samples - n_waiting
            yield np.concatenate(waiting + [chunk[begin:end]])
            waiting, n_waiting, begin = [], 0, end
        if begin < chunk.size:
            waiting.append(chunk[begin:])
            n_waiting += chunk.size - begin
    if waiting:
        yield np.concatenate(waiting)
