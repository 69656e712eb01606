"""Numba twin of `refasr.lattice.oracle`."""

import numpy as np

from refasr.jit import kernel
from refasr.lattice import oracle as plain
from refasr.lattice.forward_backward import require_lattice
from refasr.lattice.lattice import NO_WORD
from refasr.lattice.oracle import UNREACHED, OraclePath
from refasr.twins import BITS, twin_of

ONE = np.int32(1)


@kernel
def _settle(row):
    for i in range(1, row.size):
        row[i] = min(row[i], np.int32(row[i - 1] + ONE))


@kernel
def _fill(source, target, word, reference, errors):
    settled = 0
    for arc in range(source.size):
        while settled <= source[arc]:
            _settle(errors[settled])
            settled += 1
        before, after = errors[source[arc]], errors[target[arc]]
        if word[arc] == NO_WORD:
            for i in range(before.size):
                after[i] = min(after[i], before[i])
            continue
        after[0] = min(after[0], np.int32(before[0] + ONE))
        for i in range(1, before.size):
            pair = np.int32(before[i - 1] + np.int32(reference[i - 1] != word[arc]))
            after[i] = min(after[i], pair, np.int32(before[i] + ONE))
    for node in range(settled, errors.shape[0]):
        _settle(errors[node])


@kernel
def _trace(source, target, word, reference, errors, arcs):
    """Fill `arcs` from its end; return where they begin."""
    node, i, first = np.int64(errors.shape[0] - 1), np.int64(reference.size), arcs.size
    while node > 0 or i > 0:
        pair = other = np.int64(-1)
        for arc in range(source.size):
            if source[arc] >= node or pair >= 0:    # arcs are sorted by source, and a source is lower than its target
                break
            if target[arc] != node:
                continue
            cost = np.int64(word[arc] != NO_WORD)
            if i > 0 and cost > 0 and errors[source[arc], i - 1] + np.int64(word[arc] != reference[i - 1]) == errors[node, i]:
                pair = np.int64(arc)
            if other < 0 and errors[source[arc], i] + cost == errors[node, i]:
                other = np.int64(arc)
        if pair < 0 and other < 0:
            i -= 1
            continue
        chosen = pair if pair >= 0 else other
        first -= 1
        arcs[first] = np.int32(chosen)
        node = np.int64(source[chosen])
        if pair >= 0:
            i -= 1
    return first


@twin_of(plain.oracle_path, agree=BITS)
def oracle_path(lattice, reference):
    require_lattice(lattice)
    plain.require_reference(reference)
    errors = plain.new_table(lattice, reference)
    _fill(lattice.source, lattice.target, lattice.word, reference, errors)
    if errors[-1, -1] >= UNREACHED:
        return OraclePath(reference.size, np.zeros(0, np.int32))
    arcs = np.empty(lattice.n_nodes, np.int32)
    first = _trace(lattice.source, lattice.target, lattice.word, reference, errors, arcs)
    return OraclePath(int(errors[-1, -1]), arcs[first:].copy())
