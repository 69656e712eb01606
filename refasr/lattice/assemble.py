"""From the flows of a beam search to a lattice: first of units, then of words.

The search says how much probability took each arc in each frame. With m(a) the mass of arc a over all frames and m(n) that of
all arcs into node n (the start has 1),

    acoustic(a) = ln m(a) - ln m(source of a),   and  ln p(alive at the end) - ln m(n)  for the arc from n to the end,

so that a path's arcs add up to the logarithm of its probability, the sum over all alignments that the search kept, and the
sum over all paths is the mass that reached the end. Rounding each ln m once to the score grid keeps the sums exact.
"""

from typing import NamedTuple

import numpy as np

from refasr.lattice.lattice import SCORES_A_NAT, make_lattice
from refasr.search.hypotheses import FLOW_TYPES, Flow
from refasr.transducer.units import BLANK, RESERVED, WORD_MARK


class Ending(NamedTuple):
    """One hypothesis at the end of the utterance.

    node : int; acoustic : float, logarithm of its mass; bias : float, what the phrases take back there.
    """

    node: int
    acoustic: float
    bias: float


class Span(NamedTuple):
    """A word on its way: from where, what so far, scores, first and last frame (-1 before the first)."""

    text: str
    started: bool
    acoustic: int
    bias: int
    first: int
    last: int


def add_up(flow):
    """One arc for each (source, target, label): masses are added, the frame is that of the largest.

    Parameters
    ----------
    flow : Flow

    Returns
    -------
    Flow              Sorted by source, target and label.
    """
    if flow.source.size == 0:
        return flow
    order = np.lexsort((-flow.mass, flow.label, flow.target, flow.source))
    flow = Flow(*(column[order] for column in flow))
    keys = np.stack([flow.source, flow.target, flow.label])
    first = np.flatnonzero(np.append(True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)))
    return Flow(*(column[first] for column in flow))._replace(mass=np.logaddexp.reduceat(flow.mass, first))


def joined(flows):
    """Several flows in a row. Parameters: flows (list of Flow). Returns a Flow."""
    if not flows:
        return Flow(*(np.empty(0, dtype) for dtype in FLOW_TYPES))
    return Flow(*map(np.concatenate, zip(*flows)))


def keep_ancestors(flow, nodes):
    """Drop arcs from which no living hypothesis is reached.

    Parameters
    ----------
    flow : Flow                From `add_up`.
    nodes : int32 [B]          Where the living hypotheses are.

    Returns
    -------
    Flow
    """
    alive, kept = set(nodes.tolist()), np.zeros(flow.source.size, bool)
    for arc in np.argsort(-flow.target, kind="stable").tolist():  # all arcs out of a node come before those into it
        if int(flow.target[arc]) in alive:
            kept[arc] = True
            alive.add(int(flow.source[arc]))
    return Flow(*(column[kept] for column in flow))


def best_labels(flow, node):
    """The likeliest way to a node.

    Parameters
    ----------
    flow : Flow                From `add_up`.
    node : int

    Returns
    -------
    list of (int, int)         Label and frame of each unit.
    """
    into = {}
    for source, target, label, frame, mass in zip(*(column.tolist() for column in flow[:5])):
        if target not in into or mass > into[target][0]:
            into[target] = (mass, source, label, frame)
    written = []
    while node in into:
        _, node, label, frame = into[node]
        if label != BLANK:
            written.append((label, frame))
    return written[::-1]


def settled_part(flow, nodes):
    """How far the utterance is settled: the last node that every living hypothesis has passed.

    Parameters
    ----------
    flow : Flow                From `keep_ancestors`.
    nodes : int32 [B]          Where the living hypotheses are.

    Returns
    -------
    (Flow, Flow)               Arcs up to that node, and the rest.
    """
    passed = np.unique(flow.target[flow.target <= nodes.min()])
    started = np.searchsorted(np.sort(flow.source), passed)                     # arcs that begin before each node
    ended = np.searchsorted(np.sort(flow.target), passed, side="right")         # of them, those that do not lead past it
    bridges = passed[started == ended]
    if bridges.size == 0:
        return joined([]), flow
    before = flow.target <= bridges[-1]
    return Flow(*(column[before] for column in flow)), Flow(*(column[~before] for column in flow))


def thin_out(flow, frame):
    """Keep only the likeliest way into each node, among the arcs taken before a frame; later ones all stay.

    Parameters
    ----------
    flow : Flow                From `add_up`.
    frame : int

    Returns
    -------
    Flow
    """
    order = np.lexsort((-flow.mass, flow.target))
    first = np.append(True, flow.target[order][1:] != flow.target[order][:-1])
    keep = flow.frame >= frame
    keep[order[: flow.source.size][first[: flow.source.size]]] = True
    return Flow(*(column[keep] for column in flow))


