"""`python -m benchmarks [NAME...] [--json]`: one core, one thread, all contestants in one process."""

import os
import sys

THREAD_SETTINGS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

if __name__ == "__main__":
    if "numpy" in sys.modules:  # too late for the settings below
        sys.exit("benchmarks: got NumPy imported at start-up, expected python -m benchmarks in a plain interpreter")
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # low numbers serve more interrupts
    from benchmarks.report import main

    sys.exit(main(sys.argv[1:]))
