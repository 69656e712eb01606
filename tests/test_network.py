"""The network and its objective: every gradient against differences of the loss, batches against single utterances."""

import numpy as np
import pytest

from refasr.errors import RangeError
from refasr.nn import layer_norm, linear, optimiser
from refasr.train.batches import Batch, rows_of_frames
from refasr.train.objective import ObjectiveSettings, TransducerObjective
from refasr.transducer.model import Architecture, assemble_parameters, initialise
from refasr.twins import select

F32 = np.float32
TINY = Architecture(n_inputs=3, encoder_widths=(4, 3), embedding_width=2, predictor_width=3, joiner_width=3, n_vocabulary=5)
LENGTHS, LABELS = (4, 3, 1), ((1, 4), (2,), ())
REGULARISED = ObjectiveSettings(dropout=0.4, predictor_dropout=0.3)
STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))  # derivative of fourth order
REACH = 0.02                # large, since the loss comes from float32 logits
DIFFERENCE_ERROR = 2e-4     # of the largest component: some 1e-6 / REACH by rounding, as much by the stencil
GENTLE_SEED = 14            # no row is nearly constant here: normalisation would bend too sharply for differences


@pytest.fixture(params=("reference", "fast"))
def backend(request):
    """Both backends."""
    return select(request.param)


def batch_of(chosen):
    """A batch of some of the three utterances. Parameters: chosen (indices). Returns a Batch."""
    frames = [np.random.default_rng(b).standard_normal((LENGTHS[b], TINY.n_inputs), dtype=F32) for b in chosen]
    labels = [np.array(LABELS[b], np.int32) for b in chosen]
    return Batch(rows_of_frames(frames), [LENGTHS[b] for b in chosen], labels, np.array([1, 0.5, 2], F32)[list(chosen)])


def parameters(seed):
    """Random parameters, none at its starting value. Parameters: seed. Returns a dict."""
    rng = np.random.default_rng(seed)
    noise = lambda shape: F32(0.3) * rng.standard_normal(shape, dtype=F32)
    return {name: value + noise(value.shape) for name, value in initialise(TINY, seed).items()}


def evaluate(named, batch, settings, backend):
    """Loss and gradients. Parameters: named, batch, settings, backend. Returns (float, dict)."""
    network = assemble_parameters(named, len(TINY.encoder_widths), backend)
    losses, gradients = TransducerObjective(settings, backend)(network, batch, np.random.default_rng(8))
    return losses["rnnt"], gradients


def test_every_gradient_is_the_slope_of_the_loss(backend):
    named, batch = parameters(GENTLE_SEED), batch_of((0, 1, 2))
    _, gradients = evaluate(named, batch, REGULARISED, backend)
    assert gradients.keys() ^ named.keys() == set()
    for name, value in named.items():
        slope = np.zeros(value.size)
        for i in range(value.size):
            for steps, weight in STENCIL:
                moved = value.copy()
                moved.flat[i] += F32(steps * REACH)
                slope[i] += weight * evaluate(named | {name: moved}, batch, REGULARISED, backend)[0] / REACH
        assert gradients[name].dtype == np.float32 and gradients[name].shape == value.shape
        limit = DIFFERENCE_ERROR * max(1, np.abs(slope).max())
        np.testing.assert_allclose(gradients[name].ravel(), slope, rtol=0, atol=limit, err_msg=name)


def test_a_batch_is_the_sum_of_its_utterances(backend):
    named = parameters(1)
    loss, gradients = evaluate(named, batch_of((0, 1, 2)), ObjectiveSettings(), backend)
    alone = [evaluate(named, batch_of((b,)), ObjectiveSettings(), backend) for b in range(3)]
    assert loss == pytest.approx(sum(one for one, _ in alone), rel=1e-6)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, sum(one[name] for _, one in alone), rtol=1e-5, atol=1e-5, err_msg=name)


def test_training_computes_what_streaming_does(backend):
    network, batch = assemble_parameters(parameters(2), 2, backend), batch_of((0, 1, 2))
    rows, _ = network.encoder.forward(batch.features, batch.active())
    for b in range(3):
        state = network.encoder.start()
        for row in batch.rows_of(b):
            h, state, _ = network.encoder.encode(batch.features[row], state)
            np.testing.assert_allclose(rows[row], h, rtol=0, atol=2e-5)
    g, _ = network.predictor.forward(np.array([[0], [1], [4]], np.int32))
    text, state = network.predictor.start()
    for u, label in enumerate((1, 4)):
        np.testing.assert_allclose(g[u, 0], text, rtol=0, atol=2e-5)
        text, state = network.predictor.predict(label, state)
    e, p = network.joiner.project_audio(rows[:2]), network.joiner.project_text(g[:, 0])
    logits, _ = network.joiner.forward(e, p)
    np.testing.assert_allclose(logits[1, 2], network.joiner.join(rows[1], g[2, 0]), rtol=0, atol=2e-5)


