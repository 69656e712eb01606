"""Lattices as files; the name's suffix says which kind.

| suffix | what | read | what is lost |
|---|---|---|---|
| .lat | compact bytes, `refasr.lattice.wire` | yes | nothing |
| .slf | HTK Standard Lattice Format | yes | order of the symbol table |
| .kaldi | Kaldi compact lattice, text | yes | lm and bias become one; length of a frame; some times |
| .fst | OpenFst text; symbols in OUT.syms | yes | scores become one; times |
| .dot | for Graphviz | no | |
| .svg | a picture | no | |

Text formats also lose nodes without an arc, and refuse words with white space. Scores are written as exact decimals. A file of
others is read if it is acyclic; its scores are rounded to 1/1024 nat.
"""

import os

from refasr.errors import FormatError, RangeError
from refasr.lattice import dot, kaldi_text, openfst, slf, svg, wire
from refasr.lattice.forward_backward import require_lattice
from refasr.lattice.text_file import LARGEST_FILE_BYTES
from refasr.whole_file import whole_file

TEXT = {".fst": openfst, ".kaldi": kaldi_text, ".slf": slf}
PICTURES = {".dot": dot, ".svg": svg}
WIRE = ".lat"
SUFFIXES = (".fst", WIRE, ".kaldi", ".slf", *PICTURES)


def read_lattice(path):
    """Read a lattice.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Lattice

    Raises
    ------
    FormatError           For another suffix, or a file that cannot be read, is not what its name says, or is damaged.
    """
    suffix = suffix_of(path)
    if suffix in PICTURES:
        raise FormatError(f"{path}: got a picture, expected {', '.join(sorted({*TEXT, WIRE}))}; {suffix} is written only")
    if suffix in TEXT:
        return TEXT[suffix].read(path)
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE_BYTES)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    try:
        return wire.decode(data)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def write_lattice(lattice, path):
    """Write a lattice, whole or not at all.

    Parameters
    ----------
    lattice : Lattice
    path : str or Path

    Raises
    ------
    DTypeError, ShapeError, RangeError    For what is not a good lattice.
    FormatError                           For another suffix, a file that cannot be written, a word that the format cannot hold.
    """
    suffix = suffix_of(path)
    require_lattice(lattice)
    if suffix == WIRE:
        try:
            data = wire.encode(lattice)
        except RangeError as error:
            raise RangeError(f"{path}: {error}") from error
        with whole_file(path) as file:
            file.write(data)
    else:
        (TEXT | PICTURES)[suffix].write(lattice, path)


def suffix_of(path):
    """The suffix, in small letters. Parameters: path. Returns str. Raises FormatError for one that is not known."""
    suffix = os.path.splitext(str(path))[1].lower()
    if suffix not in SUFFIXES:
        raise FormatError(f"{path}: got {suffix or 'no suffix'}, expected a lattice's: {', '.join(SUFFIXES)}; rename it")
    return suffix
