"""`python -m benchmarks.claims [NAME...] [--seeds 3] [--out FILE] [--json]`: one thread."""

import os
import sys

THREAD_SETTINGS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

if __name__ == "__main__":
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))  # before NumPy loads
    from benchmarks.claims.command import main

    sys.exit(main(sys.argv[1:]))
