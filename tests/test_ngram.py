"""The n-gram model against values worked out by hand, the formulas written down once more, and sums over all words."""

import collections
import gzip
import itertools
import math

import numpy as np
import pytest
from cases_rescoring import LETTERS, odd_model, small_model
from hypothesis import given
from hypothesis import strategies as st

from refasr.errors import FormatError, RangeError
from refasr.rescoring import arpa, kneser_ney, ngram
from refasr.rescoring.ngram import BEGIN, STOP, UNKNOWN

BY_HAND = """\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-1\t<unk>
-99\t<s>\t-0.25
-0.5\t</s>
-0.75\ta\t-0.125
-0.875\tb

\\2-grams:
-0.375\t<s> a
-0.0625\ta b
-0.03125\ta </s>

\\end\\
"""


def probability(model, words, word):
    """P(word | words), both as numbers. Parameters: model, words, word. Returns float."""
    state = ngram.start(model) if words[:1] == (BEGIN,) else 0
    for before in words[words[:1] == (BEGIN,):]:
        state, _ = ngram.advance(model, state, before)
    return math.exp(ngram.advance(model, state, word)[1])


def test_backing_off_by_hand(tmp_path):
    (tmp_path / "x.arpa").write_text(BY_HAND)
    model = arpa.read_arpa(tmp_path / "x.arpa")
    log10 = lambda text: ngram.sequence_scores(model, model.numbers(text.split())) / ngram.LN10
    assert log10("a b").tolist() == pytest.approx([-0.375, -0.0625, -0.5])              # b has no backoff: 0
    assert log10("b a").tolist() == pytest.approx([-0.25 - 0.875, -0.75, -0.03125])
    assert log10("a a x").tolist() == pytest.approx([-0.375, -0.125 - 0.75, -0.125 - 1, -0.5])


def test_smoothing_by_hand():
    """Two sentences, too few for discounts: 1/2, 1 and 3/2. Single words by what stands before them: a, b, c once, </s> twice."""
    model = kneser_ney.estimate([["a", "b"], ["a", "c"]], 2)
    a, b, c = model.numbers("abc").tolist()
    p = lambda words, word: pytest.approx(probability(model, words, word), rel=1e-6)
    assert p((UNKNOWN,), UNKNOWN) == 0.1                  # (3/2 + 1) / 5 left over, a fifth of it each
    assert p((UNKNOWN,), a) == 0.5 / 5 + 0.1
    assert p((UNKNOWN,), STOP) == 1 / 5 + 0.1
    assert p((BEGIN,), a) == (2 - 1) / 2 + 0.5 * 0.2
    assert p((BEGIN, a), b) == 0.5 / 2 + 0.5 * 0.2
    assert p((b,), STOP) == 0.5 + 0.5 * 0.3
    assert p((b,), c) == 0.5 * 0.2


@given(st.integers(1, 4), st.integers(0, 200), st.integers(0, 1))
def test_probabilities_sum_to_one_after_any_history(order, seed, prune):
    model = small_model(order, seed, prune)
    everything = [UNKNOWN, *range(STOP, len(model.words))]
    for k in range(order):
        for words in itertools.product([BEGIN, *everything], repeat=k):
            if BEGIN not in words[1:] and STOP not in words:
                assert sum(probability(model, words, word) for word in everything) == pytest.approx(1, abs=2e-6)


def expected(sentences, order):
    """P as a function of (history, word), from the formulas, by recursion on texts. Parameters: sentences, order. Returns it."""
    texts = [("<s>", *sentence, "</s>") for sentence in sentences]
    grams = [collections.Counter(t[i : i + n] for t in texts for i in range(len(t) - n + 1)) for n in range(1, order + 2)]
    vocabulary = {word for text in texts for word in text} - {"<s>"} | {"<unk>"}

    def a(gram):
        if len(gram) == order or gram[0] == "<s>":
            return grams[len(gram) - 1][gram]
        return len({longer[0] for longer in grams[len(gram)] if longer[1:] == gram})

    def discount(gram):
        level = [a(g) for g in grams[len(gram) - 1] if g != ("<s>",)]
        n = [level.count(i) for i in range(5)]
        if 0 in n[1:]:
            return (0.5, 1.0, 1.5)[min(a(gram), 3) - 1]
        y = n[1] / (n[1] + 2 * n[2])
        d = [i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)]
        return (d if all(0 < x <= i + 1 for i, x in enumerate(d)) else (0.5, 1.0, 1.5))[min(a(gram), 3) - 1]

    def p(history, word):
        followers = [g for g in grams[len(history)] if g[:-1] == history and g != ("<s>",)]
        below = p(history[1:], word) if history else 1 / len(vocabulary)
        if not followers:
            return below
        total, taken = sum(map(a, followers)), sum(map(discount, followers))
        own = a((*history, word)) - discount((*history, word)) if (*history, word) in followers else 0
        return own / total + taken / total * below
    return p


