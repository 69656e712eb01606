"""Numba twin of `refasr.rescoring.rescore`."""

import numpy as np

from refasr.jit import kernel
from refasr.lattice.lattice import NO_WORD, SCORES_A_NAT
from refasr.rescoring import ngram
from refasr.rescoring import rescore as plain
from refasr.rescoring.ngram_fast import _advance
from refasr.twins import BITS, twin_of


@kernel
def _grown(array, size):
    """The array, or a copy of twice its length where it is full."""
    if size < array.shape[0]:
        return array
    larger = np.empty((2 * array.shape[0], array.shape[1]), np.int64)
    larger[:size] = array
    return larger


@kernel
def _item_at(items, chain, node, state):
    """Number of the item with this node and state, or -1. Items of a node are a chain: first, next, ..."""
    item = chain[node, 0]
    while item >= 0 and items[item, 1] != state:
        item = items[item, 2]
    return item


@kernel
def _expand(first_arc, target, word, word_ids, trie, first_state, weight, bonus, most):
    """Items (node, state, next of the node) and rows as in the reference; more rows than `most` where there is no room."""
    n_nodes = first_arc.size - 1
    items, rows = np.empty((256, 3), np.int64), np.empty((512, 4), np.int64)
    chain = np.full((n_nodes, 2), -1, np.int64)      # first and last item of each node
    items[0, 0], items[0, 1], items[0, 2] = 0, first_state, -1
    chain[0, 0] = chain[0, 1] = 0
    n_items, n_rows = 1, 0
    for node in range(n_nodes):
        item = chain[node, 0]
        while item >= 0:
            for arc in range(first_arc[node], first_arc[node + 1]):
                state, logp = np.int32(items[item, 1]), np.float64(0)
                if word[arc] != NO_WORD:
                    state, logp = _advance(trie, state, word_ids[word[arc]])
                    logp = weight * logp + bonus
                place = target[arc]
                found = _item_at(items, chain, place, state)
                if found < 0:
                    found = n_items
                    items = _grown(items, n_items)
                    items[found, 0], items[found, 1], items[found, 2] = place, state, -1
                    if chain[place, 0] < 0:
                        chain[place, 0] = found
                    else:
                        items[chain[place, 1], 2] = found
                    chain[place, 1] = found
                    n_items += 1
                rows = _grown(rows, n_rows)
                rows[n_rows, 0], rows[n_rows, 1], rows[n_rows, 2] = item, found, arc
                rows[n_rows, 3] = np.int64(np.rint(SCORES_A_NAT * logp))
                n_rows += 1
                if n_rows > most:
                    return items[:n_items], rows[:n_rows]
            item = items[item, 2]
    item = chain[n_nodes - 1, 0]
    while item >= 0:
        _, logp = _advance(trie, np.int32(items[item, 1]), np.int32(ngram.STOP))
        rows = _grown(rows, n_rows)
        rows[n_rows, 0], rows[n_rows, 1], rows[n_rows, 2] = item, n_items, -1
        rows[n_rows, 3] = np.int64(np.rint(SCORES_A_NAT * (weight * logp)))
        n_rows += 1
        item = items[item, 2]
    return items[:n_items], rows[:n_rows]


@twin_of(plain.expand, agree=BITS)
def expand(lattice, model, weight, bonus=0.0):
    plain.check_expand(lattice, weight, bonus)
    first_arc = np.searchsorted(lattice.source, np.arange(lattice.n_nodes + 1))
    items, rows = _expand(first_arc, lattice.target, lattice.word, model.numbers(lattice.words), model.trie,
                          np.int32(ngram.start(model)), np.float64(weight), np.float64(bonus), plain.MOST_ARCS)
    plain.require_room(np.count_nonzero(rows[:, 2] >= 0))
    return plain.assemble(lattice, np.ascontiguousarray(items[:, 0]).astype(np.int32), np.ascontiguousarray(rows))
