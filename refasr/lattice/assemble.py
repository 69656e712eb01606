"""From the flows of a beam search to a lattice: first of units, then of words.

The search says how much probability took each arc in each frame. With m(a) the mass of arc a over all frames and m(n) that of
all arcs into node n (the start has 1),

    acoustic(a) = ln m(a) - ln m(source of a),   and  ln p(alive at the end) - ln m(n)  for the arc from n to the end,

so that a path's arcs add up to the logarithm of its probability, the sum over all alignments that the search kept, and the
sum over all paths is the mass that reached the end. Rounding each ln m once to the score grid keeps the sums exact.
"""

import heapq
import math
from typing import NamedTuple

import numpy as np

from refasr.errors import RangeError
from refasr.lattice.forward_backward import best_scores
from refasr.lattice.lattice import SCORES_A_NAT, make_lattice
from refasr.search.hypotheses import FLOW_TYPES, Flow
from refasr.transducer.units import BLANK, RESERVED, WORD_MARK

MOST_NATS = 1e6           # of a score: 10 hours in which every frame was unlikely
MOST_STEPS = 500          # units looked at for the words that begin at one node


class Ending(NamedTuple):
    """One hypothesis at the end of the utterance.

    node : int; acoustic : float, logarithm of its mass; bias, lm : float, what phrases and language model add there.
    """

    node: int
    acoustic: float
    bias: float
    lm: float = 0.0


