"""Short training runs with a technique: shared by the tests of all of them."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np

from conftest import ROOT
from refasr.shipped import data_path
from refasr.train import run
from refasr.train.config import read_config

STEPS = 12
TINY = f"""
seed = 3
checkpoint_s = 0
log_every = 1
[model]
encoder_widths = [12]
embedding_width = 4
predictor_width = 8
joiner_width = 12
[schedule]
steps = {STEPS}
warmup_steps = 3
[batch]
seconds = 8
utterances = 4
[[data]]
manifest = "{data_path("smoke", "manifest.tsv").as_posix()}"
where = ["source=pico", "split=train"]
fraction = 0.3
final_fraction = 0.1
to_step = 8
"""


def configured(folder, tables, **changes):
    """Read the tiny configuration with more tables. Parameters: folder, tables (TOML), **changes. Returns a TrainConfig."""
    (folder / "tiny.toml").write_text(TINY + tables)
    return dataclasses.replace(read_config(folder / "tiny.toml"), **changes)


def arrays(progress):
    """Everything that a checkpoint holds. Parameters: progress. Returns a list."""
    vectors = (progress.weights, *progress.adam, progress.mean, progress.reciprocal_deviation)
    return [vector.tobytes() for vector in vectors] + [progress.step, progress.epoch, progress.position]


def steps_of(config):
    """Run a configuration step by step. Parameters: config. Yields (Trainer, Progress, figures)."""
    trainer = run.prepare(config)
    for progress, figures in trainer.steps(trainer.start()):
        yield trainer, progress, figures


def lines(folder, name):
    """Lines of a log without what depends on the clock. Parameters: folder, name. Returns a list of dict."""
    entries = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{key: value for key, value in entry.items() if not key.startswith("s_per")} for entry in entries]


def require_resumable(folder, tables, after):
    """Kill a run once a step is logged, resume it, and compare it with one that was never stopped.

    Parameters
    ----------
    folder : Path
    tables : str      TOML of the techniques.
    after : int       Step after which it is killed.

    Returns
    -------
    Progress          The end.
    """
    config = configured(folder, tables)
    straight = run.follow(run.prepare(dataclasses.replace(config, work="straight")))
    command = [sys.executable, "-m", "refasr", "train", str(folder / "tiny.toml"), "--work", str(folder / "killed"), "--json"]
    for _ in range(20):                # on a busy machine the run may end before it is killed
        shutil.rmtree(folder / "killed", ignore_errors=True)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        with process.stdout:
            for line in process.stdout:
                if json.loads(line)["step"] == after:
                    break
            process.kill()
        killed = process.wait() < 0
        trainer = run.prepare(dataclasses.replace(config, work="killed"))
        reached = trainer.start().step
        if killed and reached < STEPS:
            break
    assert killed and after - 1 <= reached < STEPS
    resumed = run.follow(trainer)
    assert arrays(resumed) == arrays(straight)
    names = ["log.jsonl"] + ["snapshots.jsonl"] * (folder / "straight" / "snapshots.jsonl").exists()
    for name in names:
        assert lines(folder / "killed", name) == lines(folder / "straight", name)
    return resumed


def random_rows(shape, seed=0):
    """Normal weights. Parameters: shape, seed. Returns float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
