"""Confidences of words and utterances, their calibration, and its figure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases_lattice import WORDS, lattices
from refasr.errors import RangeError, ShapeError
from refasr.lattice import confidence, forward_backward, nbest
from refasr.lattice.confidence import Calibration
from refasr.lattice.lattice import make_lattice
from refasr.twins import select
from test_lattice import all_paths, score, spelling

BACKENDS = ("reference", "fast")


def by_frames(lattice, arc, posteriors):
    """C_max frame by frame. Parameters: lattice, arc, posteriors. Returns float."""
    sums = [sum(posteriors[other] for other in range(lattice.n_arcs)
                if lattice.word[other] == lattice.word[arc] and lattice.start[other] <= t < lattice.end[other])
            for t in range(lattice.start[arc], lattice.end[arc])]
    return min(1.0, max(sums))


@given(lattices())
def test_word_confidence_is_the_best_frame(lattice):
    posteriors = forward_backward.arc_posteriors(lattice)
    for reading in nbest.nbest(lattice, 3):
        found = confidence.word_confidences(lattice, reading.arcs, posteriors)
        expected = [by_frames(lattice, arc, posteriors) for arc in reading.arcs if lattice.word[arc]]
        assert found.tolist() == pytest.approx(expected, abs=1e-12)
        assert found.size == len(reading.words) and (found >= 0).all() and (found <= 1).all()
        assert (found >= posteriors[reading.arcs[lattice.word[reading.arcs] != 0]] - 1e-12).all()


def test_word_confidence_by_hand():
    """The same word a frame later is the same word; at another time it is another."""
    third = round(1024 * np.log(0.25))
    lattice = make_lattice(WORDS, 4, [(0, 1, 1, 0, 4, 2 * third // 2, 0, 0), (0, 2, 1, 1, 5, third, 0, 0),
                                      (0, 1, 2, 0, 4, third, 0, 0), (0, 2, 3, 0, 5, third, 0, 0),
                                      (1, 3, 1, 5, 9, 0, 0, 0), (2, 3, 2, 5, 9, 0, 0, 0)])
    posteriors = forward_backward.arc_posteriors(lattice)
    arcs = np.array([0, 4], np.int32)    # a, a
    assert confidence.word_confidences(lattice, arcs, posteriors).tolist() == pytest.approx([0.5, 0.5], abs=1e-3)
    assert confidence.word_confidences(lattice, arcs[:0], posteriors).size == 0
    with pytest.raises(RangeError, match="arcs"):
        confidence.word_confidences(lattice, np.array([99], np.int32), posteriors)
    with pytest.raises(ShapeError, match="posteriors"):
        confidence.word_confidences(lattice, arcs, posteriors[1:])


@given(lattices(), st.sampled_from([1.0, 0.1]))
def test_sequence_posteriors_are_shares_of_all_paths(lattice, scale):
    shares = {}
    for path in all_paths(lattice):
        shares.setdefault(spelling(lattice, path), []).append(scale * score(lattice, path) / 1024)
    sums = {words: np.logaddexp.reduce(values) for words, values in shares.items()}
    everything = np.logaddexp.reduce([*sums.values()]) if sums else 0.0
    for name in BACKENDS:
        posterior = select(name)(confidence.sequence_posterior)
        for words, value in list(sums.items())[:5]:
            assert posterior(lattice, np.array(words, np.int32), scale) == pytest.approx(np.exp(value - everything), abs=1e-5)
        assert posterior(lattice, np.array([3] * 20, np.int32), scale) == 0.0


def draws(a, b, n=20_000, seed=3):
    """Confidences, and verdicts that come true by a known curve. Parameters: a, b, n, seed. Returns (raw, correct)."""
    source = np.random.default_rng(seed)
    raw = source.beta(4, 1.5, n)
    return raw, source.random(n) < confidence.calibrate(raw, a, b)


@pytest.mark.parametrize("a, b", [(1.0, 0.0), (0.4, -0.5), (2.0, 1.0)])
def test_fit_finds_the_curve(a, b):
    raw, correct = draws(a, b)
    found = confidence.fit_calibration(raw, correct)
    assert found == pytest.approx((a, b), abs=0.1)
    assert found == confidence.fit_calibration(raw, correct)
    better = confidence.calibrate(raw, *found)
    assert confidence.expected_calibration_error(better, correct) < 0.015
    if (a, b) != (1.0, 0.0):
        assert confidence.expected_calibration_error(raw, correct) > 0.05
    assert confidence.area_under_roc(better, correct) == pytest.approx(confidence.area_under_roc(raw, correct), abs=1e-12)


@given(st.lists(st.tuples(st.sampled_from([0.0, 1e-9, 0.3, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=30))
def test_fit_is_a_minimum(pairs):
    raw, correct = np.array([p for p, _ in pairs]), np.array([c for _, c in pairs])
    a, b = confidence.fit_calibration(raw, correct)
    x = np.log(np.clip(raw, 1e-6, 1 - 1e-6) / (1 - np.clip(raw, 1e-6, 1 - 1e-6)))
    y = np.where(correct, (correct.sum() + 1) / (correct.sum() + 2), 1 / ((~correct).sum() + 2))
    residual = 1 / (1 + np.exp(-(a * x + b))) - y
    assert abs((residual * x).sum() + 1e-6 * (a - 1)) < 1e-5 * (1 + np.abs(x).sum())
    assert abs(residual.sum() + 1e-6 * b) < 1e-5
    calibrated = confidence.calibrate(raw, a, b)
    assert (calibrated >= 0).all() and (calibrated <= 1).all()


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.95, 1.0]), st.booleans()), min_size=2, max_size=40))
def test_area_under_roc_is_the_share_of_pairs_in_order(pairs):
    raw, correct = np.array([p for p, _ in pairs]), np.array([c for _, c in pairs])
    right, wrong = raw[correct], raw[~correct]
    if right.size == 0 or wrong.size == 0:
        with pytest.raises(RangeError, match="some of each"):
            confidence.area_under_roc(raw, correct)
        return
    wins = (right[:, None] > wrong).mean() + 0.5 * (right[:, None] == wrong).mean()
    assert confidence.area_under_roc(raw, correct) == pytest.approx(wins, abs=1e-12)


def test_calibration_error_by_hand():
    raw, correct = np.array([0.9, 0.9, 0.95, 0.2, 1.0]), np.array([True, False, True, False, True])
    bins = confidence.reliability(raw, correct, 2)
    assert bins.count.tolist() == [1, 4] and bins.accuracy.tolist() == [0.0, 0.75]
    assert bins.confidence.tolist() == pytest.approx([0.2, 3.75 / 4])
    assert confidence.expected_calibration_error(raw, correct, 2) == pytest.approx((0.2 + 0.75) / 5)


def test_calibration_refuses():
    with pytest.raises(RangeError, match="confidence"):
        confidence.fit_calibration(np.array([1.5]), np.array([True]))
    with pytest.raises(RangeError, match="confidence"):
        confidence.reliability(np.zeros(0), np.zeros(0, bool))
    with pytest.raises(RangeError, match="confidence"):
        confidence.area_under_roc(np.array([np.nan]), np.array([True]))
    with pytest.raises(RangeError, match="a, b"):
        confidence.calibrate(np.array([0.5]), np.nan, 0.0)
    assert confidence.calibrate(np.array([0.25]), *Calibration(1.0, 0.0)).tolist() == pytest.approx([0.25])


def test_figure():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'refasr[plots]'")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from refasr.plot import calibration
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    raw, correct = draws(0.4, -0.5, n=500)
    assert calibration.draw(raw, correct, axes, label="raw") is axes
    calibration.draw(confidence.calibrate(raw, 0.4, -0.5), correct, axes, label="calibrated")
    diagonal, first, second = axes.get_lines()
    bins = confidence.reliability(raw, correct)
    assert first.get_xydata().tolist() == np.stack([bins.confidence, bins.accuracy], axis=1).tolist()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[1].startswith("raw, calibration error 0.") and labels[2].startswith("calibrated")
    figure.canvas.draw()
