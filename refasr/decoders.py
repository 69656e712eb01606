"""The two decoders behind a recogniser, and what each remembers of one utterance.

A decoder gives the pipeline its stage K6 and makes utterances; an utterance takes what the stage wrote, chunk by chunk, and
can say at any moment what the text is, and at the end what the hypotheses are.

    GreedyDecoder    one hypothesis; what is written stays
    BeamDecoder      several, with phrases boosted; a lattice at the end
"""

import math
from typing import NamedTuple

import numpy as np

from refasr import stages
from refasr.lattice import assemble, forward_backward, nbest, prune
from refasr.lattice import confidence as confidence_of
from refasr.lattice.lattice import NO_WORD, to_nats
from refasr.result import Hypothesis, confidence
from refasr.search import boost, hypotheses, scorer
from refasr.stages import Emission
from refasr.transducer.units import RESERVED, decode_labels, encode_text

LEAST_CONFIDENCE = 1e-6
COLLECT_FRAMES = 64       # after so many, arcs that lead nowhere are dropped


class LatticeSettings(NamedTuple):
    """What is kept of a search.

    prune_beam : nats that a path may be worse than the best.
    max_arcs : the most arcs.
    nbest : hypotheses in the result.
    """

    prune_beam: float = 8.0
    max_arcs: int = 300
    nbest: int = 8


class Ranked(NamedTuple):
    """The end of an utterance.

    emissions : list of Emission           Units of the best hypothesis.
    nbest : tuple of Hypothesis            Best first.
    conf : float, 0 to 1                   Of the whole.
    lattice : Lattice or None
    """

    emissions: list
    nbest: tuple
    conf: float
    lattice: object


class GreedyDecoder:
    """Takes the best unit at every frame.

    Parameters
    ----------
    model : Model
    network : Network
    """

    def __init__(self, model, network):
        self.units, self.network = model.units, network

    def stage(self):
        """K6. Returns a Stage."""
        return stages.search_stage(self.network)

    def utterance(self):
        """A new utterance. Returns a GreedyUtterance."""
        return GreedyUtterance(self.units)


class GreedyUtterance:
    """Units written so far, which are final.

    Parameters
    ----------
    units : tuple of str    The inventory.
    """

    def __init__(self, units):
        self.units, self.emissions = units, []

    def take(self, written, state):
        """What a chunk gave. Parameters: written (list of Emission), state (SearchState)."""
        self.emissions += written

    def text(self, state):
        """What was recognised so far. Parameters: state. Returns text."""
        return decode_labels([emission.label for emission in self.emissions], self.units)

    def ranked(self, state):
        """The end. Parameters: state (SearchState). Returns a Ranked."""
        sure = confidence([emission.logp for emission in self.emissions if emission.label >= len(RESERVED)])
        return Ranked(self.emissions, (Hypothesis(self.text(state), state.greedy.score),), sure, None)


class BeamDecoder:
    """Beam search with phrases.

    Parameters
    ----------
    model : Model
    network : Network
    backend : Backend               From `twins.select`.
    settings : SearchSettings
    lattice : LatticeSettings
    phrases : sequence              Spelled phrases for `boost.build`.
    frame_seconds : float
    """

    def __init__(self, model, network, backend, settings, lattice, phrases, frame_seconds):
        hypotheses.check_settings(settings)
        self.units, self.network, self.backend = model.units, network, backend
        self.settings, self.lattice, self.frame_seconds = settings, lattice, frame_seconds
        self.weights = scorer.scorer_of(network)
        self.automaton = boost.build(phrases, len(model.units))
        self.calibration = model.card.get("confidence", {})

    def stage(self):
        """K6. Returns a Stage."""
        return stages.beam_stage(self.network, self.weights, self.automaton, self.settings, self.backend)

    def utterance(self):
        """A new utterance. Returns a BeamUtterance."""
        return BeamUtterance(self)


class BeamUtterance:
    """The graph of one utterance: settled arcs, which nothing can change, and those of the last few seconds.

    Parameters
    ----------
    decoder : BeamDecoder
    """

    def __init__(self, decoder):
        self.decoder, self.settled, self.recent, self.collected = decoder, [], [], 0

    def take(self, written, state):
        """What a chunk gave. Parameters: written (Flow), state (BeamState)."""
        self.recent.append(written)
        if state.frame - self.collected >= COLLECT_FRAMES:
            live = assemble.keep_ancestors(assemble.add_up(assemble.joined(self.recent)), state.beam.node)
            before, after = assemble.settled_part(live, state.beam.node)
            self.settled.append(before)
            self.recent, self.collected = [after], state.frame

    def flow(self):
        """All arcs so far. Returns a Flow."""
        return assemble.add_up(assemble.joined([*self.settled, *self.recent]))

    def text(self, state):
        """The best hypothesis so far; later chunks may revise it. Parameters: state (BeamState). Returns text."""
        labels = assemble.best_labels(self.flow(), int(state.beam.node[0]))
        return decode_labels([label for label, _ in labels], self.decoder.units)

    def ranked(self, state):
        """The end. Parameters: state (BeamState). Returns a Ranked."""
        decoder, beam = self.decoder, state.beam
        endings = [assemble.Ending(int(node), float(acoustic), boost.finish(state.automaton, int(at)))
                   for node, acoustic, at in zip(beam.node, beam.acoustic, beam.boost)]
        flow = assemble.keep_ancestors(self.flow(), beam.node)
        units = decoder.backend(prune.prune)(assemble.unit_lattice(flow, endings, decoder.units, decoder.frame_seconds),
                                             decoder.lattice.prune_beam)
        words = decoder.backend(prune.prune)(assemble.word_lattice(units), decoder.lattice.prune_beam, decoder.lattice.max_arcs)
        readings = decoder.backend(nbest.nbest)(words, decoder.lattice.nbest)
        ledger = tuple(Hypothesis(" ".join(reading.words), *map(to_nats, (reading.acoustic, reading.lm, reading.bias)))
                       for reading in readings)
        sure = self.confidences(words, readings[0])
        return Ranked(self.emissions_of(words, readings[0], sure), ledger, min(sure, default=0.0), words)

    def confidences(self, lattice, reading):
        """Calibrated confidence of each word. Parameters: lattice, reading. Returns a list of float, 0 to 1."""
        fitted = self.decoder.calibration
        posteriors = self.decoder.backend(forward_backward.arc_posteriors)(lattice, fitted.get("scale", 1.0))
        raw = confidence_of.word_confidences(lattice, reading.arcs, posteriors)
        return confidence_of.calibrate(raw, fitted.get("slope", 1.0), fitted.get("offset", 0.0)).tolist()

    def emissions_of(self, lattice, reading, sure):
        """Units of a reading, spread over the times of its words and as sure as they.

        Parameters
        ----------
        lattice : Lattice
        reading : Reading
        sure : list of float    One a word.

        Returns
        -------
        list of Emission
        """
        emissions, remaining = [], iter(sure)
        for arc in reading.arcs[lattice.word[reading.arcs] != NO_WORD].tolist():
            logp = math.log(max(next(remaining), LEAST_CONFIDENCE))
            labels = encode_text(lattice.words[lattice.word[arc]], self.decoder.units)
            frames = np.linspace(lattice.start[arc], max(lattice.start[arc], lattice.end[arc] - 1), labels.size).round()
            emissions += [Emission(int(frame), int(label), logp) for frame, label in zip(frames, labels)]
        return emissions
