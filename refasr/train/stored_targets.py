"""A teacher's opinion on disk: at each node its k most probable units, their probabilities, and the mass of all others.

Dropping that mass and renormalising, as frame targets often are, would teach the student that the tail is impossible.
A recording's targets are bound to its samples and its labels; given others, they are refused.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from refasr import checks, corpus
from refasr.array_files import misfit, read_archive
from refasr.errors import FormatError, RangeError
from refasr.features import fbank
from refasr.train.batches import stacked
from refasr.train.store import PCM_SCALE, to_pcm
from refasr.transducer import distillation
from refasr.transducer.model import assemble
from refasr.transducer.units import BLANK, encode_text
from refasr.whole_file import whole_file

SECONDS_AN_HOUR = 3600
FRAMES_A_SECOND = 25
UNIT_BYTES, SHARE_BYTES = 1, 2      # uint8, float16
MOST_UNITS = 256
KINDS = ("uint8", "float16", "str512")  # the last: 16 letters of a key
LEAST_LOG = -60.0                   # what float16 still holds well; the mass below is nothing


class StoredTargets(NamedTuple):
    """Of one recording with N = T (U+1) nodes.

    units : uint8 [N, k]        The most probable first.
    log_p : float16 [N, k]      Natural logarithms of their probabilities.
    log_rest : float16 [N]      Of the mass of all other units.
    key : str                   Of the samples and the labels.
    """

    units: np.ndarray
    log_p: np.ndarray
    log_rest: np.ndarray
    key: str

    def for_training(self, samples, labels):
        """Support and targets, as `distillation.class_divergence` takes them.

        Parameters
        ----------
        samples : float32 [S]    The recording.
        labels : int32 [U]       What is said in it.

        Returns
        -------
        (int32 [N, k], float32 [N, k+1])

        Raises
        ------
        FormatError              If the targets are those of other audio or of another text.
        """
        if key_of(samples, labels) != self.key:
            raise FormatError("targets: got those of other audio or another text, expected those of this recording; make them "
                              "again")
        p = np.exp(np.concatenate([self.log_p, self.log_rest[:, None]], axis=1).astype(np.float64))
        return self.units.astype(np.int32), (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def key_of(samples, labels):
    """What binds targets to a recording. Parameters: samples (float32), labels (int32). Returns 16 hexadecimal digits."""
    return hashlib.sha256(samples.tobytes() + b"|" + labels.tobytes()).hexdigest()[:16]


def top_units(logits, k):
    """The k most probable units of each node.

    Parameters
    ----------
    logits : float32 [N, V]
    k : int, 1 to V

    Returns
    -------
    int32 [N, k]               The most probable first; of equals, the one with the lower number.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    checks.array("logits", logits, np.float32, (None, None))
    checks.between("k", k, 1, logits.shape[1])
    return np.ascontiguousarray(np.argsort(-logits, axis=1, kind="stable")[:, :k]).astype(np.int32)


def store(logits, k, samples, labels):
    """Targets of one recording.

    Parameters
    ----------
    logits : float32 [T, U+1, V]    The teacher's, V <= 256.
    k : int, 1 to V
    samples : float32 [S]           What the teacher heard.
    labels : int32 [U]

    Returns
    -------
    StoredTargets

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    checks.array("logits", logits, np.float32, (None, labels.size + 1, None))
    if logits.shape[2] > MOST_UNITS:
        raise RangeError(f"logits: got {logits.shape[2]} units, expected up to {MOST_UNITS}; units are stored in a byte")
    flat = logits.reshape(-1, logits.shape[2])
    units = top_units(flat, k)
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(distillation.class_posteriors(flat, units)), LEAST_LOG).astype(np.float16)
    return StoredTargets(units.astype(np.uint8), logs[:, :-1].copy(), logs[:, -1].copy(), key_of(samples, labels))


def recordings_of(utterances):
    """Samples as training reads them, of 16 bits, and labels.

    Parameters
    ----------
    utterances : list of Utterance

    Yields
    ------
    (float32 [S], int32 [U])

    Raises
    ------
    FormatError                    For a file that cannot be read, or a text that cannot be spelled.
    """
    for utterance in utterances:
        yield to_pcm(corpus.read_samples(utterance)) * PCM_SCALE, encode_text(corpus.transcript(utterance))


def of_recordings(model, recordings, k, backend):
    """Ask a teacher about recordings as they are.

    Parameters
    ----------
    model : Model
    recordings : iterable of (float32 [S], int32 [U])    Samples and labels.
    k : int
    backend : Backend

    Yields
    ------
    StoredTargets
    """
    network, log_mel, plan = assemble(model, backend), backend(fbank.log_mel), fbank.Plan.of(model.architecture.profile)
    for samples, labels in recordings:
        normal = (log_mel(samples, plan) - model.mean) * model.reciprocal_deviation
        frames = stacked(normal, model.architecture.stack)
        h, _ = network.encoder.forward(frames, np.ones(len(frames), np.int32))
        g, _ = network.predictor.forward(np.append(BLANK, labels).astype(np.int32)[:, None])
        logits, _ = network.joiner.forward(network.joiner.project_audio(h), network.joiner.project_text(g)[:, 0].copy())
        yield store(logits, k, samples, labels)


def write(path, targets):
    """Write the targets of several recordings. Parameters: path, targets ({name: StoredTargets})."""
    arrays = {f"{name}/{part}": np.asarray(value) for name, each in targets.items() for part, value in each._asdict().items()}
    with whole_file(path) as file:
        np.savez(file, **arrays)


def read(path):
    """Read targets.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to StoredTargets

    Raises
    ------
    FormatError                 If it is no such file, or damaged.
    """
    arrays, targets = read_archive(path, KINDS), {}
    for name in sorted({name.rpartition("/")[0] for name in arrays}):
        parts = [arrays.get(f"{name}/{part}") for part in StoredTargets._fields]
        if any(part is None for part in parts) or not fit(*parts):
            raise misfit(path, f"parts of {name!r:.60} that do not fit", "stored targets", "make it again")
        targets[name] = StoredTargets(*parts[:-1], str(parts[-1]))
    return targets


def fit(units, log_p, log_rest, key):
    """Whether arrays can be targets. Parameters: units, log_p, log_rest, key. Returns bool."""
    kinds = units.dtype == np.uint8 and log_p.dtype == log_rest.dtype == np.float16 and key.dtype.kind == "U"
    return kinds and units.ndim == 2 and units.shape == log_p.shape and log_rest.shape == units.shape[:1] and key.shape == ()


def bytes_an_hour(grids, k, nodes="lattice"):
    """What stored targets cost, scaled to an hour of audio.

    Parameters
    ----------
    grids : list of (int, int)         Frames (of 40 ms) and labels of each recording.
    k : int
    nodes : "lattice" or "path"        All T (U+1) nodes, or the T + U of one alignment.

    Returns
    -------
    float                              Bytes: k units and probabilities, and the mass of the rest, a node.
    """
    a_node = k * (UNIT_BYTES + SHARE_BYTES) + SHARE_BYTES
    n_nodes = sum(t * (u + 1) if nodes == "lattice" else t + u for t, u in grids)
    seconds = sum(t for t, _ in grids) / FRAMES_A_SECOND
    return n_nodes * a_node * SECONDS_AN_HOUR / seconds
