"""The session: any chunks, the same events and bits; resets and revisions add up; faults are declared; memory is flat."""

import concurrent.futures
import doctest
import pathlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_integer import tiny_integer_model
from tiny_model import TALKERS, noise, tiny_model

from refasr.endpoint import pair
from refasr.endpoint.features import N_DECODER
from refasr.endpoint.fit import start_sound, start_text
from refasr.endpoint.model_file import EndpointModel, Sizes
from refasr.endpoint.pair import PairSettings
from refasr.endpoint.rules import LONGEST, Rule
from refasr.errors import DTypeError, RangeError
from refasr.events import Final, Partial, Reset, Speculative
from refasr.recognise import Recogniser
from refasr.search.hypotheses import SearchSettings
from refasr.session import Session, SessionSettings, begins_with, pair_settings
from refasr.transducer.units import CHARACTERS

RATE_HZ = 16000
SEARCH = SearchSettings(beam=4, context=4)


def tiny_endpoint(encoder=0, seed=3):
    """A model with random weights, whose posterior moves about. Parameters: encoder, seed. Returns an EndpointModel."""
    rng = np.random.default_rng(seed)
    sound = start_sound(rng, np.zeros(40 + encoder, np.float32), np.full(40 + encoder, 0.3, np.float32), N_DECODER, (6, 5))
    sound = sound._replace(output=sound.output * 6)
    return EndpointModel(Sizes(40, encoder, 6, 5, 4), sound, start_text(rng, len(CHARACTERS), 4),
                         {"thresholds": {"speculative": 0.5, "final": 0.8}})


PAIR = PairSettings(0.62, 0.52, 0.4, 0.08, 0.08, (Rule("pause", 0.6, length_s=0.5), Rule("idle", 0.7, words=False),
                                            Rule("long", 0, False, 2.0)))
SETTINGS = SessionSettings(PAIR, lookback_s=0.3)
RECOGNISERS = {"beam": lambda: Recogniser(tiny_model(*TALKERS[0]), search=SEARCH),
               "greedy": lambda: Recogniser(tiny_model(*TALKERS[0])),
               "integer": lambda: Recogniser(tiny_integer_model(), search=SEARCH),
               "reference": lambda: Recogniser(tiny_model(*TALKERS[0]), "reference", search=SearchSettings(beam=2, context=4))}


def talk(seconds, seed=0):
    """Noise with silences. Parameters: seconds, seed. Returns float32 [S]."""
    samples, rng = noise(round(seconds * RATE_HZ), seed), np.random.default_rng(seed)
    begin = 0
    while begin < samples.size:
        begin += int(rng.integers(4000, 20000))
        samples[begin:begin + int(rng.integers(2000, 24000))] = 0
    return samples


def chunks_of(samples, sizes):
    """Cut. Parameters: samples, sizes. Returns a list of arrays; the rest comes last."""
    return np.split(samples, np.cumsum(sizes)[np.cumsum(sizes) < samples.size])


def hear(session, chunks):
    """Events of a whole stream. Parameters: session, chunks. Returns a list, each with the bytes of its lattice."""
    events = []
    for chunk in chunks:
        session.accept(chunk)
        events += session.events()
    session.finish()
    return [(event, event.as_json()) for event in events + session.events()]


@pytest.fixture(scope="module", params=RECOGNISERS)
def heard(request):
    """A recogniser, samples, and the events of the whole stream in one chunk."""
    recogniser, samples = RECOGNISERS[request.param](), talk(2 if request.param == "reference" else 8, 4)
    return recogniser, samples, hear(Session(recogniser, tiny_endpoint(), SETTINGS), [samples])


@settings(max_examples=6)
@given(sizes=st.lists(st.one_of(st.integers(0, 3), st.integers(0, 2000), st.just(640), st.just(880)), max_size=60))
def test_any_chunks_give_the_same_events_and_bits(heard, sizes):
    recogniser, samples, whole = heard
    assert hear(Session(recogniser, tiny_endpoint(), SETTINGS), chunks_of(samples, sizes)) == whole


