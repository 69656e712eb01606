"""All training audio, decoded once and kept as 16-bit samples in one memory-mapped file."""

import hashlib
import json
import os
import pathlib

import numpy as np

from refasr.audio.wav import read_audio
from refasr.errors import FormatError

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


def file_key(files):
    """Name of the cache for a list of files: changes with any path, size or time stamp. Parameters: files. Returns text."""
    digest = hashlib.sha256()
    for path in files:
        try:
            stat = os.stat(path)
        except OSError as error:
            raise FormatError(f"{path}: {error.strerror}, listed in a manifest; fetch it or remove the line") from None
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def open_store(files, folder, progress=iter):
    """Decode the files once; later runs map the result.

    Parameters
    ----------
    files : list of Path       Recordings, in order.
    folder : Path              Where the cache lives.
    progress : function        Wraps the iterable of files, to show a bar.

    Returns
    -------
    Store

    Raises
    ------
    FormatError                For a file that is missing or is not audio.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    key = file_key(files)
    samples_path, bounds_path = folder / f"audio-{key}.pcm", folder / f"audio-{key}.json"
    if not bounds_path.exists():
        bounds = [0]
        with open(f"{samples_path}.tmp", "wb") as out:
            for path in progress(files):
                pcm = np.clip(np.rint(read_audio(path) * 32768), -32768, 32767).astype("<i2")
                out.write(pcm.tobytes())
                bounds.append(bounds[-1] + len(pcm))
        os.replace(f"{samples_path}.tmp", samples_path)
        bounds_path.with_suffix(".tmp").write_text(json.dumps(bounds))
        os.replace(bounds_path.with_suffix(".tmp"), bounds_path)
    bounds = np.array(json.loads(bounds_path.read_text()), np.int64)
    samples = np.memmap(samples_path, "<i2", "r") if bounds[-1] else np.zeros(0, np.int16)
    return Store(samples, bounds)
