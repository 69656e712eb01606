"""The log-softmax of one row, a part of the search's kernels; compared there with `refasr.search.log_softmax`."""

from refasr.jit import scalar
from refasr.numerics_fast import exp32, log32


@scalar
def log_softmax_row(row):
    """In place, float32."""
    peak = row[0]
    for v in range(1, row.size):
        peak = max(peak, row[v])
    for v in range(row.size):
        row[v] -= peak
    mass = exp32(row[0])
    for v in range(1, row.size):
        mass += exp32(row[v])
    shift = log32(mass)
    for v in range(row.size):
        row[v] -= shift
