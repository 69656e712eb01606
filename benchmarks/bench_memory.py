"""Memory of recognition: the most that a process holds while it transcribes a minute, less what it held after its imports.

    python -m benchmarks memory                             # the shipped models
    python -m benchmarks.bench_memory MODEL... [--beam N]   # any others

Each model and decoder has a process of its own, which reads the recording from a file as `refasr transcribe` does. Kernels are
compiled beforehand, in another process. Case `what=extra` is the whole, and `what=recognition` the same without Numba's own
start: when the first kernel of all is called, however small, Numba imports some 130 modules more, and LLVM. `limit` beside both
is what issue 5 allows, 3 times the model's file and 20 MB, so a ratio above 1 is within it. The other cases say where it goes:
what the process holds more after Numba's start, after reading the model, after the first second (compiled code is loaded then),
and at the peak of the minute.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from benchmarks.bench_recogniser import recordings
from benchmarks.harness import Missing
from refasr.audio import SAMPLE_RATE_HZ
from refasr.audio.wav import write_audio
from refasr.cli.recogniser import DEFAULT_BEAM
from refasr.errors import RefasrError
from refasr.shipped import MODELS, PACKAGE, model_path

SECONDS, FIRST_SECONDS = 60, 1
TIMES_FILE, PLUS_BYTES = 3, 20_000_000
ENOUGH_S = 1800
PARTS = ("numba", "model", "first-second", "minute")
PROGRAM = """
import gc, json, pathlib, sys
model, beam, short, long = sys.argv[1:]

def now(name="VmRSS"):
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(name))

def forget_peak():
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return now()

import numba, numpy, scipy.fft, soundfile
from refasr import numerics_fast
from refasr.recogniser_spec import RecogniserSpec
from refasr.transcribe import transcribe_file
from refasr.twins import select
select("fast")
import refasr.compress.container, refasr.lattice.nbest, refasr.transducer.model_file
gc.collect()
marks, peaks = [forget_peak()], []
numerics_fast.exp(numpy.zeros(1, numpy.float32))
marks.append(now()); peaks.append(now("VmHWM"))
recogniser = RecogniserSpec(model, beam=int(beam)).load()
marks.append(now()); peaks.append(now("VmHWM"))
for file in (short, long):
    outcome = transcribe_file(recogniser, file)
    outcome.result.text
    marks.append(now()); peaks.append(now("VmHWM"))
    del outcome
print(json.dumps([marks, peaks]))
"""


@functools.cache
def minute():
    """The shipped recordings one after the other, until there is a minute of them. Returns float32 [S]."""
    heard = np.concatenate(recordings())
    return np.resize(heard, SECONDS * SAMPLE_RATE_HZ)


def run(model, beam):
    """One process. Parameters: model, beam. Returns (marks, peaks) in bytes, as PROGRAM prints them, or a Missing."""
    with tempfile.TemporaryDirectory() as folder:
        names = [os.path.join(folder, name) for name in ("short.wav", "long.wav")]
        for name, seconds in zip(names, (FIRST_SECONDS, SECONDS)):
            write_audio(name, minute()[: seconds * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ)
        environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
        done = subprocess.run([sys.executable, "-c", PROGRAM, str(model), str(beam), *names], env=environment,
                              capture_output=True, text=True, timeout=ENOUGH_S, check=False)
    if done.returncode:
        return Missing((["no message"] + done.stderr.strip().splitlines())[-1])
    return json.loads(done.stdout)


def rows_of(model, beam):
    """Parameters: model (name or path), beam. Yields (case, contestant, value, unit)."""
    case = f"model={model} beam={beam}"
    try:
        allowed = TIMES_FILE * model_path(model).stat().st_size + PLUS_BYTES
    except (RefasrError, OSError) as error:
        yield f"{case} what=extra", "fast", Missing(error), "bytes"
        return
    run(model, beam)          # compiles
    found = run(model, beam)
    if isinstance(found, Missing):
        yield f"{case} what=extra", "fast", found, "bytes"
        return
    marks, peaks = found
    for what, before in (("extra", marks[0]), ("recognition", marks[1])):
        yield f"{case} what={what}", "fast", max(peaks) - before, "bytes"
        yield f"{case} what={what}", "limit", allowed, "bytes"
    for part, before, after, peak in zip(PARTS, marks, marks[1:], peaks):
        yield f"{case} what={part}", "fast", (peak if part == PARTS[-1] else after) - before, "bytes"


def measure():
    """The shipped models, greedy and with the default decoder. Yields (case, contestant, value, unit)."""
    for model in MODELS:
        for beam in (1, DEFAULT_BEAM):
            yield from rows_of(model, beam)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--beam", type=int, action="append", help=f"default: 1, which is greedy, and {DEFAULT_BEAM}")
    options = parser.parse_args()
    for model in options.models:
        for beam in options.beam or (1, DEFAULT_BEAM):
            for case, contestant, value, _ in rows_of(model, beam):
                shown = value if isinstance(value, Missing) else f"{value / 1e6:.1f} MB"
                print(f"{case:<60} {contestant:<6} {shown}", flush=True)


if __name__ == "__main__":
    main()
