"""Checkpoints: everything the loop needs to go on as if it had never stopped."""

import os
import pathlib
from typing import NamedTuple

import numpy as np

from refasr.errors import FormatError
from refasr.nn.optimiser import AdamState
from refasr.transducer.model_file import ACCIDENTS

KEPT = 2


class Progress(NamedTuple):
    """The whole state of a run; random numbers are functions of these counters."""

    weights: np.ndarray              # float32 (N,)
    adam: AdamState
    mean: np.ndarray                 # float32 (F,)
    reciprocal_deviation: np.ndarray  # float32 (F,)
    step: int                        # updates made
    epoch: int
    position: int                    # batches of this epoch already used


def save_checkpoint(folder, progress):
    """Write a checkpoint; a crash at any moment leaves the previous one.

    Parameters
    ----------
    folder : Path
    progress : Progress
    """
    path = pathlib.Path(folder) / f"checkpoint-{progress.step:08d}.npz"
    temporary = path.with_name("checkpoint.tmp")  # one name, so that killed runs leave one file at most
    with open(temporary, "wb") as file:
        np.savez(file, weights=progress.weights, adam_mean=progress.adam.mean, adam_square=progress.adam.square,
                 adam_average=progress.adam.average, mean=progress.mean, reciprocal_deviation=progress.reciprocal_deviation,
                 counters=np.array([progress.step, progress.epoch, progress.position]))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    for old in sorted(path.parent.glob("checkpoint-*.npz"))[:-KEPT]:
        old.unlink()


def load_checkpoint(folder, n_parameters):
    """Read the latest checkpoint.

    Parameters
    ----------
    folder : Path
    n_parameters : int    Expected length of the flat vector.

    Returns
    -------
    Progress or None      None if there is none.

    Raises
    ------
    FormatError           If it is damaged or belongs to another network.
    """
    paths = sorted(pathlib.Path(folder).glob("checkpoint-*.npz"))
    if not paths:
        return None
    try:
        with open(paths[-1], "rb") as raw, np.load(raw, allow_pickle=False) as file:  # np.load alone leaves a damaged file open
            data = {name: file[name] for name in file.files}
        step, epoch, position = map(int, data["counters"])
        adam = AdamState(data["adam_mean"], data["adam_square"], data["adam_average"])
        progress = Progress(data["weights"], adam, data["mean"], data["reciprocal_deviation"], step, epoch, position)
    except ACCIDENTS as error:
        raise FormatError(f"{paths[-1]}: got a damaged file ({type(error).__name__}), expected a checkpoint; "
                          "delete it to go on from the one before") from error
    return checked(paths[-1], progress, n_parameters)


def checked(path, progress, n_parameters):
    """Require that a checkpoint fits the network. Parameters: path, progress, n_parameters. Returns the progress."""
    for vector in (progress.weights, *progress.adam):
        if vector.shape != (n_parameters,) or vector.dtype != np.float32:
            raise FormatError(f"{path}: got {vector.size} parameters, expected {n_parameters}; use another work folder")
    if progress.mean.shape != progress.reciprocal_deviation.shape or min(progress[-3:]) < 0:
        raise FormatError(f"{path}: got counters or normalisation that no run writes; delete it to go on from the one before")
    return progress
