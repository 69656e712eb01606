"""The recogniser: its results, its manners, and its stages one by one."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import TALKERS, noise, tiny_model

from refasr import corpus, stages, words
from refasr.errors import DTypeError, FormatError, RangeError, ShapeError
from refasr.metrics import wer
from refasr.recognise import FLUSH_FRAMES, Recogniser
from refasr.result import Hypothesis, Result, Word, confidence
from refasr.search import greedy
from refasr.search.hypotheses import SearchSettings
from refasr.shipped import HOMES, data_path, model_path
from refasr.transducer import align
from refasr.transducer.model_file import save_model
from refasr.twins import select

SAMPLES = noise(16000)
MODEL = HOMES[1] / "models" / "float.npz"
needs_model = pytest.mark.skipif(not MODEL.exists(), reason="there is no trained model in data/models yet")


@pytest.fixture(scope="module")
def recogniser():
    """A recogniser with random weights."""
    return Recogniser(tiny_model())


@pytest.mark.parametrize("n_samples", [0, 1, 399])
def test_less_than_a_window_is_an_empty_text(recogniser, n_samples):
    result = recogniser.transcribe_samples(np.full(n_samples, 0.5, np.float32))
    assert result == Result("", (), n_samples / 16000, 0.0, (Hypothesis("", 0.0),))


def test_units_of_a_beam_search_are_refused():
    with pytest.raises(RangeError, match="greedy"):
        Recogniser(tiny_model(), search=SearchSettings(beam=2)).stream().emissions


@pytest.mark.parametrize("n_samples, frames", [(400, 1), (640, 1), (880, 1), (881, 2), (1520, 2), (1521, 3), (16000, 25)])
def test_the_last_frame_is_filled_and_flushed(recogniser, n_samples, frames):
    assert recogniser.frames_of(n_samples) == frames
    stream = recogniser.stream()
    stream.accept(SAMPLES[:n_samples])
    assert stream.state.search.frame <= frames
    stream.finish()
    assert stream.state.search.frame == frames + FLUSH_FRAMES


def test_card_sets_the_flush():
    stream = Recogniser(tiny_model(card={"flush_frames": 0})).stream()
    stream.accept(SAMPLES)
    stream.finish()
    assert stream.state.search.frame == stream.recogniser.frames_of(SAMPLES.size)


@settings(max_examples=15)
@given(talker=st.sampled_from([*TALKERS, (28, 100.0)]), n_samples=st.integers(0, 16000))
def test_result_holds_together(talker, n_samples):
    result = Recogniser(tiny_model(*talker)).transcribe_samples(SAMPLES[:n_samples])
    assert result.text == " ".join(word.word for word in result.words)
    assert result.duration == n_samples / 16000
    assert [hypothesis.text for hypothesis in result.nbest] == [result.text]
    end = 0.0
    for word in result.words:
        assert word.start >= end and word.end >= word.start + 0.04 - 1e-9
        assert 0 < word.conf <= 1
        end = word.end
    assert 0 < result.conf <= 1 if result.words else result.conf == 0
    assert all(hypothesis.acoustic <= 0 and math.isfinite(hypothesis.total) for hypothesis in result.nbest)


def test_result_as_json():
    result = Result("a", (Word("a", 0.04, 0.123456, 0.98765),), 1.00006, 0.5, (Hypothesis("a", -1.23456, 0.5, 0.25),))
    assert result.as_json() == {"duration": 1.0001, "text": "a", "conf": 0.5,
                                "words": [{"word": "a", "start": 0.04, "end": 0.1235, "conf": 0.9877}],
                                "nbest": [{"text": "a", "acoustic": -1.2346, "lm": 0.5, "bias": 0.25, "total": -0.4846}]}
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.text = "b"


def test_acoustic_score_is_the_path_through_the_grid(recogniser):
    """Oracle: the scores that the loss computes, summed along the path that was taken."""
    stream = recogniser.stream()
    stream.accept(SAMPLES)
    result = stream.finish()
    h, labels = np.concatenate(stream.encodings), np.array([emission.label for emission in stream.emissions], np.int32)
    blank, label = align.score_grid(recogniser.network, h, labels, recogniser.backend)
    rows = np.searchsorted([emission.frame for emission in stream.emissions], np.arange(len(h)), side="right")
    expected = blank[np.arange(len(h)), rows].sum() + label[[e.frame for e in stream.emissions], np.arange(labels.size)].sum()
    assert labels.size > 3 and result.nbest[0].acoustic == pytest.approx(expected, abs=1e-4)
    along = [label[emission.frame, u] for u, emission in enumerate(stream.emissions)]
    assert [emission.logp for emission in stream.emissions] == pytest.approx(along, abs=1e-4)


def test_word_times_are_those_of_the_best_path(recogniser):
    stream = recogniser.stream()
    stream.accept(SAMPLES)
    result = stream.finish()
    written = words.unit_frames(stream.emissions, None, 1000, None, None)
    assert written.tolist() == [emission.frame for emission in stream.emissions]
    encodings, n_frames = np.concatenate(stream.encodings), recogniser.frames_of(SAMPLES.size)
    spoken = words.unit_frames(stream.emissions, encodings, n_frames, recogniser.network, recogniser.backend)
    assert words.spoken_words(stream.emissions, spoken, recogniser.model.units, 0.04) == result.words
    capped = words.unit_frames(stream.emissions, None, 3, None, None)
    assert capped.max() == 2


def test_broken_model_that_never_stops_is_cut():
    stream = Recogniser(tiny_model(blank=-100.0)).stream()
    stream.accept(SAMPLES[:1000])
    result = stream.finish()
    assert len(stream.emissions) == stream.state.search.frame * greedy.MAX_SYMBOLS_PER_FRAME and result.text


def test_confidence_is_the_geometric_mean():
    assert confidence([]) == 0.0
    assert confidence([0.0, 0.0]) == 1.0
    assert confidence([math.log(0.9), math.log(0.1)]) == pytest.approx(0.3)
    emissions = [stages.Emission(0, 8, math.log(0.5)), stages.Emission(0, 9, math.log(0.5)), stages.Emission(1, 8, math.log(0.1)),
                 stages.Emission(2, 8, math.log(0.9)), stages.Emission(3, 3, -5.0), stages.Emission(4, 10, math.log(0.4))]
    found = words.spoken_words(emissions, np.array([0, 0, 1, 2, 3, 4], np.int32), tiny_model().units, 0.04)
    assert found == (Word("a", 0.0, 0.04, pytest.approx(0.5)), Word("b", 0.08, 0.2, pytest.approx(0.6)))


@pytest.mark.parametrize("samples, error", [
    (np.zeros(10), DTypeError), (np.zeros((2, 2), np.float32), ShapeError), ([0.0], DTypeError),
    (np.zeros(10, np.int16), DTypeError), (np.array([0, np.nan], np.float32), RangeError),
    (np.array([np.inf] * 20000, np.float32), RangeError)])
def test_bad_samples_are_refused_and_the_stream_goes_on(recogniser, samples, error):
    stream = recogniser.stream()
    stream.accept(SAMPLES[:5000])
    with pytest.raises(error, match="^samples: got"):
        stream.accept(samples)
    stream.accept(SAMPLES[5000:])
    assert stream.finish() == recogniser.transcribe_samples(SAMPLES)


def test_bad_samples_late_in_a_long_chunk_change_nothing(recogniser):
    stream = recogniser.stream()
    long = np.zeros(50000, np.float32)
    long[-1] = np.nan
    with pytest.raises(RangeError):
        stream.accept(long)
    assert stream.state.samples == 0


def test_finished_stream_says_so(recogniser):
    stream = recogniser.stream()
    stream.accept(SAMPLES)
    first = stream.finish()
    with pytest.raises(RangeError, match="reset"):
        stream.accept(SAMPLES)
    with pytest.raises(RangeError, match="reset"):
        stream.finish()
    stream.reset()
    stream.accept(SAMPLES)
    assert stream.finish() == first


def test_reset_may_keep_the_encoder(recogniser):
    stream = recogniser.stream()
    stream.accept(SAMPLES)
    stream.finish()
    encoder = stream.state.encoder
    stream.reset(keep_encoder=True)
    assert stream.state.encoder is encoder and stream.emissions == [] and stream.text == ""
    assert stream.state._replace(encoder=None).samples == 0
    stream.accept(SAMPLES[:4000])
    kept = np.concatenate(stream.encodings)
    stream.reset()
    stream.accept(SAMPLES[:4000])
    assert kept.shape == np.concatenate(stream.encodings).shape and not np.array_equal(kept, np.concatenate(stream.encodings))


def test_stages_called_one_by_one_are_the_recogniser(recogniser):
    passed = {}
    for key in ("K0", "K1", "K2", "K3.0", "K3.1", "K6"):
        stage = recogniser.stages[key]
        source = {"K0": SAMPLES, "K1": "K0", "K2": "K1", "K3.0": "K2", "K3.1": "K3.0", "K6": "K3.1"}[key]
        passed[key], _ = stage.step(SAMPLES if key == "K0" else passed[source], stage.start())
    output, _ = recogniser.step(SAMPLES, recogniser.start())
    assert output.written == passed["K6"] and np.array_equal(output.encodings, passed["K3.1"])


def test_predictor_and_joiner_stages_reproduce_the_search(recogniser):
    """Greedy search again, from K4 and K5 alone."""
    output, _ = recogniser.step(SAMPLES, recogniser.start())
    k4, k5 = recogniser.stages["K4"], recogniser.stages["K5"]
    g, state = k4.step(0, k4.start())
    written = []
    for frame, h in enumerate(output.encodings):
        for _ in range(greedy.MAX_SYMBOLS_PER_FRAME):
            label = int(np.argmax(k5.step((h, g), k5.start())[0]))
            if label == 0:
                break
            written.append((frame, label))
            g, state = k4.step(label, state)
    assert written == [(emission.frame, emission.label) for emission in output.written] and written


def margins(recogniser, samples):
    """Logit margin of every decision. Parameters: recogniser, samples. Returns a list of float."""
    found, joiner = [], recogniser.network.joiner
    plain = joiner.join_projected

    def join_projected(e, p):
        logits = plain(e, p)
        found.append(float(np.diff(np.sort(logits)[-2:])[0]))
        return logits
    joiner.join_projected = join_projected
    recogniser.transcribe_samples(samples)
    return found


@pytest.mark.parametrize("talker", TALKERS)
def test_backends_write_the_same_where_the_margin_is_not_tiny(talker):
    samples, model = noise(10000, 3), tiny_model(*talker)
    fast, reference = (Recogniser(model, backend).transcribe_samples(samples) for backend in ("fast", "reference"))
    if min(margins(Recogniser(model, "reference"), samples)) > 1e-3:
        assert fast.text == reference.text
        times = [[(word.word, word.start, word.end) for word in result.words] for result in (fast, reference)]
        assert times[0] == times[1]
        assert fast.nbest[0].acoustic == pytest.approx(reference.nbest[0].acoustic, abs=0.02)


def test_load_by_path_and_by_name(tmp_path):
    model = tiny_model(card={"name": "tiny"})
    save_model(tmp_path / "a.npz", model)
    loaded = Recogniser.load(tmp_path / "a.npz", "reference")
    assert loaded.model.card == {"name": "tiny"} and loaded.backend == select("reference")
    assert Recogniser.load(str(tmp_path / "a.npz")).transcribe_samples(SAMPLES) == Recogniser(model).transcribe_samples(SAMPLES)
    assert model_path(tmp_path / "a.npz") == tmp_path / "a.npz"
    with pytest.raises(FormatError, match="got no such model file.*refasr info"):
        Recogniser.load("no-such-name")
    with pytest.raises(FormatError):
        Recogniser.load(tmp_path)
    with pytest.raises(RangeError, match="backend"):
        Recogniser.load(tmp_path / "a.npz", "quick")


@pytest.fixture(scope="module")
def shipped():
    """The shipped recogniser, and the shipped recordings with their texts."""
    items = corpus.read_manifest(data_path("samples", "manifest.tsv"))
    return Recogniser.load(), [(corpus.read_samples(item), corpus.transcript(item)) for item in items]


@needs_model
def test_shipped_model_hears_the_shipped_recordings(shipped):
    recogniser, recordings = shipped
    heard = [recogniser.transcribe_samples(samples).text for samples, _ in recordings]
    assert wer.score([text for _, text in recordings], heard).wer < 0.35


@needs_model
def test_shipped_model_in_a_stream_and_by_the_reference(shipped):
    recogniser, recordings = shipped
    samples = min((samples for samples, _ in recordings), key=len)
    whole, stream = recogniser.transcribe_samples(samples), recogniser.stream()
    for begin in range(0, samples.size, 640):
        stream.accept(samples[begin:begin + 640])
    assert stream.finish() == whole
    reference = Recogniser.load(backend="reference").transcribe_samples(samples)
    assert reference.text == whole.text and reference.words[-1].end == whole.words[-1].end <= whole.duration + 0.04
