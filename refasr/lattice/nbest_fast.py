"""Numba twin of `refasr.lattice.nbest`.

Prefixes are rows of one table and point to the prefix before; what they reach are rows of another. A prefix gets its rows
when it is expanded: only those of results are. The queue holds no more entries than results are missing, because each of them
has a completion better than anything of the entries behind it; so most continuations are dropped before they are stored.
"""

import numpy as np

from refasr.jit import kernel, scalar
from refasr.lattice import forward_backward_fast
from refasr.lattice import nbest as plain
from refasr.lattice.forward_backward import NO_ARC, NO_PATH
from refasr.lattice.lattice import NO_WORD
from refasr.twins import BITS, twin_of

PARENT, WORD, PRIORITY, DEPTH, FIRST, LAST = range(6)    # columns of `prefixes`; rows of `reached` from FIRST to before LAST
NODE, SCORE, ARC, BEFORE = range(4)                      # columns of `reached`
ARCS, BACKWARD, SILENT = range(3)                        # columns of `nodes`; SILENT: has an arc without a word
TARGET, LABEL, REST = range(3)                           # columns of `arcs`; REST is the best score from here to the end
NONE = np.int64(-1)
DEAD = np.int64(-2**62)    # REST of an arc without a path to the end; whatever is added, it stays below NO_PATH, the lowest bound


@kernel
def _first_by_words(a, b, prefixes):
    """Whether the words of entry a come first in a dictionary. Neither is the beginning of the other."""
    while prefixes[a, DEPTH] > prefixes[b, DEPTH]:
        a = prefixes[a, PARENT]
    while prefixes[b, DEPTH] > prefixes[a, DEPTH]:
        b = prefixes[b, PARENT]
    while prefixes[a, PARENT] != prefixes[b, PARENT]:
        a, b = prefixes[a, PARENT], prefixes[b, PARENT]
    return prefixes[a, WORD] < prefixes[b, WORD]


@scalar
def _push(entry, n_prefixes, prefixes, queue, size, limit):
    """Insert the row that stands behind the used ones; `queue` has the worst first. Returns (n_prefixes, size)."""
    low, high, full, priority = 0, size, size == limit, prefixes[entry, PRIORITY]
    while low < high:
        middle = (low + high) // 2 if low > 0 or not full else 0    # most that find it full are worse than all: look there first
        other = queue[middle]
        if priority > prefixes[other, PRIORITY] or (priority == prefixes[other, PRIORITY]
                                                    and _first_by_words(entry, other, prefixes)):
            low = middle + 1
        else:
            high = middle
    if not full:
        for i in range(size, low, -1):
            queue[i] = queue[i - 1]
        queue[low] = entry
        return n_prefixes + 1, size + 1
    if low > 0:    # the worst gives up its row
        row = queue[0]
        for column in range(DEPTH + 1):
            prefixes[row, column] = prefixes[entry, column]
        for i in range(low - 1):
            queue[i] = queue[i + 1]
        queue[low - 1] = row
    return n_prefixes, size


@scalar
def _extend(row, wanted, bound, first, n_reached, nodes, arcs, reached, slot, order):
    """Follow the arcs with one word from one node, where the best completion is within the bound; new nodes are sorted into
    `order`. Returns the number of rows used."""
    here, start = reached[row, SCORE], reached[row, NODE]
    for arc in range(nodes[start, ARCS], nodes[start + 1, ARCS]):
        if arcs[arc, LABEL] != wanted or here + arcs[arc, REST] < bound:
            continue
        node = arcs[arc, TARGET]
        score, new = here + arcs[arc, REST] - nodes[node, BACKWARD], slot[node]
        if new < 0:
            new = slot[node] = n_reached
            i = n_reached - first
            while i > 0 and order[i - 1] > node:
                order[i] = order[i - 1]
                i -= 1
            order[i] = node
            n_reached += 1
        elif score < reached[new, SCORE] or (score == reached[new, SCORE] and arc > reached[new, ARC]):
            continue
        reached[new, NODE], reached[new, SCORE], reached[new, ARC], reached[new, BEFORE] = node, score, arc, row
    return n_reached


