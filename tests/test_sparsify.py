"""Sparsification: schedules, blocks, exact zeros that stay, and runs that resume."""

import numpy as np
import pytest
from technique_runs import STEPS, configured, random_rows, require_resumable, steps_of

from refasr.errors import FormatError, RangeError
from refasr.train import run
from refasr.train.loop import views
from refasr.train.quantise_aware import QuantiseAware
from refasr.train.snapshots import read_snapshots
from refasr.train.sparsify import Sparsify, SparsifySettings, block_sizes, cuts_at, reached_at, smallest, sparsities
from refasr.transducer.model import Architecture, initialise
from refasr.twins import select

SMALL = Architecture(encoder_widths=(16,), embedding_width=8, predictor_width=8, joiner_width=16)


def test_cubic_schedule():
    settings = SparsifySettings(sparsity=0.8, from_step=100, to_step=300)
    shares = [0.8 * reached_at(settings, step) for step in (0, 100, 200, 300, 999)]
    assert shares == pytest.approx([0, 0, 0.8 * (1 - 0.5**3), 0.8, 0.8])
    cuts = [step for step in range(400) if cuts_at(settings, step)]
    assert cuts == [100, 150, 200, 250, 300]
    assert [s for s in range(400) if cuts_at(SparsifySettings(method="one-shot", from_step=7, to_step=9), s)] == [7]
    assert [s for s in range(400) if cuts_at(SparsifySettings(method="divergence", from_step=7, to_step=9), s)] == [9]


@pytest.mark.parametrize("block", [(1, 1), (4, 4), (16, 4)])
@pytest.mark.parametrize("shape", [(32, 16), (37, 6), (3, 2)])
def test_the_smallest_blocks_go(block, shape):
    rows = random_rows(shape, 1)
    zero = smallest(rows, 0.5, block)
    sizes, gone = [], []
    for n in range(0, shape[0], block[0]):
        for k in range(0, shape[1], block[1]):
            part = np.s_[n : n + block[0], k : k + block[1]]
            assert zero[part].all() or not zero[part].any()
            sizes.append(np.abs(rows[part]).mean())
            gone.append(zero[part].all())
    assert sum(gone) == round(0.5 * len(sizes))
    np.testing.assert_allclose(block_sizes(rows, block).ravel(), sizes, rtol=1e-5)
    if any(gone) and not all(gone):
        assert max(size for size, out in zip(sizes, gone) if out) <= min(size for size, out in zip(sizes, gone) if not out)


def test_extremes():
    rows = random_rows((8, 8))
    assert not smallest(rows, 0.0, (1, 1)).any() and smallest(rows, 1.0, (4, 4)).all()
    assert smallest(np.zeros((8, 8), np.float32), 0.5, (1, 1)).sum() == 32


def test_zeros_are_held_and_never_fewer():
    technique = Sparsify(SparsifySettings(sparsity=0.5, from_step=4, to_step=8, every=2), SMALL, 20)
    before = initialise(SMALL, 0)
    before["encoder.0.input"][:, :40] = 0  # 62 percent of it
    source = np.random.default_rng(1)
    for step in range(12):
        params = {name: value + source.normal(0, 0.01, value.shape).astype(np.float32) for name, value in before.items()}
        average = {name: value.copy() for name, value in params.items()}
        held = {name: before[name] == 0 for name in technique.shares}
        technique.projection(params, step, before, average)
        for name in technique.shares:
            assert not average[name][params[name] == 0].any()
            if not cuts_at(technique.settings, step):
                assert np.array_equal(params[name] == 0, held[name])
        before = params
    shares = sparsities(before, SMALL)
    assert shares.pop("encoder.0.input") == pytest.approx(0.625)
    assert all(share == pytest.approx(0.5, abs=0.01) for share in shares.values())
    assert not any((before[name] == 0).any() for name in before if name.endswith("norm_gain"))


@pytest.mark.parametrize("block", [(4, 4), (16, 4)])
def test_zeros_within_blocks_are_held_too(block):
    technique = Sparsify(SparsifySettings(sparsity=0.5, block=block, to_step=8, every=2), SMALL, 20)
    before = initialise(SMALL, 0)
    source, name = np.random.default_rng(1), "encoder.0.input"
    before[name][source.random(before[name].shape) < 0.3] = 0
    held = before[name] == 0
    for step in range(10):
        params = {key: value + source.normal(0, 0.01, value.shape).astype(np.float32) for key, value in before.items()}
        technique.projection(params, step, before, {key: value.copy() for key, value in params.items()})
        before = params
    assert (before[name] == 0)[held].mean() > 0.8 and (before[name] == 0).mean() > 0.5


