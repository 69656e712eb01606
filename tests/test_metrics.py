"""Edit distance against brute force; error rates, the normaliser, and intervals against known cases."""

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refasr import twins
from refasr.errors import DTypeError, FormatError, RangeError, ShapeError
from refasr.metrics import bootstrap, edit_distance, text, wer

BACKENDS = [twins.select("reference"), twins.select("fast")]


def ids(letters):
    """Letters as words. Parameters: letters. Returns int32."""
    return np.frombuffer(letters.encode(), np.uint8).astype(np.int32)


@functools.cache
def possible(reference, hypothesis):
    """Counts of every alignment, by recursion. Parameters: reference, hypothesis. Returns a set of (S, D, I)."""
    if not reference or not hypothesis:
        return {(0, len(reference), len(hypothesis))}
    wrong = int(reference[0] != hypothesis[0])
    return ({(s + wrong, d, i) for s, d, i in possible(reference[1:], hypothesis[1:])}
            | {(s, d + 1, i) for s, d, i in possible(reference[1:], hypothesis)}
            | {(s, d, i + 1) for s, d, i in possible(reference, hypothesis[1:])})


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_every_tiny_pair_against_enumeration(backend):
    count = backend(edit_distance.edit_distance)
    texts = ["".join(letters) for n in range(5) for letters in itertools.product("ab", repeat=n)]
    for reference, hypothesis in itertools.product(texts, texts):
        best = min(possible(reference, hypothesis), key=lambda counts: (sum(counts), counts[0]))
        assert tuple(count(ids(reference), ids(hypothesis))) == best


@settings(deadline=None, max_examples=60)
@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_symmetries(reference, hypothesis):
    count = edit_distance.edit_distance(ids(reference), ids(hypothesis))
    swapped = edit_distance.edit_distance(ids(hypothesis), ids(reference))
    mirrored = edit_distance.edit_distance(ids(reference[::-1]), ids(hypothesis[::-1]))
    assert (swapped.substitutions, swapped.insertions, swapped.deletions) == tuple(count) == tuple(mirrored)
    assert abs(len(reference) - len(hypothesis)) <= count.total <= max(len(reference), len(hypothesis))


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@settings(deadline=None, max_examples=60)
@given(reference=st.text("abc", max_size=9), hypothesis=st.text("abc", max_size=9))
def test_alignment_has_the_counts_and_the_order(backend, reference, hypothesis):
    pairs = backend(edit_distance.align)(ids(reference), ids(hypothesis)).tolist()
    assert [i for i, _ in pairs if i >= 0] == list(range(len(reference)))
    assert [j for _, j in pairs if j >= 0] == list(range(len(hypothesis)))
    wrong = sum(i >= 0 and j >= 0 and reference[i] != hypothesis[j] for i, j in pairs)
    counts = (wrong, sum(j < 0 for _, j in pairs), sum(i < 0 for i, _ in pairs))
    assert counts == tuple(edit_distance.edit_distance(ids(reference), ids(hypothesis)))


def test_alignment_table_is_bounded():
    long = np.zeros(20_000, np.int32)
    for backend in BACKENDS:
        with pytest.raises(RangeError, match="table cells"):
            backend(edit_distance.align)(long, long)


def test_batch_equals_pair_by_pair():
    vocabulary = wer.new_vocabulary()
    said = wer.word_ids(["a b c", "", "a", "b b"], vocabulary)
    heard = wer.word_ids(["a c", "b", "", "b b"], vocabulary)
    expected = [(0, 1, 0), (0, 0, 1), (0, 1, 0), (0, 0, 0)]
    for backend in BACKENDS:
        assert backend(edit_distance.edit_distances)(*said, *heard).tolist() == [list(row) for row in expected]


def test_score_sums_before_dividing():
    result = wer.score(["a b c d", "a", ""], ["a b x d", "b", "c"])
    assert (result.substitutions, result.deletions, result.insertions) == (2, 0, 1)
    assert (result.n_words, result.n_utterances) == (5, 3)
    assert result.wer == 3 / 5 and result.ser == 1.0
    assert result.errors.tolist() == [1, 1, 1]


@pytest.mark.parametrize("heard, rate, sentences", [(["", ""], 0.0, 0.0), (["a", ""], math.inf, 0.5)])
def test_score_without_reference_words(heard, rate, sentences):
    result = wer.score(["", ""], heard)
    assert (result.wer, result.ser, result.n_words) == (rate, sentences, 0)


