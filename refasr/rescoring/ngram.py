"""The n-gram language model: probabilities of words by the last words before them, in a trie of flat arrays.

    P(w | v1 .. vk) = p(v1 .. vk w)                                  if the model holds v1 .. vk w
                      backoff(v1 .. vk) P(w | v2 .. vk)              else

A node is a sequence of words, from the first to the last; 0 is the empty one. Children of a node stand together, sorted by word.
A state is the node of the longest sequence at the end of the history that can still matter, and nothing else: two histories in
one state have the same future, exactly, which is what a lattice or a beam search may merge by.

    state = start(model)
    state, logp = advance(model, state, word)     # natural logarithm; `model.ids` maps words to numbers
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import FormatError

UNKNOWN, BEGIN, STOP = 0, 1, 2
MARKS = ("<unk>", "<s>", "</s>")     # the first three words of every model
ROOT = 0
LN10 = 2.302585092994046
LARGEST_ORDER = 8


class Trie(NamedTuple):
    """The arrays; M nodes, the root first, then all sequences of one word, of two, and so on. Logarithms are to base 10."""

    word: np.ndarray      # int32 (M,)    last word of the sequence
    first: np.ndarray     # int32 (M+1,)  children of node i are first[i] .. first[i+1]-1
    log10_p: np.ndarray   # float32 (M,)  of the last word after the others
    log10_backoff: np.ndarray  # float32 (M,)  of the sequence as a history, 0 where the model says nothing
    suffix: np.ndarray    # int32 (M,)    longest proper end of the sequence that is a node
    state: np.ndarray     # int32 (M,)    longest end of it, itself included, that can matter for what follows


@dataclass(frozen=True, eq=False)
class NgramModel:
    """A model: words (tuple of str, MARKS first), order (longest sequence), trie (Trie)."""

    words: tuple
    order: int
    trie: Trie

    @functools.cached_property
    def ids(self):
        """Number of each word. Returns a dict."""
        return {word: number for number, word in enumerate(self.words)}

    def numbers(self, words):
        """Numbers of words, UNKNOWN for others. Parameters: words (sequence of str). Returns int32 [U]."""
        return np.array([self.ids.get(word, UNKNOWN) for word in words], np.int32)


def start(model):
    """State before a sentence. Parameters: model. Returns int."""
    return int(model.trie.state[find(model.trie, ROOT, BEGIN)])


def advance(model, state, word):
    """Read one word.

    Parameters
    ----------
    model : NgramModel
    state : int, 0 to M-1
    word : int, 0 to V-1      STOP for the end of the sentence, UNKNOWN for a word that the model does not have.

    Returns
    -------
    (int, float)              The state after it, and the natural logarithm of its probability.

    Raises
    ------
    RangeError

    Notes
    -----
    Twin: BITS, sums of logarithms in the same order. Cost: a binary search for each sequence tried, up to the order.
    """
    check_advance(model, state, word)
    return step(model.trie, state, word)


def step(trie, state, word):
    """`advance` in the arrays alone, unchecked. Parameters: trie, state, word. Returns (int, float)."""
    log10_p, node = 0.0, find(trie, state, word)
    while node == ROOT:
        log10_p += float(trie.log10_backoff[state])
        state = trie.suffix[state]
        node = find(trie, state, word)
    return int(trie.state[node]), LN10 * (log10_p + float(trie.log10_p[node]))


def find(trie, node, word):
    """The node of one word more. Parameters: trie, node, word. Returns int, ROOT if there is none."""
    low, high = trie.first[node], trie.first[node + 1]
    at = low + int(np.searchsorted(trie.word[low:high], word))
    return int(at) if at < high and trie.word[at] == word else ROOT


def sequence_scores(model, words):
    """Probabilities of the words of a sentence.

    Parameters
    ----------
    model : NgramModel
    words : int32 [U]      Without BEGIN and STOP.

    Returns
    -------
    float64 [U+1]          Natural logarithms, the last one of the end of the sentence.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS.
    """
    check_sequence(model, words)
    state, scores = start(model), []
    for word in (*words.tolist(), STOP):
        state, logp = advance(model, state, word)
        scores.append(logp)
    return np.array(scores, np.float64)


def check_advance(model, state, word):
    """Validate a step. Parameters: model, state, word. Raises RangeError."""
    checks.between("state", state, 0, model.trie.word.size - 1)
    checks.between("word", word, 0, len(model.words) - 1)


def check_sequence(model, words):
    """Validate a sentence. Parameters: model, words. Raises DTypeError, ShapeError, RangeError."""
    checks.array("words", words, np.int32, (None,))
    if words.size:
        check_advance(model, 0, words.min())
        check_advance(model, 0, words.max())


class Level(NamedTuple):
    """All sequences of one length.

    ids : int32 [M, K]              Word numbers.
    log10_p, log10_backoff : float32 [M]
    """

    ids: np.ndarray
    log10_p: np.ndarray
    log10_backoff: np.ndarray


def build(words, levels):
    """A model from lists of sequences.

    Parameters
    ----------
    words : sequence of str     MARKS first; each has a sequence of length one.
    levels : list of Level      Of sequences of 1, 2, ... words, in any order.

    Returns
    -------
    NgramModel

    Raises
    ------
    FormatError                 For a sequence that stands there twice, one whose first words are none, or a word without its own.
    """
    n_words = len(words)
    keys, nodes = np.empty(0, np.int64), []     # keys: (parent, word) of nodes 1, 2, ..., rising
    columns = [(np.zeros(1, np.int32), np.zeros(1, np.float32), np.zeros(1, np.float32))]
    for level in levels:
        parent = np.zeros(len(level.ids), np.int64)
        for column in level.ids.T[:-1]:
            parent = lookup(keys, parent * n_words + column)
            if (parent == ROOT).any():
                lost = level.ids[np.flatnonzero(parent == ROOT)[0]]
                raise FormatError(f"n-gram {' '.join(words[i] for i in lost)!r}: got no sequence of its first words, expected it")
        key = parent * n_words + level.ids[:, -1]
        order = np.argsort(key, kind="stable")
        if (np.diff(key[order]) == 0).any():
            twice = level.ids[order[np.flatnonzero(np.diff(key[order]) == 0)[0]]]
            raise FormatError(f"n-gram {' '.join(words[i] for i in twice)!r}: got it twice, expected it once")
        keys, nodes = np.append(keys, key[order]), [*nodes, parent[order]]
        columns.append((level.ids[order, -1], level.log10_p[order], level.log10_backoff[order]))
    if len(levels[0].ids) != n_words:
        raise FormatError(f"words: got {len(levels[0].ids)} with a probability, expected all {n_words}")
    word, log10_p, backoff = (np.concatenate(column) for column in zip(*columns))
    parents = np.concatenate(nodes)
    first = 1 + np.append(0, np.cumsum(np.bincount(parents, minlength=word.size)))
    suffix = suffixes(keys, parents, word, n_words, [len(level.ids) for level in levels])
    return NgramModel(tuple(words), len(levels), Trie(word.astype(np.int32), first.astype(np.int32), log10_p, backoff,
                                                      suffix.astype(np.int32), states(first, backoff, suffix)))


def lookup(keys, wanted):
    """Nodes by their keys. Parameters: keys (int64, rising), wanted (int64). Returns int64, ROOT for one that is not there."""
    at = np.searchsorted(keys, wanted)
    found = at < keys.size
    found[found] = keys[at[found]] == wanted[found]
    return np.where(found, at + 1, ROOT)


def suffixes(keys, parents, word, n_words, sizes):
    """Longest proper end of each sequence: that of its parent, or a shorter one, with the same last word.

    Parameters
    ----------
    keys : int64 [M-1]
    parents : int64 [M-1]    Of nodes 1, 2, ...
    word : int [M]
    n_words : int
    sizes : list of int      Nodes of each length.

    Returns
    -------
    int64 [M]
    """
    suffix, begin = np.zeros(word.size, np.int64), 1 + sizes[0]
    for size in sizes[1:]:
        now = np.arange(begin, begin + size)
        at = suffix[parents[now - 1]]
        found = lookup(keys, at * n_words + word[now])
        while (missing := found == ROOT).any():     # the root has all words as children
            at[missing] = suffix[at[missing]]
            found[missing] = lookup(keys, at[missing] * n_words + word[now[missing]])
        suffix[now], begin = found, begin + size
    return suffix


def states(first, backoff, suffix):
    """The node itself, or what of it can matter for the next word. Parameters: first, backoff, suffix. Returns int32 [M]."""
    state = np.arange(backoff.size)
    idle = (np.diff(first) == 0) & (backoff == 0)
    idle[ROOT] = False
    while idle[state].any():
        state = np.where(idle[state], suffix[state], state)
    return state.astype(np.int32)
