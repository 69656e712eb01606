"""Beam search behind the recogniser: no result depends on chunks, ledgers add up, phrases count as their rules say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import TALKERS, noise, tiny_model

from refasr import decoders
from refasr.decoders import LatticeSettings
from refasr.errors import RangeError, ShapeError
from refasr.lattice import assemble
from refasr.lattice.lattice import ARC_FIELDS, SCORES_A_NAT, check_lattice
from refasr.recognise import Recogniser
from refasr.search import boost
from refasr.search.hypotheses import Flow, SearchSettings
from refasr.search.phrases import Entry, PhraseList, spell
from refasr.stages import COLLECT_FRAMES
from refasr.transducer.units import CHARACTERS, encode_text

SAMPLES = noise(5 * 16000 + 123)      # more than two collections of arcs
CASES = [("fast", 0), ("fast", 2), ("reference", 0), ("reference", 2)]


def spelled(*texts, weight=1.0, prefixes=()):
    """Phrases. Parameters: *texts, weight, prefixes. Returns a list of Phrase."""
    phrases, warnings = spell(PhraseList(tuple(Entry(text, weight, prefixes, "test") for text in texts)), unpaid=0.0)
    assert not warnings
    return phrases


def talker(backend="fast", context=0, phrases=(), which=0, beam=4, **lattice):
    """A recogniser that babbles. Parameters: backend, context, phrases, which (of TALKERS), beam, **lattice. Returns it."""
    return Recogniser(tiny_model(*TALKERS[which]), backend, search=SearchSettings(beam=beam, context=context), phrases=phrases,
                      lattice=LatticeSettings(**lattice))


def everything(result):
    """What a result is made of, to the bit. Parameters: result. Returns a tuple."""
    lattice = result.lattice
    return (result, lattice.words, lattice.n_nodes, *(getattr(lattice, name).tobytes() for name in ARC_FIELDS))


def hear(recogniser, samples, sizes, phrases=None):
    """Recognise in chunks. Parameters: recogniser, samples, sizes, phrases. Returns a Result."""
    stream, begin = recogniser.stream(phrases), 0
    for size in sizes:
        stream.accept(samples[begin:begin + size])
        begin += size
    stream.accept(samples[begin:])
    return stream.finish()


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def heard(request):
    """A recogniser, a recording and what it makes of it as a whole."""
    recogniser = talker(*request.param, phrases=spelled("ab", "e"))
    samples = SAMPLES if request.param[0] == "fast" else SAMPLES[:3 * 16000]
    return recogniser, samples, everything(recogniser.transcribe_samples(samples))


@settings(max_examples=6)
@given(sizes=st.lists(st.one_of(st.integers(0, 3), st.integers(0, 3000), st.integers(0, SAMPLES.size)), max_size=12))
def test_any_chunks_give_the_same_bits(heard, sizes):
    recogniser, samples, whole = heard
    assert everything(hear(recogniser, samples, sizes)) == whole


@pytest.mark.parametrize("size", [160, 641, 40_961])
def test_equal_chunks_give_the_same_bits(heard, size):
    recogniser, samples, whole = heard
    assert everything(hear(recogniser, samples, [size] * (samples.size // size))) == whole


def test_both_backends_give_the_same_texts():
    one, two = (talker(backend, 2, spelled("ab")).transcribe_samples(SAMPLES[:16000]) for backend in ("fast", "reference"))
    assert one.text == two.text and [reading.text for reading in one.nbest] == [reading.text for reading in two.nbest]


def test_stretches_end_at_the_same_frames():
    recogniser, frames = talker(), []
    state = recogniser.start()
    for begin in range(0, SAMPLES.size, 30_001):
        output, state = recogniser.step(SAMPLES[begin:begin + 30_001], state)
        frames += [stretch.frame for stretch in output.written]
        assert state.search.frame == frames[-1]
    assert {COLLECT_FRAMES} < set(frames) and frames == sorted(set(frames))
    assert recogniser.step(SAMPLES[:0], state)[0].written == []


def arrays(value):
    """All arrays in nested tuples and lists. Parameters: value. Returns a list."""
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in arrays(part)]
    return [value] if isinstance(value, np.ndarray) else []


@pytest.mark.parametrize("context", [0, 2])
def test_step_is_pure_and_its_state_does_not_grow(context):
    recogniser = talker(context=context)
    state, sizes = recogniser.start(), []
    for begin in range(0, 30_000, 3000):
        before = [array.copy() for array in arrays(state)]
        first, after = recogniser.step(SAMPLES[begin:begin + 3000], state)
        again, after_again = recogniser.step(SAMPLES[begin:begin + 3000], state)
        for one, two in ((before, state), (first, again), (after, after_again)):
            assert all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(two), strict=True))
        state = after
        sizes.append(sum(array.nbytes for array in arrays(after)))
    assert max(sizes) < 2 * sizes[1]


def swinging(n_seconds):
    """Noise and silence in turns. Parameters: n_seconds. Returns float32 [S]."""
    samples = noise(n_seconds * 16000, seed=3)
    samples[(np.arange(samples.size) // 24000) % 3 == 2] = 0
    return samples


@pytest.mark.parametrize("which, context, most", [(0, 0, 2000), (1, 0, 2000), (1, 2, 15_000)])
def test_what_waits_does_not_grow_with_a_long_stream(which, context, most):
    recogniser, samples, waiting = talker(which=which, context=context), swinging(150), []
    stream = recogniser.stream()
    for begin in range(0, samples.size, 16000):
        stream.accept(samples[begin:begin + 16000])
        waiting.append(sum(flow.source.size for flow in stream.utterance.recent))
    assert max(waiting[100:]) <= max(most // 2, 1.5 * max(waiting[40:80])) and max(waiting) < most
    settled = sum(flow.source.size for flow in stream.utterance.settled)
    assert settled + max(waiting) < 40 * samples.size / 640, "what is kept for the end"
    result = stream.finish()
    check_lattice(result.lattice)
    assert everything(result) == everything(recogniser.transcribe_samples(samples))
    ends = [0.0, *(time for word in result.words for time in (word.start, word.end))]
    assert ends == sorted(ends) and ends[-1] <= result.duration + 0.1


def test_text_during_the_stream_looks_at_what_waits_only():
    stream = talker(which=2).stream()
    for begin in range(0, SAMPLES.size, 8000):
        stream.accept(SAMPLES[begin:begin + 8000])
        utterance, beam = stream.utterance, stream.state.search.beam
        labels = assemble.best_labels(utterance.flow(), int(beam.node[0]))
        assert stream.text == decoders.decode_labels([label for label, _ in labels])
        utterance.settled, kept = None, utterance.settled
        assert stream.text is not None
        utterance.settled = kept
    stream.finish()


def test_settled_units_stay():
    recogniser, settled = talker(which=0, beam=2), []
    stream, samples = recogniser.stream(), swinging(20)
    for begin in range(0, samples.size, 16000):
        stream.accept(samples[begin:begin + 16000])
        assert stream.utterance.labels[:len(settled)] == settled
        settled = list(stream.utterance.labels)
    assert settled


def test_thinning_keeps_the_likeliest_old_way():
    columns = np.array([(0, 1, 9, 0), (0, 2, 10, 0), (1, 3, 8, 1), (2, 3, 0, 2), (2, 4, 8, 9), (3, 4, 9, 8)], np.int32).T
    flow = Flow(*columns, np.log([0.6, 0.4, 0.2, 0.3, 0.1, 0.2]), *np.zeros((2, 6)))
    assert assemble.thin_out(flow, 5).source.tolist() == [0, 0, 2, 2, 3]
    assert assemble.thin_out(flow, 0).source.size == 6
    assert assemble.thin_out(flow, 99).target.tolist() == [1, 2, 3, 4]


def check_ledger(result, most):
    """Everything a result promises. Parameters: result, most (of n-best)."""
    check_lattice(result.lattice)
    texts = [reading.text for reading in result.nbest]
    assert 1 <= len(texts) <= most and len(set(texts)) == len(texts)
    assert result.text == texts[0] == " ".join(word.word for word in result.words)
    totals = [reading.total for reading in result.nbest]
    assert totals == sorted(totals, reverse=True)
    for reading in result.nbest:
        whole = [score * SCORES_A_NAT for score in (reading.acoustic, reading.lm, reading.bias, reading.total)]
        assert all(score == int(score) for score in whole) and sum(whole[:3]) == whole[3]
    end = 0.0
    for word in result.words:
        assert end <= word.start < word.end and 0 <= word.conf <= 1
        end = word.end
    assert 0 <= result.conf <= 1


@settings(max_examples=12)
@given(which=st.integers(0, len(TALKERS) - 1), n_samples=st.integers(0, 30_000), context=st.sampled_from([0, 1, 3]),
       weight=st.sampled_from([0.0, 0.3, 1.0, -2.0, 7.77]), most=st.integers(1, 9))
def test_result_holds_together(which, n_samples, context, weight, most):
    recogniser = talker(which=which, context=context, phrases=spelled("a", "ab", weight=weight), nbest=most)
    check_ledger(recogniser.transcribe_samples(SAMPLES[:n_samples]), most)
    plain = recogniser.transcribe_samples(SAMPLES[:n_samples], phrases=())
    check_ledger(plain, most)
    assert all(reading.bias == 0 for reading in plain.nbest) and not plain.lattice.bias.any()


@pytest.mark.parametrize("n_samples", [0, 1, 399])
@pytest.mark.parametrize("context", [0, 2])
def test_less_than_a_window_is_an_empty_text(n_samples, context):
    recogniser = talker(context=context, phrases=spelled("ab"))
    stream = recogniser.stream()
    stream.accept(np.full(n_samples, 0.5, np.float32))
    assert stream.text == ""
    result = stream.finish()
    check_ledger(result, 8)
    assert (result.text, result.words, result.conf) == ("", (), 0.0)
    assert [(reading.text, reading.total) for reading in result.nbest] == [("", 0.0)]


def reward(text, phrases):
    """The phrase rules, by looking at every place. Parameters: text, phrases ((words, weight) pairs). Returns a float."""
    words, total = text.split(), 0.0
    for phrase, weight in phrases:
        wanted = phrase.split()
        for begin in range(len(words) - len(wanted) + 1):
            if words[begin:begin + len(wanted)] == wanted:
                total += weight * (len(phrase.replace(" ", "")) + len(wanted))
    return total


@pytest.mark.parametrize("weight", [0.5, 1.25, -0.75])
@pytest.mark.parametrize("context", [0, 2])
def test_bias_is_what_the_rules_say(weight, context):
    """The tiny model may leave out the first word's mark or write marks without a word; texts spelt so are passed over."""
    compared = earned = 0
    for which in range(len(TALKERS)):
        recogniser = talker(which=which, context=context, beam=8)
        said = {word for reading in recogniser.transcribe_samples(SAMPLES[:32_000]).nbest for word in reading.text.split()}
        pairs = [(word, weight) for word in sorted(said)[:6] if len(word) < 20]
        pairs += [(" ".join(pair), weight) for pair in zip(sorted(said)[:3], sorted(said)[1:4]) if len("".join(pair)) < 40]
        phrases = [phrase for text, _ in pairs for phrase in spelled(text, weight=weight)]
        automaton = boost.build(phrases, 36)
        for reading in recogniser.transcribe_samples(SAMPLES[:32_000], phrases=phrases).nbest:
            expected = reward(reading.text, pairs)
            assert boost.score_units(automaton, encode_text(reading.text))[-1] == expected if reading.text else expected == 0
            first = reading.text.split(" ")[0]
            unmarked = sum(reward(first, [pair]) for pair in pairs)
            assert reading.bias in (expected, expected - unmarked)
            compared, earned = compared + 1, earned + (reading.bias != 0)
    assert compared > 5 and (earned or weight < 0)


