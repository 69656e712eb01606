"""The best path and the word times made from it."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cases_transducer
from refasr.errors import RangeError, ShapeError
from refasr.transducer import align, loss
from refasr.transducer.model import FRAME_SECONDS, Architecture, assemble_parameters, initialise
from refasr.twins import select

BACKENDS = ("reference", "fast")
MARK = "\u2581"


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Both implementations."""
    return select(request.param)


def all_paths(logits, labels):
    """Every path and its score in float64. Parameters: logits, labels. Returns a list of (score, frames)."""
    logp = logits.astype(np.float64)
    logp = logp - np.logaddexp.reduce(logp, axis=2, keepdims=True)
    paths = []
    for frames in itertools.combinations_with_replacement(range(len(logits)), labels.size):
        rows = np.searchsorted(frames, np.arange(len(logits)), side="right")    # labels written by the end of each frame
        score = logp[np.arange(len(logits)), rows, 0].sum() + sum(logp[t, u, labels[u]] for u, t in enumerate(frames))
        paths.append((score, frames))
    return paths


@pytest.mark.parametrize("n_frames, n_labels", [(1, 0), (1, 4), (5, 0), (2, 3), (6, 4), (9, 3)])
def test_best_path_is_the_best_of_all(backend, n_frames, n_labels):
    source = np.random.default_rng([n_frames, n_labels])
    logits = (source.standard_normal((n_frames, n_labels + 1, 7)) * 2).astype(np.float32)
    labels = source.integers(1, 7, n_labels).astype(np.int32)
    score, frames = max(all_paths(logits, labels))
    result = backend(align.best_path)(logits, labels)
    assert result.score == pytest.approx(score, abs=1e-5)
    assert result.frames.dtype == np.int32 and tuple(result.frames) == frames


def test_among_equals_labels_come_early(backend):
    result = backend(align.best_path)(np.zeros((4, 3, 5), np.float32), np.array([1, 2], np.int32))
    assert result.frames.tolist() == [0, 0]


@given(cases_transducer.grids())
def test_best_path_is_part_of_the_sum(grid):
    for name in BACKENDS:
        backend = select(name)
        result = backend(align.best_path)(*grid)
        assert result.score <= -backend(loss.rnnt_loss)(*grid).loss + 1e-6
        assert (np.diff(result.frames) >= 0).all()


def test_score_grid_in_pieces_is_the_whole_grid(backend):
    architecture = Architecture(n_inputs=6, encoder_widths=(5,), embedding_width=4, predictor_width=3, joiner_width=8)
    network = assemble_parameters(initialise(architecture, seed=0), 1, backend)
    labels, h = np.array([8, 9, 10], np.int32), np.random.default_rng(0).standard_normal((71, 5)).astype(np.float32)
    logp_blank, logp_label = align.score_grid(network, h, labels, backend)
    text, state, rows = *network.predictor.start(), []
    for label in (*labels, None):
        rows.append([network.joiner.join(frame, text) for frame in h])
        text, state = network.predictor.predict(label, state) if label else (None, None)
    expected = backend(loss.node_scores)(np.ascontiguousarray(np.swapaxes(rows, 0, 1)), labels)
    np.testing.assert_allclose(logp_blank, expected[0], atol=1e-5)
    np.testing.assert_allclose(logp_label, expected[1], atol=1e-5)
    with pytest.raises(ShapeError, match="no frame"):
        align.score_grid(network, h[:0], labels, backend)


def times(frames, text):
    """Word times of a text spelt in characters. Parameters: frames, text. Returns a list of tuples."""
    return [tuple(word) for word in align.word_times(np.array(frames, np.int32), list(text), FRAME_SECONDS)]


def test_word_times():
    assert times([], "") == []
    assert times([0, 0], MARK + "a") == [("a", 0.0, 0.04)]
    assert times([0, 2, 4, 4, 9], MARK + "ab" + MARK + "c") == [("ab", 0.0, 0.2), ("c", 0.2, 0.4)]
    assert times([3, 3, 3, 3], MARK + "a" + MARK + "b") == [("a", 0.12, 0.16), ("b", 0.16, 0.2)]
    assert times([1, 5], MARK + MARK) == []
    assert times([2, 3, 4], "a" + MARK + "b") == [("a", 0.08, 0.12), ("b", 0.12, 0.2)]
    pieces = align.word_times(np.array([1, 2, 6], np.int32), [MARK + "go", "ing", MARK + "on"], 0.5)
    assert pieces == [("going", 0.5, 1.5), ("on", 3.0, 3.5)]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(MARK + "ab")), max_size=30))
def test_words_never_overlap(steps):
    frames, units = np.cumsum([step for step, _ in steps], dtype=np.int32), [unit for _, unit in steps]
    words = align.word_times(frames, units, 1.0)
    assert [word.word for word in words] == "".join(units).replace(MARK, " ").split()
    for word, after in itertools.pairwise(words):
        assert word.end <= after.start
    assert all(word.end - word.start >= 1 for word in words)


def test_frames_in_disorder_are_refused():
    with pytest.raises(RangeError, match="order of speech"):
        times([3, 2], MARK + "a")
    with pytest.raises(ShapeError, match="frames"):
        times([3], MARK + "a")
