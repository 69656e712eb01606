"""Small pictures of the weights, one an epoch, for `refasr plot weights` and `refasr plot sparsity`: lines of snapshots.jsonl."""

import base64
import json
import pathlib

import numpy as np

from refasr.errors import FormatError
from refasr.train.coded_weights import as_rows
from refasr.train.quantise_aware import Grid
from refasr.train.sparsify import sparsities

FILE = "snapshots.jsonl"
PATCH = 64                 # rows and columns of the pattern that is kept
WINDOW, N_BINS = 8.5, 680  # levels to either side of zero; 40 bins a level
CODE_WINDOW = 127.5        # where levels are chosen among 8-bit codes
DRAWN_BITS = 4             # of the levels that weights are shown against when there is no [quantise]


def patch_of(rows):
    """Corner of a matrix in 8 bits; what is not zero stays so. Parameters: rows, float32 [N, K]. Returns a dict."""
    corner = rows[:PATCH, :PATCH]
    size = np.abs(corner) / max(float(np.abs(rows).max()), 1e-30)
    values = np.where(corner == 0, 0, np.sign(corner) * np.maximum(1, np.rint(127 * size))).astype(np.int8)
    return {"shape": list(values.shape), "values": base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()}


def snapshot(params, architecture, quantise=None):
    """What is kept of the weights at one moment.

    Parameters
    ----------
    params : dict of str to float32 array
    architecture : Architecture
    quantise : QuantiseAware or None         Its levels, or those of 4 bits.

    Returns
    -------
    dict    sparsity: of each tensor; histogram: of weights in steps of their row, over +-window; patch: see `patch_of`.
    """
    shares, counts = sparsities(params, architecture), np.zeros(N_BINS, np.int64)
    uniform = quantise is None or quantise.settings.levels == "uniform"
    window, levels = WINDOW if uniform else CODE_WINDOW, []
    for name in shares:
        if quantise is not None and quantise.bits[name] != quantise.settings.bits:
            continue
        rows = as_rows(name, params[name])
        grid = Grid(rows, DRAWN_BITS) if quantise is None else quantise.grid(name, rows)
        counts += np.histogram(rows / grid.scale, N_BINS, (-window, window))[0]
        levels = levels or grid.levels[grid.levels <= window].tolist()
    largest = f"encoder.{len(architecture.encoder_widths) - 1}.recurrent"
    return {"sparsity": {name: round(share, 4) for name, share in shares.items()},
            "histogram": {"window": window, "counts": counts.tolist(), "levels": levels},
            "patch": {"name": largest, **patch_of(as_rows(largest, params[largest]))}}


def read_snapshots(folder):
    """The snapshots of a run.

    Parameters
    ----------
    folder : str or Path    Work folder of the run.

    Returns
    -------
    list of dict            In order; each with step and epoch, and the patch as int8 [N, K].

    Raises
    ------
    FormatError             If there are none, or a line is damaged.
    """
    path, result = pathlib.Path(folder) / FILE, []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: {error}; name the work folder of a run with [quantise] or [sparsify]") from error
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            patch = np.frombuffer(base64.b64decode(entry["patch"]["values"]), np.int8).reshape(entry["patch"]["shape"])
            if patch.ndim != 2 or {"step", "epoch", "sparsity", "histogram"} - set(entry):
                raise ValueError("keys are missing")
            result.append(entry | {"patch": patch, "patch_name": str(entry["patch"]["name"])})
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{path} line {number}: got a damaged snapshot ({error}), expected one; delete the line") from error
    if not result:
        raise FormatError(f"{path}: got no snapshot, expected at least one; train for an epoch")
    return result
