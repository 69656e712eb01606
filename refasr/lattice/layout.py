"""Where to draw the nodes and arcs of a lattice so that a person can read it. Used for `.svg` and for the figure.

The best path is a straight line. What else there is, is taken apart into chains, the most probable first: an arc not drawn yet,
and from there the best way back to, and on to, nodes that are drawn. Each chain gets a lane, above or below, the nearest in which
nothing stands yet beside it; so no two labels meet. Time runs right, but stretched where labels need room:

    x[t] >= x[t'] + seconds(t - t') / seconds_a_unit,    x[target a] >= x[source a] + width of a's label
"""

from typing import NamedTuple

import numpy as np

from refasr.lattice import forward_backward, prune
from refasr.lattice.lattice import NO_WORD
from refasr.lattice.text_file import node_times
from refasr.twins import select

ON_BEST, NOT_PLACED = -1, -2
MOST_ARCS = 60            # in a picture; more cannot be read
NO_WORD_SIGN = "\u03b5"
LETTER, MARGIN = 0.115, 0.5       # width of a letter of a label and of the space around it; lanes are 1 apart
BEND = 0.3                        # of x: how steeply arcs leave their lane
SECONDS = 0.5                     # how long a unit of x is where nothing needs more room


class Picture(NamedTuple):
    """What a drawing says of each arc.

    posterior : float64 [A]
    best : bool [A]             Whether it is on the best path.
    """

    posterior: np.ndarray
    best: np.ndarray

    @classmethod
    def of(cls, lattice, scale=1.0):
        """Work it out. Parameters: lattice, scale (of the scores, see `forward_backward.log_scores`). Returns a Picture."""
        fast = select("fast")
        best = np.zeros(lattice.n_arcs, bool)
        best[forward_backward.best_path(lattice, fast(forward_backward.best_scores)(lattice))] = True
        return cls(fast(forward_backward.arc_posteriors)(lattice, scale), best)


class Layout(NamedTuple):
    """A lattice to draw, and where.

    lattice : Lattice           What is left to draw.
    picture : Picture           Of it; posteriors are those in the whole lattice.
    n_arcs : int                How many the whole lattice has.
    x, y : float64 [N]          Nodes; y counts lanes, 0 for the best path, up is positive.
    lane : float64 [A]          Height at which an arc runs and its label stands.
    labels : list of str [A]
    times : float64 [N]         Seconds at the nodes.
    """

    lattice: object
    picture: Picture
    n_arcs: int
    x: np.ndarray
    y: np.ndarray
    lane: np.ndarray
    labels: list
    times: np.ndarray


def lay_out(lattice, max_arcs=MOST_ARCS, scale=1.0):
    """Choose what to draw, and where.

    Parameters
    ----------
    lattice : Lattice
    max_arcs : int        As in `prune.prune`.
    scale : float         Of the scores, for the posteriors.

    Returns
    -------
    Layout                Without a path: two nodes and nothing between.
    """
    forward_backward.require_lattice(lattice)
    picture = Picture.of(lattice, scale)
    drawn = chosen(lattice, max_arcs)
    small = prune.take_arcs(lattice, drawn)
    picture = Picture(picture.posterior[drawn], picture.best[drawn])
    labels = [f"{small.words[word] if word != NO_WORD else NO_WORD_SIGN} {posterior:.2f}"
              for word, posterior in zip(small.word.tolist(), picture.posterior.tolist())]
    times = node_times(small) * small.frame_seconds
    x = positions(small, times, [MARGIN + LETTER * len(label) for label in labels])
    y, lane = lanes(small, picture, x)
    return Layout(small, picture, lattice.n_arcs, x, y, lane, labels, times)


def chosen(lattice, max_arcs):
    """Which arcs to draw: on a path, and not too many. Parameters: lattice, max_arcs. Returns bool [A]."""
    scores = select("fast")(forward_backward.best_scores)(lattice)
    through = forward_backward.arc_sums(lattice, scores)
    keep = through > forward_backward.NO_PATH
    if np.count_nonzero(keep) <= max_arcs:
        return keep
    return prune.best_arcs(lattice, scores, prune.by_rank(through, keep), max_arcs)