def test_equal_chunks_give_the_same_events_and_bits(heard):
    recogniser, samples, whole = heard
    for size in (160, 641):
        assert hear(Session(recogniser, tiny_endpoint(), SETTINGS), chunks_of(samples, [size] * (len(samples) // size))) == whole


def follow(events):
    """Check what any sequence of events promises. Parameters: events. Returns kinds seen, as a set."""
    last, stable, guess = (0, 0), "", None
    time, ended = 0.0, -1
    for event in events:
        assert event.time >= time and event.rule and event.utterance > ended
        time = event.time
        if (event.utterance, event.revision) != last:
            assert event.revision == 0 if event.utterance != last[0] else False, "a revision begins with a Reset only"
            stable, guess = "", None
        last = event.utterance, event.revision
        if isinstance(event, Partial):
            assert begins_with(event.stable, stable)
            stable = event.stable
        elif isinstance(event, Speculative):
            assert guess is None and event.text
            guess = event.text
        elif isinstance(event, Reset):
            stable, guess, last = "", None, (event.utterance, event.revision + 1)
        else:
            assert begins_with(event.text, stable) and guess in (None, event.text)
            ended = event.utterance
    return {type(event) for event in events}


def test_events_keep_their_promises():
    kinds, rules = set(), set()
    for talker in TALKERS:
        recogniser = Recogniser(tiny_model(*talker), search=SEARCH)
        for seed in range(3):
            events = [event for event, _ in hear(Session(recogniser, tiny_endpoint(seed=seed), SETTINGS), [talk(10, seed)])]
            kinds |= follow(events)
            rules |= {event.rule for event in events if isinstance(event, (Final, Reset))}
    assert kinds == {Partial, Speculative, Reset, Final}
    assert {"model", "long", "text-changed", "speech-went-on"} <= rules


def test_sixty_four_interleaved_sessions_give_the_bits_of_one():
    recogniser = Recogniser(tiny_model(*TALKERS[1]), search=SEARCH)
    voices = [talk(1, seed) for seed in range(64)]
    sessions = [Session(recogniser, tiny_endpoint(), SETTINGS) for _ in voices]
    found = [[] for _ in voices]
    for begin in range(0, RATE_HZ, 1600):
        for session, voice, events in zip(sessions, voices, found):
            session.accept(voice[begin:begin + 1600])
            events += session.events()
    for session, events in zip(sessions, found):
        session.finish()
        events += session.events()
    for voice, events in zip(voices, found):
        assert [(event, event.as_json()) for event in events] == hear(Session(recogniser, tiny_endpoint(), SETTINGS), [voice])


def test_threads_give_the_bits_of_one():
    recogniser = Recogniser(tiny_model(*TALKERS[0]), search=SEARCH)
    voices = [talk(3, seed) for seed in range(8)]
    run = lambda voice: hear(Session(recogniser, tiny_endpoint(), SETTINGS), [voice])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, voices)) == [run(voice) for voice in voices]


def test_finish_hears_the_exact_tail():
    recogniser, samples = Recogniser(tiny_model(*TALKERS[0]), search=SEARCH), noise(RATE_HZ + 123, 2)
    session = Session(recogniser, None, SessionSettings(PairSettings(rules=(LONGEST,))))
    final = hear(session, [samples])[-1][0]
    assert isinstance(final, Final) and final.rule == "finish" and final.time == len(samples) / RATE_HZ
    assert final.text == recogniser.transcribe_samples(samples).text
    with pytest.raises(RangeError, match="after finish"):
        session.accept(samples)
    with pytest.raises(RangeError, match="after finish"):
        session.finish()
    session.reset()
    session.accept(samples)
    session.finish()
    after = session.events()[-1]
    assert (after.text, after.begin, after.utterance) == (final.text, final.time, final.utterance + 1)


def test_a_new_utterance_knows_nothing_of_the_last_one():
    recogniser, samples = Recogniser(tiny_model(*TALKERS[0]), search=SEARCH), noise(RATE_HZ, 2)
    session = Session(recogniser, None, SessionSettings(PairSettings(rules=(LONGEST,))))
    texts = {}
    for keep in (False, True):
        session.accept(noise(RATE_HZ, 9))
        session.reset(keep_encoder=keep)
        session.accept(samples)
        session.gap(100)
        final = [event for event in session.events() if isinstance(event, Final)][-1]
        texts[keep] = final.text, final.as_json()["lattice"]
    assert texts[False][0] == recogniser.transcribe_samples(samples).text
    assert texts[True][1] != texts[False][1]    # the encoder's state alone makes the difference


def test_a_gap_is_declared_or_refused():
    recogniser, samples = Recogniser(tiny_model(*TALKERS[0]), search=SEARCH), noise(RATE_HZ, 2)
    session = Session(recogniser, tiny_endpoint(), SessionSettings(PairSettings(rules=(LONGEST,))))
    session.accept(samples, at=0)
    with pytest.raises(RangeError, match="got sample 20000, expected 16000; declare"):
        session.accept(samples, at=20000)
    session.gap(4000)
    session.accept(samples, at=20000)
    session.finish()
    finals = [event for event in session.events() if isinstance(event, Final)]
    assert [(event.rule, event.begin, event.time) for event in finals] == [("gap", 0.0, 1.0), ("finish", 1.25, 2.25)]
    assert finals[0].text == finals[1].text == recogniser.transcribe_samples(samples).text
    for n_samples in (0, -1, 1.5, True and None):
        with pytest.raises(RangeError):
            session.gap(n_samples)


def test_bad_samples_leave_the_session_as_it_is():
    recogniser, samples = Recogniser(tiny_model(*TALKERS[0]), search=SEARCH), talk(3, 1)
    whole = hear(Session(recogniser, tiny_endpoint(), SETTINGS), [samples])
    session = Session(recogniser, tiny_endpoint(), SETTINGS)
    spoilt = samples.copy()
    spoilt[-1] = np.nan
    session.accept(samples[:5000])
    for bad, error in ((spoilt, RangeError), (samples.astype(np.float64), DTypeError), ([0.0], DTypeError)):
        with pytest.raises(error):
            session.accept(bad)
    early = [(event, event.as_json()) for event in session.events()]
    assert early + hear(session, [samples[5000:]]) == whole


def test_silence_clipping_and_empty_chunks_are_survived():
    recogniser = Recogniser(tiny_model(*TALKERS[0]), search=SEARCH)
    clipped = np.clip(20 * talk(2, 3), -1, 1).astype(np.float32)
    session = Session(recogniser, tiny_endpoint(), SETTINGS)
    silence = np.zeros(5 * RATE_HZ, np.float32)
    follow([event for event, _ in hear(session, [silence, clipped, clipped[:0], silence])])
    session = Session(recogniser)
    session.finish()
    assert session.events() == []


def test_an_utterance_without_words_is_begun_again_from_a_moment_ago():
    silent = Recogniser(tiny_model(blank=100), search=SEARCH)
    session = Session(silent, None, SETTINGS)
    session.accept(np.zeros(RATE_HZ, np.float32))
    assert session.utterance == 0 and session.events() == []
    assert session.used < RATE_HZ and session.began > 0 and session.began + session.used == session.position


def test_memory_is_flat():
    recogniser, samples = Recogniser(tiny_model(*TALKERS[0]), search=SEARCH), talk(10, 5)
    session = Session(recogniser, tiny_endpoint(), SETTINGS)
    sizes = []
    tracemalloc.start()
    for _ in range(4):
        session.accept(samples)
        session.events()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(sizes[1:]) - min(sizes[1:]) < 300_000


def test_settings_that_cannot_work_are_refused():
    recogniser = Recogniser(tiny_model(*TALKERS[0]), search=SEARCH)
    good = PairSettings(0.8, 0.5, 0.1)
    for bad in (good._replace(speculative=0.9), good._replace(retract=0.6), good._replace(final=-1.0), good._replace(rules=()),
                good._replace(rules=(Rule("x", 1.0), Rule("y", 0, True, 20.0))), good._replace(final=float("nan"))):
        with pytest.raises(RangeError):
            Session(recogniser, None, SessionSettings(bad))
    for bad in (SessionSettings(good, lookback_s=2.0), SessionSettings(good._replace(rules=(Rule("x", 0.3, False), LONGEST)))):
        with pytest.raises(RangeError):
            Session(recogniser, None, bad)
    with pytest.raises(RangeError, match="expected"):
        Session(recogniser, tiny_endpoint(encoder=9))
    assert Session(recogniser, tiny_endpoint(encoder=16)).endpoint.sizes.encoder == 16
    assert pair_settings("sherpa", None) == pair.SHERPA
    for name in ("model", "other"):
        with pytest.raises(RangeError):
            pair_settings(name, None)


def test_the_consumer_of_the_documentation_works():
    path = pathlib.Path(__file__).resolve().parents[1] / "docs" / "sessions.md"
    failed, tried = doctest.testfile(str(path), module_relative=False)
    assert failed == 0 and tried > 3
