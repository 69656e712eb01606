"""The training loop. It knows no technique: those come in through four seams.

    objective(network, batch, rng, step)      -> named losses and gradients, summed over the batch
    regulariser(params, step, grads)          -> named losses; may add to the (clipped) gradients
    forward_weights(params, step)             -> the weights that the network computes with (fake quantisation)
    projection(params, step, before, average) -> after the update, in place (masks, rounding); `before` are the weights that were
                                                 updated, so that a mask needs no memory, `average` is what will be shipped

A step is cut in shards that are always the same, whatever the number of threads; their gradients are added in order.
Nothing but the moment of a checkpoint depends on the clock, so a resumed run is the same run, bit for bit.
"""

import ctypes
import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from refasr.errors import FormatError
from refasr.models import load_float
from refasr.nn import optimiser
from refasr.train import checkpoints
from refasr.train.checkpoints import Progress
from refasr.train.examples import epoch_batches, epoch_examples
from refasr.train.settings_file import keep_settings
from refasr.transducer.model import assemble_parameters, initialise, parameter_shapes

MALLOC_TRIM_THRESHOLD, MALLOC_TOP_PAD, MALLOC_MMAP_MAX, MALLOC_ARENA_MAX = -1, -2, -4, -8  # of glibc's malloc.h
NORMALISATION_EXAMPLES = 400


def keep_freed_memory():
    """Let the C library reuse large freed arrays instead of returning them: page faults cost a third of the step otherwise."""
    try:
        library = ctypes.CDLL(None)
        library.mallopt(MALLOC_ARENA_MAX, 1)  # other arenas cannot hold large arrays
        library.mallopt(MALLOC_MMAP_MAX, 0)
        library.mallopt(MALLOC_TRIM_THRESHOLD, (1 << 31) - 1)
        library.mallopt(MALLOC_TOP_PAD, 1 << 28)
    except (OSError, AttributeError):
        return  # not glibc: only slower


def learning_rate(schedule, step):
    """Rate of one update.

        climb, hold, then  peak (final + (1 - final) (1 + cos(pi x)) / 2),  x from 0 to 1 over the rest

    Parameters
    ----------
    schedule : ScheduleSettings
    step : int, >= 0

    Returns
    -------
    float
    """
    climb = min(1.0, (step + 1) / max(1, schedule.warmup_steps))
    done = min(1.0, step / schedule.steps)
    x = max(0.0, (done - schedule.hold) / (1 - schedule.hold))
    return schedule.learning_rate * climb * (schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * x)) / 2)


def views(flat, shapes):
    """Named parameters as views of the flat vector. Parameters: flat, shapes. Returns a dict of arrays."""
    parameters, start = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        parameters[name] = flat[start : start + size].reshape(shape)
        start += size
    return parameters


def flatten(named, shapes):
    """The flat vector of named arrays. Parameters: named, shapes. Returns float32 [N]."""
    return np.concatenate([named[name].ravel() for name in shapes])


