"""Distillation: the criterion against its definition and differences, the teacher, mixing, pseudo-labels."""

import numpy as np
import pytest
from technique_runs import configured, require_resumable

from refasr.corpus import Utterance, read_manifest
from refasr.errors import FormatError, RangeError
from refasr.train import pseudo_labels, run
from refasr.train.config import BatchSettings, DataSettings
from refasr.train.distil import DistilObjective, DistilSettings, Teacher, check_units
from refasr.train.examples import Piece, epoch_examples, fraction_at
from refasr.train.batches import Batch
from refasr.train.objective import ObjectiveSettings, TransducerObjective
from refasr.transducer import distillation
from refasr.transducer.model import Architecture, Model, assemble_parameters, initialise
from refasr.transducer.model_file import save_model
from refasr.twins import select

BACKENDS = ("reference", "fast")
SMALL = dict(n_inputs=160, encoder_widths=(6,), embedding_width=3, predictor_width=5, joiner_width=6)


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Both implementations."""
    return select(request.param)


def softmax(logits):
    """In float64, without the package. Parameters: logits. Returns an array like it."""
    e = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def classes(p, units):
    """Probabilities of the support and the rest, by summing what is left. Parameters: p [V], units [k]. Returns a list."""
    named = [p[unit] if unit >= 0 else 0.0 for unit in units]
    return [*named, sum(p[v] for v in range(len(p)) if v not in set(units.tolist()))]


def kullback_leibler(logits, units, targets):
    """The definition, node by node. Parameters: logits, units, targets. Returns a float."""
    total = 0.0
    for row, support, target in zip(softmax(logits), units, targets.astype(np.float64)):
        total += sum(t * np.log(t / q) for t, q in zip(target, classes(row, support)) if t > 0)
    return total


def case(n_nodes=5, width=9, k=3, seed=0):
    """A teacher and a student. Parameters: n_nodes, width, k, seed. Returns (student, teacher, units)."""
    source = np.random.default_rng(seed)
    student, teacher = (source.normal(0, 2, (n_nodes, width)).astype(np.float32) for _ in range(2))
    units = np.array([source.permutation(width)[:k] for _ in range(n_nodes)], np.int32)
    units[1, -1] = distillation.NOBODY
    return student, teacher, units


def test_posteriors_are_sums_of_a_softmax(backend):
    _, teacher, units = case()
    want = [classes(p, support) for p, support in zip(softmax(teacher), units)]
    np.testing.assert_allclose(backend(distillation.class_posteriors)(teacher, units), want, atol=3e-7)


def test_divergence_and_gradient_against_differences(backend):
    for width, k in ((9, 3), (9, 2), (5, 5), (2, 1)):
        student, teacher, units = case(width=width, k=k, seed=width)
        targets = backend(distillation.class_posteriors)(teacher, units)
        found = backend(distillation.class_divergence)(student, units, targets)
        assert found.divergence.sum() == pytest.approx(kullback_leibler(student, units, targets), rel=1e-5, abs=1e-6)
        assert (found.divergence > -1e-6).all()
        slope, moved = np.empty(student.shape), student.astype(np.float64)
        for index in np.ndindex(*student.shape):
            sides = []
            for step in (1e-5, -1e-5):
                moved[index] += step
                sides.append(kullback_leibler(moved, units, targets))
                moved[index] -= step
            slope[index] = (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(found.gradient, slope, atol=2e-6)


def test_no_divergence_from_oneself(backend):
    student, _, units = case()
    found = backend(distillation.class_divergence)(student, units, backend(distillation.class_posteriors)(student, units))
    assert np.abs(found.divergence).max() < 1e-6 and np.abs(found.gradient).max() < 1e-6


def test_only_the_mass_of_the_rest_counts(backend):
    """A teacher that deals the rest out otherwise teaches the same."""
    student, teacher, units = case()
    other = teacher.copy()
    for row, support in zip(other, units):
        rest = np.setdiff1d(np.arange(row.size), support)
        row[rest] = row[rest[::-1]]
    want, got = (backend(distillation.class_divergence)(student, units, backend(distillation.class_posteriors)(logits, units))
                 for logits in (teacher, other))
    np.testing.assert_allclose(got.gradient, want.gradient, atol=1e-6)


def test_support_of_a_lattice():
    units = distillation.lattice_support(np.array([3, 5], np.int32), 2)
    assert units.tolist() == [[0, 3], [0, 5], [0, -1]] * 2


def batch_and_parameters(seed=1):
    """Two utterances, a student's and a wider teacher's parameters. Parameters: seed. Returns (Batch, dict, Model)."""
    source = np.random.default_rng(seed)
    labels = [source.integers(1, 36, n).astype(np.int32) for n in (3, 2)]
    batch = Batch(source.standard_normal((7, 160)).astype(np.float32), [4, 3], labels, np.array([1, 0.5], np.float32))
    wide = Architecture(**SMALL | {"encoder_widths": (8, 7), "joiner_width": 9})
    mean = source.standard_normal(40).astype(np.float32)
    teacher = Model(wide, initialise(wide, 5), mean, source.uniform(0.5, 2, 40).astype(np.float32))
    return batch, initialise(Architecture(**SMALL), 4), teacher


class Normalised:
    """Stands in for the batch maker."""

    mean, reciprocal_deviation = np.zeros(40, np.float32), np.ones(40, np.float32)


@pytest.mark.parametrize("nodes", ["all", "visited"])
def test_objective_mixes_both_losses(backend, nodes):
    batch, parameters, model = batch_and_parameters()
    network, rng = assemble_parameters(parameters, 1, backend), np.random.default_rng(0)
    plain, gradients = TransducerObjective(ObjectiveSettings(), backend)(network, batch, rng)
    distil = DistilSettings("t", weight=0.3, final_weight=0.1, from_step=2, to_step=4, transducer_weight=0.5, nodes=nodes)
    objective = DistilObjective(ObjectiveSettings(), distil, Teacher(model, backend), Normalised, backend)
    losses, before = objective(network, batch, rng, 1)
    assert losses == {"rnnt": plain["rnnt"], "distil": 0.0}
    np.testing.assert_allclose(before["joiner.audio"], 0.5 * gradients["joiner.audio"], rtol=1e-4, atol=1e-6)
    values = [objective(network, batch, rng, step)[0]["distil"] for step in (2, 3, 4, 9)]
    assert values[0] > 0 and values[1:] == pytest.approx([values[0] * share for share in (2 / 3, 1 / 3, 1 / 3)], rel=1e-5)
    if nodes == "visited":
        return  # the visits are constants there, so the gradient is not that of the value
    _, found = objective(network, batch, rng, 2)
    for name, index in (("joiner.output", (2, 3)), ("joiner.audio", (1, 4)), ("encoder.0.recurrent", (0, 7)),
                        ("predictor.input", (1, 2))):
        sides = []
        for step in (1e-2, -1e-2):
            moved = {key: value.copy() for key, value in parameters.items()}
            moved[name][index] += np.float32(step)
            after, _ = objective(assemble_parameters(moved, 1, backend), batch, rng, 2)
            sides.append(0.5 * after["rnnt"] + after["distil"])
        assert found[name][index] == pytest.approx((sides[0] - sides[1]) / 2e-2, rel=0.02, abs=2e-3)


def test_teacher_hears_its_own_normalisation():
    batch, _, model = batch_and_parameters()
    raw = np.random.default_rng(3).standard_normal((2, 160)).astype(np.float32)
    mean, deviation = np.full(40, 0.3, np.float32), np.full(40, 2.0, np.float32)
    student = (raw - np.tile(mean, 4)) * np.tile(deviation, 4)
    want = (raw - np.tile(model.mean, 4)) * np.tile(model.reciprocal_deviation, 4)
    np.testing.assert_allclose(Teacher(model, select("reference")).renormalised(student, mean, deviation), want, atol=1e-5)


@pytest.mark.parametrize("changed, hint", [({"n_vocabulary": 35}, "units"), ({"stack": 3}, "frames"),
                                           ({"profile": "kaldi"}, "kaldi")])
def test_teacher_of_another_kind_is_refused(changed, hint):
    architecture = Architecture(**SMALL | changed)
    model = Model(architecture, {}, np.zeros(40), np.ones(40))
    with pytest.raises(FormatError, match=hint):
        check_units("teacher.npz", model, Architecture(**SMALL))


def test_shares_are_mixed_by_a_schedule():
    share = DataSettings("a", fraction=0.0, final_fraction=0.8, from_step=100, to_step=300)
    assert [fraction_at(share, step) for step in (0, 100, 200, 300, 900)] == pytest.approx([0, 0, 0.4, 0.8, 0.8])
    assert fraction_at(DataSettings("a", fraction=0.3), 10**6) == 0.3
    pieces = [Piece(i, "", "x", 1.0) for i in range(1000)]
    heard = [len(epoch_examples([pieces[:10], pieces[10:]], (DataSettings("b"), share), BatchSettings(), 1, 0, step))
             for step in (0, 200, 300)]
    assert heard[0] == 10 and heard == sorted(heard) and 350 < heard[1] < 450
    with pytest.raises(RangeError, match="without recordings"):
        epoch_examples([pieces], (share,), BatchSettings(), 1, 0, 0)


def save_teacher(folder, **changes):
    """A wide, untrained teacher. Parameters: folder, **changes (of its architecture). Returns nothing."""
    wide = Architecture(**SMALL | {"encoder_widths": (16, 16), "joiner_width": 20} | changes)
    save_model(folder / "teacher.npz", Model(wide, initialise(wide, 5), np.full(40, -5, np.float32), np.ones(40, np.float32)))


TABLES = """
[distil]
teacher = "teacher.npz"
weight = 0.05
final_weight = 0.2
from_step = 2
to_step = 9
[sparsify]
sparsity = 0.5
to_step = 8
every = 2
[quantise]
bits = 5
to_step = 8
"""


def test_killed_run_goes_on_bit_for_bit(tmp_path):
    """With all techniques together."""
    save_teacher(tmp_path)
    require_resumable(tmp_path, TABLES, 6)
    assert (tmp_path / "straight" / "snapshots.jsonl").exists()


@pytest.mark.parametrize("table, kind, hint", [
    ("weight = 1", FormatError, "teacher"), ("teacher = 'none.npz'", FormatError, "none.npz"),
    ("teacher = 3", FormatError, "teacher"), ("teacher = 'teacher.npz'\nto_step = 50", RangeError, "to_step"),
    ("teacher = 'teacher.npz'\nweight = -1", RangeError, "weight"),
    ("teacher = 'teacher.npz'\nnodes = 'some'", FormatError, "visited"), ("teacher = 'tiny.toml'", FormatError, "tiny.toml")])
def test_what_cannot_be_used_is_refused(tmp_path, table, kind, hint):
    save_teacher(tmp_path)
    with pytest.raises(kind, match=hint):
        run.prepare(configured(tmp_path, f"[distil]\n{table}"))


def test_teacher_that_changed_is_noticed(tmp_path):
    save_teacher(tmp_path)
    config = configured(tmp_path, TABLES)
    trainer = run.prepare(config)
    steps = trainer.steps(trainer.start())
    next(steps), next(steps)
    save_teacher(tmp_path, joiner_width=21)
    with pytest.raises(FormatError, match="distil.sha256"):
        run.prepare(config).start()


def test_pseudo_labels_are_a_manifest_to_train_on(tmp_path):
    utterances = [Utterance(tmp_path / "a.wav", "", "train", "s", "v", "", 0.5, 1.25, tmp_path / "m.tsv", 2),
                  Utterance(tmp_path / "b.wav", "secret", "", "", "", "x", 0.0, None, tmp_path / "m.tsv", 3)]
    labels = [pseudo_labels.Label(utterance, text, 0.25, 1.25) for utterance, text in zip(utterances, ("two one", "go"))]
    (tmp_path / "deep").mkdir()
    assert pseudo_labels.write_manifest(tmp_path / "deep" / "out.tsv", labels) == 2
    first, second = read_manifest(tmp_path / "deep" / "out.tsv")
    assert (first.text, first.extra, first.start, first.duration, first.split) == ("two one", "pseudo:0.2500", 0.5, 1.25, "train")
    assert first.file.resolve() == utterances[0].file and (second.text, second.start, second.duration) == ("go", 0.0, 1.25)
    with pytest.raises(RangeError, match="no recording"):
        pseudo_labels.write_manifest(tmp_path / "out.tsv", [labels[0]._replace(text="")])
