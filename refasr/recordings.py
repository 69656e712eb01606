"""Which recordings a list of operands means: files, patterns, folders and standard input."""

import glob
import os
import pathlib

from refasr.errors import FormatError

SUFFIXES = (".wav", ".wave", ".flac", ".ogg", ".oga", ".opus")
STANDARD_INPUT = "-"


def find_recordings(operand):
    """Expand one operand.

    Parameters
    ----------
    operand : str     A file, "-", a folder (searched to any depth, hidden names left out), or a pattern such as "*.wav"
                      that no shell has expanded; "**" reaches into folders.

    Returns
    -------
    list of str       Sorted within a folder or pattern. A plain name comes back as it is, whether it exists or not.

    Raises
    ------
    FormatError       If a folder or pattern gives nothing.
    """
    if operand == STANDARD_INPUT or os.path.isfile(operand):
        return [operand]
    if os.path.isdir(operand):
        found = recordings_below(operand)
        if not found:
            raise FormatError(f"{operand}: got a folder without recordings, expected {', '.join(SUFFIXES)}; name the files")
        return found
    if glob.has_magic(operand):
        found = [path for path in sorted(glob.glob(operand, recursive=True)) if os.path.isfile(path)]
        if not found:
            raise FormatError(f"{operand}: got a pattern that no file matches, expected at least one; check the path")
        return found
    return [operand]


def recordings_below(folder):
    """Recordings in a folder and its folders. Parameters: folder. Returns a sorted list of str."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [os.path.join(place, name) for name in names
                  if not name.startswith(".") and pathlib.Path(name).suffix.lower() in SUFFIXES]
    return sorted(found)
