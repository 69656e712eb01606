"""Writing a file so that it appears whole or not at all."""

import contextlib
import os
import pathlib

from refasr.errors import FormatError


@contextlib.contextmanager
def whole_file(path, mode="wb", **options):
    """Open a temporary file in the same folder; it takes the name when the block ends well, and vanishes when it does not.

    Parameters
    ----------
    path : str or Path    The file to make or replace.
    mode : str            "wb" or "w".
    **options : object    For `open`, such as encoding.

    Returns
    -------
    context manager       Gives the open file.

    Raises
    ------
    FormatError           If the folder is missing or cannot be written.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise FormatError(f"{path}: got a folder, expected the name of a file; add one")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        file = open(temporary, mode, **options)
    except OSError as error:
        raise FormatError(f"{path}: cannot be written ({error.strerror}); check the folder and its permissions") from error
    try:
        with file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
