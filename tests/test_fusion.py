"""Language model in the search, against the enumeration of everything."""

import itertools
import math

import numpy as np
import pytest
from cases_search import words_model
from hypothesis import given
from hypothesis import strategies as st
from test_beam import FAST, REFERENCE, WIDE, frames, labels_of, probability, small_scorer

from conftest import ROOT
from refasr import corpus
from refasr.cli import main
from refasr.errors import DTypeError, RangeError
from refasr.lattice import assemble, nbest
from refasr.lattice.lattice import SCORES_A_NAT
from refasr.recogniser_spec import RecogniserSpec
from refasr.rescoring import arpa, ngram
from refasr.search import beam, boost, fusion, hypotheses
from refasr.search.fusion import LmSettings
from refasr.search.hypotheses import SearchSettings
from refasr.shipped import language_model_path
from refasr.transducer.units import CHARACTERS, WORD_MARK

N_UNITS, SPELLING = 12, (8, 9, 10)          # of which only the mark, a and b may be written
MODELS = st.builds(LmSettings, st.integers(0, 4).map(words_model), st.sampled_from([1.0, 0.4, -0.5]), st.sampled_from([0.0, 0.7]))


def language_scorer(seed):
    """A network that writes marks, a and b only. Parameters: seed. Returns a Scorer."""
    weights = small_scorer(seed, n_units=N_UNITS)
    silent = [unit for unit in range(1, N_UNITS) if unit not in SPELLING]
    weights.output_bias[silent] = -1000.0
    return weights


def earned(labels, settings):
    """What a finished text earns, by the definition. Parameters: labels, settings. Returns a float."""
    words = "".join(CHARACTERS[label] for label in labels if label >= 8).replace(WORD_MARK, " ").split()
    *each, stop = ngram.sequence_scores(settings.model, settings.model.numbers(words)).tolist()
    shares = [*(settings.weight * logp + settings.bonus for logp in each), settings.weight * stop]
    return sum(round(share * SCORES_A_NAT) for share in shares) / SCORES_A_NAT


def search(audio, weights, settings, lm, backend=FAST):
    """From the start to the end. Parameters: audio, weights, settings, lm, backend. Returns (Beam, Flow, Fusion)."""
    automaton, words = boost.build([], N_UNITS), fusion.build(lm, N_UNITS)
    start = hypotheses.start(weights, settings, backend, words.start)
    return *backend(beam.search_frames)(audio, start, weights, automaton, words, settings), words


def lattice_of(after, flow, words):
    """The lattice of units. Parameters: after (Beam), flow, words. Returns a Lattice."""
    endings = [assemble.Ending(node, acoustic, 0.0, fusion.finish(words, history, spelling)) for node, acoustic, history, spelling
               in zip(*(column.tolist() for column in (after.node, after.acoustic, after.history, after.spelling)))]
    flow = assemble.keep_ancestors(assemble.add_up(flow), after.node)
    return assemble.unit_lattice(flow, endings, CHARACTERS[:N_UNITS], 0.04)


@given(MODELS, st.lists(st.sampled_from([8, 9, 10, 11, 3]), max_size=10))
def test_a_text_earns_what_the_definition_says(lm, labels):
    scores = REFERENCE(fusion.score_units)(fusion.build(lm, N_UNITS), np.array(labels, np.int32))
    assert scores[-1] == earned(labels, lm)
    assert not fusion.score_units(fusion.build(None, N_UNITS), np.array(labels, np.int32)).any()


