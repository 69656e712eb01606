"""The K best word sequences of a lattice, each once, although thousands of paths may spell the same words.

A* over word prefixes. A prefix carries all nodes that its words can reach, each with the best score of getting there: the
lattice is made deterministic as far as the search looks and no further. What is still to come is known exactly, from the
backward scores, so a prefix's priority is the score of its best completion:

    priority(w1 .. wn) = max over nodes m that w1 .. wn reach of  score(m) + backward(m)

and no prefix is looked at that does not begin one of the K best sequences. Word 0, which stands for no word, marks a finished
sequence; it sorts before all words, as an end should.

Order, which leaves no choice: by score; among equal scores, by word numbers as in a dictionary. Among the best paths of one
sequence: the one whose last arc has the lowest number, then the last but one, and so on.
"""

import heapq
from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.lattice.forward_backward import NO_ARC, NO_PATH, best_scores
from refasr.lattice.lattice import NO_WORD

LARGEST_K = 100_000


class Reading(NamedTuple):
    """One word sequence and its best path.

    words : tuple of str
    arcs : int32 [P]                     The path, arcs without a word included.
    acoustic, lm, bias, total : int      Its ledger in 1/1024 nat: total = acoustic + lm + bias.
    """

    words: tuple
    arcs: np.ndarray
    acoustic: int
    lm: int
    bias: int
    total: int


class Reached(NamedTuple):
    """How a prefix best reaches a node: score, last arc (-1 at the start), and the Reached before that arc (None there)."""

    score: int
    arc: int
    before: object


def nbest(lattice, k):
    """The K best distinct word sequences.

    Parameters
    ----------
    lattice : Lattice
    k : int, 1 to 100000

    Returns
    -------
    list of Reading      Best first, fewer than K if the lattice has fewer. A lattice without a path gives none; the empty
                         sequence is one like others. Sequences are distinct in word numbers.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: at most K L A for sequences of up to L words, and K L N memory, however many paths there are: each
    prefix of a result is expanded once, nothing else. In time-aligned lattices a prefix reaches few nodes: about K L.
    """
    require_k(k)
    backward = best_scores(lattice).backward.tolist()
    arcs_of = arcs_by_node(lattice)
    queue = [(-backward[0], (), None, None)] if backward[0] != NO_PATH else []    # cost, words, subset before, its last word
    paths = []
    while queue and len(paths) < k:
        _, words, before, word = heapq.heappop(queue)    # words differ, so that nothing behind them is compared
        if word == NO_WORD:
            paths.append(trace(before[lattice.n_nodes - 1]))
            continue
        subset = reach(arcs_of, backward, before, word)
        for following, priority in continuations(arcs_of, backward, subset).items():
            heapq.heappush(queue, (-priority, (*words, following), subset, following))
    ledgers = [[sum(column[path].tolist()) for column in (lattice.acoustic, lattice.lm, lattice.bias)] for path in paths]
    return readings(lattice, np.array([arc for path in paths for arc in path], np.int32),
                    np.cumsum([len(path) for path in paths], dtype=np.int64), np.array(ledgers, np.int64))


def require_k(k):
    """A whole number from 1 to LARGEST_K. Parameters: k. Raises RangeError."""
    checks.between("k", k, 1, LARGEST_K)
    if k % 1:
        raise RangeError(f"k: got {k}, expected a whole number")


def arcs_by_node(lattice):
    """The arcs out of each node. Parameters: lattice. Returns a list of lists of (arc, target, word, total)."""
    arcs_of = [[] for _ in range(lattice.n_nodes)]
    columns = (lattice.source, lattice.target, lattice.word, lattice.total)
    for arc, (source, target, word, total) in enumerate(zip(*(column.tolist() for column in columns))):
        arcs_of[source].append((arc, target, word, total))
    return arcs_of


def reach(arcs_of, backward, before, word):
    """Nodes reached by one word more, then by arcs without a word.

    Parameters
    ----------
    arcs_of : list           From `arcs_by_node`.
    backward : list of int
    before : dict or None    Node to Reached, of the shorter prefix; None for the empty prefix, which reaches the start.
    word : int or None       The word that follows it.

    Returns
    -------
    dict of int to Reached   Nodes that do not lead to the end are left out.
    """
    subset = {} if before else {0: Reached(0, NO_ARC, None)}

    def extend(node, reached, wanted):
        for arc, target, follows, total in arcs_of[node]:
            if follows == wanted and backward[target] != NO_PATH:
                score, old = reached.score + total, subset.get(target)
                if old is None or (score, -arc) > (old.score, -old.arc):
                    subset[target] = Reached(score, arc, reached)

    for node, reached in (before or {}).items():
        extend(node, reached, word)
    todo = list(subset)
    heapq.heapify(todo)
    while todo:    # in topological order: a node is final when its turn comes
        node, known = heapq.heappop(todo), set(subset)
        extend(node, subset[node], NO_WORD)
        for target in set(subset) - known:
            heapq.heappush(todo, target)
    return subset


def continuations(arcs_of, backward, subset):
    """What may follow a prefix, and the score of the best completion.

    Parameters
    ----------
    arcs_of : list
    backward : list of int
    subset : dict of int to Reached

    Returns
    -------
    dict of int to int               Word to score; NO_WORD where the sequence may end.
    """
    best, end = {}, len(backward) - 1
    if end in subset:
        best[NO_WORD] = subset[end].score
    for node, reached in subset.items():
        for _, target, word, total in arcs_of[node]:
            if word != NO_WORD and backward[target] != NO_PATH:
                best[word] = max(best.get(word, NO_PATH), reached.score + total + backward[target])
    return best


def trace(reached):
    """Arcs of a path. Parameters: reached (Reached, at its end). Returns a list of int."""
    arcs = []
    while reached.before is not None:
        arcs.append(reached.arc)
        reached = reached.before
    return arcs[::-1]


def readings(lattice, arcs, ends, ledgers):
    """Paths, stored end to end, as results.

    Parameters
    ----------
    lattice : Lattice
    arcs : int32 [sum of P]
    ends : int64 [K]           Where each path ends.
    ledgers : int64 [K, 3]     Sums of acoustic, lm and bias.

    Returns
    -------
    list of Reading
    """
    numbers = lattice.word[arcs]
    is_word = numbers != NO_WORD
    words = tuple([lattice.words[number] for number in numbers[is_word].tolist()])
    word_ends, found, first, first_word = np.append(0, np.cumsum(is_word))[ends].tolist(), [], 0, 0
    for last, last_word, (acoustic, lm, bias) in zip(ends.tolist(), word_ends, ledgers.tolist()):
        found.append(Reading(words[first_word:last_word], arcs[first:last].copy(), acoustic, lm, bias, acoustic + lm + bias))
        first, first_word = last, last_word
    return found