def test_other_weights_are_rounded_once_and_refunds_are_exact():
    recogniser = talker(which=2, beam=8, phrases=spelled("abcdefgh", "bcdefgh", "eeeeeeeee", weight=0.3))
    for samples in (SAMPLES[:16000], SAMPLES[16000:40_000]):
        assert {reading.bias for reading in recogniser.transcribe_samples(samples).nbest} == {0.0}, "begun, never finished"


def test_phrases_of_streams_do_not_meet():
    recogniser = talker(which=2, phrases=spelled("ab"))
    sets = [None, (), spelled("ab", weight=3.0), boost.build(spelled("e", "i", weight=4.0), 36)]
    apart = [everything(hear(recogniser, SAMPLES[:24_000], [], phrases)) for phrases in sets]
    streams = [recogniser.stream(phrases) for phrases in sets]
    for begin in range(0, 24_000, 1000):
        for stream in streams:
            stream.accept(SAMPLES[begin:begin + 1000])
    assert [everything(stream.finish()) for stream in streams] == apart
    assert len(set(map(str, (one[0].nbest for one in apart)))) >= 2
    stream = recogniser.stream(sets[2])
    for phrases, expected in ((None, apart[2]), (sets[3], apart[3]), (None, apart[3]), ((), apart[1])):
        stream.reset(phrases=phrases)
        stream.accept(SAMPLES[:24_000])
        assert everything(stream.finish()) == expected


