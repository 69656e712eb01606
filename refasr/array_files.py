"""NumPy's array files, read so that a damaged or hostile one costs no more memory than it has bytes. Nothing is unpickled."""

import math
import os
import struct
import tokenize
import zipfile
import zlib

import numpy as np

from refasr.errors import FormatError

HEADER_BYTES = 10_240  # NumPy refuses to read more
ACCIDENTS = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, MemoryError,
             RuntimeError, SyntaxError, struct.error, zlib.error, zipfile.BadZipFile,
             tokenize.TokenError)  # what damaged bytes can provoke


def misfit(place, got, expected, cure="write it again"):
    """The error for a file or a part of one. Parameters: place, got, expected, cure. Returns FormatError."""
    return FormatError(f"{place}: got {got}, expected {expected}; {cure}")


def damaged(place, error, expected):
    """The error for what damaged bytes provoked. Parameters: place, error, expected. Returns FormatError."""
    return misfit(place, f"a damaged file ({type(error).__name__}: {' '.join(str(error).split())[:80]})", expected)


def read_member(place, file, n_bytes, kinds):
    """Read an array from an open file.

    Parameters
    ----------
    place : str              For the errors.
    file : binary file
    n_bytes : int            How many there are, header included.
    kinds : sequence of str  Names of the element types that may come.

    Returns
    -------
    array                    Read only, by rows, of native order.

    Raises
    ------
    FormatError, or one of ACCIDENTS
    """
    magic = np.lib.format.read_magic(file)
    if magic != (1, 0):
        raise misfit(place, f"an array header of version {magic}", "1.0")
    shape, by_columns, kind = np.lib.format.read_array_header_1_0(file, HEADER_BYTES)
    if kind.name not in kinds or kind.hasobject or by_columns or not kind.isnative:
        raise misfit(place, f"{kind}{' by columns' if by_columns else ''}", f"{', '.join(kinds)} by rows")
    size = math.prod(shape) * kind.itemsize
    if min(shape, default=0) < 0 or not 0 <= n_bytes - size < 2 * HEADER_BYTES:
        raise misfit(place, f"{list(shape)!r:.60} of {kind} in {n_bytes} bytes", "as many values as its shape asks for")
    content = file.read(size + 1)  # one more, so that the end is reached and a zip's CRC-32 compared
    if len(content) != size:
        raise misfit(place, f"{len(content)} bytes of values", size)
    return np.frombuffer(content, kind).reshape(shape)


def read_array_file(path, kinds):
    """Read an .npy file.

    Parameters
    ----------
    path : str or Path
    kinds : sequence of str    Names of the element types that may come.

    Returns
    -------
    array                      Read only.

    Raises
    ------
    FormatError
    """
    try:
        with open(path, "rb") as file:
            return read_member(path, file, os.fstat(file.fileno()).st_size, kinds)
    except FormatError:
        raise
    except ACCIDENTS as error:
        raise damaged(path, error, "an array as numpy.save writes it") from error


def read_archive(path, kinds):
    """Read an .npz file whose members are stored, as `numpy.savez` writes them; compressed ones may unpack to anything.

    Parameters
    ----------
    path : str or Path
    kinds : sequence of str    Names of the element types that may come.

    Returns
    -------
    dict of str to array       Read only; in the order of the file.

    Raises
    ------
    FormatError                If it is no such file, is cut short or damaged.
    """
    arrays = {}
    try:
        n_bytes = os.path.getsize(path)
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                place = f"{path}: {name!r:.60}"
                if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or name == info.filename or name in arrays:
                    raise misfit(place, "a member that is compressed, encrypted, twice or no array", "stored arrays")
                n_bytes -= info.file_size
                if n_bytes < 0:
                    raise misfit(place, f"{info.file_size} bytes", "no more than the file has")
                with archive.open(info) as member:
                    arrays[name] = read_member(place, member, info.file_size, kinds)
    except FormatError:
        raise
    except ACCIDENTS as error:
        raise damaged(path, error, "arrays as numpy.savez writes them") from error
    return arrays
