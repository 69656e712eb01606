"""The whole recogniser on the shipped recordings: seconds of computing, and delay after each 40 ms frame.

Both backends must write the same text. The delay of a frame is the time that `Stream.accept` takes when it gets the frame's
640 samples: what a listener waits after the frame's last sample. `finish` is the wait after the last sample of all, and
takes in the flushing frames and the word times.
"""

import time

import numpy as np

from benchmarks.harness import Missing
from refasr import corpus
from refasr.audio import SAMPLE_RATE_HZ
from refasr.errors import RefasrError
from refasr.recognise import Recogniser
from refasr.shipped import data_path

FRAME_SAMPLES = 640
PASSES = 5
PERCENTILES = (50, 95, 99)


def recordings():
    """The samples in data/samples. Returns a list of float32 [S]."""
    return [corpus.read_samples(item) for item in corpus.read_manifest(data_path("samples", "manifest.tsv"))]


def recogniser(backend):
    """The default model. Parameters: backend. Returns a Recogniser, or a Missing if none ships yet."""
    try:
        return Recogniser.load(backend=backend)
    except RefasrError as error:
        return Missing(error)


def texts(ready, heard):
    """Transcribe all. Parameters: ready (a Recogniser), heard. Returns a list of str."""
    return [ready.transcribe_samples(samples).text for samples in heard]


def check(results):
    """Every backend must write the same. Parameters: results. Returns None, or what is wrong."""
    return None if len({tuple(result) for result in results.values()}) <= 1 else f"other texts: {results}"


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable})."""
    heard = recordings()
    seconds = sum(map(len, heard)) / SAMPLE_RATE_HZ
    contestants = {}
    for name in ("fast", "reference"):
        ready = recogniser(name)
        contestants[name] = ready if isinstance(ready, Missing) else lambda ready=ready: texts(ready, heard)
    yield f"recordings={len(heard)} seconds={seconds:.2f} what=transcribe", contestants


def delays(ready, heard):
    """Time of every frame and of every end.

    Parameters
    ----------
    ready : Recogniser    Warm.
    heard : list of float32 [S]

    Returns
    -------
    (list of float, list of float)    Seconds: of each call of `accept`, of each call of `finish`.
    """
    frames, ends = [], []
    for samples in heard:
        stream = ready.stream()
        for first in range(0, samples.size, FRAME_SAMPLES):
            chunk = samples[first : first + FRAME_SAMPLES]
            begin = time.perf_counter()
            stream.accept(chunk)
            frames.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        stream.finish()
        ends.append(time.perf_counter() - begin)
    return frames, ends


def measure():
    """Real-time factor and delays. Yields (case, contestant, value, unit)."""
    heard, ready = recordings(), recogniser("fast")
    seconds = sum(map(len, heard)) / SAMPLE_RATE_HZ
    if isinstance(ready, Missing):
        yield "what=everything", "fast", ready, "s"
        return
    texts(ready, heard)
    times = []
    for _ in range(PASSES):
        begin = time.perf_counter()
        texts(ready, heard)
        times.append(time.perf_counter() - begin)
    yield "what=compute-per-second-of-audio", "fast", float(np.median(times)) / seconds, "s"
    passes = [delays(ready, heard) for _ in range(PASSES)]
    for what, part in (("after-frame", 0), ("finish", 1)):
        all_times = np.concatenate([each[part] for each in passes])
        for percentile in PERCENTILES:
            case = f"what={what} samples={FRAME_SAMPLES} percentile={percentile}"
            yield case, "fast", float(np.percentile(all_times, percentile)), "s"
