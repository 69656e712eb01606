"""The phrase automaton: walking a text of 10,000 units, and building and holding up to 10,000 phrases.

Every contestant of the first gives the same scores; "trie-walk" is the textbook form, nested dictionaries that follow failures.
"""

import time

import numpy as np

from refasr import twins
from refasr.search import boost
from refasr.transducer.units import encode_text

N_LABELS, SIZES, N_UNITS = 10_000, (10, 100, 1_000, 10_000), 36
PREFIXES = ("call", "text", "message")
SHARED_ERROR = 1e-9    # of sums in another order


def names(n_phrases, prefixes=()):
    """Names of two words. Parameters: n_phrases, prefixes. Returns a list of Phrase."""
    source, after = np.random.default_rng(0), tuple(map(encode_text, prefixes))
    word = lambda: "".join(map(chr, source.choice(26, source.integers(3, 8), p=np.arange(26, 0, -1) / 351) + 97))
    texts = dict.fromkeys(f"{word()} {word()}" for _ in range(n_phrases))
    return [boost.Phrase(encode_text(text), 0.5, after, text) for text in texts]


def text_of(phrases):
    """A text of phrases, whole and cut. Parameters: phrases. Returns int32 [U]."""
    source, parts = np.random.default_rng(1), []
    while sum(part.size for part in parts) < N_LABELS:
        units = phrases[source.integers(len(phrases))].units
        parts.append(units[: source.integers(1, units.size + 1)])
    return np.concatenate(parts)[:N_LABELS]


def dictionary_trie(phrases):
    """Sherpa's rules on nested dictionaries. Parameters: phrases. Returns the start: [branches, failure, hope, earned]."""
    start = [{}, None, 0.0, 0.0]
    for phrase in phrases:
        node = start
        for unit in phrase.units.tolist():
            node = node[0].setdefault(unit, [{}, start, node[2] + phrase.weight, 0.0])
        node[3] = node[2]
    queue = list(start[0].values())
    for node in queue:    # grows while it is read
        for unit, child in node[0].items():
            fail = node[1]
            while fail is not start and unit not in fail[0]:
                fail = fail[1]
            child[1] = fail[0].get(unit, start)
            child[3] += child[1][3]
            queue.append(child)
    return start


def walk(start, labels):
    """Scores of a text. Parameters: start (from `dictionary_trie`), labels (list of int). Returns a list of float."""
    node, total, scores = start, 0.0, []
    for label in labels:
        after = node
        while after is not start and label not in after[0]:
            after = after[1]
        after = after[0].get(label, start)
        total += after[2] - node[2] + after[3]
        node = after
        scores.append(total)
    return [*scores, total - node[2]]


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable})."""
    for n_phrases in (SIZES[0], SIZES[-1]):
        phrases = names(n_phrases)
        automaton, labels = boost.build(phrases, N_UNITS, whole_words=False), text_of(phrases)
        contestants = {name: lambda score=twins.select(name)(boost.score_units): score(automaton, labels)
                       for name in ("fast", "reference")}
        contestants["trie-walk"] = lambda start=dictionary_trie(phrases): walk(start, labels.tolist())
        yield f"phrases={n_phrases} U={N_LABELS}", contestants


def measure():
    """Time to build, and size. Yields (case text, contestant, value, unit)."""
    for n_phrases in SIZES:
        for prefixes in ((), PREFIXES):
            phrases, case = names(n_phrases, prefixes), f"phrases={n_phrases} prefixes={len(prefixes)}"
            begin = time.perf_counter()
            automaton = boost.build(phrases, N_UNITS)
            yield f"build {case}", "reference", time.perf_counter() - begin, "s"
            yield f"size {case}", "reference", sum(array.nbytes for array in automaton), "bytes"
