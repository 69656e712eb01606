"""The file of an end-point model: a NumPy archive like the recogniser's; `docs/sessions.md` has the specification.

One float16 array for each parameter, named `text.X` or `sound.X`, and `card`, a JSON text in bytes. The card says how long the
arrays are, so nothing is allocated on the word of a hostile array header.
"""

from typing import NamedTuple

import numpy as np

from refasr.endpoint.features import N_DECODER
from refasr.endpoint.model import EndpointWeights, TextWeights
from refasr.shipped import data_path
from refasr.transducer.model_file import is_width, misfit, narrow, opened, read_array, read_kind, write_archive
from refasr.transducer.units import CHARACTERS

KIND, FORMAT_VERSION = "refasr end-point model", 1
LARGEST_FILE_BYTES, LARGEST_WIDTH = 4 << 20, 1024
THRESHOLDS = ("speculative", "final")      # of the card; the others of `pair.TUNED` may be missing


class Sizes(NamedTuple):
    """Widths.

    mel : bands of the sound; encoder : encoder outputs used, 0 for none; acoustic, joint, text : cells of the layers.
    """

    mel: int
    encoder: int
    acoustic: int
    joint: int
    text: int


class EndpointModel(NamedTuple):
    """A model.

    sizes : Sizes; sound : EndpointWeights; text : TextWeights.
    card : dict    Has `thresholds` {speculative, final}, tuned together.
    """

    sizes: Sizes
    sound: EndpointWeights
    text: TextWeights
    card: dict


def shapes_of(sizes):
    """Shapes of the parameters. Parameters: sizes. Returns a dict of str to tuple."""
    n_sound, n, m, p = sizes.mel + sizes.encoder, sizes.acoustic, sizes.joint, sizes.text
    sound = EndpointWeights((n_sound,), (n_sound,), (n_sound, 4 * n), (n, 4 * n), (4 * n,), (n + N_DECODER, m), (m,), (m,), (1,))
    text = TextWeights((len(CHARACTERS), 4 * p), (p, 4 * p), (4 * p,), (p,), (1,))
    return {f"{kind}.{name}": shape for kind, group in (("sound", sound), ("text", text))
            for name, shape in group._asdict().items()}


def save_endpoint(path, model):
    """Write a model, rounded to float16; the old file stays until the new one is complete.

    Parameters
    ----------
    path : str or Path
    model : EndpointModel

    Raises
    ------
    FormatError              For a weight beyond the range of float16.
    """
    header = {"kind": KIND, "format": FORMAT_VERSION, "sizes": model.sizes._asdict(), "units": CHARACTERS, "card": model.card}
    arrays = {f"{kind}.{name}": np.ascontiguousarray(narrow(f"{kind}.{name}", value))
              for kind, group in (("sound", model.sound), ("text", model.text)) for name, value in group._asdict().items()}
    write_archive(path, header, arrays)


def load_endpoint(path=None):
    """Read and check a model.

    Parameters
    ----------
    path : str, Path or None    None is the shipped one.

    Returns
    -------
    EndpointModel

    Raises
    ------
    FormatError                 If the file is missing, damaged, of another version, or its arrays do not fit its sizes.
    """
    path = data_path("models", "endpoint.npz") if path is None else path
    missing = misfit(path, "no such file", "an end-point model", "give its path")
    with opened(path, LARGEST_FILE_BYTES, "an end-point model", KIND, missing) as archive:
        return read_archive(path, archive)


def read_archive(path, archive):
    """Read the members. Parameters: path (for errors), archive (ZipFile). Returns an EndpointModel."""
    header = read_kind(path, archive, KIND, FORMAT_VERSION)
    sizes, card = header["sizes"], header["card"]
    wide = {name: value for name, value in sizes.items() if name != "encoder" or value != 0}
    if set(sizes) != set(Sizes._fields) or not all(is_width(value) and value <= LARGEST_WIDTH for value in wide.values()):
        raise misfit(path, f"sizes {sizes!r:.80}", f"widths up to {LARGEST_WIDTH} named {', '.join(Sizes._fields)}")
    if tuple(header["units"]) != CHARACTERS:
        raise misfit(path, f"units {header['units']!r:.60}", "those of refasr.transducer.units")
    if not all(isinstance(card["thresholds"][name], float) and 0 < card["thresholds"][name] < 1 for name in THRESHOLDS):
        raise misfit(path, f"thresholds {card['thresholds']!r:.60}", "two numbers between 0 and 1")
    shapes = shapes_of(Sizes(**sizes))
    if sorted(archive.namelist()) != sorted(f"{name}.npy" for name in (*shapes, "card")):
        raise misfit(path, f"arrays {sorted(archive.namelist())!r:.120}", "those of the format")
    arrays = {name: read_array(path, archive, name, np.float16, shape).astype(np.float32) for name, shape in shapes.items()}
    groups = [kind(*(arrays[f"{prefix}.{name}"] for name in kind._fields))
              for prefix, kind in (("sound", EndpointWeights), ("text", TextWeights))]
    return EndpointModel(Sizes(**sizes), *groups, card)
