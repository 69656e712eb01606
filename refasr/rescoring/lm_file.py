"""The file of a neural language model: a NumPy archive like the recogniser's, see `docs/second-pass.md`.

One float16 array for each parameter and `card`, a JSON text in bytes. The card says how long the arrays are, so nothing is
allocated on the word of a hostile array header.
"""

import math

import numpy as np

from refasr.rescoring.neural_lm import LmSizes, NeuralLm, parameter_shapes
from refasr.transducer.model_file import is_width, misfit, narrow, opened, read_array, read_kind, write_archive
from refasr.transducer.units import CHARACTERS

KIND, FORMAT_VERSION = "refasr language model", 1
LARGEST_FILE_BYTES, LARGEST_PARAMETERS = 64 << 20, 30_000_000


def save_lm(path, weights, card=None):
    """Write a model, rounded to float16; the old file stays until the new one is complete.

    Parameters
    ----------
    path : str or Path
    weights : NeuralLm
    card : dict or None    What else to say about it, for JSON.

    Raises
    ------
    FormatError            For a weight beyond the range of float16.
    """
    sizes = LmSizes(*weights.table.shape, len(weights.recurrent))
    header = {"kind": KIND, "format": FORMAT_VERSION, "sizes": sizes._asdict(), "units": CHARACTERS, "card": card or {}}
    write_archive(path, header, {name: np.ascontiguousarray(narrow(name, value)) for name, value in weights._asdict().items()})


def load_lm(path):
    """Read and check a model.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    NeuralLm

    Raises
    ------
    FormatError    If the file is missing, damaged, of another version, or its arrays do not fit its sizes.
    """
    missing = misfit(path, "no such file", "a language model", "give its path")
    with opened(path, LARGEST_FILE_BYTES, "a language model", "a refasr language model", missing) as archive:
        return read_archive(path, archive)


def read_archive(path, archive):
    """Read the members. Parameters: path (for errors), archive (ZipFile). Returns a NeuralLm."""
    header = read_kind(path, archive, KIND, FORMAT_VERSION)
    sizes = header["sizes"]
    if set(sizes) != set(LmSizes._fields) or not all(map(is_width, sizes.values())):
        raise misfit(path, f"sizes {sizes!r:.80}", f"widths named {', '.join(LmSizes._fields)}")
    if tuple(header["units"]) != CHARACTERS or sizes["units"] != len(CHARACTERS):
        raise misfit(path, f"units {header['units']!r:.60}", "those of refasr.transducer.units")
    shapes = parameter_shapes(LmSizes(**sizes))
    if sum(map(math.prod, shapes.values())) > LARGEST_PARAMETERS:
        raise misfit(path, "sizes with too many parameters", f"at most {LARGEST_PARAMETERS}")
    expected = sorted(f"{name}.npy" for name in (*shapes, "card"))
    if sorted(archive.namelist()) != expected:
        raise misfit(path, f"arrays {sorted(archive.namelist())!r:.120}", "those of the format")
    return NeuralLm(*(read_array(path, archive, name, np.float16, shape).astype(np.float32) for name, shape in shapes.items()))
