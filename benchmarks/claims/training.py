"""Make an arm: only through the seams of the training loop. Nothing here knows a technique."""

import dataclasses
import shutil
import time

import numpy as np

from refasr import corpus
from refasr.cli.progress import Progress as Bar
from refasr.recognise import Recogniser
from refasr.train import pseudo_labels, run
from refasr.train.batches import BatchMaker
from refasr.train.distil import DistilObjective, open_teacher
from refasr.train.examples import pieces_of, training_files
from refasr.train.loop import Trainer, views
from refasr.train.objective import TransducerObjective
from refasr.train.store import open_store
from refasr.train.techniques import Techniques
from refasr.transducer.model import Model
from refasr.transducer.model_file import load_model, save_model
from refasr.twins import select


class RememberingMaker(BatchMaker):
    """Keeps the frames that it made, for the next arm that hears the same.

    Parameters
    ----------
    memory : dict    Of frames; one for all arms with the same seed, data and augmentation.
    *rest : object   As for BatchMaker.
    """

    def __init__(self, memory, *rest):
        super().__init__(*rest)
        self.memory = memory

    def frames(self, example, epoch):
        """As `BatchMaker.frames`. Parameters: example, epoch. Returns float32 [T, F]."""
        key = (epoch, example.serial, example.pieces)
        if key not in self.memory:
            self.memory[key] = super().frames(example, epoch)
        return self.memory[key]


class Workshop:
    """Where arms are made: one folder with manifests, audio, models and unfinished runs.

    Parameters
    ----------
    folder : Path
    threads : int    No effect on the result.
    """

    def __init__(self, folder, threads=1):
        self.folder, self.threads, self.backend = folder, threads, select("fast")
        self.memory, self.remembered = {}, None

    def model_path(self, arm):
        """Where the network of an arm is kept. Parameters: arm. Returns a Path."""
        return self.folder / f"{arm.key}.npz"

    def config(self, arm):
        """Configuration that finds its files here. Parameters: arm. Returns a TrainConfig."""
        config = dataclasses.replace(arm.config, folder=self.folder, work=f"run-{arm.key}")
        if arm.start:
            config = dataclasses.replace(config, start_from=self.model_path(arm.start).name)
        if arm.labeller:
            data = tuple(dataclasses.replace(share, manifest=self.pseudo(arm).name) if share.manifest == "pseudo.tsv" else share
                         for share in config.data)
            config = dataclasses.replace(config, data=data)
        return config

    def pseudo(self, arm):
        """Manifest of what the arm's labeller hears in hidden recordings, made once. Parameters: arm. Returns a Path."""
        path = self.folder / f"pseudo-{arm.labeller.key}.tsv"
        if not path.exists():
            hidden = corpus.read_manifest(self.folder / "hidden.tsv")
            found = pseudo_labels.label(hidden, Recogniser(load_model(self.model_path(arm.labeller))))
            pseudo_labels.write_manifest(path, [each for each in found if not isinstance(each, Exception)])
        return path

    def trainer(self, config, remember):
        """Assemble a run, as `refasr.train.run.prepare` does, around a maker that remembers.

        Parameters
        ----------
        config : TrainConfig
        remember : bool        Whether another arm will hear the same.

        Returns
        -------
        Trainer
        """
        techniques, teacher = Techniques(config, self.backend), config.distil and open_teacher(config, self.backend)
        shares = training_files(config)
        store = open_store([utterance for share in shares for utterance in share], self.folder)
        heard = (config.seed, config.data, config.augment, config.batch, config.model.profile)
        if heard != self.remembered:
            self.memory, self.remembered = {}, heard
        sounds = run.sounds(config, config.noise), run.sounds(config, config.rooms)
        rest = (config, store, *sounds, self.backend)
        maker = RememberingMaker(self.memory, *rest) if remember else BatchMaker(*rest)
        objective = TransducerObjective(config.objective, self.backend)
        if teacher:
            objective = DistilObjective(config.objective, config.distil, teacher, maker, self.backend)
        return Trainer(config, pieces_of(shares, store), maker, objective, self.backend, self.threads, techniques.regulariser,
                       techniques.forward_weights, techniques.projection, techniques.deployed)

    def make(self, arm):
        """Train an arm, or go on with it.

        Parameters
        ----------
        arm : Arm              What it is made from is there.

        Returns
        -------
        (Model, dict)          The network, and figures: s, the time; loss, of the last tenth of the steps, a label.
        """
        config, started = self.config(arm), time.monotonic()
        if arm.rounded:
            model = load_model(self.model_path(arm.rounded))
            return dataclasses.replace(model, parameters=Techniques(config, self.backend).deployed(model.parameters)), {}
        trainer = self.trainer(config, remember=arm.start is not None)
        progress, losses = trainer.start(), []
        steps = iter(Bar(range(progress.step, config.schedule.end()), f"step of {arm.name}"))
        for progress, figures in trainer.steps(progress):
            losses.append(figures["loss"])
            next(steps)
        next(steps, None)  # wipes the bar
        model = Model(config.model, trainer.deployed(views(progress.adam.average, trainer.shapes)), progress.mean,
                      progress.reciprocal_deviation, card={"name": arm.name, "seed": config.seed})
        figures = {"s": round(time.monotonic() - started, 1), "loss": round(float(np.mean(losses[-len(losses) // 10:])), 4)}
        return model, figures

    def keep(self, arm, model):
        """Store a network for the arms that are made from it. Parameters: arm, model. Returns the Model as stored."""
        save_model(self.model_path(arm), model)
        return load_model(self.model_path(arm))

    def clear(self, arm):
        """Remove the checkpoints of a finished arm. Parameters: arm."""
        shutil.rmtree(self.folder / f"run-{arm.key}", ignore_errors=True)