@pytest.mark.parametrize("order", [1, 2, 3])
def test_estimates_equal_the_formulas(order):
    rng = np.random.default_rng(order)
    sentences = [[LETTERS[i] for i in rng.choice(4, rng.integers(1, 7), p=[0.4, 0.3, 0.2, 0.1])] for _ in range(30)]
    model, p = kneser_ney.estimate(sentences, order), expected(sentences, order)
    for history in itertools.product(("<s>", *LETTERS), repeat=order - 1):
        if "<s>" not in history[1:]:
            for word in (*LETTERS, "</s>", "<unk>"):
                numbers = tuple(model.ids[w] for w in history)
                assert probability(model, numbers, model.ids[word]) == pytest.approx(p(history, word), rel=1e-5)


@given(st.integers(2, 4), st.integers(0, 20), st.lists(st.integers(2, 6), max_size=4), st.lists(st.integers(2, 6), max_size=4),
       st.lists(st.integers(2, 6), max_size=5))
def test_equal_states_have_equal_futures(order, seed, one, other, future):
    for model in (small_model(order, seed), odd_model()):
        states = []
        for history in (one, other):
            state = ngram.start(model)
            for word in history:
                state, _ = ngram.advance(model, state, word % len(model.words))
            states.append(state)
        for word in future:
            steps = [ngram.advance(model, state, word % len(model.words)) for state in states]
            if states[0] == states[1]:
                assert steps[0] == steps[1]
            states = [state for state, _ in steps]


@given(st.integers(1, 4), st.integers(0, 20))
def test_files_give_the_same_model(tmp_path_factory, order, seed):
    path, model = tmp_path_factory.mktemp("arpa") / "x.arpa.gz", small_model(order, seed)
    arpa.write_arpa(path, model)
    again = arpa.read_arpa(path)
    assert again.words == model.words
    for one, other in zip(model.trie, again.trie):
        np.testing.assert_array_equal(one, other)
    assert gzip.decompress(path.read_bytes()).startswith(b"\\data\\\nngram 1=")


def test_words_that_are_marks_are_refused():
    for sentences in ([["<s>"]], [["</s>", "a"]], []):
        with pytest.raises(RangeError):
            kneser_ney.estimate(sentences, 2)
    for prune in ((1,), (0, 2, 1)):
        with pytest.raises(RangeError):
            kneser_ney.estimate([["a"]], 3, prune)


DAMAGES = [("\\data\\", "data"), ("1=5", "1=4"), ("1=5", "1=6"), ("1=5", "1=-5"), ("1=5", "1=999999999"), ("2=3", "3=3"),
           ("-0.375", "0.375"), ("-0.375", "nan"), ("-0.375", "x"), ("-0.25", "1e9"), ("<s> a", "<s> z"), ("<s> a", "<s>"),
           ("a b\n", "a b\t-1\n"), ("a b\n", "a </s>\n"), ("\\2-grams:", "\\3-grams:"), ("\\end\\\n", ""),
           ("\\end\\\n", "\\end\\"), ("\\end\\\n", "\\end\\\nmore\n"),
           ("-99\t<s>\t-0.25", "-99\tx\t-0.25"), ("b\n", "b" * 5000 + "\n"), ("a </s>", "a \udcff"), ("b\n\n", "a\n\n")]


@pytest.mark.parametrize("old, new", DAMAGES)
def test_damaged_files_are_refused(tmp_path, old, new):
    assert old in BY_HAND
    (tmp_path / "x.arpa").write_bytes(BY_HAND.replace(old, new, 1).encode(errors="surrogateescape"))
    with pytest.raises(FormatError) as error:
        arpa.read_arpa(tmp_path / "x.arpa")
    assert "\n" not in str(error.value) and "x.arpa" in str(error.value)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.arpa.gz").write_bytes(gzip.compress(BY_HAND.encode())[:-9])
    (tmp_path / "zeros.arpa.gz").write_bytes(gzip.compress(bytes(1 << 24)))
    (tmp_path / "y.arpa.gz").write_bytes(b"no gzip")
    for name in ("x.arpa.gz", "y.arpa.gz", "zeros.arpa.gz", "missing.arpa", "."):
        with pytest.raises(FormatError):
            arpa.read_arpa(tmp_path / name)
