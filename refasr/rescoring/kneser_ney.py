"""Estimating an n-gram model: interpolated Kneser-Ney smoothing with three discounts.

    p(w | h) = (a(h w) - D(a(h w))) / sum_x a(h x) + gamma(h) p(w | h'),    h' is h without its first word
    gamma(h) = what the discounts took / sum_x a(h x)

a is the count for the longest sequences and for those that begin a sentence; for others, the number of different words before
them: "francisco" is frequent, but hardly ever after another word than "san", so it is improbable after a new one. Below the
single words lies 1 / V. The discounts come from how many sequences were seen once, twice, three and four times:

    Y = n1 / (n1 + 2 n2),  D(1) = 1 - 2 Y n2 / n1,  D(2) = 2 - 3 Y n3 / n2,  D(3 or more) = 3 - 4 Y n4 / n3

Source: Chen & Goodman 1998, An empirical study of smoothing techniques for language modeling, sections 2.7 and 3; lower orders at
the start of a sentence and pruning by counts as in Heafield 2013, Scalable modified Kneser-Ney language model estimation.
"""

import collections
import math

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.rescoring.ngram import BEGIN, LARGEST_ORDER, MARKS, STOP, UNKNOWN, Level, build

FALLBACK = (0.5, 1.0, 1.5)      # discounts where the counts of counts give none, as in very small or artificial texts
IMPOSSIBLE_LOG10 = -99.0        # of <s>, which nothing writes


def estimate(sentences, order, prune=()):
    """Learn a model.

    Parameters
    ----------
    sentences : sequence of sequence of str    Words; none of them <s>, </s> or <unk>.
    order : int, 1 to 8
    prune : sequence of int                    By length: sequences seen at most so often are left out, and what they had goes
                                               to the shorter ones. Never falling, 0 first; the last holds for all longer ones.

    Returns
    -------
    NgramModel                                 Probabilities after any history sum to 1 over all words but <s>.

    Raises
    ------
    RangeError
    """
    checks.between("order", order, 1, LARGEST_ORDER)
    limits = [*prune, *[prune[-1] if prune else 0] * order][:order]
    if limits[0] != 0 or sorted(limits) != limits:
        raise RangeError(f"prune: got {list(prune)}, expected 0 first and never a smaller number after a larger one")
    words = (*MARKS, *sorted({word for sentence in sentences for word in sentence}))
    if len(set(words)) != len(words) or len(words) == len(MARKS):
        raise RangeError(f"sentences: got one of {', '.join(MARKS)} as a word, or no words at all, expected others")
    ids = {word: number for number, word in enumerate(words)}
    raw = count([(BEGIN, *[ids[word] for word in sentence], STOP) for sentence in sentences], order)
    levels, backoffs, shorter = [], [], {(): 1 / (len(words) - 1)}
    for counts, raw_counts, limit in zip(adjust(raw), raw, limits):
        kept = {ngram for ngram, n in raw_counts.items() if n > limit}
        probabilities, gammas = interpolate(counts, kept, shorter)
        if not levels:
            probabilities |= {(UNKNOWN,): gammas[()] * shorter[()]}
        levels.append(probabilities)
        backoffs.append(gammas)
        shorter = probabilities
    return build(words, [as_level(level, gammas, k) for k, (level, gammas) in enumerate(zip(levels, [*backoffs[1:], {}]), 1)])


def count(sentences, order):
    """How often each sequence occurs. Parameters: sentences (of numbers), order. Returns a list of Counter, by length."""
    return [collections.Counter(sentence[i : i + k] for sentence in sentences for i in range(len(sentence) - k + 1))
            for k in range(1, order + 1)]


def adjust(raw):
    """How many different words stand before; counts, for the longest and for what begins a sentence.

    Parameters: raw. Returns a list of dict.
    """
    found = []
    for k, counts in enumerate(raw[:-1]):
        before = collections.Counter(ngram[1:] for ngram in raw[k + 1])
        found.append({ngram: n if ngram[0] == BEGIN else before[ngram] for ngram, n in counts.items()})
    return [*found, dict(raw[-1])]


def discounts(counts):
    """D(1), D(2), D(3 or more). Parameters: counts (iterable of int). Returns a tuple of float."""
    times = collections.Counter(counts)
    n1, n2, n3, n4 = (times[n] for n in (1, 2, 3, 4))
    if 0 in (n1, n2, n3, n4):
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if all(0 <= d <= j + 1 for j, d in enumerate(found)) else FALLBACK


def interpolate(counts, kept, shorter):
    """Probabilities of sequences of one length.

    Parameters
    ----------
    counts : dict      Sequence to adjusted count.
    kept : set         Sequences that the model will hold.
    shorter : dict     Probabilities of sequences of one word less; for single words, 1 / V of the empty one.

    Returns
    -------
    (dict, dict)       Probabilities of the kept ones, and gamma of each history.
    """
    counts = {ngram: n for ngram, n in counts.items() if ngram != (BEGIN,)}
    taken = (0.0, *discounts(counts.values()))
    total, left = collections.Counter(), collections.Counter()
    for ngram, n in counts.items():
        total[ngram[:-1]] += n
        left[ngram[:-1]] += taken[min(n, 3)] if ngram in kept else n
    gammas = {history: left[history] / total[history] for history in total}
    return {ngram: (n - taken[min(n, 3)]) / total[ngram[:-1]] + gammas[ngram[:-1]] * shorter[ngram[1:]]
            for ngram, n in counts.items() if ngram in kept}, gammas


def as_level(probabilities, gammas, length):
    """Arrays of logarithms. Parameters: probabilities, gammas (of these sequences as histories), length. Returns a Level."""
    if length == 1:
        probabilities = probabilities | {(BEGIN,): 10.0**IMPOSSIBLE_LOG10}
    ngrams = list(probabilities)
    log10 = lambda values: np.array([math.log10(value) for value in values], np.float32)
    return Level(np.array(ngrams, np.int32).reshape(-1, length), log10(probabilities.values()),
                 log10(gammas.get(ngram, 1.0) for ngram in ngrams))
