"""The whole trainer with the shipped network's sizes: seconds of computing for one hour of speech, on one thread.

Speech is that of data/smoke, augmented as the shipped model's training data was, in the same size of batch; reading,
augmentation, features, network, loss and update are all counted. The weights are random.
"""

import dataclasses
import statistics
import tempfile
import time

from refasr.audio.augment import AugmentSettings
from refasr.shipped import data_path
from refasr.train import run
from refasr.train.config import BatchSettings, read_config
from refasr.transducer.model import FRAME_SECONDS, Architecture

STEPS = 8
BATCH = BatchSettings(seconds=120.0, utterances=48)
HOUR_S = 3600


def measure():
    """Median over a few steps. Yields (case, contestant, value, unit)."""
    with tempfile.TemporaryDirectory() as folder:
        config = read_config(data_path("smoke", "smoke.toml"))
        config = dataclasses.replace(config, work=folder, checkpoint_s=HOUR_S, model=Architecture(), augment=AugmentSettings(),
                                     batch=BATCH, data=tuple(dataclasses.replace(share, join=5) for share in config.data))
        trainer = run.prepare(config, threads=1)
        steps = trainer.steps(trainer.start())
        next(steps)  # kernels compile
        costs = []
        for _ in range(STEPS):
            begin = time.perf_counter()
            _, figures = next(steps)
            costs.append((time.perf_counter() - begin) / (figures["frames"] * FRAME_SECONDS))
        steps.close()
    yield "what=compute-per-hour-of-audio batch=120s", "fast", HOUR_S * statistics.median(costs), "s"