@scalar
def _reach(entry, bound, n_reached, nodes, arcs, prefixes, reached, slot, order):
    """Rows for what a prefix reaches; `slot` is left filled. Returns the number of rows used."""
    first = n_reached
    parent = prefixes[entry, PARENT]
    if parent < 0:
        reached[0, NODE], reached[0, SCORE], reached[0, ARC], reached[0, BEFORE] = 0, 0, NO_ARC, NONE
        slot[0] = order[0] = 0
        n_reached = 1
    else:
        for row in range(prefixes[parent, FIRST], prefixes[parent, LAST]):
            n_reached = _extend(row, prefixes[entry, WORD], bound, first, n_reached, nodes, arcs, reached, slot, order)
    i = 0
    while i < n_reached - first:    # in topological order: a node is final when its turn comes
        if nodes[order[i], SILENT]:
            n_reached = _extend(slot[order[i]], NO_WORD, bound, first, n_reached, nodes, arcs, reached, slot, order)
        i += 1
    prefixes[entry, FIRST], prefixes[entry, LAST] = first, n_reached
    return n_reached


@scalar
def _continuations(first, last, bound, nodes, arcs, reached, best, words):
    """List the words that may follow and fill `best` for them. Returns how many."""
    n_words = 0
    for row in range(first, last):
        node, here = reached[row, NODE], reached[row, SCORE]
        if node == nodes.shape[0] - 2:
            best[NO_WORD] = here
            words[n_words] = NO_WORD
            n_words += 1
        for arc in range(nodes[node, ARCS], nodes[node + 1, ARCS]):
            priority, word = here + arcs[arc, REST], arcs[arc, LABEL]
            if priority >= bound and word != NO_WORD and priority > best[word]:
                if best[word] == NO_PATH:
                    words[n_words] = word
                    n_words += 1
                best[word] = priority
    return n_words


@kernel
def _longer(table):
    """A copy of twice the length."""
    larger = np.empty((2 * table.shape[0], table.shape[1]), np.int64)
    larger[:table.shape[0]] = table
    return larger


@scalar
def _expand(entry, bound, n_prefixes, prefixes, queue, size, limit, first, last, reached, nodes, arcs, best, words):
    """Queue the continuations of a prefix. Returns (n_prefixes, size)."""
    n_words = _continuations(first, last, bound, nodes, arcs, reached, best, words)
    top = 0
    for i in range(1, n_words):
        lead = best[words[i]] - best[words[top]]
        if lead > 0 or (lead == 0 and words[i] < words[top]):
            top = i
    words[0], words[top] = words[top], words[0]
    for i in range(n_words):
        word, new = words[i], n_prefixes
        prefixes[new, PARENT], prefixes[new, WORD], prefixes[new, PRIORITY] = entry, word, best[word]
        prefixes[new, DEPTH] = prefixes[entry, DEPTH] + 1
        best[word] = NO_PATH
        if i == 0:    # as good as the entry, whose place in the queue it takes: no need to search
            queue[size] = new
            n_prefixes, size = n_prefixes + 1, size + 1
        else:
            n_prefixes, size = _push(new, n_prefixes, prefixes, queue, size, limit)
    return n_prefixes, size


@kernel
def _advance(n_prefixes, n_reached, size, found, prefixes, reached, queue, ends, slot, order, nodes, arcs, best, words):
    """Search until done or until a table is full. Returns the four numbers again."""
    n_nodes, k = nodes.shape[0] - 1, queue.size
    while size > 0 and found < k and n_reached + n_nodes <= reached.shape[0] and n_prefixes + k < prefixes.shape[0]:
        size -= 1
        entry, limit = queue[size], k - found
        if prefixes[entry, WORD] == NO_WORD:
            parent = prefixes[entry, PARENT]
            for row in range(prefixes[parent, FIRST], prefixes[parent, LAST]):
                if reached[row, NODE] == n_nodes - 1:
                    ends[found] = row
            found += 1
            continue
        # Enough others are better than the worst of the queue; this entry's best completion is one of them.
        bound = NO_PATH if size < limit - 1 else prefixes[queue[0] if size > 0 else entry, PRIORITY]
        first = n_reached
        n_reached = _reach(entry, bound, first, nodes, arcs, prefixes, reached, slot, order)
        for row in range(first, n_reached):
            slot[reached[row, NODE]] = NONE
        n_prefixes, size = _expand(entry, bound, n_prefixes, prefixes, queue, size, limit, first, n_reached, reached, nodes, arcs,
                                   best, words)
    return n_prefixes, n_reached, size, found