def positions(lattice, times, widths):
    """From left to right.

    Parameters
    ----------
    lattice : Lattice
    times : float64 [N]        Seconds.
    widths : list of float     Of each arc's label.

    Returns
    -------
    float64 [N]                Equal times stand above each other, as far as labels allow.
    """
    x, latest, column = np.zeros(lattice.n_nodes), 0.0, 0.0
    into = [[] for _ in range(lattice.n_nodes)]
    for arc, target in enumerate(lattice.target.tolist()):
        into[target].append(arc)
    for node in np.lexsort([np.arange(lattice.n_nodes), times]).tolist():    # times never fall along an arc
        column = column + (times[node] - latest) / SECONDS
        latest = times[node]
        x[node] = column = max([column, *(x[lattice.source[arc]] + widths[arc] for arc in into[node])])
    return x


def lanes(lattice, picture, x):
    """Heights.

    Parameters
    ----------
    lattice : Lattice
    picture : Picture
    x : float64 [N]

    Returns
    -------
    (float64 [N], float64 [A])    Of nodes and of arcs.
    """
    y, lane = np.zeros(lattice.n_nodes), np.zeros(lattice.n_arcs)
    chains, parents = take_apart(lattice, picture)
    hanging = {}
    for chain in sorted(range(len(chains)), key=lambda chain: -span_of(lattice, x, chains[chain])):
        hanging.setdefault(parents[chain], []).append(chain)
    taken, todo = {}, hanging.pop(ON_BEST, [])
    while todo:                         # the shortest first, and at once what hangs on it, so that this comes to lie beside it
        chain = todo.pop()
        todo += hanging.pop(chain, [])
        arcs, parent = chains[chain], parents[chain]
        height = 0.0 if parent == ON_BEST else lane[chains[parent][0]]
        low, high = x[lattice.source[arcs[0]]], x[lattice.target[arcs[-1]]]
        sides = (np.sign(height),) if height else (1.0, -1.0)
        where = min((first_free(taken, low, high, side, max(1.0, abs(height))) for side in sides), key=abs)
        taken.setdefault(where, []).append((low, high))
        lane[arcs] = where
        y[lattice.target[arcs[:-1]]] = where
    return y, lane


def first_free(taken, low, high, side, level):
    """The first lane from some level outward that has room.

    Parameters
    ----------
    taken : dict            Lane to (from, to), which are in use.
    low, high : float       What is wanted.
    side : float            1 above, -1 below.
    level : float           Where to begin.

    Returns
    -------
    float
    """
    while any(low < past and first < high for first, past in taken.get(side * level, [])):
        level += 1.0
    return side * level


def span_of(lattice, x, arcs):
    """How far a chain reaches. Parameters: lattice, x, arcs. Returns float."""
    return float(x[lattice.target[arcs[-1]]] - x[lattice.source[arcs[0]]])


def take_apart(lattice, picture):
    """Chains off the best path.

    Parameters
    ----------
    lattice : Lattice
    picture : Picture

    Returns
    -------
    (list of list of int, list of int)    Arcs of each chain, in order, all but those of the best path; and on which other chain
                                          it hangs, ON_BEST for none.
    """
    scores = select("fast")(forward_backward.best_scores)(lattice)
    through = forward_backward.arc_sums(lattice, scores)
    owner = np.full(lattice.n_nodes, NOT_PLACED)
    owner[[0, -1]] = owner[lattice.source[picture.best]] = ON_BEST
    done, chains, parents = picture.best.copy(), [], []
    for arc in np.argsort(-through, kind="stable").tolist():
        if done[arc]:
            continue
        arcs = [arc]
        while owner[lattice.source[arcs[0]]] == NOT_PLACED:
            arcs.insert(0, int(scores.arc_in[lattice.source[arcs[0]]]))
        while owner[lattice.target[arcs[-1]]] == NOT_PLACED:
            arcs.append(int(scores.arc_out[lattice.target[arcs[-1]]]))
        parents.append(int(max(owner[lattice.source[arcs[0]]], owner[lattice.target[arcs[-1]]])))
        owner[lattice.target[arcs[:-1]]] = len(chains)
        done[arcs] = True
        chains.append(arcs)
    return chains, parents


def corners(layout, arc):
    """The points of an arc: where it starts, comes to its lane, leaves it, ends. Parameters: layout, arc. Returns 4 (x, y)."""
    source, target = layout.lattice.source[arc], layout.lattice.target[arc]
    lane, bend = layout.lane[arc], min(BEND, (layout.x[target] - layout.x[source]) / 3)
    return [(layout.x[source], layout.y[source]), (layout.x[source] + bend, lane), (layout.x[target] - bend, lane),
            (layout.x[target], layout.y[target])]