@pytest.mark.parametrize("seed", range(3))
def test_hypotheses_and_ledger_equal_enumeration(seed):
    audio, weights, lm = frames(seed, 2), language_scorer(seed), LmSettings(words_model(seed), 0.6, 0.4)
    after, flow, words = search(audio, weights, WIDE._replace(max_symbols=3), lm)
    found = {labels_of(flow, int(node)): i for i, node in enumerate(after.node)}
    exact = {labels: math.log(probability(labels, audio, weights, False, 3))
             for length in range(5) for labels in itertools.product(SPELLING, repeat=length)}
    written = {labels: exact[labels] + fusion.score_units(words, np.array((0, *labels), np.int32)[1:])[:-1][-1:].sum()
               for labels in exact}
    for labels in sorted(written, key=written.get, reverse=True)[:10]:
        i = found[labels]
        assert after.acoustic[i] == pytest.approx(exact[labels], abs=2e-5)
        assert after.total[i] == pytest.approx(written[labels], abs=2e-5)
        assert after.lm[i] + fusion.finish(words, int(after.history[i]), int(after.spelling[i])) == earned(labels, lm)
    assert labels_of(flow, int(after.node[0])) == max(written, key=written.get)
    lattice = lattice_of(after, flow, words)
    best = FAST(nbest.nbest)(assemble.word_lattice(lattice), 1)[0]
    assert best.lm == SCORES_A_NAT * earned(spell(best.words), lm)


def spell(words):
    """Labels of words. Parameters: words. Returns a list of int."""
    return [CHARACTERS.index(letter) for word in words for letter in WORD_MARK + word]


@given(st.integers(0, 2**32 - 1), MODELS, st.integers(0, 3), st.booleans(), st.integers(1, 6))
def test_every_path_of_the_lattice_has_the_score_of_its_words(seed, lm, context, one_symbol, width):
    settings = SearchSettings(beam=width, context=context, one_symbol=one_symbol)
    after, flow, words = search(frames(seed, 8), language_scorer(seed), settings, lm)
    lattice = lattice_of(after, flow, words)
    for some in (lattice, assemble.word_lattice(lattice)):
        for reading in FAST(nbest.nbest)(some, 20):
            text = reading.words if some is lattice else spell(reading.words)
            labels = [CHARACTERS.index(unit) for unit in text] if some is lattice else text
            assert reading.lm == SCORES_A_NAT * earned(labels, lm)


def test_the_model_changes_what_is_kept():
    audio, weights = frames(3, 12), language_scorer(3)
    alone = search(audio, weights, SearchSettings(beam=4), None)
    helped = search(audio, weights, SearchSettings(beam=4), LmSettings(words_model(4), 0.5, 9.0))
    assert not alone[0].lm.any() and not alone[1].lm.any()
    assert helped[0].lm.any() and labels_of(helped[1], int(helped[0].node[0])) != labels_of(alone[1], int(alone[0].node[0]))


@pytest.mark.parametrize("change", [dict(weight=math.nan), dict(weight=101.0), dict(bonus=-101.0)])
def test_settings_out_of_range(change):
    with pytest.raises(RangeError, match=next(iter(change))):
        fusion.build(LmSettings(words_model(1))._replace(**change), N_UNITS)


def test_units_are_checked():
    with pytest.raises((RangeError, DTypeError), match="labels"):
        fusion.score_units(fusion.build(None, 9), np.array([9], np.int32))


def test_a_recogniser_with_a_model_has_its_share_in_the_ledger():
    spec = RecogniserSpec(beam=8, lm="default", lm_weight=0.4)
    lm = LmSettings(arpa.read_arpa(language_model_path("default")), 0.4, spec.lm_bonus)
    item = corpus.read_manifest(ROOT / "data" / "samples" / "manifest.tsv")[0]
    result = spec.load().transcribe_samples(corpus.read_samples(item))
    assert result.nbest and result.lattice.lm.any()
    for reading in result.nbest:
        assert reading.lm == earned(spell(reading.text.split()), lm)
        assert reading.total == reading.acoustic + reading.lm + reading.bias
    assert spec.identity() != RecogniserSpec(beam=8, lm="default").identity() != RecogniserSpec(beam=8).identity()
    with pytest.raises(RangeError, match="lm"):
        RecogniserSpec(beam=1, lm="default").load()


@pytest.mark.parametrize("options", [["--lm-weight", "1"], ["--lm", "default", "--beam", "1"]])
def test_options_that_do_not_go_together(options, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["transcribe", *options, "x.wav"])
    assert stopped.value.code == 2 and "--lm" in capsys.readouterr().err
