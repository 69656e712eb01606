"""Beam search over a transducer, frame by frame, summing over alignments, with phrases boosted before anything is pruned.

At every frame a hypothesis may write any number of units and then takes blank:

    resting <- {},  moving <- beam
    repeat up to max_symbols + 1 times:
        resting[y]       +=  moving[y] p(blank | t, y)            equal label sequences are added (log-add)
        moving           <-  the best of moving[y] p(k | t, y), all y, k
    beam <- the best of resting

A hypothesis ranks by total = acoustic + bias + lm; acoustic is the log of the sum over its alignments, bias what the phrase
automaton has given (`refasr.search.boost`), lm what a language model has (`refasr.search.fusion`). With `one_symbol` a unit
moves on to the next frame as blank does (at most one a frame). With `context` n > 0, hypotheses whose last n units agree, and
of which phrases and language model remember the same, are one from the end of the frame on: the better one's state goes on,
both ways into it stay in the lattice (Prabhavalkar 2021, arXiv 2012.06749). They meet at the youngest of their nodes: with a
new node each time, a hypothesis that joins again and again in silence would grow a chain of a node a frame.

What the search writes down is the flow of probability: each arc (source node, unit, target node) with the logarithm of the
mass that took it in a frame. A node is a label sequence (or several that became one). `refasr.lattice.assemble` adds the
flows up and makes the lattice.

Source: time-synchronous decoding, Saon 2020, "Alignment-length synchronous decoding for RNN transducer", section 3.
"""

from typing import NamedTuple

import numpy as np

from refasr import numerics
from refasr.search import boost, fusion, scorer
from refasr.search.hypotheses import FLOW_TYPES, REMEMBERED, Beam, Flow, check_search, next_key
from refasr.transducer.units import BLANK


class Branch(NamedTuple):
    """One hypothesis; the fields of `Beam`."""

    acoustic: float
    bias: float
    lm: float
    node: int
    key: int
    boost: int
    history: int
    spelling: int
    suffix: tuple
    text: np.ndarray
    h: np.ndarray
    c: np.ndarray

    @property
    def total(self):
        """The score that ranks."""
        return self.acoustic + (self.bias + self.lm)


def search_frames(audio, beam, weights, automaton, words, settings):
    """Search the next frames.

    Parameters
    ----------
    audio : float32 [T, J]       Projected encodings (`Joiner.project_audio`); may be none.
    beam : Beam                  From `start` or the frames before; not modified.
    weights : Scorer             Finite, as a model file promises.
    automaton : Automaton        Phrases, from `boost.build`; the same for the whole utterance.
    words : Fusion               Language model, from `fusion.build`; the same for the whole utterance.
    settings : SearchSettings    The same for the whole utterance.

    Returns
    -------
    (Beam, Flow)                 The same bits however the frames are cut.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS, decisions included, because the scores are summed in a written order.
    """
    check_search(audio, beam, weights, settings)
    search = Search(beam, weights, automaton, words, settings)
    frame_of = search.one_symbol_frame if settings.one_symbol else search.transducer_frame
    branches = [Branch(*map(plain, fields)) for fields in zip(*beam[:12])]
    for e in audio:
        branches = search.recombine(search.best(frame_of(e, branches)))
        search.frame += 1
    return search.beam(branches), search.flow()


def plain(value):
    """A field of a branch: arrays of units as tuples, scalars as Python's. Parameters: value. Returns the field."""
    if value.ndim == 0:
        return value.item()
    return tuple(value.tolist()) if value.dtype == np.int32 else value