def test_phrases_that_do_not_fit_leave_the_stream_alone():
    recogniser = talker()
    stream = recogniser.stream()
    stream.accept(SAMPLES[:5000])
    with pytest.raises(ShapeError, match="phrases"):
        stream.reset(phrases=boost.build([], 12))
    assert stream.state.samples == 5000
    greedy = Recogniser(tiny_model())
    with pytest.raises(RangeError, match="phrases"):
        greedy.stream(phrases=spelled("ab"))
    with pytest.raises(RangeError, match="phrases"):
        Recogniser(tiny_model(), phrases=spelled("ab"))
    assert greedy.stream(phrases=()).text == ""


def test_model_that_never_stops_ends():
    for context in (0, 1):
        recogniser = Recogniser(tiny_model(blank=-100.0), search=SearchSettings(beam=4, context=context))
        check_ledger(recogniser.transcribe_samples(SAMPLES[:16000]), 8)


def test_joined_hypotheses_within_a_word_do_not_multiply(monkeypatch):
    """Thirty places with two spellings each are 2^30 words; the best must be found all the same."""
    rows, mass = [(0, 1, 8)], [1.0]
    for i in range(30):
        node = 1 + 3 * i
        rows += [(node, node + 1, 9), (node, node + 2, 10), (node + 1, node + 3, 0), (node + 2, node + 3, 0)]
        mass += [0.6, 0.4, 0.6, 0.4]
    flow = Flow(*np.array(rows, np.int32).T, np.arange(len(rows), dtype=np.int32), np.log(mass), *np.zeros((2, len(rows))))
    units = assemble.unit_lattice(flow, [assemble.Ending(91, 0.0, 0.0)], CHARACTERS, 0.04)
    for steps in (10, assemble.MOST_STEPS):
        monkeypatch.setattr(assemble, "MOST_STEPS", steps)
        words = assemble.word_lattice(units, 8.0)
        assert words.words[words.word[words.total.argmax()]] == "a" * 30 and words.n_arcs < 1000
