"""A lattice scored by an n-gram model, exactly: every node is split by the states in which paths reach it.

    (node, state) -- word, lm + weight ln P(word | state) + bonus --> (target of the arc, state after the word)

Two paths share a node of the answer only where they share a node of the lattice and the model's state, and then their future is
the same. So the answer holds each path of the lattice once, with its own score, and no more nodes than that needs. Scores go into
the field `lm`, rounded to its grid; acoustic and bias are untouched, and the ledger adds up as before. Several models are applied
one after the other.
"""

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.lattice.forward_backward import require_lattice
from refasr.lattice.lattice import ARC_FIELDS, LARGEST_SCORE, NO_WORD, SCORES_A_NAT, Lattice, arc_order, check_lattice
from refasr.rescoring import ngram

LARGEST_WEIGHT = 100.0
MOST_ARCS = 1 << 17          # of the answer, as many as the wire takes


class TooManyArcs(RangeError):
    """A lattice whose expansion has no room; pruned, it may have."""


def expand(lattice, model, weight, bonus=0.0):
    """Split nodes by history and add the model's scores.

    Parameters
    ----------
    lattice : Lattice
    model : NgramModel
    weight : float, -100 to 100    Of the logarithms; below 0, what the model expects counts against a path.
    bonus : float, -100 to 100     Added for each word, in nats.

    Returns
    -------
    Lattice                        One arc without a word leads to the end from every state in which it is reached; it carries
                                   the score of the end of the sentence.

    Raises
    ------
    DTypeError, ShapeError         For what is not a good lattice.
    TooManyArcs                    Where the answer has more than 131072 arcs; prune the lattice first.
    RangeError                     Also where a score does not fit.

    Notes
    -----
    Twin: BITS. Cost: a step of the model for each arc of the answer, and sorting.
    """
    check_expand(lattice, weight, bonus)
    arcs_of = [[] for _ in range(lattice.n_nodes)]
    for arc, source in enumerate(lattice.source.tolist()):
        arcs_of[source].append(arc)
    word_ids = model.numbers(lattice.words)
    items, at_node = {(0, ngram.start(model)): 0}, [[] for _ in range(lattice.n_nodes)]   # (node, state) to number
    at_node[0].append(0)
    states, rows = [ngram.start(model)], []         # rows: item, item, arc or -1, score
    for node in range(lattice.n_nodes):
        for item in at_node[node]:
            for arc in arcs_of[node]:
                state, logp, word = states[item], 0.0, lattice.word[arc]
                if word != NO_WORD:
                    state, logp = ngram.advance(model, state, int(word_ids[word]))
                    logp = weight * logp + bonus
                place = int(lattice.target[arc]), state
                if place not in items:
                    items[place] = len(states)
                    at_node[place[0]].append(len(states))
                    states.append(state)
                rows.append((item, items[place], arc, int(np.rint(SCORES_A_NAT * logp))))
                require_room(len(rows))
    for item in at_node[-1]:
        logp = weight * ngram.advance(model, states[item], ngram.STOP)[1]
        rows.append((item, len(states), -1, int(np.rint(SCORES_A_NAT * logp))))
    nodes = np.array([node for node, _ in items], np.int32)
    return assemble(lattice, nodes, np.array(rows, np.int64).reshape(-1, 4))


def require_room(n_arcs):
    """Raise TooManyArcs. Parameters: n_arcs (so far)."""
    if n_arcs > MOST_ARCS:
        raise TooManyArcs(f"lattice: got one with more than {MOST_ARCS} arcs after expansion, expected fewer; prune it first")


def check_expand(lattice, weight, bonus):
    """Validate the arguments. Parameters: lattice, weight, bonus. Raises DTypeError, ShapeError, RangeError."""
    require_lattice(lattice)
    checks.between("weight", weight, -LARGEST_WEIGHT, LARGEST_WEIGHT)
    checks.between("bonus", bonus, -LARGEST_WEIGHT, LARGEST_WEIGHT)


def assemble(lattice, nodes, rows):
    """The lattice of what was found; its items are numbered anew in topological order.

    Parameters
    ----------
    lattice : Lattice       That was expanded.
    nodes : int32 [I]       Node of each item.
    rows : int64 [R, 4]     Item from, item to (I is the new end), arc of `lattice` (-1 for the arc to the end), score to add.

    Returns
    -------
    Lattice

    Raises
    ------
    RangeError              Where a score does not fit.
    """
    number = np.empty(nodes.size + 1, np.int64)
    number[np.argsort(nodes, kind="stable")] = np.arange(nodes.size)
    number[nodes.size] = nodes.size
    arcs, inside = rows[:, 2], rows[:, 2] >= 0
    last = int(lattice.end.max(initial=0))
    take = lambda field, other: np.where(inside, getattr(lattice, field).astype(np.int64)[arcs] if lattice.n_arcs else 0, other)
    columns = dict(source=number[rows[:, 0]], target=number[rows[:, 1]], word=take("word", NO_WORD), start=take("start", last),
                   end=take("end", last), acoustic=take("acoustic", 0), lm=take("lm", 0) + rows[:, 3], bias=take("bias", 0))
    if np.abs(columns["lm"]).max(initial=0) > LARGEST_SCORE:
        raise RangeError(f"lm: got scores past {LARGEST_SCORE}, expected smaller ones; lower the weight")
    order = arc_order(np.array([columns[name] for name in ARC_FIELDS[:4]]))
    found = Lattice(lattice.words, max(2, nodes.size + 1), *(columns[name][order].astype(np.int32) for name in ARC_FIELDS),
                    lattice.frame_seconds)
    check_lattice(found)
    return found
