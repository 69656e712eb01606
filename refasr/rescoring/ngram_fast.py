"""Numba twins of `refasr.rescoring.ngram`. Other kernels call `_advance`."""

import numpy as np

from refasr.jit import kernel
from refasr.rescoring import ngram as plain
from refasr.rescoring.ngram import LN10, ROOT, STOP, start
from refasr.twins import BITS, twin_of


@kernel
def _find(trie, node, word):
    low, high = trie.first[node], trie.first[node + 1]
    end = high
    while low < high:
        middle = np.int32((low + high) // 2)
        if trie.word[middle] < word:
            low = np.int32(middle + 1)
        else:
            high = middle
    return low if low < end and trie.word[low] == word else np.int32(ROOT)


@kernel
def _advance(trie, state, word):
    """State after a word, and its natural logarithm."""
    log10_p = np.float64(0)
    node = _find(trie, state, word)
    while node == ROOT:
        log10_p += np.float64(trie.log10_backoff[state])
        state = trie.suffix[state]
        node = _find(trie, state, word)
    return trie.state[node], LN10 * (log10_p + np.float64(trie.log10_p[node]))


@kernel
def _scores(trie, state, words, out):
    for i in range(words.size):
        state, out[i] = _advance(trie, state, words[i])
    state, out[words.size] = _advance(trie, state, np.int32(STOP))


@twin_of(plain.advance, agree=BITS)
def advance(model, state, word):
    plain.check_advance(model, state, word)
    state, logp = _advance(model.trie, np.int32(state), np.int32(word))
    return int(state), float(logp)


@twin_of(plain.sequence_scores, agree=BITS)
def sequence_scores(model, words):
    plain.check_sequence(model, words)
    out = np.empty(words.size + 1, np.float64)
    _scores(model.trie, np.int32(start(model)), words, out)
    return out
