"""Numba twins of `refasr.metrics.edit_distance`."""

import numpy as np

from refasr import checks
from refasr.jit import kernel
from refasr.metrics import edit_distance as plain
from refasr.metrics.edit_distance import ALIGNMENT_LIMIT_CELLS, GAP, SUBSTITUTION, EditCounts
from refasr.twins import BITS, twin_of

NONE = np.int32(-1)
ONE = np.int64(1)
LOW_BITS = GAP - ONE
SHIFT = np.int64(plain.EPSILON_BITS)


@kernel
def _next_row(token, hypothesis, row, out):
    """`out` may be `row` itself: the one value still needed is kept in `corner`."""
    corner = row[0]
    left = corner + GAP
    out[0] = left
    for j in range(hypothesis.size):
        above = row[j + 1]
        best = corner if hypothesis[j] == token else corner + SUBSTITUTION
        gap = min(above, left) + GAP
        left = min(best, gap)
        out[j + 1] = left
        corner = above


@kernel
def _cost(reference, hypothesis, row):
    for j in range(hypothesis.size + 1):
        row[j] = np.int64(j) * GAP
    for i in range(reference.size):
        _next_row(reference[i], hypothesis, row, row)
    return row[hypothesis.size]


@kernel
def _count(reference, hypothesis, row, counts):
    cost = _cost(reference, hypothesis, row)
    substitutions = cost & LOW_BITS
    gaps = (cost >> SHIFT) - substitutions
    surplus = np.int64(reference.size) - np.int64(hypothesis.size)
    counts[0] = substitutions
    counts[1] = (gaps + surplus) >> ONE
    counts[2] = (gaps - surplus) >> ONE


@kernel
def _count_all(references, reference_ends, hypotheses, hypothesis_ends, row, counts):
    i = j = np.int64(0)
    for n in range(reference_ends.size):
        _count(references[i:reference_ends[n]], hypotheses[j:hypothesis_ends[n]], row, counts[n])
        i, j = reference_ends[n], hypothesis_ends[n]


@kernel
def _trace(reference, hypothesis, table, pairs):
    """Fill `pairs` from its end; return where they begin."""
    for j in range(hypothesis.size + 1):
        table[0, j] = np.int64(j) * GAP
    for i in range(reference.size):
        _next_row(reference[i], hypothesis, table[i], table[i + 1])
    i, j, first = reference.size, hypothesis.size, pairs.shape[0]
    while i > 0 or j > 0:
        first -= 1
        pairs[first, 0] = pairs[first, 1] = NONE
        paired = False
        if i > 0 and j > 0:
            price = np.int64(0) if reference[i - 1] == hypothesis[j - 1] else SUBSTITUTION
            paired = table[i, j] == table[i - 1, j - 1] + price
        inserted = not paired and j > 0 and table[i, j] == table[i, j - 1] + GAP
        if not inserted:
            i -= 1
            pairs[first, 0] = np.int32(i)
        if paired or inserted:
            j -= 1
            pairs[first, 1] = np.int32(j)
    return first


@twin_of(plain.edit_distance, agree=BITS)
def edit_distance(reference, hypothesis):
    checks.array("reference", reference, np.int32, (None,))
    checks.array("hypothesis", hypothesis, np.int32, (None,))
    counts = np.empty(3, np.int64)
    _count(reference, hypothesis, np.empty(hypothesis.size + 1, np.int64), counts)
    return EditCounts(*counts.tolist())


def _longest(ends):
    return int(np.diff(ends, prepend=0).max(initial=0))


@twin_of(plain.edit_distances, agree=BITS)
def edit_distances(references, reference_ends, hypotheses, hypothesis_ends):
    checks.array("references", references, np.int32, (None,))
    checks.array("hypotheses", hypotheses, np.int32, (None,))
    plain.require_ends("reference_ends", reference_ends, references)
    plain.require_ends("hypothesis_ends", hypothesis_ends, hypotheses)
    checks.array("hypothesis_ends", hypothesis_ends, np.int64, reference_ends.shape)
    counts = np.empty((reference_ends.size, 3), np.int64)
    row = np.empty(_longest(hypothesis_ends) + 1, np.int64)
    _count_all(references, reference_ends, hypotheses, hypothesis_ends, row, counts)
    return counts


@twin_of(plain.align, agree=BITS)
def align(reference, hypothesis):
    checks.array("reference", reference, np.int32, (None,))
    checks.array("hypothesis", hypothesis, np.int32, (None,))
    checks.between("table cells", (reference.size + 1) * (hypothesis.size + 1), 1, ALIGNMENT_LIMIT_CELLS)
    table = np.empty((reference.size + 1, hypothesis.size + 1), np.int64)
    pairs = np.empty((reference.size + hypothesis.size, 2), np.int32)
    return pairs[_trace(reference, hypothesis, table, pairs):].copy()
