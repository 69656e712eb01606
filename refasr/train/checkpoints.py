"""Checkpoints: everything the loop needs to go on as if it had never stopped."""

import os
import pathlib
from typing import NamedTuple

import numpy as np

from refasr.errors import FormatError
from refasr.nn.optimiser import AdamState

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
    temporary = path.with_suffix(".tmp")
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
        with np.load(paths[-1], allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        step, epoch, position = map(int, data["counters"])
        adam = AdamState(data["adam_mean"], data["adam_square"], data["adam_average"])
        progress = Progress(data["weights"], adam, data["mean"], data["reciprocal_deviation"], step, epoch, position)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise FormatError(f"{paths[-1]}: not a checkpoint ({type(error).__name__}); delete it to go on from the one before") from error
    if progress.weights.shape != (n_parameters,):
        raise FormatError(f"{paths[-1]}: got {progress.weights.size} parameters, expected {n_parameters}; use another work folder")
    return progress
