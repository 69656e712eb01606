"""The second pass: n-gram queries beside KenLM, units of the neural model, expansion of a lattice, whole rescorings; fusion.

KenLM reads the same ARPA file and scores the same sentences word by word; refasr's time has the lookup of the words in it, as
KenLM's has. `limit_fraction` is left out: a binary search is bound by neither multiplications nor reading speed.
"""

import functools
import gzip
import pathlib
import tempfile
import time

import numpy as np

from benchmarks import harness
from benchmarks.bench_recogniser import recordings
from refasr.recogniser_spec import RecogniserSpec
from refasr.rescoring import neural_lm, ngram, rescore
from refasr.rescoring.second_pass import SHIPPED, SecondPass, paths_alone
from refasr.search.hypotheses import SearchSettings
from refasr.shipped import data_path
from refasr.twins import select

N_SENTENCES, N_BEST, PASSES = 2000, (4, 8), 5
BATCH, LETTERS = 32, 8


def sentences(model):
    """Random sequences of words that many others follow. Parameters: model. Returns a list of lists of str."""
    rng, n = np.random.default_rng(0), len(model.words)
    followed = np.argsort(-np.diff(model.trie.first[1 : n + 1]))[:200] if n > 203 else np.arange(3, n - 1)
    return [[model.words[model.trie.word[1 + followed[i]]] for i in rng.integers(0, followed.size, rng.integers(1, 12))]
            for _ in range(N_SENTENCES)]


def log10_sums(backend, model, texts):
    """Score sentences. Parameters: backend, model, texts. Returns a list of float."""
    return [float(backend(ngram.sequence_scores)(model, model.numbers(words)).sum()) / ngram.LN10 for words in texts]


def kenlm_contestant(texts):
    """KenLM on the shipped file. Parameters: texts. Returns a callable, or a Missing."""
    def build(library):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "lm.arpa")
            path.write_bytes(gzip.decompress(data_path(*SHIPPED["ngram"]).read_bytes()))
            model = library.Model(str(path))
        lines = [" ".join(words) for words in texts]
        return lambda: [model.score(line) for line in lines]
    return harness.rival("kenlm", build)


def check(results):
    """All must agree to float32. Parameters: results. Returns None, or what is wrong."""
    first = {name: found[0] if isinstance(found, tuple) else found for name, found in results.items()}
    return harness.disagreement(first, 1e-3)


@functools.cache
def stored():
    """Lattices of the shipped recordings. Returns a list of Lattice."""
    ready = RecogniserSpec(beam=SearchSettings().beam).load()
    return [ready.transcribe_samples(samples).lattice for samples in recordings()]


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable})."""
    loaded, fast = SecondPass.load(), select("fast")
    texts = sentences(loaded.ngram)
    yield f"what=ngram sentences={N_SENTENCES} order={loaded.ngram.order}", {
        "fast": functools.partial(log10_sums, fast, loaded.ngram, texts),
        "reference": functools.partial(log10_sums, select("reference"), loaded.ngram, texts), "kenlm": kenlm_contestant(texts)}
    rng = np.random.default_rng(0)
    units = rng.integers(8, len(loaded.neural.table), BATCH * LETTERS).astype(np.int32)
    ends = np.arange(LETTERS, BATCH * LETTERS + 1, LETTERS, dtype=np.int32)
    state = neural_lm.LmState(*(np.repeat(part, BATCH, axis=0) for part in neural_lm.start(loaded.neural, fast)))
    yield f"what=neural texts={BATCH} letters={LETTERS} width={len(loaded.neural.recurrent)}", {
        name: functools.partial(select(name)(neural_lm.spell), units, ends, state, loaded.neural)
        for name in ("fast", "reference")}
    yield f"what=expand lattices={len(stored())}", {
        name: functools.partial(lambda expand: [expand(lattice, loaded.ngram, 0.5).n_arcs for lattice in stored()],
                                select(name)(rescore.expand)) for name in ("fast", "reference")}


def measure():
    """Whole rescorings, and recognition without and with fusion. Yields (case, contestant, value, unit)."""
    ready, fast = SecondPass.load(), select("fast")
    lists = {"lattice": stored()} | {f"{k}-best": [paths_alone(lattice, k, fast) for lattice in stored()] for k in N_BEST}
    for what, given in lists.items():
        yield f"what=second-pass of={what}", "fast", seconds_each(ready.rescore, given), "s"
    for lm in (None, "default"):
        recogniser = RecogniserSpec(beam=SearchSettings().beam, lm=lm).load()
        yield f"what=first-pass lm={lm or 'none'}", "fast", seconds_each(recogniser.transcribe_samples, recordings()), "s"


def seconds_each(work, given):
    """Median of the mean time. Parameters: work (function), given (list of its arguments). Returns a float."""
    times = []
    for _ in range(PASSES + 1):      # the first compiles
        begin = time.perf_counter()
        for one in given:
            work(one)
        times.append((time.perf_counter() - begin) / len(given))
    return float(np.median(times[1:]))
