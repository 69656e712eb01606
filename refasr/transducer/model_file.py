"""The model file: a NumPy archive that trusts nothing it is told. `docs/model-file.md` is the specification.

The file is a zip with a CRC-32 a member: one array for each parameter, stored as float16 and widened on load, the
normalisation vectors as float32, and `card`, a JSON text in bytes. The card is read first; it says which arrays there
must be and how long they are, so nothing is allocated on the word of a hostile array header.
"""

import contextlib
import dataclasses
import json
import math
import os
import zipfile

import numpy as np

from refasr.array_files import ACCIDENTS
from refasr.errors import FormatError
from refasr.features.profiles import PROFILES
from refasr.transducer.model import Architecture, Model, parameter_shapes
from refasr.transducer.units import RESERVED
from refasr.whole_file import whole_file

FORMAT_VERSION = 1
LARGEST_FILE_BYTES, LARGEST_CARD_BYTES = 128 << 20, 1 << 20
LARGEST_PARAMETERS = 100_000_000
MOST_LAYERS, LARGEST_WIDTH = 64, 1 << 16
MOST_FLUSH_FRAMES = 250
ARRAY_HEADER_BYTES = 10_240  # NumPy refuses to read more
NORMALISATION_LIMIT = 1e6
STREAMING = tuple(name for name, profile in PROFILES.items() if (profile.edge, profile.normalisation) == ("snip", "none"))
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others may unpack more than they are asked for


def misfit(place, got, expected, cure="fetch the model again"):
    """The error for a part of a file. Parameters: place (file and part), got, expected, cure. Returns FormatError."""
    return FormatError(f"{place}: got {got}, expected {expected}; {cure}")


def save_model(path, model):
    """Write a model file; the old one stays until the new one is complete.

    Parameters
    ----------
    path : str or Path
    model : Model         Parameters beyond the range of float16 (65504) cannot be stored.

    Raises
    ------
    FormatError           For such a parameter.
    """
    sizes = dataclasses.asdict(model.architecture)
    header = {"format": FORMAT_VERSION, "architecture": sizes, "units": model.units, "card": model.card}
    arrays = {name: np.ascontiguousarray(narrow(name, value)) for name, value in model.parameters.items()}
    arrays |= {"mean": model.mean, "reciprocal_deviation": model.reciprocal_deviation}
    write_archive(path, header, arrays)


def write_archive(path, header, arrays):
    """Write an archive of weights. Parameters: path, header (for JSON: the member `card`), arrays (dict of str to array)."""
    card = np.frombuffer(json.dumps(header, ensure_ascii=False, allow_nan=False).encode(), np.uint8)
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays, card=card)


def narrow(name, value):
    """Round to float16. Parameters: name (for the error), value. Returns a float16 array."""
    with np.errstate(over="ignore"):
        stored = value.astype(np.float16)
    if not np.isfinite(stored).all():
        raise misfit(name, f"values up to {np.abs(value).max()}", "the range of float16", "the training has diverged")
    return stored


def load_model(path):
    """Read and check a model file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Model

    Raises
    ------
    FormatError    If the file is missing, damaged, of another version, or its arrays do not fit its architecture.

    Notes
    -----
    Memory: the parameters as float16 and float32, whatever the file claims.
    """
    missing = misfit(path, "no such model file", "one", "give a path, or a name that `refasr info` lists")
    with opened(path, LARGEST_FILE_BYTES, "a model", "a refasr model", missing) as archive:
        return read_archive(path, archive)


@contextlib.contextmanager
def opened(path, largest_bytes, name, expected, missing):
    """Open an archive of weights; whatever its bytes provoke inside the `with` becomes a FormatError.

    Parameters
    ----------
    path : str or Path
    largest_bytes : int       Of the file.
    name : str                What should have been named, such as "a model".
    expected : str            What a damaged file should have been.
    missing : FormatError     Raised if there is no file.

    Yields
    ------
    ZipFile
    """
    try:
        if os.path.getsize(path) > largest_bytes:
            raise misfit(path, f"{os.path.getsize(path)} bytes", f"at most {largest_bytes}", f"name {name}")
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise missing from None
    except FormatError:
        raise
    except ACCIDENTS as error:
        reason = " ".join(str(error).split())[:80]
        raise misfit(path, f"a damaged file ({type(error).__name__}: {reason})", expected) from error


