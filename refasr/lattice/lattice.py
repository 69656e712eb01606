"""The lattice: an acyclic graph of words, each arc with its time and its scores; the recogniser's real output.

         play          some          jazz
    (0) ------> (1) ----------> (2) -------> (4)
                  \\     sam      /            ^
                   `---------> (3) -----------'   "" : no word, only a score

Nodes are numbered in topological order: every arc leads to a higher number, 0 is the start, the last node the end. Scores
are whole numbers of 1/1024 nat (natural logarithm, higher is better), so that sums are exact, in any order and on any
machine: acoustic + lm + bias = total holds to the bit, and a file loses nothing.
"""

import dataclasses

import numpy as np

from refasr import checks
from refasr.errors import RangeError, ShapeError

SCORES_A_NAT = 1024
LARGEST_SCORE = 2**30      # of one arc, so that a path of a million arcs stays exact in int64 and in float64
NO_WORD = 0


@dataclasses.dataclass(frozen=True)
class Lattice:
    """A word lattice.

    words : tuple of str      Symbol table; word 0 is "", which stands for no word.
    n_nodes : int, >= 2       Node 0 is the start, node n_nodes-1 the only end.
    source, target : int32 [A]    Arcs, sorted by (source, target, word, start); source < target.
    word : int32 [A]          Index into `words`.
    start, end : int32 [A]    Frames, end exclusive; start <= end, and start < end where there is a word.
    acoustic, lm, bias : int32 [A]    Scores in 1/1024 nat.
    frame_seconds : float     Length of a frame.
    """

    words: tuple
    n_nodes: int
    source: np.ndarray
    target: np.ndarray
    word: np.ndarray
    start: np.ndarray
    end: np.ndarray
    acoustic: np.ndarray
    lm: np.ndarray
    bias: np.ndarray
    frame_seconds: float = 0.04

    @property
    def n_arcs(self):
        """How many arcs. Returns an int."""
        return self.source.size

    @property
    def total(self):
        """The score that ranks: acoustic + lm + bias. Returns int64 [A]."""
        return self.acoustic.astype(np.int64) + self.lm + self.bias


ARC_FIELDS = ("source", "target", "word", "start", "end", "acoustic", "lm", "bias")


def check_lattice(lattice):
    """Require everything that `Lattice` promises.

    Parameters
    ----------
    lattice : Lattice

    Raises
    ------
    DTypeError, ShapeError    For an array of another type or length.
    RangeError                For a number out of its range: a node or word that is not there, an arc backwards (a cycle), arcs
                              out of order, a span without length, a score too large.
    """
    checks.array("source", lattice.source, np.int32, (None,))
    for name in ARC_FIELDS:
        checks.array(name, getattr(lattice, name), np.int32, lattice.source.shape)
    if not lattice.words or lattice.words[0] != "":
        raise ShapeError(f"words: got {list(lattice.words[:1])}, expected '' first; it stands for no word")
    if lattice.n_nodes < 2:
        raise RangeError(f"n_nodes: got {lattice.n_nodes}, expected at least 2: a start and an end")
    checks.between("frame_seconds", lattice.frame_seconds, 1e-6, 10)
    if lattice.n_arcs == 0:
        return
    low, high = lattice.source, lattice.target
    if low.min() < 0 or high.max() >= lattice.n_nodes or (low >= high).any():
        raise RangeError(f"source, target: got an arc that leads back or past node {lattice.n_nodes - 1}, expected "
                         "0 <= source < target < n_nodes; number the nodes in topological order")
    if lattice.word.min() < 0 or lattice.word.max() >= len(lattice.words):
        raise RangeError(f"word: got {lattice.word.min()} to {lattice.word.max()}, expected 0 to {len(lattice.words) - 1}")
    spans = lattice.end - lattice.start.astype(np.int64)
    if lattice.start.min() < 0 or (spans < (lattice.word != NO_WORD)).any():
        raise RangeError("start, end: got a word without length or a time before 0, expected 0 <= start < end")
    for name in ("acoustic", "lm", "bias"):
        checks.between(name, int(np.abs(getattr(lattice, name).astype(np.int64)).max()), 0, LARGEST_SCORE)
    after, same = np.zeros(lattice.n_arcs - 1, bool), np.ones(lattice.n_arcs - 1, bool)
    for key in (lattice.source, lattice.target, lattice.word, lattice.start):    # sorting again would take most of the time
        after |= same & (key[1:] > key[:-1])
        same &= key[1:] == key[:-1]
    if not (after | same).all():
        raise RangeError("source: got arcs out of order, expected them sorted by source, target, word, start; use make_lattice")


def arc_order(keys):
    """Stable order of arcs by (source, target, word, start). Parameters: keys, int64 [4, A]. Returns int64 [A]."""
    return np.lexsort(keys[::-1])


def make_lattice(words, n_nodes, arcs, frame_seconds=0.04):
    """A checked lattice from a list of arcs in any order.

    Parameters
    ----------
    words : sequence of str      Symbol table, "" first.
    n_nodes : int
    arcs : sequence of tuple     (source, target, word, start, end, acoustic, lm, bias), whole numbers as in `Lattice`.
    frame_seconds : float

    Returns
    -------
    Lattice

    Raises
    ------
    ShapeError, RangeError       As `check_lattice`.

    Examples
    --------
    >>> make_lattice(["", "hi"], 2, [(0, 1, 1, 0, 5, -1024, 0, 0)]).total.tolist()
    [-1024]
    """
    table = np.array([tuple(arc) for arc in arcs], np.int64).reshape(-1, len(ARC_FIELDS))
    if table.size and np.abs(table).max() > 2**31 - 1:
        raise RangeError(f"arcs: got a number of size {np.abs(table).max()}, expected 32 bits")
    table = table[arc_order(table[:, :4].T)].astype(np.int32)
    columns = {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(ARC_FIELDS)}
    lattice = Lattice(tuple(words), n_nodes, **columns, frame_seconds=frame_seconds)
    check_lattice(lattice)
    return lattice


def to_score(nats):
    """Nearest whole number of 1/1024 nat. Parameters: nats (float, finite). Returns int."""
    return int(np.rint(nats * SCORES_A_NAT))


def to_nats(score):
    """Nats of a score, exactly. Parameters: score (int). Returns float."""
    return score / SCORES_A_NAT
