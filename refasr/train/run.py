"""Assemble a training run from its configuration, and follow it: log, evaluation, exported model."""

import itertools
import json
import os
import time

import numpy as np

from refasr import corpus
from refasr.features import fbank
from refasr.metrics import wer
from refasr.search import greedy
from refasr.train.batches import BatchMaker
from refasr.train.examples import pieces_of, selected, training_files
from refasr.train.distil import DistilObjective, open_teacher
from refasr.train.loop import Trainer, views
from refasr.train.objective import TransducerObjective
from refasr.train.snapshots import FILE as SNAPSHOTS
from refasr.train.snapshots import snapshot
from refasr.train.store import open_store
from refasr.train.techniques import Techniques
from refasr.transducer.model import Model, assemble_parameters
from refasr.transducer.model_file import save_model
from refasr.transducer.units import decode_labels
from refasr.twins import select


def sounds(config, settings):
    """Noise or room recordings of the configuration. Parameters: config, settings. Returns a list of float32 [S]."""
    if settings is None:
        return []
    return [corpus.read_samples(utterance) for utterance in selected(config, settings)]


def prepare(config, backend_name="fast", threads=2, progress=iter):
    """Read the data and build the trainer.

    Parameters
    ----------
    config : TrainConfig
    backend_name : "fast" or "reference"
    threads : int
    progress : function    Wraps the list of files being decoded, to show a bar.

    Returns
    -------
    Trainer
    """
    backend = select(backend_name)
    techniques = Techniques(config, backend)  # first, so that what does not fit is refused at once
    teacher = config.distil and open_teacher(config, backend)
    shares = training_files(config)
    store = open_store([utterance for share in shares for utterance in share], config.path(config.work), progress)
    maker = BatchMaker(config, store, sounds(config, config.noise), sounds(config, config.rooms), backend)
    objective = TransducerObjective(config.objective, backend)
    if teacher:
        objective = DistilObjective(config.objective, config.distil, teacher, maker, backend)
    return Trainer(config, pieces_of(shares, store), maker, objective, backend, threads,
                   *([techniques.regulariser, techniques.forward_weights, techniques.projection, techniques.deployed]
                     if techniques else []))


class Evaluator:
    """Word error rate of the averaged weights on small sets, recognised frame by frame as on the device.

    Parameters
    ----------
    trainer : Trainer
    """

    def __init__(self, trainer):
        self.trainer = trainer
        self.sets = {}
        log_mel, plan = trainer.backend(fbank.log_mel), fbank.Plan.of(trainer.config.model.profile)
        for settings in trainer.config.evaluate:
            chosen = selected(trainer.config, settings)
            chosen = chosen[:: max(1, len(chosen) // settings.limit)][: settings.limit]
            self.sets[settings.name] = [(log_mel(corpus.read_samples(item), plan), corpus.transcript(item)) for item in chosen]

    def __call__(self, progress):
        """Evaluate. Parameters: progress. Returns a dict from set name to word error rate."""
        parameters = self.trainer.deployed(views(progress.adam.average, self.trainer.shapes))
        network = assemble_parameters(parameters, len(self.trainer.config.model.encoder_widths), self.trainer.backend)
        rates = {}
        for name, utterances in self.sets.items():
            texts = [self.recognise(network, frames, progress) for frames, _ in utterances]
            rates[name] = round(wer.score([text for _, text in utterances], texts).wer, 4)
        return rates

    def recognise(self, network, frames, progress):
        """One utterance. Parameters: network, frames, progress. Returns text."""
        stack = self.trainer.config.model.stack
        normal = (frames - progress.mean) * progress.reciprocal_deviation
        stacked = normal[: len(normal) // stack * stack].reshape(-1, stack * normal.shape[1])
        state, search, labels = network.encoder.start(), greedy.start(network), []
        for frame in stacked:
            h, state, _ = network.encoder.encode(frame, state)
            emitted, search = greedy.step(network, h, search)
            labels += [label for label, _ in emitted]
        return decode_labels(labels)


class Log:
    """JSON lines; on resuming, lines of steps that will be made again are dropped.

    Parameters
    ----------
    path : Path
    step : int    Steps already made.
    """

    def __init__(self, path, step):
        kept = []
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if line.endswith("}") and json.loads(line)["step"] <= step]
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(line + "\n" for line in kept))
        os.replace(temporary, path)
        self.path = path

    def write(self, **values):
        """Append one line. Parameters: values. Returns nothing."""
        with open(self.path, "a") as file:
            file.write(json.dumps(values) + "\n")


def export(trainer, progress, path, card):
    """Write the averaged weights as a model file. Parameters: trainer, progress, path, card."""
    parameters = trainer.deployed(views(progress.adam.average, trainer.shapes))
    card = card | Techniques(trainer.config, trainer.backend).card()
    save_model(path, Model(trainer.config.model, parameters, progress.mean, progress.reciprocal_deviation, card=card))


class Album:
    """Keeps a snapshot of the weights an epoch, of runs with a technique that shapes them.

    Parameters
    ----------
    trainer : Trainer
    progress : Progress    Where the run goes on.
    """

    def __init__(self, trainer, progress):
        self.trainer, self.techniques = trainer, Techniques(trainer.config, trainer.backend)
        self.log = Log(trainer.folder / SNAPSHOTS, progress.step) if self.techniques else None
        self.epoch = progress.epoch if progress.step else -1

    def look(self, progress, last):
        """Take one if an epoch has begun, or the run ends. Parameters: progress, last (bool)."""
        if self.log is None or not (last or progress.epoch != self.epoch):
            return
        self.epoch = progress.epoch
        params = views(progress.weights, self.trainer.shapes)
        self.log.write(step=progress.step, epoch=progress.epoch,
                       **snapshot(params, self.trainer.config.model, self.techniques.quantise))


def follow(trainer, report=lambda line: None, bar=lambda first: itertools.repeat(None)):
    """Train to the end, logging and evaluating; leaves `model.npz` in the work folder.

    Parameters
    ----------
    trainer : Trainer
    report : function    Gets each log line as a dict.
    bar : function       Given the steps already made, an iterator to advance at every step, to show a bar.

    Returns
    -------
    Progress
    """
    config = trainer.config
    progress = trainer.start()
    log, evaluate = Log(trainer.folder / "log.jsonl", progress.step), Evaluator(trainer)
    recent, started, first, audio_s = [], time.monotonic(), progress.step, 0.0
    ticks, album = iter(bar(progress.step)), Album(trainer, progress)
    for progress, figures in trainer.steps(progress):
        next(ticks, None)
        recent.append(figures)
        audio_s += figures["frames"] * 0.04
        last = progress.step == config.schedule.end()
        album.look(progress, last)
        line = {}
        if progress.step % config.log_every == 0 or last:
            elapsed = time.monotonic() - started
            line = {"step": progress.step, "epoch": progress.epoch, "loss": round(float(np.mean([f["loss"] for f in recent])), 4),
                    "norm": round(float(np.median([f["norm"] for f in recent])), 3), "rate": figures["rate"],
                    "s_per_step": round(elapsed / (progress.step - first), 4),
                    "s_per_audio_hour": round(elapsed / audio_s * 3600, 2)}
            line |= {name: round(float(np.mean([f["other"].get(name, 0.0) for f in recent])), 5) for name in figures["other"]}
            recent = []
        if progress.step % config.evaluate_every == 0 or last:
            line |= {"step": progress.step, "wer": evaluate(progress)}
            export(trainer, progress, trainer.folder / "model.npz", {"name": config.name, "steps": progress.step})
        if line:
            log.write(**line)
            report(line)
    return progress

