"""Teacher and student: at every node of the grid the student learns what the teacher thinks of blank, next label and rest.

    loss = transducer_weight * L_transducer + weight(step) * sum over nodes of D(teacher || student)

The teacher is a finished model of any width with the same units and frame rate. It hears the same augmented batch, without
dropout, and is never changed. Source: Panchapagesan et al. 2020 (arXiv 2011.06110).
"""

import dataclasses

import numpy as np

from refasr.errors import FormatError
from refasr.models import load_float
from refasr.train.coded_weights import check_ramp, progress_of
from refasr.train.objective import TransducerObjective, labels_with_start
from refasr.transducer import distillation
from refasr.transducer.model import assemble
from refasr.transducer.units import CHARACTERS

F32 = np.float32
NODES = ("all", "visited")


@dataclasses.dataclass(frozen=True)
class DistilSettings:
    """Table [distil] of a training configuration.

    teacher : model file of either kind, relative to the configuration.
    weight : of the divergence, from `from_step` on; it is summed over nodes, of which there are T (U+1).
    final_weight : what the weight has become at `to_step`, in a straight line.
    from_step, to_step : see above.
    transducer_weight : of the transducer loss.
    nodes : "all", or "visited": each node counts by the probability that the student's path visits it.
    """

    teacher: str
    weight: float = 0.02
    final_weight: float = 0.02
    from_step: int = 0
    to_step: int = 0
    transducer_weight: float = 1.0
    nodes: str = "all"


class Teacher:
    """A frozen model that is asked for class probabilities.

    Parameters
    ----------
    model : Model
    backend : Backend    From `twins.select`.
    """

    def __init__(self, model, backend):
        self.model, self.network = model, assemble(model, backend)
        self._posteriors = backend(distillation.class_posteriors)

    def renormalised(self, features, mean, reciprocal_deviation):
        """Features as the teacher wants them.

        Parameters
        ----------
        features : float32 [R, K]                     Normalised for the student.
        mean, reciprocal_deviation : float32 [F]      The student's.

        Returns
        -------
        float32 [R, K]
        """
        model, stack = self.model, self.model.architecture.stack
        if np.array_equal(mean, model.mean) and np.array_equal(reciprocal_deviation, model.reciprocal_deviation):
            return features
        slope = model.reciprocal_deviation / reciprocal_deviation
        return features * np.tile(slope, stack) + np.tile((mean - model.mean) * model.reciprocal_deviation, stack)

    def hear(self, batch, mean, reciprocal_deviation):
        """Projections of a batch's audio and text. Parameters: batch, mean, reciprocal_deviation. Returns (e, p)."""
        features = self.renormalised(batch.features, mean, reciprocal_deviation)
        h, _ = self.network.encoder.forward(features, batch.active())
        g, _ = self.network.predictor.forward(labels_with_start(batch.labels))
        return self.network.joiner.project_audio(h), self.network.joiner.project_text(g)

    def targets(self, e, p, units):
        """What it thinks of the classes at each node of one grid.

        Parameters
        ----------
        e : float32 [T, J]
        p : float32 [U+1, J]
        units : int32 [T*(U+1), k]

        Returns
        -------
        float32 [T*(U+1), k+1]
        """
        logits, _ = self.network.joiner.forward(e, p)
        return self._posteriors(logits.reshape(len(units), -1), units)


class DistilObjective(TransducerObjective):
    """The transducer objective with a teacher beside it.

    Parameters
    ----------
    settings : ObjectiveSettings
    distil : DistilSettings
    teacher : Teacher
    maker : BatchMaker              Knows how the student's features are normalised.
    backend : Backend               From `twins.select`.
    """

    def __init__(self, settings, distil, teacher, maker, backend):
        super().__init__(settings, backend)
        self.distil, self.teacher, self.maker = distil, teacher, maker
        self._divergence = backend(distillation.class_divergence)

    def weight(self, step):
        """Weight of the divergence. Parameters: step. Returns a float."""
        settings = self.distil
        if step < settings.from_step:
            return 0.0
        done = progress_of(step, settings.from_step, settings.to_step)
        return settings.weight + (settings.final_weight - settings.weight) * done

    def begin(self, batch, step):
        """Let the teacher hear the batch. Parameters: batch, step. Returns what `criterion` gets as context."""
        weight = self.weight(step)
        if weight == 0:
            return weight, None
        return weight, self.teacher.hear(batch, self.maker.mean, self.maker.reciprocal_deviation)

    def criterion(self, logits, batch, b, context):
        """Losses of one utterance. Parameters: logits, batch, b, context. Returns (dict, float32 [T, U+1, V])."""
        losses, gradient = super().criterion(logits, batch, b, context)
        gradient = gradient * F32(self.distil.transducer_weight)
        weight, heard = context
        if heard is None:
            return losses | {"distil": 0.0}, gradient
        e, p = heard
        labels, n_frames = batch.labels[b], len(logits)
        units = distillation.lattice_support(labels, n_frames)
        targets = self.teacher.targets(e[batch.rows_of(b)], np.ascontiguousarray(p[: len(labels) + 1, b]), units)
        found = self._divergence(logits.reshape(len(units), -1), units, targets)
        share = np.full(len(units), weight, F32)
        if self.distil.nodes == "visited":
            share = share * self.occupancy(logits, labels)
        gradient += (found.gradient * share[:, None]).reshape(logits.shape)
        return losses | {"distil": float(found.divergence @ share.astype(np.float64))}, gradient

    def occupancy(self, logits, labels):
        """How probably the student's path visits each node. Parameters: logits, labels. Returns float32 [T*(U+1)]."""
        return self._loss(logits, labels).occupancy.ravel()


def open_teacher(config, backend):
    """Read the teacher of a configuration.

    Parameters
    ----------
    config : TrainConfig
    backend : Backend

    Returns
    -------
    Teacher

    Raises
    ------
    FormatError             If there is no such model, or its units or frames are not those of the student.
    RangeError              If the weight's steps lie outside the run.
    """
    settings, student = config.distil, config.model
    check_ramp("[distil]", settings.from_step, settings.to_step, config.schedule.end())
    path = config.path(settings.teacher)
    model = load_float(path)
    check_units(path, model, student)
    return Teacher(model, backend)


def check_units(path, model, student):
    """Require that two models spell alike and hear the same frames. Parameters: path, model, student (Architecture)."""
    theirs = model.architecture
    if model.units != CHARACTERS or theirs.n_vocabulary != student.n_vocabulary:
        raise FormatError(f"{path}: got a teacher of {theirs.n_vocabulary} units that are not the student's "
                          f"{student.n_vocabulary}, expected the same units; train the student with them")
    if (theirs.stack, theirs.profile) != (student.stack, student.profile):
        raise FormatError(f"{path}: got a teacher with frames of {theirs.stack} windows of profile {theirs.profile}, expected "
                          f"the student's {student.stack} of {student.profile}; a node must be the same moment for both")
