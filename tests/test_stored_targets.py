"""Stored top-k targets: the mass that is dropped, what they cost, and what they are refused for."""

import dataclasses

import numpy as np
import pytest
from technique_runs import configured, steps_of

from refasr import cli
from refasr.audio.augment import AugmentSettings
from refasr.errors import DTypeError, FormatError, RangeError
from refasr.shipped import data_path
from refasr.train import run, stored_targets
from refasr.train.distil import STORED, StoredTeacher
from refasr.transducer import distillation
from refasr.twins import select


def softmax(logits):
    """In float64. Parameters: logits. Returns an array like it."""
    e = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def stored(k=4, seed=2):
    """Targets of one recording. Parameters: k, seed. Returns (StoredTargets, logits, samples, labels)."""
    source = np.random.default_rng(seed)
    labels, samples = np.array([3, 7], np.int32), source.standard_normal(1000).astype(np.float32)
    logits = source.normal(0, 3, (5, 3, 36)).astype(np.float32)
    return stored_targets.store(logits, k, samples, labels), logits, samples, labels


def test_stored_targets_keep_the_dropped_mass(tmp_path):
    kept, logits, samples, labels = stored()
    stored_targets.write(tmp_path / "t.npz", {"a": kept})
    units, targets = stored_targets.read(tmp_path / "t.npz")["a"].for_training(samples, labels)
    p = softmax(logits).reshape(15, 36)
    assert np.array_equal(units, np.argsort(-p, axis=1, kind="stable")[:, :4])
    np.testing.assert_allclose(targets[:, :-1], np.take_along_axis(p, units, 1), rtol=4e-3, atol=1e-5)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(targets[:, -1], 1 - np.take_along_axis(p, units, 1).sum(axis=1), atol=2e-3)
    select("fast")(distillation.class_divergence)(logits.reshape(15, 36), units, targets)


def test_divergence_grows_with_k_to_that_of_all_units():
    teacher, student = np.random.default_rng(0).normal(0, 2, (2, 40, 36)).astype(np.float32)
    values = []
    for k in (1, 4, 16, 35):
        units = stored_targets.top_units(teacher, k)
        targets = distillation.class_posteriors(teacher, units)
        values.append(float(distillation.class_divergence(student, units, targets).divergence.sum()))
    p, q = softmax(teacher), softmax(student)
    assert values == sorted(values) and values[-1] == pytest.approx(float((p * np.log(p / q)).sum()), rel=1e-4)


def test_targets_for_other_audio_or_text_are_refused():
    kept, _, samples, labels = stored()
    with pytest.raises(FormatError, match="other audio"):
        kept.for_training(samples * np.float32(0.5), labels)
    with pytest.raises(FormatError, match="other audio"):
        kept.for_training(samples, labels[::-1].copy())
    with pytest.raises(RangeError, match="k: got 0"):
        stored_targets.top_units(np.zeros((2, 5), np.float32), 0)
    with pytest.raises(DTypeError):
        stored_targets.top_units(np.zeros((2, 5)), 1)


def test_damaged_targets_are_refused(tmp_path):
    path = tmp_path / "t.npz"
    stored_targets.write(path, {"a": stored()[0]})
    content = path.read_bytes()
    for broken in (b"", content[:100], content[: len(content) // 2]):
        path.write_bytes(broken)
        with pytest.raises(FormatError, match="t.npz"):
            stored_targets.read(path)
    kept = stored()[0]
    for part, value in {"log_rest": kept.log_rest[0], "log_p": kept.log_p[:, :1], "units": kept.units[:2], "key": b"x"}.items():
        stored_targets.write(path, {"a": kept._replace(**{part: value})})
        with pytest.raises(FormatError, match="t.npz"):
            stored_targets.read(path)
    np.savez_compressed(path, **{"a/log_rest": np.zeros(1 << 20, np.float16)})
    with pytest.raises(FormatError, match="compressed"):
        stored_targets.read(path)


def test_storage_an_hour():
    an_hour = [(250, 60)] * 360  # ten seconds each
    assert stored_targets.bytes_an_hour(an_hour, 2) == 250 * 61 * 360 * (2 * 3 + 2)
    assert stored_targets.bytes_an_hour(an_hour, 2, "path") == 310 * 360 * 8
    kept, *_ = stored(k=4)
    assert kept.units.nbytes + kept.log_p.nbytes + kept.log_rest.nbytes == 15 * (4 * 3 + 2)


def student(folder, tables=""):
    """The tiny run with stored targets as its teacher. Parameters: folder, tables (TOML). Returns a TrainConfig."""
    distil = f'[distil]\nteacher = "a{STORED}"\nweight = 0.1\nfinal_weight = 0.1\n{tables}'
    config = configured(folder, distil)
    return dataclasses.replace(config, batch=dataclasses.replace(config.batch, lead_s=0.0, trail_s=0.0),
                               augment=dataclasses.replace(config.augment, speed_chance=0.0))


def test_student_learns_from_a_file(tmp_path):
    manifest = data_path("smoke", "manifest.tsv")
    out = tmp_path / f"a{STORED}"
    chosen = ["--where", "source=pico", "--where", "split=train"]
    assert cli.main(["label", str(manifest), *chosen, "--model", "float", "--targets", "36", "-o", str(out)]) == 0
    config = student(tmp_path)
    longer = dataclasses.replace(config, schedule=dataclasses.replace(config.schedule, steps=50, learning_rate=4e-3))
    found = [figures["other"]["distil"] for _, _, figures in steps_of(longer)]
    assert np.mean(found[-10:]) < 0.8 * np.mean(found[:5])
    config = dataclasses.replace(config, work="other")
    trainer = run.prepare(config)
    teacher, key = trainer.objective.teacher, next(iter(trainer.objective.teacher.stored))
    assert teacher.stored[key].units.shape[1] == 36
    trainer.objective.teacher = StoredTeacher(out, {})
    with pytest.raises(FormatError, match="no targets for a recording that says"):
        next(trainer.steps(trainer.start()))


@pytest.mark.parametrize("change, hint", [({"lead_s": 0.1}, "lead_s"), ({"trail_s": 0.1}, "trail_s"),
                                          ({"cross_join": 0.5}, "cross_join")])
def test_longer_recordings_are_refused(tmp_path, change, hint):
    kept, *_ = stored()
    stored_targets.write(tmp_path / f"a{STORED}", {"a": kept})
    config = student(tmp_path)
    with pytest.raises(RangeError, match=hint):
        run.prepare(dataclasses.replace(config, batch=dataclasses.replace(config.batch, **change)))
    with pytest.raises(RangeError, match="speed_chance"):
        run.prepare(dataclasses.replace(config, augment=AugmentSettings()))