def test_rows_of_a_batch():
    batch = batch_of((0, 1, 2))
    assert batch.active().tolist() == [3, 2, 2, 1]
    assert [batch.rows_of(b).tolist() for b in range(3)] == [[0, 3, 5, 7], [1, 4, 6], [2]]
    assert len(batch.features) == sum(LENGTHS)
    with pytest.raises(RangeError, match="longest first"):
        batch_of((1, 0))


def test_backends_agree_on_a_step():
    named, batch = parameters(3), batch_of((0, 1, 2))
    (loss, gradients), (fast_loss, fast) = (evaluate(named, batch, REGULARISED, select(name)) for name in ("reference", "fast"))
    assert fast_loss == pytest.approx(loss, rel=1e-6)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(fast[name], gradient, rtol=1e-4, atol=1e-5, err_msg=name)


def test_layer_norm_has_mean_0_and_variance_1(backend):
    x = 3 * np.random.default_rng(0).standard_normal((4, 50), dtype=F32) + 7
    y, _ = backend(layer_norm.layer_norm)(x, np.ones(50, F32), np.zeros(50, F32))
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(axis=1), 1, atol=1e-4)


def test_linear_backward_is_the_slope():
    rng = np.random.default_rng(0)
    x, weight, bias, dy = (rng.standard_normal(shape, dtype=F32) for shape in ((3, 4), (4, 2), (2,), (3, 2)))
    loss = lambda x, weight, bias: float(np.sum(dy.astype(np.float64) * linear.linear(x, weight, bias)))
    for i, (gradient, value) in enumerate(zip(linear.linear_backward(dy, x, weight), (x, weight, bias))):
        arguments = [x, weight, bias]
        for j in range(value.size):
            moved = value.copy()
            moved.flat[j] += 1
            arguments[i] = moved
            assert gradient.flat[j] == pytest.approx(loss(*arguments) - loss(x, weight, bias), abs=1e-4)  # it is linear
        arguments[i] = value


def test_first_update_is_the_sign_of_the_gradient(backend):
    weights, gradient = np.zeros(3, F32), np.array([2, -1e-3, 0], F32)
    zeros = optimiser.AdamState(np.zeros(3, F32), np.zeros(3, F32), weights)
    moved, state = backend(optimiser.adam)(weights, gradient, zeros, 0, optimiser.AdamRates(0.1))
    np.testing.assert_allclose(moved, [-0.1, 0.1, 0], rtol=1e-4)
    np.testing.assert_allclose(state.average, moved * F32(1 - 1 / 20), rtol=1e-5)


def test_update_goes_on_as_written_down(backend):
    rng, rates = np.random.default_rng(0), optimiser.AdamRates(0.01, weight_decay=0.1)
    weights = rng.standard_normal(5, dtype=F32)
    want, m, v = weights.astype(np.float64), np.zeros(5), np.zeros(5)
    state = optimiser.AdamState(np.zeros(5, F32), np.zeros(5, F32), weights)
    for step in range(20):
        gradient = rng.standard_normal(5, dtype=F32)
        weights, state = backend(optimiser.adam)(weights, gradient, state, step, rates)
        m, v = 0.9 * m + 0.1 * gradient, 0.98 * v + 0.02 * gradient.astype(np.float64) ** 2
        want -= 0.01 * (m / (1 - 0.9 ** (step + 1)) / (np.sqrt(v / (1 - 0.98 ** (step + 1))) + 1e-8) + 0.1 * want)
    np.testing.assert_allclose(weights, want, rtol=1e-5, atol=1e-6)


def test_gradient_is_clipped_and_must_be_finite():
    assert optimiser.gradient_scale(np.array([3, 4], F32), 1.0) == (pytest.approx(0.2), pytest.approx(5.0))
    assert optimiser.gradient_scale(np.array([3, 4], F32), 10.0)[0] == 1
    with pytest.raises(RangeError, match="not finite"):
        optimiser.gradient_scale(np.array([np.nan], F32), 1.0)
