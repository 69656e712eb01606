"""The stages of the pipeline by name, each a pure function that can be called, recorded and compared on its own.

    (inputs, state) -> (outputs, state)

    key     inputs                           outputs                                    state
    K0      samples [S]                      the same                                   samples so far
    K1      samples [S]                      log-mel frames [T, F]                      samples that wait for a window
    K2      log-mel frames [T, F]            normalised, stacked [T/4, 4F]              frames that wait for a stack
    K3.l    [T, K]                           [T, D]: encoder layer l                    LstmState
    K4      unit, blank first                text encoding [P]                          LstmState
    K5      (audio [D], text [P])            logits [V]                                 none
    K6      audio encodings [T, D]           units with their frame and probability     SearchState
            (with beam search)               Stretches of flow along arcs               BeamState

With an integer model, what passes from K2 on is codes (`docs/arithmetic.md`), up to the logits of K5.

Sound runs through K0, K1, K2, K3.0, K3.1 ... and K6, which holds K4 and K5. `refasr.recognise` is that chain.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.features import normalise
from refasr.features.online import OnlineFeatures, stack_frames
from refasr.search import beam, boost, greedy, hypotheses
from refasr.search.hypotheses import Beam

F32 = np.float32
COLLECT_FRAMES = 64       # after so many, arcs of a beam search that lead nowhere are dropped


class Stage(NamedTuple):
    """One stage.

    key : such as "K1"; title : what it does.
    start : function () -> state before the first input.
    step : function (inputs, state) -> (outputs, state); neither argument is modified.
    """

    key: str
    title: str
    start: Callable
    step: Callable


class Emission(NamedTuple):
    """A unit that the search wrote.

    frame : encoder frame, from 0; label : unit number; logp : natural logarithm of its probability there.
    """

    frame: int
    label: int
    logp: float


class SearchState(NamedTuple):
    """The decoder's state.

    greedy : GreedyState; frame : number of the next encoder frame.
    """

    greedy: greedy.GreedyState
    frame: int


class BeamState(NamedTuple):
    """The state of a beam search, and the phrases it boosts.

    beam : Beam; automaton : Automaton.
    """

    beam: Beam
    automaton: boost.Automaton

    @property
    def frame(self):
        """Number of the next encoder frame."""
        return self.beam.frame


class Stretch(NamedTuple):
    """What a beam search wrote in some frames, which never span a multiple of COLLECT_FRAMES.

    flow : Flow; alive : int32 [B], where the hypotheses are after them; frame : number of the next frame.
    """

    flow: hypotheses.Flow
    alive: np.ndarray
    frame: int


def stages_of(model, network, backend, search=None):
    """All stages of a recogniser.

    Parameters
    ----------
    model : Model            Gives the features and their normalisation.
    network : Network        From `model.assemble`, or an IntegerNetwork.
    backend : Backend        From `twins.select`.
    search : Stage or None   K6 of a decoder; None is greedy search.

    Returns
    -------
    dict of str to Stage    In the order in which sound meets them.
    """
    layers = [layer_stage(network.encoder, index) for index in range(len(network.encoder.layers))]
    stages = [samples_stage(), features_stage(model, backend), stacking_stage(model, network), *layers, predictor_stage(network),
              joiner_stage(network), search or search_stage(network)]
    return {stage.key: stage for stage in stages}


def traced(stages, record):
    """The same stages, telling what passes through.

    Parameters
    ----------
    stages : dict of str to Stage
    record : function of (key, inputs, outputs)    Called after each step; must not modify what it gets.

    Returns
    -------
    dict of str to Stage
    """
    def watch(stage):
        def step(inputs, state):
            outputs, state = stage.step(inputs, state)
            record(stage.key, inputs, outputs)
            return outputs, state
        return stage._replace(step=step)
    return {key: watch(stage) for key, stage in stages.items()}


def samples_stage():
    """K0: only counts; the features, which come next, look at the values. Returns a Stage."""
    def step(samples, count):
        checks.array("samples", samples, F32, (None,))
        return samples, count + samples.size
    return Stage("K0", "samples", lambda: 0, step)


def features_stage(model, backend):
    """K1. Parameters: model, backend. Returns a Stage."""
    features = OnlineFeatures(model.architecture.profile, backend)
    return Stage("K1", "filter bank", features.start, features.step)


def stacking_stage(model, network):
    """K2, which ends in what the network takes: the integer one, codes. Parameters: model, network. Returns a Stage."""
    normaliser = normalise.Normaliser(model.mean, model.reciprocal_deviation)

    def step(frames, waiting):
        stacked, waiting = stack_frames(normalise.apply(frames, normaliser), waiting, model.architecture.stack)
        return network.encoder.enter(stacked), waiting
    return Stage("K2", "normalisation and stacking", lambda: np.zeros((0, model.mean.size), F32), step)


def layer_stage(encoder, index):
    """K3, one layer. Parameters: encoder, index. Returns a Stage."""
    def step(frames, state):
        return encoder.encode_layer(index, frames, state)
    return Stage(f"K3.{index}", f"encoder layer {index}", lambda: encoder.start()[index], step)


def predictor_stage(network):
    """K4. Parameters: network. Returns a Stage."""
    return Stage("K4", "predictor", network.predictor.before, network.predictor.predict)


def joiner_stage(network):
    """K5. Parameters: network. Returns a Stage."""
    return Stage("K5", "joiner", lambda: None, lambda pair, state: (network.joiner.join(*pair), state))


def search_stage(network):
    """K6. Parameters: network. Returns a Stage."""
    def step(encodings, state):
        search, frame = state
        emissions = []
        for h in encodings:
            units, search = greedy.step(network, h, search)
            emissions += [Emission(frame, label, logp) for label, logp in units]
            frame += 1
        return emissions, SearchState(search, frame)
    return Stage("K6", "greedy search", lambda: SearchState(greedy.start(network), 0), step)


def beam_stage(network, weights, automaton, words, settings, backend):
    """K6 with beam search.

    Parameters
    ----------
    network : Network
    weights : Scorer               Of the network.
    automaton : boost.Automaton    Phrases of an utterance that brings none of its own.
    words : fusion.Fusion          Language model.
    settings : SearchSettings
    backend : Backend

    Returns
    -------
    Stage             Its outputs end at each multiple of COLLECT_FRAMES, so that what is dropped there does not depend on chunks.
    """
    search = backend(beam.search_frames)

    def step(encodings, state):
        audio, after, written = network.joiner.project_audio(encodings), state.beam, []
        while len(audio):
            n_frames = min(len(audio), COLLECT_FRAMES - after.frame % COLLECT_FRAMES)
            after, flow = search(audio[:n_frames], after, weights, state.automaton, words, settings)
            if not np.isfinite(after.acoustic).all():
                raise RangeError("model: got scores that are not finite, expected finite ones; its weights are damaged")
            written.append(Stretch(flow, after.node, after.frame))
            audio = audio[n_frames:]
        return written, state._replace(beam=after)
    start = lambda: BeamState(hypotheses.start(weights, settings, backend, words.start), automaton)
    return Stage("K6", "beam search", start, step)
