"""KenLM reads the files that refasr writes, and gives the same probabilities."""

import numpy as np
import pytest

from refasr.rescoring import arpa, kneser_ney, ngram

kenlm = pytest.importorskip("kenlm", reason="the oracle of n-gram models; pip install 'refasr[oracles]'")
WORDS = ("turn", "on", "off", "the", "light", "please")


@pytest.mark.parametrize("order, prune", [(2, 0), (3, 0), (4, 0), (4, 1)])
def test_sentences_score_alike(tmp_path, order, prune):
    rng = np.random.default_rng(order)
    sentences = [[WORDS[i] for i in rng.choice(6, rng.integers(0, 8), p=[0.3, 0.2, 0.2, 0.15, 0.1, 0.05])] for _ in range(200)]
    path = tmp_path / "x.arpa"
    arpa.write_arpa(path, kneser_ney.estimate(sentences, order, (0, 0, prune)))
    model, oracle = arpa.read_arpa(path), kenlm.Model(str(path))
    assert oracle.order == order
    for sentence in [*sentences[:50], ["light", "on", "house", "the", "the", "house"], ["house"], []]:
        ours = ngram.sequence_scores(model, model.numbers(sentence)) / ngram.LN10
        theirs = [log10_p for log10_p, _, _ in oracle.full_scores(" ".join(sentence))]
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
