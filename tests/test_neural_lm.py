"""The neural language model: probabilities, gradients against differences, files, and that it learns."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refasr.errors import FormatError
from refasr.nn import optimiser
from refasr.rescoring import lm_file, neural_lm
from refasr.rescoring.neural_lm import LmSizes, LmState, NeuralLm
from refasr.train.loop import flatten, views
from refasr.twins import select

PLAIN = select("reference")
SIZES = LmSizes(units=5, embedded=3, width=4)


def random_lm(sizes=SIZES, seed=0, scale=0.7):
    """Parameters: sizes, seed, scale. Returns a NeuralLm."""
    rng = np.random.default_rng(seed)
    return NeuralLm(*((scale * rng.standard_normal(shape)).astype(np.float32) for shape in
                      neural_lm.parameter_shapes(sizes).values()))


def one_row(weights):
    """Parameters: weights. Returns the state before a sentence."""
    return neural_lm.start(weights, PLAIN)


def test_next_units_sum_to_one():
    weights = random_lm()
    after = neural_lm.spell(np.array([2, 3], np.int32), np.array([2], np.int32), one_row(weights), weights)[1]
    rows = LmState(*(np.repeat(part, 5, axis=0) for part in after))
    logp, _ = neural_lm.spell(np.arange(5, dtype=np.int32), np.arange(1, 6, dtype=np.int32), rows, weights)
    assert np.exp(logp.astype(np.float64)).sum() == pytest.approx(1, abs=1e-6)


@given(st.lists(st.integers(0, 4), max_size=8), st.integers(0, 8))
def test_a_text_may_be_cut_anywhere(units, cut):
    weights, units, cut = random_lm(), np.array(units, np.int32), min(cut, len(units))
    whole, after = neural_lm.spell(units, np.array([len(units)], np.int32), one_row(weights), weights)
    first, between = neural_lm.spell(units[:cut], np.array([cut], np.int32), one_row(weights), weights)
    second, end = neural_lm.spell(units[cut:], np.array([len(units) - cut], np.int32), between, weights)
    assert whole[0] == pytest.approx(float(first[0]) + float(second[0]), abs=1e-5)
    np.testing.assert_array_equal(after.h, end.h)


def batch():
    """Two sentences as rows. Returns (inputs, targets, active)."""
    return (np.array([1, 1, 2, 4, 3, 0], np.int32), np.array([2, 4, 3, 1, 0, 1], np.int32), np.array([2, 2, 1, 1], np.int32))


def test_loss_is_the_log_probability_of_the_sentences():
    weights = random_lm()
    loss, _ = neural_lm.objective(*batch(), weights, PLAIN)
    ends = np.array([4, 6], np.int32)
    before = LmState(*(np.repeat(part, 2, axis=0) for part in one_row(weights)))
    logp, _ = neural_lm.spell(np.array([2, 3, 0, 1, 4, 1], np.int32), ends, before, weights)
    assert loss == pytest.approx(-float(logp.sum()), rel=1e-5)


def test_gradients_equal_differences():
    shapes = neural_lm.parameter_shapes(SIZES)
    flat = flatten(random_lm()._asdict(), shapes)
    gradient = flatten(neural_lm.objective(*batch(), NeuralLm(**views(flat, shapes)), PLAIN)[1]._asdict(), shapes)
    loss = lambda w: neural_lm.objective(*batch(), NeuralLm(**views(w, shapes)), PLAIN)[0]
    step, rng = np.float32(2e-2), np.random.default_rng(0)
    for i in rng.choice(flat.size, 60, replace=False):
        up, down = flat.copy(), flat.copy()
        up[i], down[i] = up[i] + step, down[i] - step
        assert gradient[i] == pytest.approx((loss(up) - loss(down)) / (float(up[i]) - float(down[i])), abs=3e-3, rel=3e-2)


def test_it_learns():
    shapes = neural_lm.parameter_shapes(SIZES)
    weights = flatten(random_lm(scale=0.3)._asdict(), shapes)
    adam, losses = optimiser.AdamState(np.zeros_like(weights), np.zeros_like(weights), weights), []
    for step in range(150):
        loss, gradients = neural_lm.objective(*batch(), NeuralLm(**views(weights, shapes)), PLAIN)
        weights, adam = optimiser.adam(weights, flatten(gradients._asdict(), shapes), adam, step, optimiser.AdamRates(0.03))
        losses.append(loss)
    assert losses[-1] < 0.3 * losses[0]


def archive_of(path):
    """Members of a file. Parameters: path. Returns a dict from name to bytes."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_files(tmp_path):
    weights = random_lm(LmSizes(embedded=2, width=3))
    lm_file.save_lm(tmp_path / "lm.npz", weights)
    for one, other in zip(lm_file.load_lm(tmp_path / "lm.npz"), weights):
        np.testing.assert_array_equal(one, other.astype(np.float16).astype(np.float32))


def card_with(**changes):
    """Bytes of a card with other values. Parameters: **changes. Returns a function of the members."""
    def change(members):
        card = json.loads(bytes(np.load(io.BytesIO(members["card.npy"])))) | changes
        file = io.BytesIO()
        np.save(file, np.frombuffer(json.dumps(card).encode(), np.uint8))
        return members | {"card.npy": file.getvalue()}
    return change


HUGE = {"units": 36, "embedded": 60000, "width": 60000}
DAMAGES = [lambda m: {}, lambda m: m | {"more.npy": b""}, lambda m: {k: v for k, v in m.items() if k != "bias.npy"},
           lambda m: m | {"bias.npy": m["table.npy"]}, lambda m: m | {"bias.npy": m["bias.npy"][:-1]}, card_with(format=2),
           card_with(kind="x"), card_with(sizes=HUGE), card_with(sizes={"units": 36, "embedded": 2, "width": True}),
           card_with(sizes=[1]), card_with(units=["a"]), lambda m: m | {"card.npy": b"\x93NUMPY"}]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_refused(tmp_path, damage):
    path = tmp_path / "lm.npz"
    lm_file.save_lm(path, random_lm(LmSizes(embedded=2, width=3)))
    members = damage(archive_of(path))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(FormatError) as error:
        lm_file.load_lm(path)
    assert "\n" not in str(error.value)


def test_no_archive_is_refused(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 nothing")
    for name in ("x.npz", "missing.npz"):
        with pytest.raises(FormatError):
            lm_file.load_lm(tmp_path / name)