@pytest.mark.parametrize("references, hypotheses", [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_score_refuses_unequal_lists(references, hypotheses):
    with pytest.raises(RangeError, match="hypotheses"):
        wer.score(references, hypotheses)


def test_show_marks_errors():
    assert wer.show(wer.alignment("turn the light off", "now turn light of")) == "+now+ turn *the* light off>of"


@pytest.mark.parametrize("raw, scored", [
    ("Hello, World!", "hello world"), ("I\u2019D LIKE  A\tcoffee\n", "i'd like a coffee"), ("twenty-first", "twenty first"),
    ("cafe\u0301", "caf\u00e9"), ("' a '", "a"), ("", ""), (" ... ", ""), ("rock 'n' roll", "rock 'n' roll"), ("\u212a", "k"),
])
def test_normalise(raw, scored):
    assert text.normalise(raw) == scored


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=20))
def test_normalising_again_changes_nothing(raw):
    once = text.normalise(raw)
    assert text.normalise(once) == once


def test_characters_outside_the_alphabet_are_named():
    assert text.foreign("caf\u00e9 24") == "24\u00e9"
    with pytest.raises(FormatError, match=r"words.tsv line 3: got '2' \(U\+0032\)"):
        text.require_alphabet("2", "words.tsv line 3")
    assert text.require_alphabet("it's", "") == "it's"


def test_fingerprint_is_pinned_to_the_name():
    assert (text.NAME, text.fingerprint()) == ("refasr-text-1", "abfb4a5d000c")


def bernoulli(rate, n, seed):
    """One word an utterance, wrong with this probability. Parameters: rate, n, seed. Returns errors, words."""
    return (np.random.default_rng(seed).random(n) < rate).astype(np.int64), np.ones(n, np.int64)


def test_interval_of_independent_words_is_the_binomial_one():
    errors, words = bernoulli(0.2, 4000, 1)
    low, high = bootstrap.interval(errors, words)
    half = 1.96 * math.sqrt(errors.mean() * (1 - errors.mean()) / errors.size)
    assert abs(low - (errors.mean() - half)) < 0.1 * half and abs(high - (errors.mean() + half)) < 0.1 * half


def test_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(200):
        low, high = bootstrap.interval(*bernoulli(0.3, 150, seed), n_resamples=300)
        hits += low <= 0.3 <= high
    assert 175 <= hits <= 199


def test_interval_is_a_function_of_the_seed(monkeypatch):
    errors, words = bernoulli(0.2, 301, 2)
    words = words + np.arange(301)
    assert bootstrap.interval(errors, words, seed=4) == bootstrap.interval(errors, words, seed=4)
    assert bootstrap.interval(errors, words, seed=4) != bootstrap.interval(errors, words, seed=5)
    whole = bootstrap.interval(errors, words, seed=4)
    monkeypatch.setattr(bootstrap, "BLOCK_DRAWS", 1000)
    assert bootstrap.interval(errors, words, seed=4) == whole


def test_interval_without_words_and_of_one_utterance():
    assert bootstrap.interval(np.array([0]), np.array([0])) == (0.0, 0.0)
    assert bootstrap.interval(np.array([1]), np.array([0])) == (math.inf, math.inf)
    assert bootstrap.interval(np.array([1]), np.array([4])) == (0.25, 0.25)


@pytest.mark.parametrize("errors, words, error", [
    (np.zeros(0, np.int64), np.zeros(0, np.int64), ShapeError), (np.array([-1]), np.array([1]), RangeError),
    (np.array([1]), np.array([1, 2]), ShapeError), (np.array([1.0]), np.array([1]), DTypeError),
])
def test_interval_refuses(errors, words, error):
    with pytest.raises(error):
        bootstrap.interval(errors, words)


def test_difference_is_paired():
    hard, words = bernoulli(0.3, 2000, 3)
    better = hard.copy()
    better[np.flatnonzero(hard)[:60]] = 0
    paired = bootstrap.difference(better[None], hard[None], words)
    assert paired.value == pytest.approx(-0.03) and paired.high < 0 and paired.p_a_better > 0.99
    half = 1.96 * math.sqrt(0.03 * 0.97 / words.size)
    assert (paired.high - paired.low) / 2 == pytest.approx(half, rel=0.1)
    same = bootstrap.difference(hard[None], hard[None], words)
    assert same == (0.0, 0.0, 0.0, 0.5)


def test_difference_counts_the_spread_of_training_runs():
    words = np.full(500, 4, np.int64)
    runs = np.random.default_rng(0).binomial(4, np.array([[0.1], [0.2], [0.3]]), (3, 500))
    one = bootstrap.difference(runs[1:2], runs[1:2][::-1], words)
    several = bootstrap.difference(runs, runs[1:2], words)
    assert several.high - several.low > 5 * (one.high - one.low)
    assert several.high - several.low > 0.1


def test_difference_refuses():
    with pytest.raises(ShapeError, match="errors_b"):
        bootstrap.difference(np.ones((1, 3), np.int64), np.ones((1, 2), np.int64), np.ones(3, np.int64))
    with pytest.raises(RangeError, match="words"):
        bootstrap.difference(np.ones((1, 1), np.int64), np.ones((1, 1), np.int64), np.zeros(1, np.int64))
