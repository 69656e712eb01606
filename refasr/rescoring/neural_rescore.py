"""A lattice scored by the neural language model: its state depends on all words so far, so only the best histories are followed.

At every node the histories that reach it are gathered, equal ones merged (their future is the same), and the best `width` kept;
each becomes a node of the answer. With `width` as large as the number of histories this is the score of every path.
A history is scored once, however many arcs spell it. Nodes that are equally many arcs from the start (by the longest way) do not
wait for each other, so all new histories of all of them are scored at a time: the weights are read once for many.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.lattice.forward_backward import require_lattice
from refasr.lattice.lattice import NO_WORD, SCORES_A_NAT
from refasr.rescoring import neural_lm
from refasr.rescoring.neural_lm import LmState
from refasr.rescoring.rescore import LARGEST_WEIGHT, assemble, require_room
from refasr.transducer.units import CHARACTERS, WORD_MARK

LARGEST_WIDTH = 1024
UNKNOWN_UNIT = CHARACTERS.index("<unk>")
UNIT_IDS = {unit: number for number, unit in enumerate(CHARACTERS)}


def spelled(word):
    """Units of a word, its mark first; a letter that the model lacks is <unk>. Parameters: word. Returns a list of int."""
    return [UNIT_IDS.get(letter, UNKNOWN_UNIT) for letter in WORD_MARK + word]


class Histories:
    """A tree of word sequences and what the model thinks of them; 0 is the empty one.

    Parameters
    ----------
    weights : NeuralLm
    backend : Backend
    words : tuple of str    Those of the lattice.
    """

    def __init__(self, weights, backend, words):
        self.weights, self.backend = weights, backend
        self.units = [spelled(word) for word in words]
        self.states, self.known, self.n = [neural_lm.start(weights, backend)], {}, 1
        self.places = [(0, 0)]     # of each history: which batch of states, which row

    def extend(self, pairs):
        """Score histories by one word, those not known yet in one batch.

        Parameters
        ----------
        pairs : iterable of (int, int)    History and word number; -1 is the end of the sentence, which leads nowhere.

        Returns
        -------
        dict                              Pair to (history, natural logarithm), of all pairs so far.
        """
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self.known]
        if new:
            texts = [self.units[word] if word >= 0 else [neural_lm.STOP] for _, word in new]
            units = np.array([unit for text in texts for unit in text], np.int32)
            ends = np.cumsum([len(text) for text in texts]).astype(np.int32)
            rows = [self.places[history] for history, _ in new]
            before = LmState(*(np.stack([getattr(self.states[batch], part)[row] for batch, row in rows])
                               for part in LmState._fields))
            logp, after = self.backend(neural_lm.spell)(units, ends, before, self.weights)
            for row, (pair, value) in enumerate(zip(new, logp.tolist())):
                self.known[pair] = self.n + row, value
                self.places.append((len(self.states), row))
            self.states.append(after)
            self.n += len(new)
        return self.known


class Candidate(NamedTuple):
    """An arc that reaches a node. score : best total of a path through it; item : where it comes from; arc; added : to its lm."""

    score: int
    item: int
    arc: int
    added: int


def expand(lattice, weights, weight, width, backend):
    """Split nodes by history and add the model's scores.

    Parameters
    ----------
    lattice : Lattice
    weights : NeuralLm
    weight : float, -100 to 100    Of the logarithms.
    width : int, 1 to 1024         Histories kept at a node.
    backend : Backend              From `twins.select`.

    Returns
    -------
    Lattice                        As `rescore.expand` gives it, without the paths whose histories were dropped.

    Raises
    ------
    DTypeError, ShapeError         For what is not a good lattice.
    TooManyArcs                    Where the answer has more than 131072 arcs; prune the lattice first.
    RangeError                     Also for a word of more than 199 letters, or a score that does not fit.

    Notes
    -----
    Cost: at most `width` units of the model for each letter on each arc; in a time-aligned lattice far fewer are new.
    """
    require_lattice(lattice)
    checks.between("weight", weight, -LARGEST_WEIGHT, LARGEST_WEIGHT)
    checks.between("width", width, 1, LARGEST_WIDTH)
    if max(map(len, lattice.words)) >= neural_lm.LONGEST_WORD:
        raise RangeError(f"words: got one of {max(map(len, lattice.words))} letters, expected less than {neural_lm.LONGEST_WORD}")
    histories = Histories(weights, backend, lattice.words)
    first_arc = np.searchsorted(lattice.source, np.arange(lattice.n_nodes + 1))
    word, target, total = lattice.word.tolist(), lattice.target.tolist(), lattice.total.tolist()
    reaching = [{} for _ in range(lattice.n_nodes)]     # history to its candidates
    reaching[0] = {0: [Candidate(0, -1, -1, 0)]}
    nodes, rows, last = [], [], lattice.n_nodes - 1
    for level in levels(lattice):
        kept = [(node, *found) for node in level for found in best_histories(reaching[node], width)]
        arcs = {node: range(first_arc[node], first_arc[node + 1]) for node in level}
        wanted = [(history, word[arc]) for node, history, _ in kept for arc in arcs[node] if word[arc] != NO_WORD]
        known = histories.extend([*wanted, *((history, -1) for node, history, _ in kept if node == last)])
        for node, history, candidates in kept:
            item, score = len(nodes), max(candidate.score for candidate in candidates)
            nodes.append(node)
            rows += [(candidate.item, item, candidate.arc, candidate.added) for candidate in candidates if candidate.item >= 0]
            require_room(len(rows))
            for arc in arcs[node]:
                after, logp = known[history, word[arc]] if word[arc] != NO_WORD else (history, 0.0)
                added = int(np.rint(SCORES_A_NAT * (weight * logp)))
                reaching[target[arc]].setdefault(after, []).append(Candidate(score + total[arc] + added, item, arc, added))
            if node == last:
                rows.append((item, -1, -1, int(np.rint(SCORES_A_NAT * (weight * known[history, -1][1])))))
        for node in level:
            reaching[node] = None
    found = np.array(rows, np.int64).reshape(-1, 4)
    found[found[:, 1] < 0, 1] = len(nodes)
    return assemble(lattice, np.array(nodes, np.int32), found)


def levels(lattice):
    """Nodes by the most arcs on a way from the start to them. Parameters: lattice. Returns a list of lists of int."""
    depth, found = [0] * lattice.n_nodes, {}
    for source, target in zip(lattice.source.tolist(), lattice.target.tolist()):     # in topological order
        depth[target] = max(depth[target], depth[source] + 1)
    for node, level in enumerate(depth):
        found.setdefault(level, []).append(node)
    return [found[level] for level in sorted(found)]


def best_histories(reaching, width):
    """Those with the best path, the first found among equals. Parameters: reaching (dict), width. Returns a list of items."""
    if len(reaching) <= width:
        return list(reaching.items())
    return sorted(reaching.items(), key=lambda item: -max(candidate.score for candidate in item[1]))[:width]
