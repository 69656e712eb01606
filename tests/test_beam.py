"""Beam search against the enumeration of everything, and the lattice that its flows become."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refasr.errors import RangeError, ShapeError
from refasr.lattice import assemble, nbest
from refasr.lattice.lattice import SCORES_A_NAT, to_score
from refasr.search import beam, boost, fusion, hypotheses
from refasr.search.hypotheses import SearchSettings
from refasr.search.scorer import Scorer
from refasr.transducer.units import CHARACTERS
from refasr.twins import select

FAST, REFERENCE = select("fast"), select("reference")
WIDE = SearchSettings(beam=64, score_beam=1e6, max_symbols=5)


def small_scorer(seed, n_units=3, blank=1.0):
    """A text side of a few cells. Parameters: seed, n_units, blank (how much it is preferred). Returns a Scorer."""
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    weights = Scorer(normal(n_units, 3), normal(3, 16), normal(4, 16), normal(16), 1 + normal(4), normal(4), normal(4, 5),
                     normal(5, n_units), normal(n_units))
    weights.output_bias[0] += blank
    return weights


def frames(seed, n, width=5):
    """Projected audio. Parameters: seed, n, width. Returns float32 [T, J]."""
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def text_encodings(labels, weights):
    """The predictor by its equations, in float64. Parameters: labels, weights. Returns a list of float64 [J], one a prefix."""
    table, wx, wh, bias, gain, shift, text, _, _ = (array.astype(np.float64) for array in weights)
    h, c, rows = np.zeros(4), np.zeros(4), []
    for label in (0, *labels):
        i, f, g, o = np.split(table[label] @ wx + h @ wh + bias, 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        rows.append(((h - h.mean()) / np.sqrt(h.var() + 1e-5) * gain + shift) @ text)
    return rows


def log_softmax(audio, text, weights):
    """One node of the grid. Parameters: audio, text, weights. Returns float64 [V]."""
    z = np.tanh(audio + text) @ weights.output.astype(np.float64) + weights.output_bias
    return z - np.log(np.exp(z).sum())


def probability(labels, audio, weights, one_symbol, max_symbols):
    """Sum over all alignments. Parameters: labels, audio, weights, one_symbol, max_symbols. Returns float."""
    rows, n_frames, total = text_encodings(labels, weights), len(audio), 0.0
    grid = [[log_softmax(e, row, weights) for row in rows] for e in audio]
    for counts in itertools.product(range((1 if one_symbol else max_symbols) + 1), repeat=n_frames):  # units in each frame
        if sum(counts) != len(labels):
            continue
        logp, u = 0.0, 0
        for t, count in enumerate(counts):
            for _ in range(count):
                logp += grid[t][u][labels[u]]
                u += 1
            if not (one_symbol and count):
                logp += grid[t][u][0]
        total += math.exp(logp)
    return total


def all_probabilities(audio, weights, longest, settings):
    """Every label sequence up to a length. Parameters: audio, weights, longest, settings. Returns {labels: probability}."""
    units = range(1, len(weights.table))
    sequences = [labels for length in range(longest + 1) for labels in itertools.product(units, repeat=length)]
    return {labels: probability(labels, audio, weights, settings.one_symbol, settings.max_symbols) for labels in sequences}


def search(audio, weights, settings, phrases=(), backend=FAST):
    """From the start to the end. Parameters: audio, weights, settings, phrases, backend. Returns (Beam, Flow, Automaton)."""
    automaton, words = boost.build(list(phrases), len(weights.table)), fusion.build(None, len(weights.table))
    start = hypotheses.start(weights, settings, backend)
    return *backend(beam.search_frames)(audio, start, weights, automaton, words, settings), automaton


def labels_of(flow, node):
    """The labels of a node without recombination. Parameters: flow, node. Returns a tuple."""
    return tuple(label for label, _ in assemble.best_labels(assemble.add_up(flow), node))


@pytest.mark.parametrize("one_symbol", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_mass_of_hypotheses_equals_enumeration_of_alignments(seed, one_symbol):
    audio, weights = frames(seed, 3), small_scorer(seed)
    settings = WIDE._replace(one_symbol=one_symbol)
    exact = all_probabilities(audio, weights, 3 if one_symbol else 5, settings)
    after, flow, _ = search(audio, weights, settings)
    found = {labels_of(flow, int(node)): acoustic for node, acoustic in zip(after.node, after.acoustic)}
    ranked = sorted(exact, key=exact.get, reverse=True)
    assert len(found) == after.node.size, "a label sequence was found twice"
    for labels in ranked[:8]:
        assert found[labels] == pytest.approx(math.log(exact[labels]), abs=2e-5)
    assert labels_of(flow, int(after.node[0])) == ranked[0]


def test_narrow_beam_loses_mass_only():
    audio, weights = frames(7, 6), small_scorer(7, n_units=5)
    best = [search(audio, weights, WIDE._replace(beam=width))[0].acoustic[0] for width in (1, 2, 4, 16, 64)]
    assert best[-1] >= max(best) - 1e-9 and best[0] < best[-1]


@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.booleans(), st.integers(1, 5))
def test_cuts_change_nothing(seed, context, one_symbol, cut):
    audio, weights = frames(seed, 6), small_scorer(seed, n_units=4)
    settings = SearchSettings(beam=3, context=context, one_symbol=one_symbol, max_symbols=3)
    automaton, words = boost.build([], 4), fusion.build(None, 4)
    whole, whole_flow, _ = search(audio, weights, settings)
    state, flows = hypotheses.start(weights, settings, FAST), []
    for part in (audio[:cut], audio[cut:cut], audio[cut:]):
        state, flow = FAST(beam.search_frames)(part, state, weights, automaton, words, settings)
        flows.append(flow)
    pairs = list(zip((*whole, *whole_flow), (*state, *assemble.joined(flows)), strict=True))
    assert all(np.array_equal(a, b) for a, b in pairs)


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.booleans(), st.integers(1, 6))
def test_arcs_lead_from_older_to_younger_nodes_and_keep_the_mass(seed, context, one_symbol, width):
    audio, weights = frames(seed, 8), small_scorer(seed, n_units=10)
    after, flow, _ = search(audio, weights, SearchSettings(beam=width, context=context, one_symbol=one_symbol))
    assert (flow.source < flow.target).all() and (flow.mass <= 1e-6).all()
    endings = [assemble.Ending(int(node), float(acoustic), 0.0) for node, acoustic in zip(after.node, after.acoustic)]
    lattice = assemble.unit_lattice(assemble.keep_ancestors(assemble.add_up(flow), after.node), endings, CHARACTERS[:10], 0.04)
    if context == 0:
        exact = sorted((to_score(acoustic) for acoustic in after.acoustic), reverse=True)
        readings = REFERENCE(nbest.nbest)(lattice, 64)
        assert [reading.total for reading in readings] == exact[: len(readings)]
    assert len(set(after.node.tolist())) == after.node.size


def test_recombination_keeps_more_readings_for_the_same_beam():
    counts = {0: 0, 2: 0}
    for seed, context in itertools.product(range(6), counts):
        audio, weights = frames(seed, 20), small_scorer(seed, n_units=10, blank=2.0)
        after, flow, _ = search(audio, weights, SearchSettings(beam=4, context=context))
        endings = [assemble.Ending(int(node), float(acoustic), 0.0) for node, acoustic in zip(after.node, after.acoustic)]
        flow = assemble.keep_ancestors(assemble.add_up(flow), after.node)
        counts[context] += len(FAST(nbest.nbest)(assemble.unit_lattice(flow, endings, CHARACTERS[:10], 0.04), 50))
    assert counts[0] <= 24 < counts[2]


def test_settled_part_is_what_all_hypotheses_share():
    settled = 0
    for seed in range(5):
        after, flow, _ = search(frames(seed, 60), small_scorer(seed, n_units=10, blank=3.0), SearchSettings(beam=3))
        live = assemble.keep_ancestors(assemble.add_up(flow), after.node)
        before, rest = assemble.settled_part(live, after.node)
        assert rest.source.size + before.source.size == live.source.size
        if before.source.size:
            settled += 1
            assert rest.source.min(initial=2**31 - 1) >= before.target.max() >= before.source.max()
            assert len({labels_of(before, before.target.max())}) == 1
    assert settled >= 2


def test_words_of_a_unit_lattice():
    mark, a, b = CHARACTERS.index("▁"), CHARACTERS.index("a"), CHARACTERS.index("b")
    rows = [(0, 1, mark), (1, 2, a), (2, 3, b), (2, 4, mark), (3, 4, mark), (4, 5, b), (4, 6, a)]
    columns = np.array(rows, np.int32).T
    mass = np.log([0.9, 0.8, 0.3, 0.4, 0.2, 0.35, 0.1])
    flow = hypotheses.Flow(*columns, np.arange(7, dtype=np.int32), mass, *np.zeros((2, 7)))
    endings = [assemble.Ending(node, math.log(mass), 0.0) for node, mass in ((5, 0.3), (6, 0.1), (2, 0.05))]
    words = assemble.word_lattice(assemble.unit_lattice(flow, endings, CHARACTERS, 0.04))
    readings = REFERENCE(nbest.nbest)(words, 10)
    exact = {("a", "b"): 0.4 * 0.3 / 0.6, ("ab", "b"): 0.2 * 0.3 / 0.6, ("a", "a"): 0.4 * 0.1 / 0.6, ("ab", "a"): 0.2 * 0.1 / 0.6,
             ("a",): 0.05}
    assert {reading.words: reading.total / SCORES_A_NAT for reading in readings} == pytest.approx(
        {words: math.log(mass) for words, mass in exact.items()}, abs=4 / SCORES_A_NAT)


@pytest.mark.parametrize("change, error", [(dict(beam=0), RangeError), (dict(beam=65), RangeError), (dict(beam=2.5), RangeError),
                                           (dict(score_beam=math.nan), RangeError), (dict(context=-1), RangeError)])
def test_settings_out_of_range(change, error):
    weights = small_scorer(0)
    with pytest.raises(error, match=next(iter(change))):
        search(frames(0, 2), weights, SearchSettings()._replace(**change))


def test_audio_of_another_network_or_not_finite():
    weights = small_scorer(0)
    with pytest.raises(ShapeError, match="audio"):
        search(frames(0, 2, width=6), weights, SearchSettings())
    with pytest.raises(RangeError, match="audio"):
        search(np.full((1, 5), np.nan, np.float32), weights, SearchSettings())
