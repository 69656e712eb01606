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
    cache : str                     Folder for compiled kernels.

    Returns
    -------
    (float, float) or Missing       Seconds passed and seconds of processor time, or why the command failed.
    """
    environment = os.environ | {"REFASR_CACHE_DIR": cache, "PYTHONPATH": str(PACKAGE.parent)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begin, before = time.perf_counter(), os.times()
    done = subprocess.run([sys.executable, "-m", "refasr", *arguments], env=environment, capture_output=True, text=True,
                          timeout=ENOUGH_S, check=False)
    passed, after = time.perf_counter() - begin, os.times()
    last = [""] + done.stderr.strip().splitlines()
    if done.returncode:
        return Missing(f"exit {done.returncode}: {last[-1]}")
    return passed, after.children_user + after.children_system - before.children_user - before.children_system


def rows_of(case, arguments, cache, runs=1):
    """Median of several runs by both clocks. Parameters: case, arguments, cache, runs. Yields (case, contestant, value, unit)."""
    found = [seconds_of(arguments, cache) for _ in range(runs)]
    failed = next((each for each in found if isinstance(each, Missing)), None)
    for index, clock in enumerate(("wall", "processor")):
        yield f"{case} clock={clock}", "fast", failed or statistics.median(each[index] for each in found), "s"


def measure():
    """The commands. Yields (case, contestant, value, unit)."""
    with tempfile.TemporaryDirectory() as cache:
        seconds_of(["--help"], cache)
        yield from rows_of("command=--help start=warm", ["--help"], cache, WARM_RUNS)
        transcribe = ["transcribe", str(data_path("samples", RECORDING))]
        for start in ("cold", "cached-cold"):
            yield from rows_of(f"command=transcribe start={start}", transcribe, cache)
        yield from rows_of("command=transcribe start=warm", transcribe, cache, WARM_RUNS)
