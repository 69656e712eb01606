"""Strategies for the twins of beam search."""

import functools

import numpy as np
from cases_nn import normal, sometimes_spoilt
from hypothesis import strategies as st

from refasr.rescoring import kneser_ney
from refasr.search import boost, fusion, hypotheses
from refasr.search.hypotheses import SearchSettings
from refasr.search.scorer import Scorer
from refasr.twins import select


def scorer(draw):
    """Small random weights, a few NaN and huge ones among them. Parameters: draw. Returns a Scorer."""
    sizes = [2, 9, 17], [1, 4, 6], [1, 3, 8, 17], [1, 5, 16]
    n_units, embedded, width, joint = (draw(st.sampled_from(size)) for size in sizes)
    return Scorer(normal(draw, n_units, embedded), normal(draw, embedded, 4 * width), normal(draw, width, 4 * width),
                  normal(draw, 4 * width), normal(draw, width), normal(draw, width), normal(draw, width, joint),
                  normal(draw, joint, n_units), normal(draw, n_units))


def text_arguments(draw):
    """Parameters: draw. Returns the arguments of `next_text`."""
    weights, n = scorer(draw), draw(st.integers(0, 4))
    labels = np.random.default_rng(draw(st.integers(0, 99))).integers(0, len(weights.table) + draw(st.integers(0, 1)), n)
    width = weights.gain.size
    return labels.astype(np.int32), normal(draw, n, width), normal(draw, n, width), weights


def score_arguments(draw):
    """Parameters: draw. Returns the arguments of `unit_scores`."""
    weights = scorer(draw)
    joint = weights.text.shape[1]
    return normal(draw, joint), normal(draw, draw(st.integers(0, 4)), joint), weights


@functools.cache
def words_model(seed):
    """A model of words of the letters a, b and c. Parameters: seed. Returns an NgramModel."""
    rng = np.random.default_rng(seed)
    words = ["a", "b", "ab", "ba", "abb", "cab"][: 2 + seed]
    sentences = [[words[i] for i in rng.integers(0, len(words), rng.integers(1, 5))] for _ in range(15)]
    return kneser_ney.estimate(sentences, 1 + seed % 3)


def language(draw, n_units):
    """A small language model, or none. Parameters: draw, n_units. Returns a Fusion."""
    settings = draw(st.one_of(st.none(), st.builds(
        fusion.LmSettings, st.integers(0, 4).map(words_model), st.sampled_from([1.0, 0.3, -0.5]), st.sampled_from([0.0, 1.0]))))
    return fusion.build(settings, n_units)


def fusion_arguments(draw):
    """Parameters: draw. Returns the arguments of `fusion.score_units`."""
    n_units = draw(st.sampled_from([2, 9, 12, 36]))
    labels = draw(st.lists(st.sampled_from([8, 8, 9, 10, 11, 3, 12, 35]).filter(lambda unit: unit < n_units), max_size=12)
                  if n_units > 3 else st.just([]))
    wrong = draw(st.sampled_from([None] * 6 + [np.array([0], np.int32), np.array([n_units], np.int32), [1], np.zeros(2)]))
    return language(draw, n_units), np.array(labels, np.int32) if wrong is None else wrong


def search_arguments(draw):
    """Parameters: draw. Returns the arguments of `search_frames`, sometimes with settings that are refused."""
    weights = scorer(draw)
    joint = weights.text.shape[1]
    settings = SearchSettings(draw(st.integers(1, 4)), draw(st.sampled_from([0.5, 3.0, 20.0])), draw(st.integers(1, 3)),
                              draw(st.integers(0, 2)), draw(st.booleans()))
    n_units = len(weights.table)
    spelled = [np.array(draw(st.lists(st.integers(1, n_units - 1), min_size=1, max_size=4)), np.int32)
               for _ in range(draw(st.integers(0, 3)))]
    phrases = [boost.Phrase(units, draw(st.sampled_from([0.5, 3.0, -1.0]))) for units in spelled]
    automaton = boost.build(phrases, n_units, word_starts=range(1, n_units))
    state = hypotheses.start(weights, settings, select("reference"))
    audio = normal(draw, draw(st.integers(0, 4)), joint)
    words = language(draw, n_units)
    state = state._replace(history=np.array([words.start], np.int32))
    refused = draw(st.sampled_from([None] * 6 + [settings._replace(beam=0), settings._replace(context=3)]))
    return audio, state, weights, automaton, words, refused or settings


CASES = {
    "refasr.search.beam.search_frames": st.composite(search_arguments)(),
    "refasr.search.fusion.score_units": st.composite(fusion_arguments)(),
    "refasr.search.scorer.next_text": sometimes_spoilt(text_arguments),
    "refasr.search.scorer.unit_scores": sometimes_spoilt(score_arguments),
}
