"""Edit distance of 10,000 sentence pairs: from text (splitting and numbering included), and from numbered words.

Every contestant returns the total of errors, so the harness can see that all agree. rapidfuzz is asked for the distance
(it does not split it) and for the edit operations (from which it can be split).
"""

import random

from benchmarks import harness
from refasr import twins
from refasr.metrics import edit_distance, wer

N_PAIRS = 10_000


def sentences(n_pairs, seed=0):
    """References of 3 to 30 words and hypotheses with about 15 % errors. Parameters: n_pairs, seed. Returns two lists of text."""
    generator = random.Random(seed)
    words = [f"w{i}" for i in range(5000)]
    said, heard = [], []
    for _ in range(n_pairs):
        reference = generator.choices(words, k=generator.randint(3, 30))
        kept = [generator.choice(words) if generator.random() < 0.07 else word for word in reference if generator.random() > 0.05]
        said.append(" ".join(reference))
        heard.append(" ".join(kept + generator.choices(words, k=generator.random() < 0.4)))
    return said, heard


def text_contestants(said, heard):
    """Parameters: said, heard (texts). Returns {contestant: callable}."""
    contestants = {name: lambda backend=twins.select(name): int(wer.score(said, heard, backend).errors.sum())
                   for name in ("fast", "reference")}
    contestants["jiwer"] = harness.rival("jiwer", lambda jiwer: lambda: jiwer_errors(jiwer.process_words(said, heard)))
    contestants.update(list_contestants(said, heard, str.split))
    return contestants


def jiwer_errors(counts):
    """Total of errors. Parameters: counts (jiwer's). Returns int."""
    return counts.substitutions + counts.deletions + counts.insertions


def list_contestants(said, heard, words):
    """Rivals that take a list a sentence. Parameters: said, heard, words (makes the list). Returns {contestant: callable}."""
    pairs = list(zip(said, heard))
    contestants = {}
    contestants["rapidfuzz"] = harness.rival("rapidfuzz.distance", lambda library: lambda: sum(
        library.Levenshtein.distance(words(a), words(b)) for a, b in pairs))
    contestants["rapidfuzz-editops"] = harness.rival("rapidfuzz.distance", lambda library: lambda: sum(
        len(library.Levenshtein.editops(words(a), words(b))) for a, b in pairs))
    contestants["kaldialign"] = harness.rival("kaldialign", lambda library: lambda: sum(
        library.edit_distance(words(a), words(b))["total"] for a, b in pairs))
    return contestants


def id_contestants(said, heard):
    """Parameters: said, heard (texts, numbered here, outside the timing). Returns {contestant: callable}."""
    vocabulary = wer.new_vocabulary()
    sides = [wer.word_ids(side, vocabulary) for side in (said, heard)]
    arrays = (*sides[0], *sides[1])
    lists = [[[vocabulary[word] for word in line.split()] for line in side] for side in (said, heard)]
    contestants = {}
    for name in ("fast", "reference"):
        count = twins.select(name)(edit_distance.edit_distances)
        contestants[name] = lambda count=count: int(count(*arrays).sum())
    contestants.update(list_contestants(*lists, words=lambda line: line))
    return contestants


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable})."""
    said, heard = sentences(N_PAIRS)
    yield f"pairs={N_PAIRS} input=text", text_contestants(said, heard)
    yield f"pairs={N_PAIRS} input=ids", id_contestants(said, heard)
