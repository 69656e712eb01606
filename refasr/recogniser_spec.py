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
from refasr.search.hypotheses import SearchSettings
from refasr.search.phrases import DEFAULT_WEIGHT, PhraseList, spell
from refasr.shipped import MODELS, model_path

_LOADING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class RecogniserSpec:
    """How a recogniser is made.

    model : a shipped model's name or the path of a file; backend : "fast" or "reference".
    beam : hypotheses kept after a frame; 1 is greedy search.
    context : hypotheses that share so many last units become one; 0 keeps all apart.
    nbest, prune_beam : of `decoders.LatticeSettings`.
    phrases : tuple of `phrases.Entry`, boosted; boost : weight per unit of those that bring none.
    """

    model: str = "default"
    backend: str = "fast"
    beam: int = 1
    context: int = SearchSettings().context
    nbest: int = LatticeSettings().nbest
    prune_beam: float = LatticeSettings().prune_beam
    phrases: tuple = ()
    boost: float = DEFAULT_WEIGHT

    def load(self, record=None):
        """Make it. Parameters: record (as of Recogniser). Returns a Recogniser."""
        greedy = self.beam == 1 and not self.phrases
        spelled, _ = spell(PhraseList(self.phrases), default_weight=self.boost)
        return Recogniser.load(self.model, self.backend, record=record, phrases=spelled,
                               search=None if greedy else SearchSettings(beam=self.beam, context=self.context),
                               lattice=LatticeSettings(nbest=self.nbest, prune_beam=self.prune_beam))

    def absolute(self):
        """The same for a process in another folder. Returns a RecogniserSpec."""
        if self.model in MODELS:
            return self
        return dataclasses.replace(self, model=os.path.abspath(self.model))

    def identity(self):
        """Hash of the model's bytes, the other settings and refasr's version: equal hashes write equal texts.

        Returns
        -------
        str            16 hexadecimal digits; they do not depend on where the model and the phrases lie.

        Raises
        ------
        FormatError    If the model cannot be read.
        """
        path = model_path(self.model)
        phrases = [entry._replace(origin="") for entry in self.phrases]
        settings = dataclasses.asdict(self) | {"model": "", "phrases": phrases, "version": __version__}
        digest = hashlib.sha256(repr(sorted(settings.items())).encode())
        try:
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
