"""The best text so far, frame by frame: what the search has written, when it wrote last, and what can no longer change.

A beam search gives the flow of probability along the arcs of a graph whose nodes are label sequences. Remembering for each
node the likeliest way into it is enough to spell the best hypothesis after every frame, at the price of its length.
"""

from typing import NamedTuple

from refasr.stages import COLLECT_FRAMES
from refasr.transducer.units import BLANK

SURE_NATS = 16.0          # margin where there is one hypothesis only


class Heard(NamedTuple):
    """What the search knew after one frame.

    labels : tuple of int     Units of the best hypothesis.
    n_stable : int            So many of them all living hypotheses share.
    last_frame : int          Frame in which most of the last unit's mass came; -1 before the first.
    score : float             Logarithm of the best hypothesis' mass.
    margin : float            Nats by which the second hypothesis is worse, up to SURE_NATS.
    """

    labels: tuple
    n_stable: int
    last_frame: int
    score: float
    margin: float


NOTHING = Heard((), 0, -1, 0.0, SURE_NATS)


class BeamTrail:
    """The trail of a beam search: the likeliest way into each node."""

    def __init__(self):
        self.into = {}    # node: (mass, source, label, frame)

    def take(self, written, state):
        """One frame's output.

        Parameters
        ----------
        written : list of Stretch    Of one or more frames, in order.
        state : BeamState            After them.

        Returns
        -------
        Heard
        """
        for flow, alive, frame in written:
            columns = (flow.source, flow.target, flow.label, flow.frame, flow.mass)
            for source, target, label, at, mass in zip(*(column.tolist() for column in columns)):
                known = self.into.get(target)
                if known is None or mass > known[0]:
                    self.into[target] = (mass, source, label, at)
            if frame % COLLECT_FRAMES == 0:
                self.forget(alive.tolist())
        beam = state.beam
        nodes, totals = beam.node.tolist(), beam.total.tolist()
        path, shared = self.path(nodes[0]), self.meeting(nodes)
        spelled = [(label, at) for _, label, at in path if label != BLANK]
        n_stable = sum(node <= shared and label != BLANK for node, label, _ in path)
        margin = min(totals[0] - totals[1], SURE_NATS) if len(totals) > 1 else SURE_NATS
        return Heard(tuple(label for label, _ in spelled), n_stable, spelled[-1][1] if spelled else -1,
                     float(beam.acoustic[0]), margin)

    def path(self, node):
        """The likeliest way to a node. Parameters: node. Returns a list of (node, label, frame)."""
        steps = []
        while node in self.into:
            _, source, label, at = self.into[node]
            steps.append((node, label, at))
            node = source
        return steps[::-1]

    def meeting(self, nodes):
        """The last node that the likeliest ways to all these nodes pass. Parameters: nodes (list of int). Returns an int."""
        open_nodes = set(nodes)
        while len(open_nodes) > 1:
            youngest = max(open_nodes)    # a way in comes from an older node
            open_nodes.remove(youngest)
            open_nodes.add(self.into[youngest][1] if youngest in self.into else 0)
        return open_nodes.pop()

    def forget(self, nodes):
        """Drop what leads to none of these nodes. Parameters: nodes (list of int)."""
        kept = {}
        for node in nodes:
            while node in self.into and node not in kept:
                kept[node] = self.into[node]
                node = kept[node][1]
        self.into = kept


class GreedyTrail:
    """The trail of greedy search, which takes nothing back."""

    def __init__(self):
        self.labels, self.last_frame = (), -1

    def take(self, written, state):
        """One frame's output. Parameters: written (list of Emission), state (SearchState). Returns a Heard."""
        if written:
            self.labels += tuple(emission.label for emission in written)
            self.last_frame = written[-1].frame
        return Heard(self.labels, len(self.labels), self.last_frame, float(state.greedy.score), SURE_NATS)


def trail_of(state):
    """A new trail for the kind of search that a state belongs to. Parameters: state (BeamState or SearchState).

    Returns
    -------
    BeamTrail or GreedyTrail
    """
    return BeamTrail() if hasattr(state, "beam") else GreedyTrail()