class Search:
    """The frames of one call: numbers nodes and collects flows.

    Parameters
    ----------
    beam : Beam
    weights : Scorer
    automaton : Automaton
    words : Fusion
    settings : SearchSettings
    """

    def __init__(self, beam, weights, automaton, words, settings):
        self.weights, self.automaton, self.words, self.settings = weights, automaton, words, settings
        self.keys, self.nodes = beam.remembered_key.copy(), beam.remembered_node.copy()
        self.n_nodes, self.frame, self.arcs = beam.n_nodes, beam.frame, []

    def transducer_frame(self, e, moving):
        """One frame, any number of units. Parameters: e (float32 [J]), moving (list of Branch). Returns a list of Branch."""
        resting = {}
        for depth in range(self.settings.max_symbols + 1):
            logp = scorer.unit_scores(e, np.stack([branch.text for branch in moving]), self.weights)
            for branch, row in zip(moving, logp):
                rest(resting, branch._replace(acoustic=branch.acoustic + float(row[BLANK])))
            if depth == self.settings.max_symbols:
                break
            moving = self.write(moving, logp, resting, self.floor(resting))
            if not moving:
                break
        return list(resting.values())

    def one_symbol_frame(self, e, branches):
        """One frame, blank or one unit. Parameters: e (float32 [J]), branches. Returns a list of Branch."""
        logp = scorer.unit_scores(e, np.stack([branch.text for branch in branches]), self.weights)
        resting = {}
        for branch, row in zip(branches, logp):
            rest(resting, branch._replace(acoustic=branch.acoustic + float(row[BLANK])))
        for branch in self.write(branches, logp, resting, self.floor(resting)):
            rest(resting, branch)
        return list(resting.values())

    def floor(self, resting):
        """What a new hypothesis has to exceed. Parameters: resting. Returns a float."""
        totals = sorted((branch.total for branch in resting.values()), reverse=True)
        full = totals[self.settings.beam - 1] if len(totals) >= self.settings.beam else -np.inf
        return max(full, totals[0] - self.settings.score_beam)

    def write(self, moving, logp, resting, floor):
        """The best continuations by one unit.

        Parameters
        ----------
        moving : list of Branch
        logp : float32 [B, V]
        resting : dict             Hypotheses alive in this frame, by key.
        floor : float              Totals up to it are dropped.

        Returns
        -------
        list of Branch             At most `beam`, best first; among equals, the earlier branch and the lower unit.
        """
        found = []
        for i, (branch, row) in enumerate(zip(moving, logp)):
            for label in range(1, row.size):
                acoustic = branch.acoustic + float(row[label])
                state, delta = boost.advance(self.automaton, branch.boost, label)
                history, earned, spelling = fusion.advance(self.words, branch.history, branch.spelling, label)
                bias, lm = branch.bias + delta, branch.lm + earned
                if acoustic + (bias + lm) > floor:
                    after = Branch(acoustic, bias, lm, -1, next_key(branch.key, label), state, history, spelling,
                                   (*branch.suffix, label)[1:] if branch.suffix else (), None, None, None)
                    found.append((-after.total, i, label, after, delta, earned))
        return self.extend(moving, sorted(found)[: self.settings.beam], resting)

    def extend(self, moving, chosen, resting):
        """Branches with their nodes and arcs. Parameters: moving, chosen (from `write`), resting. Returns a list of Branch."""
        if not chosen:
            return []
        labels, parents = np.array([entry[2] for entry in chosen], np.int32), [moving[entry[1]] for entry in chosen]
        texts = scorer.next_text(labels, np.stack([p.h for p in parents]), np.stack([p.c for p in parents]), self.weights)
        branches = []
        for (_, _, label, after, *given), parent, text, h, c in zip(chosen, parents, *texts):
            node = self.node_for(after.key, parent.node, resting.get(after.key))
            self.arcs.append((parent.node, node, label, self.frame, after.acoustic, *given))
            branches.append(after._replace(node=node, text=text, h=h, c=c))
        return branches

    def node_for(self, key, source, alive):
        """The node of a label sequence; always younger than the node it is reached from, so that the graph has no cycle.

        Parameters
        ----------
        key : int
        source : int                Node before the unit.
        alive : Branch or None      The same label sequence, alive in this frame.

        Returns
        -------
        int                         A known node, or a new one. A known one that is too old is continued by a new one.
        """
        if alive is not None:
            known = alive.node
        else:
            matches = self.nodes[(self.keys == np.uint64(key)) & (self.nodes >= 0)]
            known = int(matches.max()) if matches.size else -1
        if known > source:
            return known
        node = self.new_node(key)
        if alive is not None:
            self.arcs.append((known, node, BLANK, self.frame, alive.acoustic, 0.0, 0.0))
        return node

    def new_node(self, key):
        """Number a node. Parameters: key. Returns an int."""
        node = self.n_nodes
        self.keys[node % REMEMBERED], self.nodes[node % REMEMBERED] = key, node
        self.n_nodes += 1
        return node

    def best(self, branches):
        """Rank and prune. Parameters: branches. Returns a list of Branch, best first; among equals in the order given."""
        ranked = sorted(branches, key=lambda branch: -branch.total)[: self.settings.beam]
        return [branch for branch in ranked if branch.total >= ranked[0].total - self.settings.score_beam]

    def recombine(self, branches):
        """Join hypotheses that share their last units. Parameters: branches, best first. Returns a list of Branch, best first."""
        if self.settings.context == 0:
            return branches
        groups = {}
        for branch in branches:
            groups.setdefault((branch.suffix, branch.boost, branch.history, branch.spelling), []).append(branch)
        return self.best([self.join(group) for group in groups.values()])

    def join(self, group):
        """One hypothesis instead of several, at the youngest of their nodes. Parameters: group (best first). Returns a Branch."""
        node, acoustic = max(branch.node for branch in group), group[0].acoustic
        for branch in group:
            if branch.node != node:
                self.arcs.append((branch.node, node, BLANK, self.frame, branch.acoustic, 0.0, 0.0))
        for branch in group[1:]:
            acoustic = log_add(acoustic, branch.acoustic)
        return group[0]._replace(acoustic=acoustic, node=node)

    def beam(self, branches):
        """The state as arrays. Parameters: branches. Returns a Beam."""
        columns = list(zip(*branches))
        scalars = [np.array(column, dtype) for column, dtype in
                   zip(columns[:8], 3 * (np.float64,) + (np.int32, np.uint64) + 3 * (np.int32,))]
        suffix = np.array(columns[8], np.int32).reshape(len(branches), self.settings.context)
        return Beam(*scalars, suffix, *map(np.stack, columns[9:]), self.keys, self.nodes, self.n_nodes, self.frame)

    def flow(self):
        """Arcs as arrays. Returns a Flow."""
        columns = list(zip(*self.arcs)) or [()] * len(FLOW_TYPES)
        return Flow(*(np.array(column, dtype) for column, dtype in zip(columns, FLOW_TYPES)))


def rest(resting, branch):
    """Add a hypothesis to those that are done with the frame. Parameters: resting (by key, modified), branch."""
    before = resting.get(branch.key)
    if before is not None:
        branch = branch._replace(acoustic=log_add(before.acoustic, branch.acoustic))
    resting[branch.key] = branch


def log_add(a, b):
    """`numerics.log_add` of two numbers. Parameters: a, b. Returns a float."""
    return float(numerics.log_add(np.array([a]), np.array([b]))[0])
