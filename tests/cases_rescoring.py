"""Strategies for the twins of `refasr.rescoring`: small models, with and without smoothing, and arguments to refuse."""

import functools

import numpy as np
from cases_lattice import LATTICES
from cases_nn import normal, sometimes_spoilt
from hypothesis import strategies as st

from refasr.rescoring import kneser_ney, ngram
from refasr.rescoring.neural_lm import LmState, NeuralLm

LETTERS = ("a", "b", "c", "d")


@functools.cache
def small_model(order, seed, prune=0):
    """A model of random sentences. Parameters: order, seed, prune. Returns an NgramModel."""
    rng = np.random.default_rng(seed)
    sentences = [[LETTERS[i] for i in rng.integers(0, 1 + seed % 4, rng.integers(0, 6))] for _ in range(12)]
    return kneser_ney.estimate([*sentences, ["a"]], order, (0, prune))


@functools.cache
def odd_model():
    """A model as other programs write: ends of sequences are missing, nothing sums to 1. Returns an NgramModel."""
    level = lambda ids, p, b: ngram.Level(np.array(ids, np.int32), np.array(p, np.float32), np.array(b, np.float32))
    return ngram.build((*ngram.MARKS, "a", "b"), [
        level([[0], [1], [2], [3], [4]], [-100, -99, -1, -0.5, -0.25], [0, -0.1, 0, 0.3, 0]),
        level([[1, 3], [3, 4]], [-0.125, 0], [-2, 0]), level([[1, 3, 3], [1, 3, 4]], [-3, -0.5], [0, 0])])


MODELS = st.one_of(st.just(None).map(lambda _: odd_model()),
                   st.builds(small_model, st.integers(1, 4), st.integers(0, 5), st.integers(0, 1)))
NUMBERS = st.one_of(st.integers(0, 6), st.sampled_from([-1, 10**6, 2**40]))
SENTENCES = st.one_of(st.lists(st.integers(0, 3), max_size=8).map(lambda words: np.array(words, np.int32)),
                      st.sampled_from([np.array([99], np.int32), np.array([-1], np.int32), np.ones(2), [1], None]))
WEIGHTS = st.sampled_from([1.0, 0.5, 0.0, -0.3, 100.0, 1e3, float("nan"), 2])


def spelling(draw):
    """Parameters: draw. Returns the arguments of `spell`."""
    sizes = [2, 5, 36, 70], [1, 4], [1, 3, 16, 18], [0, 1, 3, 5]
    n_units, embedded, width, n_rows = (draw(st.sampled_from(some)) for some in sizes)
    weights = NeuralLm(normal(draw, n_units, embedded), normal(draw, embedded, 4 * width), normal(draw, width, 4 * width),
                       normal(draw, 4 * width), normal(draw, width, n_units), normal(draw, n_units))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    ends = np.cumsum(rng.integers(0, 5, n_rows)).astype(np.int32)
    units = rng.integers(0, n_units + draw(st.sampled_from([0, 0, 0, 1])), ends[-1] if n_rows else 0).astype(np.int32)
    return units, ends, LmState(np.tanh(normal(draw, n_rows, width)), normal(draw, n_rows, width)), weights


CASES = {
    "refasr.rescoring.ngram.advance": st.tuples(MODELS, NUMBERS, NUMBERS),
    "refasr.rescoring.ngram.sequence_scores": st.tuples(MODELS, SENTENCES),
    "refasr.rescoring.rescore.expand": st.tuples(LATTICES, MODELS, WEIGHTS, WEIGHTS),
    "refasr.rescoring.neural_lm.spell": sometimes_spoilt(spelling),
}
