"""Quantisation-aware training: the regulariser against differences, levels, rounding, and runs that end on codes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from technique_runs import STEPS, configured, random_rows, require_resumable, steps_of
from tiny_model import noise

from refasr.compress.calibrate import calibrate, stacked_frames
from refasr.compress.quantise import quantise, trained_widths
from refasr.compress.rounding import row_scales
from refasr.errors import FormatError, RangeError
from refasr.train import run
from refasr.train.loop import views
from refasr.train.quantise_aware import Grid, QuantiseAware, QuantiseSettings, lloyd_max
from refasr.train.row_scale import row_scale
from refasr.transducer.model import Architecture, initialise
from refasr.transducer.model_file import load_model
from refasr.twins import select

SMALL = Architecture(encoder_widths=(6,), embedding_width=3, predictor_width=5, joiner_width=6)
WAYS = [(8, "uniform"), (5, "uniform"), (4, "uniform"), (2, "uniform"), (5, "chosen"), (4, "chosen")]


def definition(w, scale, levels):
    """The regulariser of one weight, in float64, from its definition. Parameters: w, scale, levels. Returns a float."""
    signed = sorted({*(-scale * level for level in levels), *(scale * level for level in levels)})
    for low, high in zip(signed, signed[1:]):
        if low <= w <= high:
            return (high - low) / np.pi * abs(np.cos(np.pi * ((w - low) / (high - low) - 0.5)))
    return abs(w) - signed[-1]


@pytest.mark.parametrize("bits, levels", WAYS)
def test_regulariser_against_its_definition_and_differences(bits, levels):
    rows = random_rows((4, 30), bits)
    grid = Grid(rows, bits, levels)
    value, slope = grid.penalty(rows)
    scale = grid.scale.astype(float).repeat(30, axis=1)
    total = lambda w: sum(definition(x, s, grid.levels) for x, s in zip(w.ravel(), scale.ravel()))
    assert value == pytest.approx(total(rows.astype(float)), rel=2e-5)
    for index in [(0, 0), (1, 7), (3, 29), (2, 14)]:
        sides = []
        for step in (1e-6, -1e-6):
            moved = rows.astype(float)
            moved[index] += step
            sides.append(total(moved))
        assert slope[index] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=2e-4 * 2**bits / 4)


@pytest.mark.parametrize("bits, levels", WAYS)
def test_zero_and_all_levels_are_at_rest(bits, levels):
    """The phase of the cosine: zero must be a level, or pruned weights would be pushed away."""
    rows = random_rows((3, 50), 1)
    rows[:, ::4] = 0
    grid = Grid(rows, bits, levels)
    on_levels = grid.rounded(rows)
    value, slope = grid.penalty(on_levels)
    assert value < 1e-4 and not slope.any()
    assert not on_levels[:, ::4].any()


@given(st.integers(2, 8), st.sampled_from(["uniform", "chosen"]), st.integers(0, 2**32 - 1),
       st.sampled_from([1e-20, 1e-3, 1, 100]))
def test_rounded_weights_are_codes_times_scales_exactly(bits, levels, seed, size):
    source = np.random.default_rng(seed)
    rows = (source.standard_t(3, (5, 23)) * size).astype(np.float32)
    rows[0] = 0
    grid = Grid(rows, bits, levels)
    codes, rounded = grid.codes(rows), grid.rounded(rows)
    limit = 127 if levels == "chosen" else 2 ** (bits - 1) - 1
    assert codes.dtype == np.int8 and np.abs(codes.astype(int)).max() <= limit
    assert np.unique(np.abs(codes.astype(int))).size <= 2 ** (bits - 1)
    exact = codes.astype(np.float64) * grid.scale.astype(np.float64)
    assert np.array_equal(exact, rounded.astype(np.float64)), "a product that float32 cannot hold"
    again = Grid(rounded, bits, levels)
    assert again.rounded(rounded).tobytes() == rounded.tobytes()


def test_rounding_is_to_the_nearest_level():
    rows = random_rows((3, 40), 2)
    for bits, levels in WAYS:
        grid = Grid(rows, bits, levels)
        signed = np.concatenate([-grid.levels[::-1], grid.levels]) * grid.scale[:, :, None]
        nearest = np.abs(rows[:, :, None] - signed).min(axis=2)
        np.testing.assert_allclose(np.abs(rows - grid.rounded(rows)), nearest, atol=1e-6)


def test_scale_is_nearly_that_of_the_packer():
    rows = random_rows((8, 200), 3)
    for limit in (7, 15):
        theirs = row_scales(rows.astype(float), limit, np.ones(200))
        errors = [((rows - s * np.clip(np.rint(rows / s), -limit, limit)) ** 2).sum()
                  for s in (row_scale(np.ascontiguousarray(rows.T), limit)[:, None], theirs[:, None])]
        assert errors[0] < 1.1 * errors[1]
    rounded = Grid(rows, 4).rounded(rows)
    np.testing.assert_allclose(row_scales(rounded.astype(float), 7, np.ones(200)), Grid(rows, 4).scale[:, 0], rtol=1e-6)


def test_lloyd_max_beats_even_spacing_and_keeps_what_is_there():
    sizes = np.minimum(np.abs(np.random.default_rng(0).standard_normal(20000)) * 30, 127).round().astype(int)
    counts = np.bincount(sizes, minlength=128)
    levels = lloyd_max(counts, 7)
    off = lambda grid: float((np.abs(sizes[:, None] - grid).min(axis=1) ** 2).mean())
    assert levels[0] == 0 and levels[-1] == 127 and (np.diff(levels) > 0).all()
    assert off(levels) < 0.6 * off(np.rint(np.linspace(0, 127, 8)))
    few = np.zeros(128, int)
    few[[0, 3, 4, 127]] = 5
    assert {0, 3, 4, 127} <= set(lloyd_max(few, 7).tolist())
    assert lloyd_max(np.ones(128, int), 127).tolist() == list(range(128))


def test_technique_touches_coded_tensors_only():
    params = initialise(SMALL, 0)
    technique = QuantiseAware(QuantiseSettings(bits=4, tensors=("joiner.output=8",), strength=0.5), SMALL, 10, select("fast"))
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    named = technique.regulariser(params, 3, grads)
    assert named["quantise"] > 0
    assert {name for name, value in grads.items() if value.any()} == set(technique.bits)
    rounded = technique.deployed(params)
    assert np.unique(rounded["joiner.output"][:, 0]).size > 5, "wide: 8 bits"
    for name, (codes, scale) in technique.codes(rounded).items():
        assert np.abs(codes.astype(int)).max() <= (127 if name == "joiner.output" else 7)
        rows = rounded[name] if name == "predictor.embedding" else rounded[name].T
        assert np.array_equal(codes * scale, rows)
    assert all(np.array_equal(rounded[name], params[name]) for name in params if name not in technique.bits)


def test_strength_ramps():
    technique = QuantiseAware(QuantiseSettings(strength=2.0, from_step=10, to_step=30), SMALL, 40, select("reference"))
    assert [technique.strength(step) for step in (0, 10, 20, 30, 39)] == [0, 0, 1, 2, 2]


@pytest.mark.parametrize("table", [
    "bits = 4\nstrength = 0.01\nfrom_step = 2\nto_step = 8", 'bits = 5\nlevels = "chosen"\nround_every = 3',
    'bits = 4\nmethod = "straight-through"\nfrom_step = 3\nto_step = 3', 'bits = 8\nmethod = "none"'])
def test_run_ends_on_its_codes(tmp_path, table):
    config = configured(tmp_path, f"[quantise]\n{table}")
    run.follow(run.prepare(config))
    trainer = run.prepare(config)
    progress = trainer.start()
    assert progress.step == STEPS
    technique = QuantiseAware(config.quantise, config.model, STEPS, select("fast"))
    model = load_model(tmp_path / "work" / "model.npz")
    for name, (codes, scales) in technique.codes(model.parameters).items():
        rows = model.parameters[name] if name == "predictor.embedding" else model.parameters[name].T
        steps = np.where(codes == 0, 0, rows / np.where(codes == 0, 1, codes))   # one step in a row, up to float16
        assert np.allclose(steps, np.where(codes == 0, 0, scales), rtol=2e-3), name
    card = model.card["quantised"]
    shipped, exact = (technique.codes(params) for params in (model.parameters, views(progress.adam.average, trainer.shapes)))
    assert card["bits"] == technique.bits and card["levels"] == config.quantise.levels
    assert all(np.array_equal(shipped[name][0], exact[name][0]) for name in exact), "float16 must not change a code"


def test_packer_keeps_the_codes_and_widths_that_were_trained(tmp_path):
    config = configured(tmp_path, '[quantise]\nbits = 4\nstrength = 0.01\nto_step = 8\ntensors = ["joiner.output=8"]')
    run.follow(run.prepare(config))
    model, backend = load_model(tmp_path / "work" / "model.npz"), select("fast")
    technique, rng = QuantiseAware(config.quantise, config.model, STEPS, select("fast")), np.random.default_rng(0)
    heard = [(stacked_frames(model, noise(16000), backend), rng.integers(8, 36, 12).astype(np.int32))]
    made = quantise(model, calibrate(model, heard, backend))
    assert made.bits == technique.bits
    for name, (codes, _) in technique.codes(model.parameters).items():
        assert np.array_equal(made.codes[name], codes), name


def test_widths_come_from_the_card():
    bits = {"joiner.output": 5}
    assert trained_widths({"quantised": {"bits": bits, "levels": "uniform"}}) == bits
    assert trained_widths({}) == trained_widths({"quantised": {"bits": bits, "levels": "chosen"}}) == 8


def test_next_stage_goes_on_from_weights_that_are_not_rounded(tmp_path):
    """From the work folder, whose checkpoint holds them; the exported model is rounded."""
    config = configured(tmp_path, '[quantise]\nbits = 3\nmethod = "straight-through"')
    end = run.follow(run.prepare(config))
    for number, start_from in enumerate(("work", "work/model.npz")):
        later = run.prepare(configured(tmp_path, "", start_from=start_from, work=f"later-{number}"))
        weights = views(later.start().weights, later.shapes)["encoder.0.recurrent"]
        assert (np.unique(weights).size > 0.7 * weights.size) == (start_from == "work")
        if start_from == "work":
            assert np.array_equal(later.start().weights, end.adam.average)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="without a checkpoint"):
        run.prepare(configured(tmp_path, "", start_from="empty", work="never")).start()


def test_straight_through_runs_on_codes_and_moves_the_floats(tmp_path):
    config = configured(tmp_path, '[quantise]\nbits = 3\nmethod = "straight-through"')
    plain = configured(tmp_path, "", work="plain")
    (_, first, figures), (_, other, others) = next(steps_of(config)), next(steps_of(plain))
    assert figures["loss"] != others["loss"]
    assert np.unique(first.weights).size > 0.9 * np.unique(other.weights).size, "the weights themselves stay float"


@pytest.mark.parametrize("table", ["bits = 4\nstrength = 0.01\nto_step = 8\nround_every = 4",
                                   'bits = 4\nmethod = "straight-through"'])
def test_killed_run_goes_on_bit_for_bit(tmp_path, table):
    require_resumable(tmp_path, f"[quantise]\n{table}", 5)


@pytest.mark.parametrize("table, kind, hint", [
    ("bits = 9", RangeError, "bits"), ("bits = 1", RangeError, "bits"), ("bit = 4", FormatError, "bit"),
    ("method = 'cosine'", FormatError, "periodic"), ("levels = 'some'", FormatError, "uniform"),
    ("strength = -1", RangeError, "strength"),
    ("to_step = 99", RangeError, "to_step"), ("from_step = 9\nto_step = 3", RangeError, "from_step"),
    ("tensors = ['decoder=4']", RangeError, "decoder"),
    ("tensors = ['joiner=9']", RangeError, "joiner=9"), ("tensors = ['joiner']", RangeError, "2 to 8"),
    ("round_every = 2\n[sparsify]", RangeError, "round_every")])
def test_what_cannot_be_used_is_refused(tmp_path, table, kind, hint):
    with pytest.raises(kind, match=hint):
        run.prepare(configured(tmp_path, f"[quantise]\n{table}"))


def test_resuming_with_a_changed_configuration_is_refused(tmp_path):
    config = configured(tmp_path, "[quantise]\nbits = 4")
    taken = steps_of(config)
    next(taken), next(taken)  # the checkpoint of a step is written when the next one is asked for
    run.prepare(dataclasses.replace(config, log_every=5)).start()
    longer = dataclasses.replace(config, schedule=dataclasses.replace(config.schedule, stop=STEPS - 1))
    assert run.prepare(longer).start().step > 0   # it may end earlier
    changed = dataclasses.replace(config, quantise=QuantiseSettings(bits=5))
    with pytest.raises(FormatError, match="quantise.bits was 4 and is 5"):
        run.prepare(changed).start()
