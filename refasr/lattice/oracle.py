"""How good the lattice is: the fewest word errors of any of its paths, and how many arcs it needs for that."""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.lattice.forward_backward import NO_PATH, best_path, best_scores, require_lattice
from refasr.lattice.lattice import NO_WORD

UNKNOWN = -1              # number of a reference word that the lattice does not have; it equals nothing
UNREACHED = 2**30         # errors at a node that no path reaches
LARGEST_TABLE = 2**27     # cells: 512 MiB


class OraclePath(NamedTuple):
    """The path with the fewest errors.

    errors : int          Substitutions, deletions and insertions together.
    arcs : int32 [P]      In order.
    """

    errors: int
    arcs: np.ndarray


class Density(NamedTuple):
    """How many alternatives the lattice holds; arcs without a word do not count.

    per_frame : float     Arcs that cross a frame, on average over the frames to the end of the last arc.
    per_second : float    Arcs by the seconds to the end of the last arc.
    per_word : float      Arcs by the words of the best path.
    """

    per_frame: float
    per_second: float
    per_word: float


def word_numbers(lattice, words):
    """Words as numbers of the lattice.

    Parameters
    ----------
    lattice : Lattice
    words : sequence of str

    Returns
    -------
    int32 [U]                  UNKNOWN (-1) for a word that the lattice does not have.
    """
    number = {word: index for index, word in reversed(list(enumerate(lattice.words))) if index != NO_WORD}
    return np.array([number.get(word, UNKNOWN) for word in words], np.int32)


def require_reference(reference):
    """Require word numbers, none of them "no word". Parameters: reference. Raises DTypeError, ShapeError, RangeError."""
    checks.array("reference", reference, np.int32, (None,))
    if (reference == NO_WORD).any():
        raise RangeError(f"reference: got {NO_WORD}, which is no word, expected words; leave it out")


def oracle_path(lattice, reference):
    """The path nearest to what was said.

        errors[n, i] = min(errors[n, i-1] + 1,
                           min over arcs a into n of errors[source a, i]                              without a word, else
                                                     min(errors[source a, i] + 1, errors[source a, i-1] + [word a != r_i]))

    Parameters
    ----------
    lattice : Lattice
    reference : int32 [U]    From `word_numbers`.

    Returns
    -------
    OraclePath               Of equally good ones, traced from the end: the lowest arc that pairs a word, else the lowest that
                             inserts one or has none. A lattice without a path says nothing: U deletions and no arcs.

    Raises
    ------
    DTypeError, ShapeError, RangeError    RangeError also where the table of N (U+1) cells would not fit.

    Notes
    -----
    Twin: BITS. Cost: A (U+1) cells of time, N (U+1) of memory.
    """
    require_lattice(lattice)
    require_reference(reference)
    errors = new_table(lattice, reference)
    ahead = np.arange(reference.size + 1, dtype=np.int32)
    settled = 0
    for arc in range(lattice.n_arcs):
        source, target = lattice.source[arc], lattice.target[arc]
        while settled <= source:    # all arcs into it are done: now deletions, a running minimum
            errors[settled] = np.minimum.accumulate(errors[settled] - ahead) + ahead
            settled += 1
        if lattice.word[arc] == NO_WORD:
            errors[target] = np.minimum(errors[target], errors[source])
        else:
            errors[target] = np.minimum(errors[target], errors[source] + 1)
            errors[target, 1:] = np.minimum(errors[target, 1:], errors[source, :-1] + (reference != lattice.word[arc]))
    for node in range(settled, lattice.n_nodes):
        errors[node] = np.minimum.accumulate(errors[node] - ahead) + ahead
    if errors[-1, -1] >= UNREACHED:
        return OraclePath(reference.size, np.zeros(0, np.int32))
    return OraclePath(int(errors[-1, -1]), trace(lattice, reference, errors))


def new_table(lattice, reference):
    """Errors before any arc. Parameters: lattice, reference. Returns int32 [N, U+1]. Raises RangeError."""
    checks.between("table cells", lattice.n_nodes * (reference.size + 1), 1, LARGEST_TABLE)
    errors = np.full((lattice.n_nodes, reference.size + 1), UNREACHED, np.int32)
    errors[0, 0] = 0
    return errors


def trace(lattice, reference, errors):
    """Follow the table back. Parameters: lattice, reference, errors (int32 [N, U+1]). Returns int32 [P]."""
    arcs, node, i = [], lattice.n_nodes - 1, reference.size
    while node or i:
        into = np.flatnonzero(lattice.target == node)
        word, source = lattice.word[into], lattice.source[into]
        pairs = into[:0]
        if i:
            pairs = into[(word != NO_WORD) & (errors[source, i - 1] + (word != reference[i - 1]) == errors[node, i])]
        others = into[errors[source, i] + (word != NO_WORD) == errors[node, i]]
        if pairs.size == 0 and others.size == 0:    # a deletion
            i -= 1
            continue
        arcs.append((pairs if pairs.size else others)[0])
        node, i = lattice.source[arcs[-1]], i - (pairs.size > 0)
    return np.array(arcs[::-1], np.int32)


def density(lattice):
    """Size of the lattice by length of speech.

    Parameters
    ----------
    lattice : Lattice

    Returns
    -------
    Density              0 in place of a quotient by 0.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    scores = best_scores(lattice)
    is_word = lattice.word != NO_WORD
    n_arcs, n_frames = int(np.count_nonzero(is_word)), int(lattice.end.max(initial=0))
    crossings = int((lattice.end - lattice.start.astype(np.int64))[is_word].sum())
    path = best_path(lattice, scores) if scores.total != NO_PATH else np.zeros(0, np.int32)
    n_words = int(np.count_nonzero(is_word[path]))
    return Density(crossings / max(1, n_frames), n_arcs / (n_frames * lattice.frame_seconds) if n_frames else 0.0,
                   n_arcs / n_words if n_words else 0.0)
