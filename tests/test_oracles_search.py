"""Beam search against sherpa-onnx's modified beam search: one network, given to it as ONNX and to refasr as a `Scorer`.

The network is the toy of `benchmarks/bench_search.py`: both searches see the same encodings and the same text vectors, bit
for bit. What is left apart is which hypotheses are kept in a frame:

    sherpa    takes the best `beam` of all hypotheses x units, blank among the units, and then adds those that became equal,
              so that fewer may be left
    refasr    keeps blank of every hypothesis, takes the best `beam` units that exceed the `beam`th of those, adds, and prunes

`plain_search` has both rules and shares no code with either. Sherpa agrees with the first in every run and refasr with the
second. Of sherpa against refasr most runs agree in all tokens; the others take another path where the beam is full.

With hotwords sherpa adds the bonus after the choice, refasr before it, so that a phrase is not lost to pruning; so tokens of the
two differ by design. `plain_search` with sherpa's rule and refasr's automaton agrees with sherpa: its streams use the
context graph's mode that is not strict, and do not take an unfinished phrase back at the end.
"""

import numpy as np
import pytest

from benchmarks.bench_search import CONTEXT, decode, export, sherpa, text_table, toy
from refasr.lattice import assemble
from refasr.search import beam, boost, fusion, hypotheses
from refasr.search.hypotheses import SearchSettings
from refasr.twins import select

REASON = "needs sherpa-onnx and onnx; run make test-oracles"
RUNS = [(seed, blank, width) for blank in (1.0, 3.0, 5.0) for seed in range(4) for width in (4, 8)]
LEAST_EQUAL = 0.6
PHRASE_UNITS, PHRASE_WEIGHTS = (2, 3, 2, 4), (1.0, 1.5, 0.5, 2.0)


@pytest.fixture(params=["reference", "fast"])
def backend(request):
    """Both implementations."""
    return select(request.param)


@pytest.fixture
def network(tmp_path):
    """Makes the toy and its files. Returns a function of (seed, blank) -> (folder, encodings, Scorer)."""
    for module in ("sherpa_onnx", "onnx"):
        pytest.importorskip(module, reason=REASON)

    def make(seed, blank):
        encodings, weights = toy(seed, blank)
        export(tmp_path, encodings, weights)
        return tmp_path, encodings, weights
    return make


def search(encodings, weights, width, backend):
    """The best labels by sherpa's last rule: log-probability over length, leading blanks included.

    Parameters
    ----------
    encodings, weights : as `toy` gives them.
    width : int
    backend : Backend

    Returns
    -------
    tuple of int
    """
    settings = SearchSettings(beam=width, one_symbol=True, score_beam=1e6, context=0)
    state = hypotheses.start(weights, settings, backend)
    automaton, words = boost.build([], len(weights.table)), fusion.build(None, len(weights.table))
    after, flow = backend(beam.search_frames)(encodings, state, weights, automaton, words, settings)
    flow = assemble.add_up(flow)
    texts = [tuple(label for label, _ in assemble.best_labels(flow, int(node))) for node in after.node]
    return max(zip(after.acoustic, texts), key=lambda pair: pair[0] / (len(pair[1]) + CONTEXT))[1]


def plain_search(encodings, weights, width, rule, phrases=()):
    """Modified beam search from its description, in a dictionary.

    Parameters
    ----------
    encodings, weights : as `toy` gives them.
    width : int
    rule : "sherpa" or "refasr"    Which hypotheses are kept, see above.
    phrases : sequence             Boosted after the best are chosen, as sherpa does.

    Returns
    -------
    tuple of int                   The best labels by log-probability over length.
    """
    automaton = boost.build(list(phrases), len(weights.table), whole_words=False, strict=False)
    table, alive = text_table(weights).astype(np.float64), {(): (0.0, (boost.START, ()))}
    for row in encodings.astype(np.float64):
        resting, written = [], []
        for labels, (score, at) in alive.items():
            z = np.tanh(row + table[labels[-1] if labels else 0]) @ weights.output.astype(np.float64) + weights.output_bias
            scores = (score + (z - np.logaddexp.reduce(z))).tolist()
            resting.append((scores[0], labels, at))
            written += [(scores[unit], (*labels, unit), at) for unit in range(1, len(weights.table))]
        if rule == "sherpa":
            chosen = sorted(resting + written, reverse=True)[:width]
        else:
            floor = sorted(resting)[-width][0] if len(resting) >= width else -np.inf
            chosen = resting + [entry for entry in sorted(written, reverse=True)[:width] if entry[0] > floor]
        merged = {}
        for score, labels, at in chosen:
            if len(labels) > len(at[1]):
                state, delta = boost.advance(automaton, at[0], labels[-1])
                score, at = score + delta, (state, labels)
            merged[labels] = (np.logaddexp(merged.get(labels, (-np.inf,))[0], score), at)
        alive = dict(sorted(merged.items(), key=lambda item: -item[1][0])[:width])
    return max(alive, key=lambda labels: alive[labels][0] / (len(labels) + CONTEXT))


@pytest.mark.parametrize("seed, blank, width", RUNS)
def test_sherpa_follows_its_rule(network, seed, blank, width):
    folder, encodings, weights = network(seed, blank)
    assert decode(sherpa(folder, paths=width), len(encodings)) == plain_search(encodings, weights, width, "sherpa")


@pytest.mark.parametrize("seed, blank, width", RUNS)
def test_search_follows_its_rule(backend, seed, blank, width):
    encodings, weights = toy(seed, blank)
    assert search(encodings, weights, width, backend) == plain_search(encodings, weights, width, "refasr")


def test_most_runs_write_the_same_tokens(network):
    equal = 0
    for seed, blank, width in RUNS:
        folder, encodings, weights = network(seed, blank)
        equal += decode(sherpa(folder, paths=width), len(encodings)) == search(encodings, weights, width, select("fast"))
    assert equal >= LEAST_EQUAL * len(RUNS)


@pytest.mark.parametrize("seed, blank", [(0, 1.0), (1, 3.0), (2, 5.0), (3, 5.0)])
def test_greedy_is_a_beam_of_one(network, backend, seed, blank):
    """Sherpa's greedy search writes one unit a frame at most; refasr's own greedy search is not held to that."""
    folder, encodings, weights = network(seed, blank)
    greedy = decode(sherpa(folder, "greedy_search"), len(encodings))
    assert greedy and greedy == search(encodings, weights, 1, backend)


@pytest.mark.parametrize("width", [4, 8])
def test_hotwords_earn_what_the_automaton_gives(network, width):
    changed = 0
    for seed in range(4):
        folder, encodings, weights = network(seed, 3.0)
        source = np.random.default_rng(seed)
        spelt = [source.integers(1, len(weights.table), n).astype(np.int32) for n in PHRASE_UNITS]
        lines = [f"{' '.join(f't{unit}' for unit in units)} :{weight}\n" for units, weight in zip(spelt, PHRASE_WEIGHTS)]
        (folder / "hotwords.txt").write_text("".join(lines))
        ready = sherpa(folder, paths=width, hotwords_file=str(folder / "hotwords.txt"))
        found = decode(ready, len(encodings))
        assert found == plain_search(encodings, weights, width, "sherpa", list(map(boost.Phrase, spelt, PHRASE_WEIGHTS)))
        changed += found != plain_search(encodings, weights, width, "sherpa")
    assert changed >= 2