def read_archive(path, archive):
    """Read the members of an open archive. Parameters: path (for errors), archive (ZipFile). Returns a Model."""
    header = read_header(path, archive)
    architecture = read_architecture(path, header["architecture"])
    units = read_units(path, header["units"], architecture)
    shapes = parameter_shapes(architecture)
    if sum(map(math.prod, shapes.values())) > LARGEST_PARAMETERS:
        raise misfit(path, "an architecture with too many parameters", f"at most {LARGEST_PARAMETERS}")
    expected = sorted(f"{name}.npy" for name in (*shapes, "mean", "reciprocal_deviation", "card"))
    if sorted(archive.namelist()) != expected:
        odd = sorted(set(archive.namelist()) ^ set(expected))[:3]
        raise misfit(path, f"other arrays ({', '.join(odd) or 'one twice'})", "those of the architecture")
    parameters = {name: read_array(path, archive, name, np.float16, shape).astype(np.float32) for name, shape in shapes.items()}
    bins = (architecture.n_inputs // architecture.stack,)
    mean, deviation = (read_array(path, archive, name, np.float32, bins) for name in ("mean", "reciprocal_deviation"))
    if max(np.abs(mean).max(), deviation.max()) > NORMALISATION_LIMIT or deviation.min() <= 0:
        raise misfit(path, "absurd normalisation vectors", "|mean| and deviation up to 1e6")
    return Model(architecture, parameters, mean, deviation, units, read_card(path, header["card"]))


def read_header(path, archive):
    """The member `card` of a recogniser's model. Parameters: path, archive. Returns a dict with all four keys."""
    header = read_json(path, archive)
    version = header["format"]
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise misfit(path, f"model format {version!r:.20}", FORMAT_VERSION, "update refasr or fetch the model again")
    return header


def read_json(path, archive):
    """The JSON text in the member `card`, if it is not too long. Parameters: path, archive. Returns what it says."""
    size = archive.getinfo("card.npy").file_size
    if size > LARGEST_CARD_BYTES:
        raise misfit(path, f"a card of {size} bytes", f"at most {LARGEST_CARD_BYTES}")
    return json.loads(bytes(read_array(path, archive, "card", np.uint8, (None,))).decode("utf-8"))


def read_kind(path, archive, kind, version):
    """The member `card` of an archive that says its kind and format. Parameters: path, archive, kind, version. Returns a dict."""
    header = read_json(path, archive)
    if (header["kind"], header["format"]) != (kind, version):
        raise misfit(path, f"{header['kind']!r:.40}, format {header['format']!r:.20}", f"{kind!r}, format {version}")
    return header


def read_architecture(path, fields):
    """Check the sizes. Parameters: path, fields (from JSON). Returns an Architecture."""
    def refuse(name, expected):
        raise misfit(f"{path}: architecture {name}", f"{fields.get(name)!r:.40}", expected)

    names = [field.name for field in dataclasses.fields(Architecture)]
    if set(fields) != set(names):
        raise misfit(path, f"architecture fields {sorted(fields)!r:.200}", ", ".join(names), "update refasr")
    widths = fields["encoder_widths"]
    if not isinstance(widths, list) or not 1 <= len(widths) <= MOST_LAYERS or not all(map(is_width, widths)):
        refuse("encoder_widths", f"1 to {MOST_LAYERS} widths")
    for name in set(names) - {"encoder_widths", "profile"}:
        if not is_width(fields[name]):
            refuse(name, f"1..{LARGEST_WIDTH}")
    if not isinstance(fields["profile"], str) or fields["profile"] not in STREAMING:
        refuse("profile", f"one of {', '.join(STREAMING)}")
    if fields["n_inputs"] != PROFILES[fields["profile"]].n_bins * fields["stack"]:
        refuse("n_inputs", "bins of the profile times stack")
    return Architecture(**fields | {"encoder_widths": tuple(widths)})


def is_width(value):
    """Whether a value from JSON is a size. Parameters: value. Returns bool."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_WIDTH


def read_units(path, units, architecture):
    """Check the inventory. Parameters: path, units (from JSON), architecture. Returns a tuple of str."""
    strings = isinstance(units, list) and all(isinstance(unit, str) and unit for unit in units)
    if not strings or len(set(units)) != architecture.n_vocabulary or len(units) != len(set(units)) or units[0] != RESERVED[0]:
        raise misfit(path, f"units {units!r:.80}", f"{architecture.n_vocabulary} different texts, {RESERVED[0]} first")
    return tuple(units)


def read_card(path, card):
    """Check what the recogniser uses of the card. Parameters: path, card (from JSON). Returns a dict."""
    flush = card.get("flush_frames", 0) if isinstance(card, dict) else None
    if not isinstance(flush, int) or not 0 <= flush <= MOST_FLUSH_FRAMES:
        raise misfit(path, f"a card with flush_frames {flush!r:.20}", f"0..{MOST_FLUSH_FRAMES}")
    return card


def read_array(path, archive, name, dtype, shape):
    """Read one member, which must be exactly what is expected.

    Parameters
    ----------
    path : str or Path     For the error.
    archive : ZipFile
    name : str             Without ".npy".
    dtype : NumPy type
    shape : tuple          `(None,)` accepts a vector of any length; its member's size must have been checked.

    Returns
    -------
    array                  Read only; finite.

    Raises
    ------
    FormatError
    """
    info, place = archive.getinfo(f"{name}.npy"), f"{path}: {name}"
    if info.compress_type not in METHODS:
        raise misfit(place, f"compression method {info.compress_type}", "stored or deflated")
    with archive.open(info) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise misfit(place, "an array header of another version", "1.0")
        found, by_columns, found_dtype = np.lib.format.read_array_header_1_0(member, ARRAY_HEADER_BYTES)
        good_shape = found == shape or (shape == (None,) and len(found) == 1 and 0 <= found[0] <= LARGEST_CARD_BYTES)
        if found_dtype != dtype or by_columns or not good_shape:
            raise misfit(place, f"{found_dtype} {list(found)!r:.60}", f"{np.dtype(dtype)} {list(shape)} by rows")
        n_bytes = math.prod(found) * np.dtype(dtype).itemsize
        content = member.read(n_bytes + 1)  # one more, so that the end is reached and the CRC-32 compared
    if len(content) != n_bytes:
        raise misfit(place, f"{len(content)} bytes of values", n_bytes)
    values = np.frombuffer(content, dtype).reshape(found)
    if not np.isfinite(values).all():
        raise misfit(place, "values that are not finite", "numbers")
    return values
