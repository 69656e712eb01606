"""The transducer criterion: what must hold on any input, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cases_transducer
from refasr.errors import DTypeError, RangeError, ShapeError
from refasr.transducer import loss
from refasr.twins import select

BACKENDS = ("reference", "fast")


def implementations(function):
    """Both twins. Parameters: function. Returns a list of functions."""
    return [select(name)(function) for name in BACKENDS]


@given(cases_transducer.grids(), st.sampled_from([0.0, 0.01, 1.0]))
def test_invariants(grid, fastemit):
    logits, labels = grid
    for rnnt_loss in implementations(loss.rnnt_loss):
        result = rnnt_loss(logits, labels, fastemit)
        assert np.isfinite(result.loss) and result.loss >= -1e-6
        assert np.isfinite(result.gradient).all()
        assert np.abs(result.gradient.sum(axis=2)).max() < 2e-6, "a softmax gradient sums to 0 at every node"
        flipped = result.occupancy[:, ::-1]
        for d in range(logits.shape[0] + labels.size):
            assert np.trace(flipped, labels.size - d) == pytest.approx(1, abs=1e-5), "a path crosses each diagonal once"


@pytest.mark.parametrize("rnnt_loss", implementations(loss.rnnt_loss), ids=BACKENDS)
def test_gradient_is_zero_where_the_path_never_goes(rnnt_loss):
    logits = np.zeros((5, 2, 4), np.float32)
    logits[0, 0, 2] = 1e4       # the label is written in the first frame
    result = rnnt_loss(logits, np.array([2], np.int32))
    np.testing.assert_array_equal(result.occupancy[1:, 0], 0)
    np.testing.assert_array_equal(result.gradient[1:, 0], 0)
    np.testing.assert_allclose(result.occupancy[:, 1], 1, atol=1e-5)
    assert result.loss == pytest.approx(5 * np.log(4), rel=1e-6)


@pytest.mark.parametrize("rnnt_loss", implementations(loss.rnnt_loss), ids=BACKENDS)
def test_impossible_labels_cost_their_logits(rnnt_loss):
    logits = np.zeros((1, 2, 3), np.float32)
    logits[0, 0, 1] = -1e4
    assert rnnt_loss(logits, np.array([1], np.int32)).loss == pytest.approx(1e4 + np.log(2) + np.log(3), rel=1e-9)


@pytest.mark.parametrize("rnnt_loss", implementations(loss.rnnt_loss), ids=BACKENDS)
def test_fastemit_moves_mass_to_labels(rnnt_loss):
    logits, labels = np.zeros((3, 2, 3), np.float32), np.array([1], np.int32)
    plain, pushed = rnnt_loss(logits, labels).gradient, rnnt_loss(logits, labels, 0.5).gradient
    assert (pushed[:, 0, 1] < plain[:, 0, 1]).all()
    np.testing.assert_array_equal(pushed[:, 1], plain[:, 1])


@pytest.mark.parametrize("backend", [select(name) for name in BACKENDS], ids=BACKENDS)
def test_pieces_fit_together(backend):
    source = np.random.default_rng(5)
    logits, labels = source.standard_normal((6, 4, 9)).astype(np.float32), np.array([3, 3, 8], np.int32)
    logp_blank, logp_label = backend(loss.node_scores)(logits, labels)
    alpha, beta, logp = backend(loss.forward_backward)(logp_blank, logp_label)
    result = backend(loss.rnnt_loss)(logits, labels)
    assert result.loss == -logp
    np.testing.assert_allclose(np.exp(alpha + beta - logp), result.occupancy, atol=1e-6)
    assert alpha[-1, -1] + logp_blank[-1, -1] == pytest.approx(logp, abs=1e-5)


@pytest.mark.parametrize("rnnt_loss", implementations(loss.rnnt_loss), ids=BACKENDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2e6, -2e6])
def test_bad_logits_are_refused(rnnt_loss, value):
    logits = np.zeros((2, 1, 3), np.float32)
    logits[1, 0, 2] = value
    with pytest.raises(RangeError, match="logits: got"):
        rnnt_loss(logits, np.zeros(0, np.int32))


@pytest.mark.parametrize("rnnt_loss", implementations(loss.rnnt_loss), ids=BACKENDS)
def test_bad_shapes_and_labels_are_refused(rnnt_loss):
    logits, labels = np.zeros((2, 3, 4), np.float32), np.array([1, 2], np.int32)
    with pytest.raises(ShapeError, match="at least one frame"):
        rnnt_loss(logits[:0], labels)
    with pytest.raises(ShapeError, match=r"expected \[any, 2, any\]"):
        rnnt_loss(logits, labels[:1])
    with pytest.raises(RangeError, match="expected 1..3"):
        rnnt_loss(logits, np.array([0, 2], np.int32))
    with pytest.raises(DTypeError, match="labels: got int64"):
        rnnt_loss(logits, labels.astype(np.int64))
    with pytest.raises(RangeError, match="fastemit"):
        rnnt_loss(logits, labels, -0.5)