@kernel
def _search(k, nodes, arcs, best, words):
    """Returns rows of `reached` where the results end, and `reached`."""
    n_nodes, n_prefixes, n_reached, size, found = nodes.shape[0] - 1, 1, 0, 1, 0
    prefixes, reached = np.empty((2 * k + 64, 6), np.int64), np.empty((2 * n_nodes + 64, 4), np.int64)
    queue, ends = np.zeros(k, np.int64), np.zeros(k, np.int64)
    slot, order = np.full(n_nodes, NONE), np.empty(n_nodes, np.int64)
    prefixes[0, PARENT], prefixes[0, WORD], prefixes[0, PRIORITY], prefixes[0, DEPTH] = NONE, NONE, nodes[0, BACKWARD], 0
    while size > 0 and found < k:    # tables grow here, because _advance is slow with arrays that may be others in the next round
        n_prefixes, n_reached, size, found = _advance(n_prefixes, n_reached, size, found, prefixes, reached, queue, ends, slot,
                                                      order, nodes, arcs, best, words)
        if n_reached + n_nodes > reached.shape[0]:
            reached = _longer(reached)
        if n_prefixes + k >= prefixes.shape[0]:
            prefixes = _longer(prefixes)
    return ends[:found], reached


@kernel
def _trace(rows, reached, acoustic, lm, bias):
    """Arcs of all paths end to end, where each ends, and the ledgers."""
    ends, sums, n_arcs = np.zeros(rows.size, np.int64), np.zeros((rows.size, 3), np.int64), 0
    for i in range(rows.size):
        row = rows[i]
        while reached[row, BEFORE] >= 0:
            row = reached[row, BEFORE]
            n_arcs += 1
        ends[i] = n_arcs
    arcs = np.empty(n_arcs, np.int32)
    for i in range(rows.size):
        row, at = rows[i], ends[i]
        while reached[row, BEFORE] >= 0:
            at -= 1
            arc = reached[row, ARC]
            arcs[at] = np.int32(arc)
            sums[i, 0] += acoustic[arc]
            sums[i, 1] += lm[arc]
            sums[i, 2] += bias[arc]
            row = reached[row, BEFORE]
    return arcs, ends, sums


@kernel
def _tables(source, target, word, total, backward, nodes, arcs):
    """Fill `nodes`, which has a row more than nodes, and `arcs`."""
    for arc in range(source.size):
        nodes[source[arc] + 1, ARCS] = arc + 1
        arcs[arc, TARGET], arcs[arc, LABEL] = target[arc], word[arc]
        arcs[arc, REST] = DEAD if backward[target[arc]] == NO_PATH else total[arc] + backward[target[arc]]
        if word[arc] == NO_WORD:
            nodes[source[arc], SILENT] = 1
    for node in range(backward.size):
        nodes[node, BACKWARD] = backward[node]
        nodes[node + 1, ARCS] = max(nodes[node + 1, ARCS], nodes[node, ARCS])


@twin_of(plain.nbest, agree=BITS)
def nbest(lattice, k):
    plain.require_k(k)
    backward = forward_backward_fast.best_scores(lattice).backward
    if backward[0] == NO_PATH:
        return []
    nodes, arcs = np.zeros((lattice.n_nodes + 1, 3), np.int64), np.empty((lattice.n_arcs, 3), np.int64)
    _tables(lattice.source, lattice.target, lattice.word, lattice.total, backward, nodes, arcs)
    best, words = np.full(len(lattice.words), NO_PATH, np.int64), np.empty(len(lattice.words), np.int64)
    found = _search(int(k), nodes, arcs, best, words)
    return plain.readings(lattice, *_trace(*found, lattice.acoustic, lattice.lm, lattice.bias))