class Trainer:
    """One run.

    Parameters
    ----------
    config : TrainConfig
    shares : list of list of Piece    Training data.
    maker : BatchMaker
    objective : callable              See the module.
    backend : Backend                 From `twins.select`.
    threads : int                     How many shards are worked on at once; no effect on the result.
    regulariser, forward_weights, projection : callable or None
    deployed : callable or None       deployed(params) -> what would be shipped if the run ended now; for evaluation.
    """

    def __init__(self, config, shares, maker, objective, backend, threads=2,
                 regulariser=None, forward_weights=None, projection=None, deployed=None):
        self.config, self.shares, self.maker, self.objective, self.backend = config, shares, maker, objective, backend
        self.regulariser, self.forward_weights, self.projection = regulariser, forward_weights, projection
        self.deployed = deployed or (lambda params: params)
        self.shapes = parameter_shapes(config.model)
        self.n_weights = sum(map(math.prod, self.shapes.values()))
        self.folder = config.path(config.work)
        self.pool = ThreadPoolExecutor(threads)
        self._adam = backend(optimiser.adam)
        keep_freed_memory()

    def start(self):
        """Go on from the latest checkpoint, or begin. Returns a Progress."""
        self.folder.mkdir(parents=True, exist_ok=True)
        progress = checkpoints.load_checkpoint(self.folder, self.n_weights)
        keep_settings(self.folder, self.config, progress is not None)
        if progress is None:
            progress = self.begin()
        self.maker.mean, self.maker.reciprocal_deviation = progress.mean, progress.reciprocal_deviation
        return progress

    def begin(self):
        """First state: random weights, or those of the model or run that `start_from` names. Returns a Progress."""
        config = self.config
        if config.start_from and config.path(config.start_from).is_dir():
            other = checkpoints.load_checkpoint(config.path(config.start_from), self.n_weights)
            if other is None:
                raise FormatError(f"start_from: got {config.start_from} without a checkpoint, expected a run's folder; train it")
            weights, mean, deviation = other.adam.average, other.mean, other.reciprocal_deviation
        elif config.start_from:
            model = load_float(config.path(config.start_from))
            weights, mean, deviation = flatten(model.parameters, self.shapes), model.mean, model.reciprocal_deviation
        else:
            weights = flatten(initialise(config.model, config.seed), self.shapes)
            examples = epoch_examples(self.shares, config.data, config.batch, config.seed, 0)
            chosen = np.random.default_rng([config.seed, 4]).permutation(len(examples))[:NORMALISATION_EXAMPLES]
            self.maker.fit_normalisation([examples[i] for i in chosen])
            mean, deviation = self.maker.mean, self.maker.reciprocal_deviation
        zeros = np.zeros_like(weights)
        return Progress(weights, optimiser.AdamState(zeros, zeros, weights), mean, deviation, 0, 0, 0)

    def shard(self, network, examples, progress, index):
        """Losses and flat gradient of one shard. Parameters: network, examples, progress, index. Returns (dict, array)."""
        batch = self.maker.make(examples, progress.epoch, progress.step)
        rng = np.random.default_rng([self.config.seed, progress.step, 5, index])
        losses, gradients = self.objective(network, batch, rng, progress.step)
        return losses, flatten(gradients, self.shapes), sum(batch.n_frames)

    def update(self, progress, examples):
        """One step.

        Parameters
        ----------
        progress : Progress
        examples : list of Example    The batch.

        Returns
        -------
        (Progress, dict)              The next state, and figures for the log.
        """
        schedule, n_shards = self.config.schedule, min(self.config.batch.shards, len(examples))
        parameters = views(progress.weights, self.shapes)
        used = parameters if self.forward_weights is None else self.forward_weights(parameters, progress.step)
        network = assemble_parameters(used, len(self.config.model.encoder_widths), self.backend)
        jobs = [self.pool.submit(self.shard, network, examples[index::n_shards], progress, index) for index in range(n_shards)]
        losses, gradient, frames = jobs[0].result()
        for job in jobs[1:]:
            more, part, n = job.result()
            losses = {name: value + more[name] for name, value in losses.items()}
            gradient, frames = gradient + part, frames + n
        gradient *= np.float32(1 / len(examples))
        n_labels = max(1, sum(len(example.labels) for example in examples))
        losses = {name: value / n_labels for name, value in losses.items()}
        scale, norm = optimiser.gradient_scale(gradient, schedule.clip)
        gradient *= np.float32(scale)
        if self.regulariser is not None:  # after clipping, so that it takes nothing from the objective's share
            losses |= self.regulariser(parameters, progress.step, views(gradient, self.shapes))
        rate = learning_rate(schedule, progress.step)
        rates = optimiser.AdamRates(rate, average_decay=schedule.average_decay, weight_decay=schedule.weight_decay)
        weights, adam = self._adam(progress.weights, gradient, progress.adam, progress.step, rates)
        if self.projection is not None:
            self.projection(views(weights, self.shapes), progress.step, parameters, views(adam.average, self.shapes))
        figures = {"loss": losses.pop("rnnt"), "norm": norm, "rate": rate, "frames": frames, "other": losses}
        return progress._replace(weights=weights, adam=adam, step=progress.step + 1, position=progress.position + 1), figures

    def steps(self, progress):
        """Train to the end, checkpointing on the way.

        Parameters
        ----------
        progress : Progress    From `start`.

        Yields
        ------
        (Progress, dict)       After every step.
        """
        saved = time.monotonic()
        while progress.step < self.config.schedule.end():
            first_step = progress.step - progress.position  # of this epoch, also after a resume
            config, epoch = self.config, progress.epoch
            examples = epoch_examples(self.shares, config.data, config.batch, config.seed, epoch, first_step)
            batches = epoch_batches(examples, config.batch, config.seed, epoch)
            for batch in batches[progress.position :]:
                progress, figures = self.update(progress, batch)
                yield progress, figures  # logged before it is saved, so that a kill in between loses no line
                last = progress.step >= self.config.schedule.end()
                if last or time.monotonic() - saved > self.config.checkpoint_s:
                    checkpoints.save_checkpoint(self.folder, progress)
                    saved = time.monotonic()
                if last:
                    return
            progress = progress._replace(epoch=progress.epoch + 1, position=0)
