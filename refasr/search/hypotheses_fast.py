"""Hypotheses of one frame as columns, for the kernels of `refasr.search.beam_fast`.

Few arrays with several columns, because a kernel's compilation and its calls cost by the array.
"""

from typing import NamedTuple

import numpy as np

from refasr.jit import scalar

NODE, SLOT, BOOST, HISTORY, SPELLING, SUFFIX = 0, 1, 2, 3, 4, 5    # columns of Pool.whole; the suffix takes the rest
TOTAL, ACOUSTIC, DELTA = 0, 1, 2            # columns of Found.score
PARENT, LABEL, AFTER = 0, 1, 2              # columns of Found.whole; AFTER is the next state of the phrase automaton
SOURCE, TARGET, UNIT, FRAME = 0, 1, 2, 3    # columns of Arcs.whole
MASS, BIAS, LM = 0, 1, 2                    # columns of Arcs.score
FREE = -1


class Pool(NamedTuple):
    """Hypotheses; SLOT says where in Texts the text side's state is."""

    acoustic: np.ndarray    # float64 [N]
    bias: np.ndarray        # float64 [N]
    lm: np.ndarray          # float64 [N]
    key: np.ndarray         # uint64 [N]
    whole: np.ndarray       # int32 [N, 5 + context]

    @classmethod
    def of(cls, size, context):
        """Room for some entries. Parameters: size, context. Returns a Pool."""
        return cls(np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size, np.uint64),
                   np.zeros((size, SUFFIX + context), np.int32))


class Texts(NamedTuple):
    """States of the text side by label sequence: those of this frame, and older ones until their room is needed.

    A sequence that was pruned comes back in the next frames as often as not, and its state is most of the cost.
    """

    key: np.ndarray         # uint64 [N]
    frame: np.ndarray       # int64 [N]   last used in, or FREE
    turn: np.ndarray        # int64 [1]   where to look for room next
    text: np.ndarray        # [N, J], and below, of the scorer's types
    h: np.ndarray           # [N, P]
    c: np.ndarray           # [N, P]

    @classmethod
    def of(cls, size, weights):
        """Room for some states. Parameters: size, weights (Scorer). Returns a Texts."""
        width, joint, _ = weights.widths
        rooms = [np.empty((size, n), dtype) for n, dtype in zip((joint, width, width), weights.types[1:])]
        return cls(np.zeros(size, np.uint64), np.full(size, FREE, np.int64), np.zeros(1, np.int64), *rooms)


class Found(NamedTuple):
    """Continuations, best first."""

    score: np.ndarray       # float64 [N, 3]
    whole: np.ndarray       # int32 [N, 3]

    @classmethod
    def of(cls, size):
        """Room for some. Parameters: size. Returns a Found."""
        return cls(np.zeros((size, 3)), np.zeros((size, 3), np.int32))


class Arcs(NamedTuple):
    """The flow of the frames so far, and what numbers nodes."""

    score: np.ndarray       # float64 [N, 3]
    whole: np.ndarray       # int32 [N, 4]
    counts: np.ndarray      # int64 [2]    arcs, nodes
    key: np.ndarray         # uint64 [256] of the last nodes made
    node: np.ndarray        # int32 [256]

    @classmethod
    def of(cls, size, beam):
        """Room for some arcs. Parameters: size, beam (Beam, for the nodes so far). Returns an Arcs."""
        return cls(np.empty((size, 3)), np.empty((size, 4), np.int32), np.array([0, beam.n_nodes], np.int64),
                   beam.remembered_key.copy(), beam.remembered_node.copy())


@scalar
def copy_entry(source, i, target, j):
    """Entry i of one pool becomes entry j of another."""
    target.acoustic[j], target.bias[j], target.lm[j] = source.acoustic[i], source.bias[i], source.lm[i]
    target.key[j] = source.key[i]
    from_row, to_row = source.whole, target.whole
    for k in range(from_row.shape[1]):
        to_row[j, k] = from_row[i, k]


