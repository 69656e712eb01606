"""Teacher and student: at every node of the grid the student learns what the teacher thinks of blank, next label and rest.

    loss = transducer_weight * L_transducer + weight(step) * sum over nodes of D(teacher || student)

The teacher is a finished model of any width with the same units and frame rate. It hears the same augmented batch, without
dropout, and is never changed. Source: Panchapagesan et al. 2020 (arXiv 2011.06110).

Or it has written down before what it thinks of the recordings as they are (`refasr label --targets`); the student then hears them
in noise and in rooms, but as long as they are, and the teacher costs nothing.
"""

import dataclasses

import numpy as np

from refasr.errors import FormatError, RangeError
from refasr.models import load_float
from refasr.train import stored_targets
from refasr.train.coded_weights import check_ramp, progress_of
from refasr.train.objective import TransducerObjective, labels_with_start
from refasr.transducer import distillation
from refasr.transducer.model import assemble
from refasr.transducer.units import CHARACTERS, decode_labels

F32 = np.float32
NODES = ("all", "visited")
STORED = ".targets.npz"


@dataclasses.dataclass(frozen=True)
class DistilSettings:
    """Table [distil] of a training configuration.

    teacher : model file of either kind, or stored targets (.targets.npz), relative to the configuration.
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

    def hear(self, batch, maker):
        """Projections of a batch's audio and text. Parameters: batch, maker (BatchMaker). Returns (e, p)."""
        features = self.renormalised(batch.features, maker.mean, maker.reciprocal_deviation)
        h, _ = self.network.encoder.forward(features, batch.active())
        g, _ = self.network.predictor.forward(labels_with_start(batch.labels))
        return self.network.joiner.project_audio(h), self.network.joiner.project_text(g)

    def targets(self, heard, batch, b):
        """What it thinks of blank, next label and rest at each node of one grid.

        Parameters
        ----------
        heard : (float32 [R, J], float32 [U+1, B, J])    From `hear`.
        batch : Batch
        b : int                                          Which utterance.

        Returns
        -------
        (int32 [T*(U+1), 2], float32 [T*(U+1), 3])       The support, and the probabilities.
        """
        e, p = heard
        labels, rows = batch.labels[b], batch.rows_of(b)
        units = distillation.lattice_support(labels, len(rows))
        logits, _ = self.network.joiner.forward(e[rows], np.ascontiguousarray(p[: len(labels) + 1, b]))
        return units, self._posteriors(logits.reshape(len(units), -1), units)


class StoredTeacher:
    """A teacher that has written down what it thinks.

    Parameters
    ----------
    path : Path                                 Where, for errors.
    stored : dict of str to StoredTargets       By the key of the recording and its text.
    """

    def __init__(self, path, stored):
        self.path, self.stored = path, stored

    def hear(self, batch, maker):
        """The recordings of a batch. Parameters: batch, maker (BatchMaker). Returns a list of float32 [S]."""
        return [maker.store.audio(pieces[0]) for pieces in batch.extra["pieces"]]

    def targets(self, heard, batch, b):
        """As of `Teacher`, with the k most probable units as support. Parameters: heard, batch, b. Returns (units, targets).

        Raises FormatError if there are none for this recording.
        """
        key = stored_targets.key_of(heard[b], batch.labels[b])
        if key not in self.stored:
            raise FormatError(f"{self.path}: got no targets for a recording that says {decode_labels(batch.labels[b])!r:.60}, "
                              "expected those of its very samples and text; make them again: refasr label --targets")
        units, targets = self.stored[key].for_training(heard[b], batch.labels[b])
        if len(units) != batch.n_frames[b] * (len(batch.labels[b]) + 1):
            raise FormatError(f"{self.path}: got targets of another frame rate, expected {batch.n_frames[b]} frames; make them "
                              "again")
        return units, targets


class DistilObjective(TransducerObjective):
    """The transducer objective with a teacher beside it.

    Parameters
    ----------
    settings : ObjectiveSettings
    distil : DistilSettings
    teacher : Teacher or StoredTeacher
    maker : BatchMaker              Knows how the student's features are normalised, and the recordings.
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
        return weight, self.teacher.hear(batch, self.maker) if weight else None

    def criterion(self, logits, batch, b, context):
        """Losses of one utterance. Parameters: logits, batch, b, context. Returns (dict, float32 [T, U+1, V])."""
        losses, gradient = super().criterion(logits, batch, b, context)
        gradient = gradient * F32(self.distil.transducer_weight)
        weight, heard = context
        if heard is None:
            return losses | {"distil": 0.0}, gradient
        units, targets = self.teacher.targets(heard, batch, b)
        found = self._divergence(logits.reshape(len(units), -1), units, targets)
        share = np.full(len(units), weight, F32)
        if self.distil.nodes == "visited":
            share = share * self.occupancy(logits, batch.labels[b])
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
    Teacher or StoredTeacher

    Raises
    ------
    FormatError             If there is no such model, or its units or frames are not those of the student.
    RangeError              If the weight's steps lie outside the run, or recordings will not be as long as stored targets.
    """
    settings, student = config.distil, config.model
    check_ramp("[distil]", settings.from_step, settings.to_step, config.schedule.end())
    path = config.path(settings.teacher)
    if path.name.endswith(STORED):
        check_lengths(config)
        return StoredTeacher(path, stored_targets.read(path))
    model = load_float(path)
    check_units(path, model, student)
    return Teacher(model, backend)


def check_lengths(config):
    """Require that nothing is put before, after or between recordings, and none is stretched. Parameters: config."""
    batch = config.batch
    for what, value in (("[batch] lead_s", batch.lead_s), ("[batch] trail_s", batch.trail_s),
                        ("[batch] cross_join", batch.cross_join), ("[augment] speed_chance", config.augment.speed_chance),
                        ("[[data]] join - 1", max(share.join for share in config.data) - 1)):
        if value:
            raise RangeError(f"{what}: got {value} with stored targets, expected 0; they belong to the recordings as they are")


def check_units(path, model, student):
    """Require that two models spell alike and hear the same frames. Parameters: path, model, student (Architecture)."""
    theirs = model.architecture
    if model.units != CHARACTERS or theirs.n_vocabulary != student.n_vocabulary:
        raise FormatError(f"{path}: got a teacher of {theirs.n_vocabulary} units that are not the student's "
                          f"{student.n_vocabulary}, expected the same units; train the student with them")
    if (theirs.stack, theirs.profile) != (student.stack, student.profile):
        raise FormatError(f"{path}: got a teacher with frames of {theirs.stack} windows of profile {theirs.profile}, expected "
                          f"the student's {student.stack} of {student.profile}; a node must be the same moment for both")