def test_tensors_have_shares_of_their_own():
    settings = SparsifySettings(sparsity=0.5, tensors=("joiner.output=0", "joiner=0.75"))
    technique = Sparsify(settings, SMALL, 20)
    assert technique.shares["joiner.output"] == 0 and technique.shares["joiner.audio"] == 0.75
    params = initialise(SMALL, 0)
    technique.projection(params, 0, params, {name: value.copy() for name, value in params.items()})
    found = sparsities(params, SMALL)
    assert found["joiner.output"] == 0 and found["joiner.audio"] == pytest.approx(0.75, abs=0.02)
    assert found["encoder.0.input"] == pytest.approx(0.5, abs=0.01)


def test_divergence_parts_the_populations():
    """Under equal noise, small weights fade and large ones stay as they are, until the small ones are cut."""
    technique = Sparsify(SparsifySettings(sparsity=0.5, method="divergence", to_step=60, pull=0.2), SMALL, 100)
    params = initialise(SMALL, 0)
    name, source = "encoder.0.recurrent", np.random.default_rng(1)
    start = np.abs(params[name])
    low = start < np.median(start)
    for step in range(61):
        before = params
        params = {key: value + source.normal(0, 1e-3, value.shape).astype(np.float32) for key, value in before.items()}
        technique.projection(params, step, before, {key: value.copy() for key, value in params.items()})
        if step == 59:
            size = np.abs(params[name])
            assert np.median(size[low]) < 0.1 * np.median(start[low])
            assert np.median(np.abs(size[~low] - start[~low])) < 0.02
    assert np.mean(params[name] == 0) == 0.5 and np.mean((params[name] == 0)[low]) > 0.9


@pytest.mark.parametrize("table", [
    "sparsity = 0.75\nto_step = 8\nevery = 2", "sparsity = 0.5\nblock = [4, 4]\nto_step = 8\nevery = 3",
    "sparsity = 0.5\nblock = [16, 4]\nto_step = 8\nmethod = 'divergence'",
    "sparsity = 0.9\nmethod = 'one-shot'\nfrom_step = 2\nto_step = 2"])
def test_run_ends_with_exact_zeros(tmp_path, table):
    config = configured(tmp_path, f"[sparsify]\n{table}")
    end = run.follow(run.prepare(config))
    trainer = run.prepare(config)
    for flat in (end.weights, end.adam.average):
        params = views(flat, trainer.shapes)
        for name, share in sparsities(params, config.model).items():
            rows = params[name] if name == "predictor.embedding" else params[name].T
            n_blocks = block_sizes(rows, config.sparsify.block).size
            assert share == pytest.approx(config.sparsify.sparsity, abs=1 / n_blocks + 0.08 * (n_blocks < 100)), name
    snapshots = read_snapshots(tmp_path / "work")
    epochs = [entry["epoch"] for entry in snapshots[:-1]]
    assert snapshots[-1]["step"] == STEPS and epochs == sorted(set(epochs))
    zeros = views(end.weights, trainer.shapes)["encoder.0.recurrent"].T[:64, :64] == 0
    assert np.array_equal(snapshots[-1]["patch"] == 0, zeros)


def test_zeros_are_code_zero(tmp_path):
    tables = "[sparsify]\nsparsity = 0.5\nto_step = 6\nevery = 2\n[quantise]\nbits = 4\nstrength = 0.01\nto_step = 8\n"
    pruned = None
    config = configured(tmp_path, tables)
    for trainer, progress, _ in steps_of(config):
        if progress.step == STEPS - 1:
            pruned = {name: value == 0 for name, value in views(progress.weights.copy(), trainer.shapes).items()}
    technique = QuantiseAware(config.quantise, config.model, STEPS, select("fast"))
    for name, (codes, _) in technique.codes(views(progress.weights, trainer.shapes)).items():
        zero = codes == 0
        held = pruned[name] if name == "predictor.embedding" else pruned[name].T
        assert held.mean() >= 0.49 and zero[held].all()


@pytest.mark.parametrize("table", ["sparsity = 0.75\nto_step = 8\nevery = 2",
                                   "sparsity = 0.5\nmethod = 'divergence'\nto_step = 8"])
@pytest.mark.parametrize("after", [3, 7])
def test_killed_run_goes_on_bit_for_bit(tmp_path, table, after):
    require_resumable(tmp_path, f"[sparsify]\n{table}", after)


@pytest.mark.parametrize("table, kind, hint", [
    ("sparsity = 1.0", RangeError, "sparsity"), ("sparsity = -0.1", RangeError, "sparsity"),
    ("block = [3, 3]", RangeError, "16, 4"),
    ("block = 4", FormatError, "block"), ("block = [4]", RangeError, "block"), ("method = 'lottery'", FormatError, "gradual"),
    ("every = 0", RangeError, "every"), ("to_step = 12", RangeError, "to_step"), ("tensors = ['x=0']", RangeError, "'x'"),
    ("tensors = ['joiner=1']", RangeError, "joiner=1"),
    ("spars = 1", FormatError, "spars"), ("pull = 2", RangeError, "pull")])
def test_what_cannot_be_used_is_refused(tmp_path, table, kind, hint):
    with pytest.raises(kind, match=hint):
        run.prepare(configured(tmp_path, f"[sparsify]\n{table}"))