class Span(NamedTuple):
    """A word on its way: from where, what so far, scores, first and last frame (-1 before the first)."""

    text: str
    started: bool
    acoustic: int
    bias: int
    lm: int
    first: int
    last: int

    @property
    def total(self):
        """The score that ranks."""
        return self.acoustic + self.bias + self.lm


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
    """Drop arcs from which no living hypothesis is reached. Parameters: flow, nodes (as `settled_part`). Returns a Flow."""
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
    """Of arcs before a frame, keep the likeliest into each node; keep all others. Parameters: flow, frame. Returns a Flow."""
    keep, old = flow.frame >= frame, np.flatnonzero(flow.frame < frame)
    likeliest_first = old[np.argsort(-flow.mass[old], kind="stable")]
    keep[likeliest_first[np.unique(flow.target[likeliest_first], return_index=True)[1]]] = True
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

    Raises
    ------
    RangeError                     For masses that no sound model gives.
    """
    named = np.unique(np.concatenate([[0], flow.source, flow.target, [ending.node for ending in endings]]))
    source, target = (np.searchsorted(named, column) for column in (flow.source, flow.target))
    reached = np.full(named.size, -np.inf)
    reached[0] = 0.0
    np.logaddexp.at(reached, target, flow.mass)
    if not all((np.abs(some) < MOST_NATS).all() for some in (reached, *flow[4:], [ending.acoustic for ending in endings])):
        raise RangeError(f"model: got scores beyond {MOST_NATS:g} nats, expected sensible ones; its weights are damaged")
    grid = lambda nats: np.rint(nats * SCORES_A_NAT).astype(np.int64)
    level = grid(reached)
    mass = grid(flow.mass) - level[source]
    arcs = list(zip(source, target, flow.label, flow.frame, flow.frame + 1, mass, grid(flow.lm), grid(flow.bias)))
    last = int(flow.frame.max(initial=0)) + 1
    for ending in endings:
        node = int(np.searchsorted(named, ending.node))
        arcs.append((node, named.size, BLANK, last, last, int(grid(ending.acoustic) - level[node]), int(grid(ending.lm)),
                     int(grid(ending.bias))))
    return make_lattice(("", *units[1:]), named.size + 1, arcs, frame_seconds)


def word_lattice(lattice, beam=math.inf):
    """The lattice of words of a lattice of units: a word begins with the word mark and ends where the next one may begin.

    Parameters
    ----------
    lattice : Lattice    Of units; its word 0 is blank, and words 1 to 7 are reserved units, which spell nothing.
    beam : float         Nats that the best path through a word may lie below the best path.

    Returns
    -------
    Lattice              Units of a word become one arc; where several spell the same word between the same nodes, their masses
                         are added.

    Notes
    -----
    Where hypotheses were joined within a word, the ways through it double again and again. The best are followed first, and
    MOST_STEPS units are followed from a node, more only until the best path's word is found.
    """
    leaving, scores = {}, best_scores(lattice)
    forward, backward = scores.forward.tolist(), scores.backward.tolist()
    for arc in range(lattice.n_arcs):
        leaving.setdefault(int(lattice.source[arc]), []).append(arc)
    end, mark = lattice.n_nodes - 1, lattice.words.index(WORD_MARK)
    borders = {node for node, arcs in leaving.items() if any(lattice.word[arc] == mark for arc in arcs)} | {end}
    marked = {node for node in borders - {end} if lattice.word[scores.arc_out[node]] == mark} | {end}    # by their best path
    found, waiting, seen = {}, [0], {0}
    while waiting:
        node = waiting.pop()
        floor = scores.total - beam * SCORES_A_NAT - forward[node]
        is_best = forward[node] + backward[node] == scores.total and (node == 0 or node in marked)
        for target, span in words_from(node, lattice, leaving, backward, borders, marked if is_best else None, mark, floor):
            add_span(found, node, target, span)
            if target != end and target not in seen:
                seen.add(target)
                waiting.append(target)
    return renumbered(found, end, lattice.frame_seconds)


def words_from(node, lattice, leaving, backward, borders, wanted, mark, floor):
    """Words that begin at a node, those of better paths first.

    Parameters
    ----------
    node : int
    lattice : Lattice
    leaving : dict             Arcs that leave each node.
    backward : list of int     Score of the best path from each node to the end.
    borders : set              Nodes where a word may begin, and the end.
    wanted : set or None       Where a word of the best path may end: go on until one is found.
    mark : int                 The word mark.
    floor : float              Least score of the best path from the node through a word.

    Yields
    ------
    (int, Span)                Where it ends, and the word.
    """
    waiting, steps = [(0, 0, node, Span("", False, 0, 0, 0, -1, -1))], 0    # cost of the best completion, order of coming
    while waiting and (steps < MOST_STEPS or wanted):
        _, _, at, span = heapq.heappop(waiting)
        for arc in leaving.get(at, ()):
            after = follow(span, arc, lattice, mark, first=node == 0)
            target = int(lattice.target[arc])
            if after is None or after.total + backward[target] < floor:
                continue
            if wanted and target in wanted and after.total + backward[target] == backward[node]:
                wanted = None
            if target in borders:
                yield target, after
            if target not in borders or after.started:
                steps += 1
                heapq.heappush(waiting, (-(after.total + backward[target]), steps, target, after))


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
    if not span.started and not first and unit != mark or span.started and unit == mark:
        return None
    scores = tuple(getattr(span, name) + int(getattr(lattice, name)[arc]) for name in ("acoustic", "bias", "lm"))
    if unit < len(RESERVED):     # silent
        return Span(span.text, span.started, *scores, span.first, span.last)
    frame, text = int(lattice.start[arc]), "" if unit == mark else lattice.words[unit]
    return Span(span.text + text, True, *scores, frame if span.first < 0 else span.first, max(span.last, frame))


def add_span(found, source, target, span):
    """Note a word; the same word between the same nodes is added to. Parameters: found (modified), source, target, span."""
    key = (source, target, span.text)
    if (before := found.get(key)) is not None:
        mass = np.logaddexp(before.acoustic / SCORES_A_NAT, span.acoustic / SCORES_A_NAT)
        span = max(before, span, key=lambda one: one.total)._replace(acoustic=int(np.rint(mass * SCORES_A_NAT)))
    found[key] = span


def renumbered(found, end, frame_seconds):
    """A lattice of {(source, target, text): Span}. Parameters: found, end (last node), frame_seconds. Returns a Lattice."""
    nodes = sorted({0, end}.union(*({source, target} for source, target, _ in found)))
    place = {node: i for i, node in enumerate(nodes)}
    words = ["", *sorted({text for _, _, text in found} - {""})]
    index = {word: i for i, word in enumerate(words)}
    arcs = [(place[source], place[target], index[text], max(span.first, 0), span.last + 1, span.acoustic, span.lm, span.bias)
            for (source, target, text), span in found.items()]
    return make_lattice(words, len(nodes), arcs, frame_seconds)
