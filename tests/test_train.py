"""Training: it learns, it resumes bit for bit, it does not depend on threads, and it refuses what it cannot use."""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from conftest import ROOT
from refasr.audio.wav import write_audio
from refasr.errors import FormatError, RangeError, RefasrError
from refasr.shipped import data_path
from refasr.train import checkpoints, run
from refasr.train.config import BatchSettings, DataSettings, ScheduleSettings, read_config
from refasr.train.examples import Piece, epoch_batches, epoch_examples
from refasr.train.loop import learning_rate

SMOKE_WER = 0.2
STEPS = 30
TINY = f"""
seed = 3
checkpoint_s = 0
log_every = 1
[model]
encoder_widths = [12]
embedding_width = 4
predictor_width = 8
joiner_width = 12
[objective]
dropout = 0.1
predictor_dropout = 0.2
[schedule]
steps = {STEPS}
warmup_steps = 3
[batch]
seconds = 8
utterances = 4
mask_bins = 4
mask_frames = 3
cross_join = 0.5
[[data]]
manifest = "{data_path("smoke", "manifest.tsv").as_posix()}"
where = ["source=pico", "split=train"]
copies = 2
join = 3
"""


@pytest.fixture
def tiny(tmp_path):
    """A configuration for a few quick steps; its work folder is empty."""
    (tmp_path / "tiny.toml").write_text(TINY)
    return read_config(tmp_path / "tiny.toml")


def arrays(progress):
    """Everything that a checkpoint holds. Parameters: progress. Returns a list of bytes and numbers."""
    vectors = (progress.weights, *progress.adam, progress.mean, progress.reciprocal_deviation)
    return [vector.tobytes() for vector in vectors] + [progress.step, progress.epoch, progress.position]


def history(folder):
    """Loss and norm of every step, from the log. Parameters: folder. Returns a list of tuples."""
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [(line["step"], line["loss"], line["norm"]) for line in lines if "loss" in line]