def unit_lattice(flow, endings, units, frame_seconds):
    """The lattice of units.

    Parameters
    ----------
    flow : Flow                    From `add_up`; all arcs since the start of the utterance.
    endings : list of Ending       At least one.
    units : tuple of str           The inventory; blank becomes "".
    frame_seconds : float

    Returns
    -------
    Lattice                        An arc's time is the frame in which most of its mass took it.
    """
    named = np.unique(np.concatenate([[0], flow.source, flow.target, [ending.node for ending in endings]]))
    source, target = (np.searchsorted(named, column) for column in (flow.source, flow.target))
    reached = np.full(named.size, -np.inf)
    reached[0] = 0.0
    np.logaddexp.at(reached, target, flow.mass)
    grid = lambda nats: np.rint(nats * SCORES_A_NAT).astype(np.int64)
    level = grid(reached)
    mass, bias, zero = grid(flow.mass) - level[source], grid(flow.bias), np.zeros(source.size, np.int64)
    arcs = list(zip(source, target, flow.label, flow.frame, flow.frame + 1, mass, zero, bias))
    last = int(flow.frame.max(initial=0)) + 1
    for ending in endings:
        node = int(np.searchsorted(named, ending.node))
        arcs.append((node, named.size, BLANK, last, last, int(grid(ending.acoustic) - level[node]), 0, int(grid(ending.bias))))
    return make_lattice(("", *units[1:]), named.size + 1, arcs, frame_seconds)


def word_lattice(lattice):
    """The lattice of words of a lattice of units: a word begins with the word mark and ends where the next one may begin.

    Parameters
    ----------
    lattice : Lattice    Of units; its word 0 is blank, and words 1 to 7 are reserved units, which spell nothing.

    Returns
    -------
    Lattice              Units of a word become one arc; where several spell the same word between the same nodes, their masses
                         are added.
    """
    leaving = {}
    for arc in range(lattice.n_arcs):
        leaving.setdefault(int(lattice.source[arc]), []).append(arc)
    end, mark = lattice.n_nodes - 1, lattice.words.index(WORD_MARK)
    borders = {node for node, arcs in leaving.items() if any(lattice.word[arc] == mark for arc in arcs)} | {end}
    found, waiting, seen = {}, [0], {0}
    while waiting:
        node = waiting.pop()
        for target, span in words_from(node, lattice, leaving, borders, mark):
            add_span(found, node, target, span)
            if target != end and target not in seen:
                seen.add(target)
                waiting.append(target)
    return renumbered(found, end, lattice.frame_seconds)


def words_from(node, lattice, leaving, borders, mark):
    """All words that begin at a node.

    Parameters
    ----------
    node : int
    lattice : Lattice
    leaving : dict             Arcs that leave each node.
    borders : set              Nodes where a word may begin, and the end.
    mark : int                 The word mark.

    Yields
    ------
    (int, Span)                Where it ends, and the word.
    """
    stack = [(node, Span("", False, 0, 0, -1, -1))]
    while stack:
        at, span = stack.pop()
        for arc in leaving.get(at, ()):
            after = follow(span, arc, lattice, mark, first=node == 0)
            if after is None:
                continue
            target = int(lattice.target[arc])
            if target in borders:
                yield target, after
            if target not in borders or after.started:
                stack.append((target, after))


def follow(span, arc, lattice, mark, first):
    """A word after one more unit.

    Parameters
    ----------
    span : Span
    arc : int                  Of the lattice.
    lattice : Lattice
    mark : int
    first : bool               The first word may lack its mark, and may not come at all.

    Returns
    -------
    Span or None               None if the unit belongs to another word. What is silent after a word belongs to that word.
    """
    unit = int(lattice.word[arc])
    silent = unit < len(RESERVED)
    if not span.started and not first and unit != mark or span.started and unit == mark:
        return None
    scores = span.acoustic + int(lattice.acoustic[arc]), span.bias + int(lattice.bias[arc])
    if silent:
        return Span(span.text, span.started, *scores, span.first, span.last)
    frame, text = int(lattice.start[arc]), "" if unit == mark else lattice.words[unit]
    return Span(span.text + text, True, *scores, frame if span.first < 0 else span.first, max(span.last, frame))


def add_span(found, source, target, span):
    """Note a word; the same word between the same nodes is added to. Parameters: found (modified), source, target, span."""
    key = (source, target, span.text)
    before = found.get(key)
    if before is not None:
        mass = np.logaddexp(before.acoustic / SCORES_A_NAT, span.acoustic / SCORES_A_NAT)
        better = max(before, span, key=lambda one: one.acoustic + one.bias)
        span = better._replace(acoustic=int(np.rint(mass * SCORES_A_NAT)))
    found[key] = span


def renumbered(found, end, frame_seconds):
    """A lattice of what was found.

    Parameters
    ----------
    found : dict             (source, target, text) to Span.
    end : int                The last node.
    frame_seconds : float

    Returns
    -------
    Lattice
    """
    nodes = sorted({0, end}.union(*({source, target} for source, target, _ in found)))
    place = {node: i for i, node in enumerate(nodes)}
    words = ["", *sorted({text for _, _, text in found} - {""})]
    index = {word: i for i, word in enumerate(words)}
    arcs = []
    for (source, target, text), span in found.items():
        arcs.append((place[source], place[target], index[text], max(span.first, 0), span.last + 1, span.acoustic, 0, span.bias))
    return make_lattice(words, len(nodes), arcs, frame_seconds)
