"""Start-up: how long a command takes from nothing to its last byte.

    cold           no compiled kernels: Numba compiles them all
    cached-cold    kernels compiled, read from disk for the first time
    warm           the same again
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.harness import Missing
from refasr.shipped import PACKAGE, data_path

WARM_RUNS = 7
RECORDING = "coffee.flac"  # 3.1 s
ENOUGH_S = 600


def seconds_of(arguments, cache):
    """Run refasr once.

    Parameters
    ----------
    arguments : list of str
    cache : str                Folder for compiled kernels.

    Returns
    -------
    float or Missing           Seconds, or why the command failed.
    """
    environment = os.environ | {"REFASR_CACHE_DIR": cache, "PYTHONPATH": str(PACKAGE.parent)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "refasr", *arguments], env=environment, capture_output=True, text=True,
                          timeout=ENOUGH_S, check=False)
    seconds = time.perf_counter() - begin
    last = [""] + done.stderr.strip().splitlines()
    return seconds if done.returncode == 0 else Missing(f"exit {done.returncode}: {last[-1]}")


def warm(arguments, cache):
    """Median of several runs. Parameters: arguments, cache. Returns seconds or a Missing."""
    times = [seconds_of(arguments, cache) for _ in range(WARM_RUNS)]
    return next((each for each in times if isinstance(each, Missing)), None) or statistics.median(times)


def measure():
    """The commands. Yields (case, contestant, value, unit)."""
    with tempfile.TemporaryDirectory() as cache:
        seconds_of(["--help"], cache)
        yield "command=--help start=warm", "fast", warm(["--help"], cache), "s"
        transcribe = ["transcribe", str(data_path("samples", RECORDING))]
        for start in ("cold", "cached-cold"):
            yield f"command=transcribe start={start}", "fast", seconds_of(transcribe, cache), "s"
        yield "command=transcribe start=warm", "fast", warm(transcribe, cache), "s"
