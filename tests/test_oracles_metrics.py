"""Totals against jiwer and kaldialign; their splits may differ where several alignments are best, but must be possible."""

import random

import numpy as np
import pytest

from refasr.metrics import bootstrap, wer

REASON = "oracle not installed: pip install 'refasr[oracles]'"


@pytest.fixture(scope="module")
def pairs():
    """Random sentences and misheard ones, some of either empty."""
    generator = random.Random(1)
    words = [f"w{i}" for i in range(40)]
    said = [generator.choices(words, k=generator.randint(1, 20)) for _ in range(400)]
    heard = []
    for sentence in said:
        kept = [generator.choice(words) if generator.random() < 0.1 else word for word in sentence if generator.random() > 0.1]
        heard.append(kept + generator.choices(words, k=generator.choice([0, 0, 0, 2])))
    heard[0] = []
    return [" ".join(sentence) for sentence in said], [" ".join(sentence) for sentence in heard]


def test_jiwer_totals(pairs):
    jiwer = pytest.importorskip("jiwer", reason=REASON)
    ours, theirs = wer.score(*pairs), jiwer.process_words(*map(list, pairs))
    assert ours.errors.sum() == theirs.substitutions + theirs.deletions + theirs.insertions
    assert ours.wer == pytest.approx(theirs.wer, abs=1e-15)
    assert ours.deletions - ours.insertions == theirs.deletions - theirs.insertions
    assert ours.substitutions <= theirs.substitutions


def test_kaldialign_totals(pairs):
    kaldialign = pytest.importorskip("kaldialign", reason=REASON)
    ours = wer.score(*pairs)
    for errors, counts, said, heard in zip(ours.errors, ours.counts, *pairs):
        theirs = kaldialign.edit_distance(said.split(), heard.split())
        assert theirs["total"] == errors == counts.sum()
        assert counts[0] <= theirs["sub"]


def test_kaldialign_interval(pairs):
    kaldialign = pytest.importorskip("kaldialign", reason=REASON)
    ours = wer.score(*pairs)
    theirs = kaldialign.bootstrap_wer_ci(*[[tuple(line.split()) for line in side] for side in pairs])
    low, high = bootstrap.interval(ours.errors, ours.words, n_resamples=10_000)
    width = theirs["ci95max"] - theirs["ci95min"]  # theirs is mean +- 1.96 deviations, ours the percentiles
    assert abs(low - theirs["ci95min"]) < 0.08 * width and abs(high - theirs["ci95max"]) < 0.08 * width


def test_kaldialign_probability_of_improvement(pairs):
    kaldialign = pytest.importorskip("kaldialign", reason=REASON)
    said, heard = pairs
    worse = [line + " extra" if i % 25 == 0 else line for i, line in enumerate(heard)]
    better = [truth if i % 40 == 0 else line for i, (truth, line) in enumerate(zip(said, worse))]
    sides = [[tuple(line.split()) for line in side] for side in (said, worse, better)]
    theirs = kaldialign.bootstrap_wer_ci(*sides)
    scores = [wer.score(said, side) for side in (better, worse)]
    ours = bootstrap.difference(scores[0].errors[None], scores[1].errors[None], scores[0].words, n_resamples=10_000)
    assert ours.p_a_better == pytest.approx(theirs["p_s2_improv_over_s1"], abs=0.02)
    assert np.sign(ours.value) == -1
