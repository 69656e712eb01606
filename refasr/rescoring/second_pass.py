"""The second pass: a lattice in, the same lattice with the scores of larger language models out.

    lm = ngram ln P_ngram + neural ln P_neural - source ln P_source + bonus words,    total = acoustic + lm + bias

P_source is a model of what the recogniser was trained on: what its own network came to expect of words is in `acoustic`, and is
taken out again by this ratio. (McDermott, Sak, Variani 2019, A density ratio approach to language model fusion in end-to-end
automatic speech recognition, equation 5.) An estimate from the network itself would have to see the audio's encoding; only the
lattice comes here. What stood in `lm` before, the first pass's own model, is replaced.
"""

import dataclasses
import pathlib
from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.lattice import nbest, prune
from refasr.lattice.lattice import ARC_FIELDS, NO_WORD, Lattice, arc_order, make_lattice
from refasr.rescoring import arpa, lm_file, neural_rescore, rescore
from refasr.rescoring.rescore import LARGEST_WEIGHT
from refasr.shipped import data_path
from refasr.twins import select

SHIPPED = {"ngram": ("models", "lm.arpa.gz"), "neural": ("models", "lm.npz")}
MOST_EXPANDED = 20_000       # arcs after the n-gram; what gives more is pruned first, for time and memory must be bounded


class Mixture(NamedTuple):
    """How the scores are mixed and what is kept. Chosen on dev sets by data/training/second_pass_report.py.

    ngram, neural, source : weights of the logarithms.
    bonus : nats for each word.
    width : histories that the neural model follows at a node.
    prune_beam, max_arcs : of what the neural model is given, and of the answer; see `prune.prune`.
    """

    ngram: float = 0.4
    neural: float = 0.6
    source: float = 0.0
    bonus: float = 1.0
    width: int = 4
    prune_beam: float = 10.0
    max_arcs: int = 300


class Calibration(NamedTuple):
    """Posteriors of the answer as confidences: `scale` of the scores; `slope`, `offset` as in `confidence.calibrate`.

    Fitted on dev sets by data/training/second_pass_report.py; posteriors of the second pass are surer than they should be.
    """

    scale: float = 1.0
    slope: float = 0.482
    offset: float = 0.8889


class SecondPass:
    """Language models made ready. Holds nothing of a lattice: one serves many threads.

    Parameters
    ----------
    ngram : NgramModel
    neural : NeuralLm or None
    source : NgramModel or None       What the recogniser heard in training.
    mixture : Mixture
    calibration : Calibration
    backend : "fast" or "reference"
    """

    def __init__(self, ngram, neural=None, source=None, mixture=Mixture(), calibration=Calibration(), backend="fast"):
        for name in ("ngram", "neural", "source", "bonus"):
            checks.between(name, getattr(mixture, name), -LARGEST_WEIGHT, LARGEST_WEIGHT)
        checks.between("width", mixture.width, 1, neural_rescore.LARGEST_WIDTH)
        self.ngram, self.neural, self.source = ngram, neural, source
        self.mixture, self.calibration, self.backend = mixture, calibration, select(backend)

    @classmethod
    def load(cls, ngram=None, neural=None, source=None, **more):
        """Read the models.

        Parameters
        ----------
        ngram, neural : str, Path or None    None: the shipped one; "" for `neural`: none.
        source : str, Path or None           None: none.
        **more : object                      mixture, calibration, backend, as above.

        Returns
        -------
        SecondPass

        Raises
        ------
        FormatError                          For a file that is missing or no such model.
        """
        where = {name: data_path(*SHIPPED[name]) if given is None else given
                 for name, given in (("ngram", ngram), ("neural", neural))}
        return cls(arpa.read_arpa(where["ngram"]), lm_file.load_lm(where["neural"]) if where["neural"] != "" else None,
                   None if source is None else arpa.read_arpa(pathlib.Path(source)), **more)

    def rescore(self, lattice, tell=lambda line: None):
        """Score a lattice anew.

        Parameters
        ----------
        lattice : Lattice
        tell : function of str                 Told in a line of a lattice that had to be pruned further than `Mixture` says.

        Returns
        -------
        Lattice                                Its paths near the best, with new `lm`; acoustic and bias as they were.

        Raises
        ------
        DTypeError, ShapeError, RangeError     For what is no good lattice, or a word or score past what the models take.
        """
        mixture = self.mixture
        found = self.near_best(dataclasses.replace(lattice, lm=np.zeros_like(lattice.lm)), mixture.max_arcs)
        found = self.near_best(self.expanded(found, self.with_ngrams, tell), mixture.max_arcs)
        if self.neural is not None and mixture.neural != 0:
            found = self.near_best(self.expanded(found, self.with_neural, tell), mixture.max_arcs)
        return found

    def expanded(self, lattice, expand, tell):
        """Expand a lattice; where that gives too many arcs, only what is closest to its best path, half as many arcs each time.

        Parameters: lattice, expand (function of a lattice), tell. Returns what `expand` gives; raises as that of the best path.
        """
        found, fits, most = lattice, False, lattice.n_arcs
        while not fits:
            try:
                scored = expand(found)
                fits = scored.n_arcs <= MOST_EXPANDED or most <= 1
            except rescore.TooManyArcs:
                if most <= 1:
                    raise
            if not fits:
                most //= 2
                found = self.near_best(found, most)
        if found.n_arcs < lattice.n_arcs:
            tell(f"pruned a lattice from {lattice.n_arcs} arcs to {found.n_arcs}: with more, rescoring would make too many")
        return scored

    def with_ngrams(self, lattice):
        """Parameters: lattice. Returns it with the scores of the n-gram models."""
        expand = self.backend(rescore.expand)
        scored = expand(lattice, self.ngram, self.mixture.ngram, self.mixture.bonus)
        if self.source is None or self.mixture.source == 0:
            return scored
        return expand(scored, self.source, -self.mixture.source)

    def with_neural(self, lattice):
        """Parameters: lattice. Returns it with the scores of the neural model."""
        return neural_rescore.expand(lattice, self.neural, self.mixture.neural, self.mixture.width, self.backend)

    def warm(self):
        """Compile what is needed, so that the first lattice does not wait. Returns self."""
        arcs = [(0, 1, 1, 0, 1, -1, 0, 0), (0, 1, 2, 0, 1, -2, 0, 0), (1, 2, 1, 1, 2, -1, 0, 0)]
        self.rescore(make_lattice(["", "a", "b"], 3, arcs))
        return self

    def near_best(self, lattice, max_arcs):
        """Prune. Parameters: lattice, max_arcs. Returns a Lattice."""
        return self.backend(prune.prune)(lattice, self.mixture.prune_beam, max_arcs)