@scalar
def find_key(keys, n, key):
    """Entry with this key, or -1."""
    for i in range(n):
        if keys[i] == key:
            return i
    return -1


@scalar
def total_of(pool, i):
    """What an entry ranks by."""
    return pool.acoustic[i] + (pool.bias[i] + pool.lm[i])


@scalar
def rank(pool, n, limit, order):
    """Numbers of the best entries, best first, in `order`; among equals the earlier first. Returns how many."""
    acoustic, bias, lm, ranked = pool.acoustic, pool.bias, pool.lm, np.int64(0)
    for i in range(n):
        total, j = acoustic[i] + (bias[i] + lm[i]), ranked
        while j > 0 and acoustic[order[j - 1]] + (bias[order[j - 1]] + lm[order[j - 1]]) < total:
            if j < limit:
                order[j] = order[j - 1]
            j -= 1
        if j < limit:
            order[j] = i
            ranked = min(ranked + 1, limit)
    return ranked


@scalar
def insert(found, n, limit, total, acoustic, delta, parent, label, after):
    """Keep the best `limit`, in order; among equals the first to come stays first. Returns how many there are."""
    score, whole = found.score, found.whole
    if n == limit:
        if total <= score[n - 1, TOTAL]:
            return n
        n -= 1
    j = n
    while j > 0 and score[j - 1, TOTAL] < total:
        for k in range(3):
            score[j, k], whole[j, k] = score[j - 1, k], whole[j - 1, k]
        j -= 1
    score[j, TOTAL], score[j, ACOUSTIC], score[j, DELTA] = total, acoustic, delta
    whole[j, PARENT], whole[j, LABEL], whole[j, AFTER] = parent, label, after
    return n + 1


@scalar
def find_text(texts, key, frame):
    """The slot of a label sequence, or -1. It stays valid for the frame."""
    keys, last = texts.key, texts.frame
    for i in range(keys.size):
        if keys[i] == key and last[i] != FREE:
            last[i] = frame
            return i
    return -1


@scalar
def new_text(texts, key, frame):
    """A slot that nothing of this frame uses. Returns its number."""
    keys, last, turn = texts.key, texts.frame, texts.turn
    slot = turn[0]
    while last[slot] == frame:
        slot = (slot + 1) % keys.size
    turn[0] = (slot + 1) % keys.size
    keys[slot], last[slot] = key, frame
    return slot


@scalar
def gather(source, rows, n, target):
    """Some rows of `source` become the first n of `target`."""
    for i in range(n):
        for j in range(source.shape[1]):
            target[i, j] = source[rows[i], j]


@scalar
def scatter(source, n, target, rows):
    """The first n rows of `source` become some rows of `target`."""
    for i in range(n):
        for j in range(source.shape[1]):
            target[rows[i], j] = source[i, j]


@scalar
def record(arcs, source, target, label, frame, mass, bias, lm):
    """Append an arc."""
    score, whole, r = arcs.score, arcs.whole, arcs.counts[0]
    whole[r, SOURCE], whole[r, TARGET], whole[r, UNIT], whole[r, FRAME] = source, target, label, frame
    score[r, MASS], score[r, BIAS], score[r, LM] = mass, bias, lm
    arcs.counts[0] = r + 1


@scalar
def new_node(arcs, key):
    """Number a node and remember it. Returns its number."""
    node = arcs.counts[1]
    i = node % arcs.key.size
    arcs.key[i], arcs.node[i] = key, node
    arcs.counts[1] = node + 1
    return node


@scalar
def known_node(arcs, key):
    """The youngest remembered node of a label sequence, or -1."""
    keys, nodes, known = arcs.key, arcs.node, np.int64(-1)
    for i in range(keys.size):
        if keys[i] == key and nodes[i] > known:
            known = np.int64(nodes[i])
    return known
