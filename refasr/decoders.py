"""The two decoders behind a recogniser, and what each remembers of one utterance.

A decoder gives the pipeline its stage K6 and makes utterances; an utterance takes what the stage wrote, chunk by chunk, and
can say at any moment what the text is, and at the end what the hypotheses are.

    GreedyDecoder    one hypothesis; what is written stays
    BeamDecoder      several, with phrases boosted and perhaps a language model; a lattice at the end
"""

import math
from typing import NamedTuple

import numpy as np

from refasr import stages
from refasr.errors import RangeError, ShapeError
from refasr.lattice import assemble, forward_backward, nbest, prune
from refasr.lattice import confidence as confidence_of
from refasr.lattice.lattice import NO_WORD, SCORES_A_NAT, to_nats
from refasr.result import Hypothesis, confidence
from refasr.search import boost, fusion, hypotheses, scorer
from refasr.stages import COLLECT_FRAMES, Emission
from refasr.transducer.units import RESERVED, decode_labels, encode_text

LEAST_CONFIDENCE = 1e-6
LONGEST_OPEN_FRAMES = 750  # of arcs that older, not settled ones have only the likeliest alternative; 30 s
MOST_WEIGHT = 1e30        # of sums in the network, so that float32 holds all that they can become


class LatticeSettings(NamedTuple):
    """What is kept of a search.

    prune_beam : nats that a path may be worse than the best.
    arcs_a_second : the most arcs for each second of sound; of less than a second, as many as for one.
    nbest : hypotheses in the result.
    """

    prune_beam: float = 12.0
    arcs_a_second: int = 150
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
    phrases : sequence    Must be empty, see `automaton_of`.
    """

    def __init__(self, model, network, phrases=()):
        self.units, self.network = model.units, network
        self.automaton_of(phrases)

    def stage(self):
        """K6. Returns a Stage."""
        return stages.search_stage(self.network)

    def automaton_of(self, phrases):
        """There is no place for phrases here. Parameters: phrases. Returns None, for no phrases; raises RangeError for others."""
        if len(phrases):
            raise RangeError("phrases: got some with greedy search, expected none; give the recogniser search=SearchSettings()")

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
    """Beam search with phrases and a language model.

    Parameters
    ----------
    model : Model
    network : Network
    backend : Backend               From `twins.select`.
    settings : SearchSettings
    lattice : LatticeSettings
    phrases : sequence or Automaton    Of utterances that bring none of their own; see `automaton_of`.
    frame_seconds : float
    lm : LmSettings or None
    """

    def __init__(self, model, network, backend, settings, lattice, phrases, frame_seconds, lm=None):
        hypotheses.check_settings(settings)
        self.units, self.network, self.backend = model.units, network, backend
        self.settings, self.lattice, self.frame_seconds = settings, lattice, frame_seconds
        self.weights = scorer.scorer_of(network)
        if isinstance(self.weights, scorer.Scorer):
            require_sound(self.weights)  # integers are proven when they are read
        self.automaton, self.words = self.automaton_of(phrases), fusion.build(lm, len(self.units))
        self.calibration = model.card.get("confidence", {})

    def automaton_of(self, phrases):
        """Phrases made ready for the search.

        Parameters
        ----------
        phrases : sequence of Phrase, or Automaton    From `phrases.spell` or `boost.build`.

        Returns
        -------
        Automaton                                     Rewards are rounded to the grid of lattice scores: sums become exact.

        Raises
        ------
        DTypeError, ShapeError, RangeError
        """
        automaton, n_units = phrases, len(self.units)
        if not isinstance(automaton, boost.Automaton):
            automaton = boost.build(phrases, n_units)
        boost.check_automaton(automaton)
        if automaton.next_state.shape[1] != n_units:
            raise ShapeError(f"phrases: got an automaton of {automaton.next_state.shape[1]} units, expected {n_units}; "
                             "build it for this model")
        grid = {name: np.rint(getattr(automaton, name) * SCORES_A_NAT) / SCORES_A_NAT for name in ("hope", "at_once", "pending")}
        return automaton._replace(**grid)

    def stage(self):
        """K6. Returns a Stage."""
        return stages.beam_stage(self.network, self.weights, self.automaton, self.words, self.settings, self.backend)

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
        self.decoder, self.settled, self.recent, self.labels = decoder, [], [], []

    def take(self, written, state):
        """What a chunk gave. Parameters: written (list of Stretch), state (BeamState)."""
        for flow, alive, frame in written:
            self.recent.append(flow)
            if frame % COLLECT_FRAMES == 0:
                self.collect(alive, frame)

    def collect(self, alive, frame):
        """Drop what leads nowhere and put aside what is settled.

        Where alternatives stay open for too long, which joined hypotheses and words that sound alike may do, only the
        likeliest way into each older node is kept: what waits to be settled then grows no faster than the text.

        Parameters
        ----------
        alive : int32 [B]    Where the hypotheses are.
        frame : int          Number of the next frame.
        """
        live = assemble.keep_ancestors(assemble.add_up(assemble.joined(self.recent)), alive)
        before, after = assemble.settled_part(live, alive)
        oldest = frame - LONGEST_OPEN_FRAMES
        if after.frame.min(initial=frame) < oldest:
            after = assemble.keep_ancestors(assemble.thin_out(after, oldest), alive)
            more, after = assemble.settled_part(after, alive)
            before = assemble.joined([before, more])
        if before.source.size:
            self.settled.append(before)
            self.labels += [label for label, _ in assemble.best_labels(before, int(before.target.max()))]
        self.recent = [after]

    def flow(self):
        """All arcs so far. Returns a Flow."""
        return assemble.add_up(assemble.joined([*self.settled, *self.recent]))

    def text(self, state):
        """The best hypothesis so far; later chunks may revise it. Parameters: state (BeamState). Returns text."""
        labels = assemble.best_labels(assemble.add_up(assemble.joined(self.recent)), int(state.beam.node[0]))
        return decode_labels([*self.labels, *(label for label, _ in labels)], self.decoder.units)

    def ranked(self, state):
        """The end. Parameters: state (BeamState). Returns a Ranked."""
        decoder, beam = self.decoder, state.beam
        columns = (beam.node, beam.acoustic, beam.boost, beam.history, beam.spelling)
        endings = [assemble.Ending(node, acoustic, boost.finish(state.automaton, at), fusion.finish(decoder.words, *lm))
                   for node, acoustic, at, *lm in zip(*(column.tolist() for column in columns))]
        flow = assemble.keep_ancestors(self.flow(), beam.node)
        units = decoder.backend(prune.prune)(assemble.unit_lattice(flow, endings, decoder.units, decoder.frame_seconds),
                                             decoder.lattice.prune_beam)
        most = math.ceil(decoder.lattice.arcs_a_second * max(1.0, beam.frame * decoder.frame_seconds))
        words = decoder.backend(prune.prune)(assemble.word_lattice(units, decoder.lattice.prune_beam), decoder.lattice.prune_beam,
                                             most)
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
            first = max(int(lattice.start[arc]), emissions[-1].frame if emissions else 0)    # words may overlap by a little
            frames = np.linspace(first, max(first, lattice.end[arc] - 1), labels.size).round()
            emissions += [Emission(int(frame), int(label), logp) for frame, label in zip(frames, labels)]
        return emissions


def require_sound(weights):
    """Refuse weights from which a search could compute something that is not finite. Parameters: weights (Scorer)."""
    size = scorer.Scorer(*(np.abs(array.astype(np.float64)) for array in weights))
    normal = math.sqrt(size.gain.size) * size.gain + size.shift
    sums = (*size, size.table @ size.input + size.bias + size.recurrent.sum(axis=0), normal @ size.text,
            size.output.sum(axis=0) + size.output_bias)
    if not all((array < MOST_WEIGHT).all() for array in sums):
        raise RangeError("model: got weights that are huge or not finite, expected trained ones; the model is damaged")