def train_command(*arguments):
    """Start `refasr train`. Parameters: *arguments. Returns a Popen."""
    return subprocess.Popen([sys.executable, "-m", "refasr", "train", *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, cwd=ROOT)


def test_smoke_training_learns():
    process = train_command("--smoke", "--json")
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    lines = [json.loads(line) for line in out.splitlines()]
    rates = lines[-1]["wer"]
    assert rates and max(rates.values()) < SMOKE_WER
    assert lines[-1]["loss"] < 0.5 * next(line["loss"] for line in lines if "loss" in line)


def test_killed_run_goes_on_as_if_nothing_had_happened(tiny, tmp_path):
    straight = run.follow(run.prepare(dataclasses.replace(tiny, work="straight")))
    chance = random.Random()
    for _ in range(20):                # on a busy machine the run may end before it is killed
        after, pause = chance.randint(1, STEPS - 10), chance.uniform(0, 0.05)
        shutil.rmtree(tmp_path / "killed", ignore_errors=True)
        process = train_command(tmp_path / "tiny.toml", "--work", tmp_path / "killed", "--json")
        with process.stdout:
            for line in process.stdout:
                if json.loads(line)["step"] == after:
                    break
            time.sleep(pause)
            process.kill()
        process.stderr.close()
        killed = process.wait() < 0
        trainer = run.prepare(dataclasses.replace(tiny, work="killed"))
        reached = trainer.start().step
        if killed and reached < STEPS:
            break
    assert killed and after - 1 <= reached < STEPS, "a checkpoint is written at every step"
    resumed = run.follow(trainer)
    assert arrays(resumed) == arrays(straight), f"killed {pause:.4f} s after step {after}"
    assert history(tmp_path / "killed") == history(tmp_path / "straight")
    files = {path.name for path in (tmp_path / "killed").iterdir()}
    assert {f"checkpoint-{STEPS:08d}.npz", "model.npz", "log.jsonl"} <= files


def test_result_does_not_depend_on_the_number_of_threads(tiny):
    ends = []
    for threads in (1, 2, 3):
        trainer = run.prepare(dataclasses.replace(tiny, work=f"threads-{threads}"), threads=threads)
        progress = trainer.start()
        for (progress, _), _ in zip(trainer.steps(progress), range(4)):
            pass
        ends.append(arrays(progress))
    assert ends[0] == ends[1] == ends[2]


def test_backends_train_alike(tiny):
    weights = []
    for backend in ("fast", "reference"):
        trainer = run.prepare(dataclasses.replace(tiny, work=backend), backend)
        progress, figures = next(trainer.steps(trainer.start()))
        weights.append(progress.weights)
    rate = learning_rate(tiny.schedule, 0)
    assert np.abs(weights[0] - weights[1]).max() <= 2 * rate and np.mean(np.abs(weights[0] - weights[1])) < 0.01 * rate


@pytest.mark.parametrize("text, kind, hint", [
    ("sead = 1", FormatError, "sead"),
    ("[schedule]\nstep = 1", FormatError, "step"),
    ("[schedule]\nsteps = 1.5", FormatError, "whole number"),
    ("[schedule]\nsteps = 'many'", FormatError, "steps"),
    ("[model]\nencoder_widths = 3", FormatError, "encoder_widths"),
    ("model = 3", FormatError, "table"),
    ("[model]\nencoder_widths = []", FormatError, "encoder_widths"),
    ("[model]\nencoder_widths = ['a']", FormatError, "encoder_widths"),
    ("[augment]\nspeed = [1.0]", FormatError, "speed"),
    ("[schedule]\nsteps = 0", RangeError, "steps"),
    ("folder = 'x'", FormatError, "folder"),
    ("seed = 'one'", FormatError, "seed"),
    ("checkpoint_s = true", FormatError, "checkpoint_s"),
    ("[data]\nmanifest = 'a'", FormatError, "[[data]]"),
    ("[[data]]\njoin = 2", FormatError, "manifest"),
    ("[[data]]\nmanifest = 3", FormatError, "manifest"),
    ("seed = ", FormatError, "TOML"),
    ("", FormatError, "[[data]]"),
    ("[[data]]\nmanifest = 'none.tsv'", FormatError, "none.tsv"),
    ("[[data]]\nmanifest = 'a.tsv'\nwhere = ['colour=red']", RangeError, "colour"),
    ("[[data]]\nmanifest = 'a.tsv'\nwhere = ['split=dev']", FormatError, "no utterance"),
    ("[[data]]\nmanifest = 'columns.tsv'", FormatError, "colour"),
    ("[[data]]\nmanifest = 'letters.tsv'", FormatError, "letters.tsv line 2"),
    ("[[data]]\nmanifest = 'gone.tsv'", FormatError, "gone.ogg"),
    ("[[data]]\nmanifest = 'short.tsv'", FormatError, "short.tsv line 2"),
])
def test_what_cannot_be_used_is_refused_in_one_line(text, kind, hint, tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros(1600, np.float32), 16000)
    for name, rows in dict(a="file\ttext\tsplit\na.wav\tone\ttrain", columns="file\ttext\tcolour\na.wav\tone\tred",
                           letters="file\ttext\na.wav\t\u4e00", gone="file\ttext\ngone.ogg\tone",
                           short="file\ttext\tstart\tduration\na.wav\tone\t0\t5").items():
        (tmp_path / f"{name}.tsv").write_text(rows + "\n", encoding="utf-8")
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(RefasrError) as caught:
        run.prepare(read_config(tmp_path / "config.toml"))
    assert type(caught.value) is kind and hint in str(caught.value) and "\n" not in str(caught.value)


def test_missing_configuration_is_one_line(tmp_path):
    process = train_command(tmp_path / "none.toml")
    _, errors = process.communicate()
    assert process.returncode == 1 and len(errors.splitlines()) == 1 and "none.toml" in errors


def test_learning_rate_climbs_holds_and_falls():
    schedule = ScheduleSettings(steps=1000, learning_rate=1e-2, warmup_steps=100, hold=0.5, final=0.1)
    rates = [learning_rate(schedule, step) for step in range(1001)]
    assert rates == [learning_rate(schedule, step) for step in range(1001)]
    assert rates[0] == pytest.approx(1e-4) and set(rates[99:501]) == {1e-2} and rates[1000] == pytest.approx(1e-3)
    assert all(a < b for a, b in zip(rates[:99], rates[1:100])) and all(a > b for a, b in zip(rates[500:], rates[501:]))


def some_shares():
    """Two shares: one of three speakers, one without speakers. Returns a list of list of Piece."""
    rng = np.random.default_rng(1)
    first = [Piece(i, f"s{i % 3}", f"word {'abc'[i % 3]}", float(rng.uniform(0.3, 3))) for i in range(40)]
    return [first, [Piece(40 + i, "", "x", float(rng.uniform(0.3, 3))) for i in range(7)]]


def test_epoch_is_a_function_of_seed_and_number():
    shares, settings = some_shares(), (DataSettings("a", copies=2, join=4), DataSettings("b"))
    batch = BatchSettings()
    once, again = (epoch_examples(shares, settings, batch, 5, 2) for _ in range(2))
    assert [e.pieces for e in once] == [e.pieces for e in again]
    assert [e.pieces for e in once] != [e.pieces for e in epoch_examples(shares, settings, batch, 5, 3)]
    heard = sorted(index for example in once for index in example.pieces)
    assert heard == sorted([*range(40), *range(40), *range(40, 47)])
    assert [example.serial for example in once] == list(range(len(once)))
    speakers = {piece.index: piece.speaker for piece in shares[0]}
    assert all(len({speakers.get(i, i) for i in example.pieces}) == 1 and len(example.pieces) <= 4 for example in once)


def test_batches_hold_every_example_once_within_their_limits():
    settings = BatchSettings(seconds=12.0, utterances=5, cross_join=0.7)
    examples = epoch_examples(some_shares(), (DataSettings("a", copies=3, join=4), DataSettings("b")), settings, 1, 0)
    assert sorted(index for e in examples for index in e.pieces) == sorted([*range(40)] * 3 + [*range(40, 47)])
    once, again = ([[e.serial for e in batch] for batch in epoch_batches(examples, settings, 1, 0)] for _ in range(2))
    assert once == again
    assert sorted(serial for batch in once for serial in batch) == list(range(len(examples)))
    seconds = {example.serial: example.seconds for example in examples}
    for batch in once:
        assert len(batch) <= 5 and (len(batch) == 1 or len(batch) * max(seconds[s] for s in batch) <= 12.0)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with one valid checkpoint, and its bytes."""
    from refasr.nn.optimiser import AdamState

    folder = tmp_path_factory.mktemp("checkpoint")
    values = np.random.default_rng(0).standard_normal((6, 50)).astype(np.float32)
    progress = checkpoints.Progress(values[0], AdamState(*values[1:4]), values[4], values[5], 7, 1, 3)
    checkpoints.save_checkpoint(folder, progress)
    return folder, progress, (folder / "checkpoint-00000007.npz").read_bytes()


def test_checkpoint_comes_back_whole(checkpoint):
    folder, progress, content = checkpoint
    (folder / "checkpoint-00000007.npz").write_bytes(content)
    assert arrays(checkpoints.load_checkpoint(folder, 50)) == arrays(progress)
    assert os.listdir(folder) == ["checkpoint-00000007.npz"]
    with pytest.raises(FormatError, match="expected 51"):
        checkpoints.load_checkpoint(folder, 51)


def test_damaged_checkpoint_is_refused(checkpoint):
    folder, progress, content = checkpoint
    rng = np.random.default_rng(2)
    damaged = [content[:n] for n in [0, 1, *rng.integers(2, len(content), 30)]] + [b"x" * 100, content[::-1]]
    for _ in range(200):
        flipped = bytearray(content)
        flipped[rng.integers(len(content))] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    refused = 0
    for each in damaged:
        (folder / "checkpoint-00000007.npz").write_bytes(each)
        try:
            loaded = checkpoints.load_checkpoint(folder, 50)
        except FormatError as error:
            assert "\n" not in str(error)
            refused += 1
        else:  # a date or a comment of the archive, which no one reads
            assert arrays(loaded) == arrays(progress)
    assert refused > 150