def paths_alone(lattice, k, backend):
    """The K best readings as a lattice of separate paths: what rescoring an n-best list amounts to.

    Parameters
    ----------
    lattice : Lattice
    k : int
    backend : Backend

    Returns
    -------
    Lattice
    """
    n_nodes, arcs, ends = 1, [], []
    for reading in backend(nbest.nbest)(lattice, k):
        inner = reading.arcs.size - 1
        ends.append((n_nodes, inner))
        arcs.append(reading.arcs)
        n_nodes += max(inner, 0)
    if not arcs:
        return dataclasses.replace(lattice, n_nodes=2, **{name: np.empty(0, np.int32) for name in ARC_FIELDS})
    source = np.concatenate([np.append(0, first + np.arange(inner)) for first, inner in ends if inner >= 0])
    target = np.concatenate([np.append(first + np.arange(inner), n_nodes) for first, inner in ends if inner >= 0])
    columns = {name: getattr(lattice, name)[np.concatenate(arcs)] for name in ARC_FIELDS}
    columns |= {"source": source.astype(np.int32), "target": target.astype(np.int32)}
    order = arc_order(np.array([columns[name] for name in ARC_FIELDS[:4]], np.int64))
    return Lattice(lattice.words, n_nodes + 1, *(columns[name][order] for name in ARC_FIELDS), lattice.frame_seconds)


def holds(lattice, words):
    """Whether some path spells some words. Parameters: lattice, words (sequence of str). Returns bool."""
    reached = closed(lattice, np.arange(lattice.n_nodes) == 0)
    for word in words:
        number = lattice.words.index(word) if word in lattice.words else -1
        after = np.zeros(lattice.n_nodes, bool)
        after[lattice.target[(lattice.word == number) & reached[lattice.source]]] = True
        reached = closed(lattice, after)
    return bool(reached[-1])


def closed(lattice, reached):
    """Nodes reached also by arcs without a word. Parameters: lattice, reached (bool [N]). Returns bool [N]."""
    reached = reached.copy()
    for arc in np.flatnonzero(lattice.word == NO_WORD).tolist():     # in topological order
        reached[lattice.target[arc]] |= reached[lattice.source[arc]]
    return reached


def same_sound(answer, lattice):
    """Whether each arc of an answer was there before, with its time, acoustic and bias; an arc without a word may also score 0.

    Parameters
    ----------
    answer : Lattice     From the second pass.
    lattice : Lattice    That it was given.

    Returns
    -------
    bool
    """
    fields = ("start", "end", "acoustic", "bias")
    arcs = lambda some: set(zip([some.words[word] for word in some.word.tolist()],
                                *(getattr(some, name).tolist() for name in fields)))
    return all(arc[0] == "" and arc[3:] == (0, 0) for arc in arcs(answer) - arcs(lattice))
