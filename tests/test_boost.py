"""The phrase automaton against sherpa's published figures, against a scorer without an automaton, and by its promises."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cases_boost
from refasr.jit import kernel
from refasr.search import boost, boost_fast
from refasr.search.boost import START, Phrase
from refasr.transducer.units import encode_text
from refasr.twins import select

SHERPA = "S HE SHE SHELL HIS HERS HELLO THIS THEM".split()
QUERIES = "HEHERSHE HERSHE HISHE SHED SHELF HELL HELLO DHRHISQ THEN".split()
SHERPA_TOTALS = {    # csrc/context-graph-test.cc: (phrase total or 0 for weight 1, strict) -> total of each query
    (0, True): (14, 12, 9, 6, 6, 2, 7, 4, 2),
    (0, False): (7, 5, 5, 3, 3, 2, 2, 3, 2),
    (5, True): (35.84, 30.84, 24.18, 18.34, 18.34, 5, 13, 10.84, 5),
    (5, False): (20, 15, 10.84, 10, 10, 5, 5, 5.84, 5),
}


@pytest.fixture(params=("reference", "fast"))
def score(request):
    """Both implementations of `score_units`."""
    return select(request.param)(boost.score_units)


def phrase(text, weight=1.0, prefixes=(), unpaid=0.0):
    """A phrase in the units of the model. Parameters: text, weight, prefixes, unpaid. Returns a Phrase."""
    return Phrase(encode_text(text), weight, tuple(map(encode_text, prefixes)), text, "names.txt:7", unpaid)


def build(*phrases):
    """Parameters: *phrases. Returns an Automaton over the units of the model."""
    return boost.build(phrases, 36)


def capitals(word):
    """Units 1 to 26. Parameters: word. Returns int32 [U]."""
    return np.array([ord(letter) - 64 for letter in word], np.int32)


@pytest.mark.parametrize("total, strict", SHERPA_TOTALS)
def test_totals_of_sherpa(score, total, strict):
    weights = [round(total / len(word) * 100) / 100 if total else 1.0 for word in SHERPA]
    automaton = boost.build([Phrase(capitals(word), weight) for word, weight in zip(SHERPA, weights)], 27,
                            whole_words=False, strict=strict)
    found = [score(automaton, capitals(query))[-1] for query in QUERIES]
    np.testing.assert_allclose(found, SHERPA_TOTALS[total, strict], atol=1e-9)


# The written rules of refasr.search.boost, place by place, without any automaton.


def active(phrase, text, begin):
    """Whether a prefix, if needed, stands before the place. Parameters: phrase, text (list), begin. Returns bool."""
    prefixes = [prefix.tolist() for prefix in phrase.prefixes]
    return not prefixes or any(text[:begin][-len(prefix):] == prefix for prefix in prefixes)


def reward(phrase, n):
    """Of the first n units. Parameters: phrase, n. Returns a float."""
    return phrase.weight * (n - phrase.unpaid) if n > phrase.unpaid else 0.0


def earned(phrases, text, word_starts, confirmed_only):
    """What all occurrences earn. Parameters: phrases, text, word_starts, confirmed_only. Returns a float."""
    total = 0.0
    for units in {tuple(phrase.units.tolist()) for phrase in phrases}:
        for begin in range(len(text) - len(units) + 1):
            end = begin + len(units)
            ends_well = text[end] in word_starts if end < len(text) else not confirmed_only
            if tuple(text[begin:end]) == units and ends_well:
                same = [one for one in phrases if tuple(one.units.tolist()) == units and active(one, text, begin)]
                total += max((reward(one, len(units)) for one in same), default=0.0)
    return total


def hope(phrases, text):
    """The best that unfinished phrases promise. Parameters: phrases, text. Returns a float."""
    promises = [reward(one, k) for one in phrases for k in range(1, min(len(one.units), len(text)) + 1)
                if text[-k:] == one.units[:k].tolist() and active(one, text, len(text) - k)]
    return max([0.0, *promises])


@given(st.data())
def test_whole_words_by_enumeration(data):
    word_starts = data.draw(st.sampled_from([(1,), (1, 4)]))
    phrases = data.draw(cases_boost.PHRASES)
    labels = data.draw(cases_boost.texts(phrases))
    automaton, text = boost.build(phrases, cases_boost.N_UNITS, word_starts=word_starts), labels.tolist()
    want = [earned(phrases, text[:n], word_starts, True) + hope(phrases, text[:n]) for n in range(1, len(text) + 1)]
    want.append(earned(phrases, text, word_starts, False))
    for name in ("reference", "fast"):
        np.testing.assert_allclose(select(name)(boost.score_units)(automaton, labels), want, atol=1e-9)


@given(st.data())
def test_sherpa_rules_by_enumeration(data):
    phrases = data.draw(cases_boost.SHERPA_PHRASES)
    labels = data.draw(cases_boost.texts(phrases))
    spelled, text = [(tuple(one.units.tolist()), one.weight) for one in phrases], tuple(labels.tolist())

    def spelling(units):
        return sum(max(weight for other, weight in spelled if other[:k] == units[:k]) for k in range(1, len(units) + 1))

    want, total = [], 0.0
    for n in range(1, len(text) + 1):
        total += sum(spelling(units) for units in {units for units, _ in spelled} if text[:n][-len(units):] == units)
        begun = [k for k in range(1, n + 1) if any(units[:k] == text[n - k:n] for units, _ in spelled)]
        want.append(total + (spelling(text[n - max(begun):n]) if begun else 0.0))
    found = boost.score_units(boost.build(phrases, cases_boost.N_UNITS, whole_words=False), labels)
    np.testing.assert_allclose(found, [*want, total], atol=1e-9)


@pytest.mark.parametrize("text, total", [
    ("jon", 4), ("jon smith", 14), ("jonathan", 0), ("jon smithers", 4), ("a jon", 4), ("jo", 0), ("jon jon", 8), ("", 0),
    ("jon smith jon", 18), ("smith jon smit", 4), ("ajon", 0)])
def test_words_are_whole_and_phrases_overlap(score, text, total):
    assert score(build(phrase("jon"), phrase("jon smith")), encode_text(text))[-1] == total


def test_reward_grows_while_a_phrase_is_spelt_and_is_refunded(score):
    automaton = build(phrase("jon", 2.0))
    assert score(automaton, encode_text("jon")).tolist() == [2, 4, 6, 8, 8]
    assert score(automaton, encode_text("joa")).tolist() == [2, 4, 6, 0, 0]
    assert score(automaton, encode_text("jona b")).tolist() == [2, 4, 6, 8, 0, 2, 0, 0]
    assert score(automaton, encode_text("jon b")).tolist() == [2, 4, 6, 8, 10, 8, 8]


def test_first_units_stay_unpaid(score):
    automaton = build(phrase("jon", 2.0, unpaid=2.5), phrase("jo", 2.0, unpaid=2.5), phrase("a", 2.0, unpaid=2.5))
    assert score(automaton, encode_text("jon")).tolist() == [0, 0, 1, 3, 3]
    assert score(automaton, encode_text("joa")).tolist() == [0, 0, 1, 0, 0]
    assert score(automaton, encode_text("jo a")).tolist() == [0, 0, 1, 1, 1, 1]    # hope becomes what is earned
    assert not score(automaton, encode_text("a a a b jab")).any()                  # shorter than what stays unpaid


def test_phrases_alike_but_for_what_stays_unpaid(score):
    early, late = phrase("jon", 1.0), phrase("jon", 3.0, unpaid=1.0)
    for automaton in (build(early, late), build(late, early)):
        assert score(automaton, encode_text("jon")).tolist() == [1, 3, 6, 9, 9]    # the larger hope, the larger reward, once


def test_a_discouraged_phrase_pays_for_what_counts(score):
    assert score(build(phrase("jon", -1.0, unpaid=1.5)), encode_text("jon")).tolist() == [0, 0, 0, 0, -2.5]


@pytest.mark.parametrize("text, total", [
    ("call anna", 5), ("anna", 0), ("please call anna", 5), ("recall anna", 0), ("call the anna", 0), ("call", 0),
    ("turn on anna", 5), ("turn anna", 0), ("on anna", 0), ("call call anna", 5), ("call annabel", 0), ("call anna anna", 5)])
def test_prefixes_switch_phrases_on(score, text, total):
    for prefixes in (("call", "turn on"), ("call", "turn on", "please call", "call call")):    # the longer add nothing
        scores = score(build(phrase("anna", 1.0, prefixes)), encode_text(text))
        assert scores[-1] == total and scores.max() <= max(total, 5)
        assert not scores[: encode_text("call").size].any() or text == "anna"    # a prefix itself gets nothing


def test_largest_active_weight_counts(score):
    automaton = build(phrase("anna", 1.0), phrase("anna", 3.0, ("call",)), phrase("anna", 2.0), phrase("anna", 0.5, ("text",)))
    assert [score(automaton, encode_text(text))[-1] for text in ("anna", "call anna", "text anna")] == [10, 15, 10]


def test_negative_weights_discourage_when_confirmed(score):
    automaton = build(phrase("jon", -1.0))
    assert score(automaton, encode_text("jon jonathan")).tolist() == [0.0] * 4 + [-4.0] * 10
    assert score(automaton, encode_text("jon")).tolist() == [0, 0, 0, 0, -4]


@given(st.data())
def test_order_of_phrases_does_not_matter(data):
    phrases, rules, automaton = cases_boost.automaton(data.draw)
    other = boost.build(data.draw(st.permutations(phrases)), cases_boost.N_UNITS, **rules)
    for ours, theirs in zip(automaton, other):
        assert ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes()


@kernel
def _step(automaton, state, label):
    return boost_fast.advance_state(automaton, np.int32(state), np.int32(label))


@kernel
def _row(automaton, state, deltas):
    boost_fast.advance_all(automaton, np.int32(state), deltas)
    return boost_fast.finish_state(automaton, np.int32(state))


@given(st.data())
def test_kernels_walk_as_the_reference_does(data):
    _, _, automaton = cases_boost.automaton(data.draw)
    n_states, n_units = automaton.next_state.shape
    for state in range(n_states):
        want, deltas = [boost.advance(automaton, state, label) for label in range(1, n_units)], np.full(n_units, np.nan)
        assert [_step(automaton, state, label) for label in range(1, n_units)] == want    # == is by bits: no NaN, no -0 alone
        assert _row(automaton, state, deltas) == boost.finish(automaton, state)
        assert deltas.tolist() == [0.0, *(delta for _, delta in want)]


def test_types_of_the_arrays():
    automaton = build(phrase("jon"))
    assert [array.dtype for array in automaton] == [np.int32, np.float64, np.float64, np.float64, np.bool_]
    assert all(array.flags.c_contiguous for array in automaton)
    boost.check_automaton(automaton)
    nothing = boost.build([], 36)
    assert nothing.next_state.shape == (1, 36) and boost.advance(nothing, START, 8) == (START, 0.0)
    assert boost.build([], 2).starts_word.tolist() == [False, False]


class Counted:
    """An array that counts how often it is read. Parameters: array."""

    def __init__(self, array):
        self.array, self.shape, self.size, self.reads = array, array.shape, array.size, 0

    def __getitem__(self, index):
        self.reads += 1
        return self.array[index]


def names(n, seed=0):
    """Names of two words. Parameters: n, seed. Returns a list of Phrase, all different."""
    source, found = np.random.default_rng(seed), {}
    while len(found) < n:
        first, last = ("".join(map(chr, source.integers(97, 123, source.integers(3, 8)))) for _ in range(2))
        found[f"{first} {last}"] = None
    return [phrase(text) for text in found]


def test_ten_thousand_phrases_touch_as_few_states_as_ten():
    text, reads = encode_text("call anna kowalski and jon smith"), []
    for n in (10, 10_000):
        counted = boost.Automaton(*map(Counted, build(*names(n))))
        state = START
        for label in text.tolist():
            state, _ = boost.advance(counted, state, label)
        reads.append([array.reads for array in counted])
    assert reads[0] == reads[1] and reads[0][0] == text.size


def test_table_is_as_large_as_promised():
    phrases = names(2000)
    automaton = build(*phrases)
    assert len(automaton.hope) <= 1 + sum(one.units.size for one in phrases)
    assert automaton.next_state.max() == len(automaton.hope) - 1    # every state can be reached
    assert np.unique(automaton.next_state).size == len(automaton.hope)


def test_new_phrases_build_nothing_else():
    text = encode_text("call anna")
    anna, jon = build(phrase("anna")), build(phrase("jon"))
    before = [array.tobytes() for array in anna]
    compiled = lambda: len(getattr(boost_fast._score, "signatures", ()))
    first = boost_fast.score_units(anna, text)
    kernels = compiled()
    assert boost_fast.score_units(jon, text)[-1] == 0
    assert boost_fast.score_units(anna, text).tobytes() == first.tobytes() and first[-1] == 5
    assert [array.tobytes() for array in anna] == before and compiled() == kernels
    assert not any(np.may_share_memory(a, b) for a, b in zip(anna, jon))
    assert os.environ.get("NUMBA_DISABLE_JIT") == "1" or kernels == 1
