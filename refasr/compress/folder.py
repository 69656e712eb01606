"""The contents of a `.refasr` file as a folder of files that other programs read: JSON and NumPy arrays.

    header.json         the JSON object
    bits.json           an object: bits of a code, for each tensor of codes
    codes/NAME.npy      int8 [N, K]
    plain/NAME.npy      any other array
"""

import json
import os
import pathlib

import numpy as np

from refasr.array_files import read_array_file
from refasr.compress.container import Coded, Contents, check_name
from refasr.compress.container_layout import VALUE_TYPES
from refasr.compress.strict_json import LARGEST_HEADER_BYTES, parse_json
from refasr.errors import FormatError
from refasr.whole_file import whole_file


def write_folder(folder, contents):
    """Write contents as files.

    Parameters
    ----------
    folder : str or Path    Is made; must not be there, or be empty.
    contents : Contents

    Raises
    ------
    FormatError             If the folder holds something, or cannot be written.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FormatError(f"{folder}: got a folder with files, expected an empty or a new one; name another")
        for part in ("codes", "plain"):
            (folder / part).mkdir()
    except OSError as error:
        raise FormatError(f"{folder}: cannot be made ({error.strerror}); name a new folder") from error
    arrays = {f"codes/{name}.npy": coded.codes for name, coded in contents.coded.items()}
    arrays |= {f"plain/{name}.npy": value for name, value in contents.plain.items()}
    for place, value in arrays.items():
        with whole_file(folder / place) as file:
            np.save(file, value, allow_pickle=False)
    bits = {name: coded.bits for name, coded in contents.coded.items()}
    for name, value in (("bits.json", bits), ("header.json", contents.header)):
        with whole_file(folder / name, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
            file.write("\n")


def read_folder(folder):
    """Inverse of `write_folder`; `write_contents` then gives the bytes that the folder came from.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    Contents

    Raises
    ------
    FormatError    If a file is missing, damaged or of no use.
    """
    folder = pathlib.Path(folder)
    header, bits = read_object(folder / "header.json"), read_object(folder / "bits.json")
    codes, plain = read_arrays(folder / "codes"), read_arrays(folder / "plain")
    if set(codes) != set(bits):
        odd = sorted(set(codes) ^ set(bits))[0]
        raise FormatError(f"{folder}: got {odd} in codes or in bits.json only, expected it in both; add it or delete it")
    return Contents(header, {name: Coded(value, bits[name]) for name, value in codes.items()}, plain)


def read_object(path):
    """Read a JSON object. Parameters: path. Returns a dict."""
    try:
        if os.path.getsize(path) > 4 * LARGEST_HEADER_BYTES:  # indented
            raise FormatError(f"{path}: got {os.path.getsize(path)} bytes, expected a short JSON object; shorten it")
        return parse_json(path.read_bytes())
    except OSError as error:
        raise FormatError(f"{path}: got no such file ({error.strerror}), expected what `refasr unpack` writes") from error
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:80]
        raise FormatError(f"{path}: got JSON with {reason}, expected an object; repair it") from error


def read_arrays(folder):
    """The arrays in a folder. Parameters: folder. Returns a dict from name to array; raises FormatError."""
    arrays = {}
    for path in sorted(folder.glob("*.npy")):
        check_name(path.stem)
        arrays[path.stem] = read_array_file(path, VALUE_TYPES[1:])
    return arrays
