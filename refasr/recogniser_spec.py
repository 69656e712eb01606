"""A recogniser's description: all that decides what it writes, small enough to send to another process or machine."""

import dataclasses
import functools
import hashlib
import os
import threading

from refasr import __version__
from refasr.decoders import LatticeSettings
from refasr.errors import FormatError
from refasr.recognise import Recogniser
from refasr.rescoring import arpa
from refasr.search import fusion
from refasr.search.hypotheses import SearchSettings
from refasr.search.phrases import DEFAULT_WEIGHT, PhraseList, spell
from refasr.shipped import LANGUAGE_MODELS, MODELS, language_model_path, model_path

_LOADING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class RecogniserSpec:
    """How a recogniser is made.

    model : a shipped model's name or the path of a file; backend : "fast" or "reference".
    beam : hypotheses kept after a frame; 1 is greedy search.
    context : hypotheses that share so many last units become one; 0 keeps all apart.
    nbest, prune_beam : of `decoders.LatticeSettings`.
    phrases : tuple of `phrases.Entry`, boosted; boost : weight per unit of those that bring none.
    lm : a shipped n-gram model's name or the path of an ARPA file, fused into the search; None: none; needs beam search.
    lm_weight, lm_bonus : of `fusion.LmSettings`.
    """

    model: str = "default"
    backend: str = "fast"
    beam: int = 1
    context: int = SearchSettings().context
    nbest: int = LatticeSettings().nbest
    prune_beam: float = LatticeSettings().prune_beam
    phrases: tuple = ()
    boost: float = DEFAULT_WEIGHT
    lm: str | None = None
    lm_weight: float = fusion.DEFAULT_WEIGHT
    lm_bonus: float = fusion.DEFAULT_BONUS

    def load(self, record=None):
        """Make it. Parameters: record (as of Recogniser). Returns a Recogniser."""
        greedy = self.beam == 1 and not self.phrases
        lm = None if self.lm is None else arpa.read_arpa(language_model_path(self.lm))
        lm = lm and fusion.LmSettings(lm, self.lm_weight, self.lm_bonus)
        spelled, _ = spell(PhraseList(self.phrases), default_weight=self.boost)
        return Recogniser.load(self.model, self.backend, record=record, phrases=spelled, lm=lm,
                               search=None if greedy else SearchSettings(beam=self.beam, context=self.context),
                               lattice=LatticeSettings(nbest=self.nbest, prune_beam=self.prune_beam))

    def absolute(self):
        """The same for a process in another folder. Returns a RecogniserSpec."""
        model = self.model if self.model in MODELS else os.path.abspath(self.model)
        lm = self.lm if self.lm is None or self.lm in LANGUAGE_MODELS else os.path.abspath(self.lm)
        return dataclasses.replace(self, model=model, lm=lm)

    def identity(self):
        """Hash of the models' bytes, the other settings and refasr's version: equal hashes write equal texts.

        Returns
        -------
        str            16 hexadecimal digits; they do not depend on where the model and the phrases lie.

        Raises
        ------
        FormatError    If a model cannot be read.
        """
        paths = [model_path(self.model)] + ([] if self.lm is None else [language_model_path(self.lm)])
        phrases = [entry._replace(origin="") for entry in self.phrases]
        settings = dataclasses.asdict(self) | {"model": "", "lm": "", "phrases": phrases, "version": __version__}
        digest = hashlib.sha256(repr(sorted(settings.items())).encode())
        try:
            for path in paths:
                digest.update(path.read_bytes())
        except OSError as error:
            raise FormatError(f"{path}: got no such model file ({error.strerror}), expected one; give a path, or a name that "
                              "`refasr info` lists") from error
        return digest.hexdigest()[:16]


def recogniser_of(spec, identity):
    """The recogniser of a description, loaded once a process: for work in an executor.

    Parameters
    ----------
    spec : RecogniserSpec
    identity : str           What `spec.identity()` is where the work was given out.

    Returns
    -------
    Recogniser

    Raises
    ------
    FormatError              If the model here is another one, or refasr another version.
    """
    with _LOADING:  # a worker may have several threads
        return _loaded(spec, identity)


@functools.lru_cache(maxsize=1)
def _loaded(spec, identity):
    if spec.identity() != identity:
        raise FormatError(f"{spec.model}: got another model or version of refasr on a worker than here, expected the same; "
                          "install the same on every machine")
    return spec.load()
