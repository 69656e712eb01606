"""All training audio, decoded once and kept as 16-bit samples in one memory-mapped file."""

import hashlib
import itertools
import json
import os
import pathlib

import numpy as np

from refasr.audio import SAMPLE_RATE_HZ
from refasr.audio.wav import read_audio
from refasr.corpus import SLACK_SECONDS
from refasr.errors import FormatError, RefasrError

PCM_SCALE = np.float32(1 / 32768)


class Store:
    """Recordings by index.

    Parameters
    ----------
    samples : int16 [S]     All recordings, end to end.
    bounds : int64 [N+1]    Where each begins; the last entry is the end.
    """

    def __init__(self, samples, bounds):
        self.samples, self.bounds = samples, bounds

    def __len__(self):
        return len(self.bounds) - 1

    def length(self, index):
        """Samples in a recording. Parameters: index. Returns an int."""
        return int(self.bounds[index + 1] - self.bounds[index])

    def audio(self, index):
        """One recording. Parameters: index. Returns float32 [S] in [-1, 1)."""
        return self.samples[self.bounds[index] : self.bounds[index + 1]] * PCM_SCALE


def cache_key(utterances):
    """Name of the cache of a list: changes with any path, size, time stamp or cut. Parameters: utterances. Returns text."""
    digest = hashlib.sha256()
    for item in utterances:
        try:
            stat = os.stat(item.file)
        except OSError as error:
            raise FormatError(f"{item.origin()}: {item.file}: {error.strerror}; fetch it or remove the line") from None
        digest.update(f"{item.file}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        if item.start or item.duration is not None:
            digest.update(f"{item.start}\0{item.duration}\n".encode())
    return digest.hexdigest()[:16]


def to_pcm(samples):
    """As the store keeps them. Parameters: samples (float32 [S]). Returns int16 [S]."""
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2")


def recordings(utterances):
    """Decode one file and cut the utterances out of it.

    Parameters
    ----------
    utterances : list of Utterance    All of one file.

    Yields
    ------
    int16 [S]                         Each utterance's samples.

    Raises
    ------
    FormatError                       For a file that is not audio, or ends before one of them does.
    """
    try:
        samples = read_audio(utterances[0].file)
    except RefasrError as error:
        raise FormatError(f"{utterances[0].origin()}: {error}") from error
    pcm = to_pcm(samples)
    for item in utterances:
        first = round(item.start * SAMPLE_RATE_HZ)
        last = pcm.size if item.duration is None else round((item.start + item.duration) * SAMPLE_RATE_HZ)
        if max(first, last) > pcm.size + SLACK_SECONDS * SAMPLE_RATE_HZ:
            raise FormatError(f"{item.origin()}: {item.file}: got {pcm.size / SAMPLE_RATE_HZ:.3f} s of sound, expected "
                              f"{max(first, last) / SAMPLE_RATE_HZ:.3f} s; correct start and duration")
        yield pcm[first:last]


def open_store(utterances, folder, progress=iter):
    """Decode the recordings once; later runs map the result.

    Parameters
    ----------
    utterances : list of Utterance    Recordings, in order; those of one file that follow each other cost one decoding.
    folder : Path                     Where the cache lives.
    progress : function               Wraps the list of files, to show a bar.

    Returns
    -------
    Store

    Raises
    ------
    FormatError                       For a file that is missing, is not audio, or is shorter than the manifest says.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    key = cache_key(utterances)
    samples_path, bounds_path = folder / f"audio-{key}.pcm", folder / f"audio-{key}.json"
    if not bounds_path.exists():
        files = [list(group) for _, group in itertools.groupby(utterances, key=lambda item: item.file)]
        bounds = [0]
        with open(f"{samples_path}.tmp", "wb") as out:
            for group in progress(files):
                for pcm in recordings(group):
                    out.write(pcm.tobytes())
                    bounds.append(bounds[-1] + len(pcm))
        os.replace(f"{samples_path}.tmp", samples_path)
        bounds_path.with_suffix(".tmp").write_text(json.dumps(bounds))
        os.replace(bounds_path.with_suffix(".tmp"), bounds_path)
    bounds = np.array(json.loads(bounds_path.read_text()), np.int64)
    samples = np.memmap(samples_path, "<i2", "r") if bounds[-1] else np.zeros(0, np.int16)
    return Store(samples, bounds)
