"""What every decoder returns: one result type, with a score ledger that adds up.

    total = acoustic + lm + bias

Scores are natural logarithms, times are seconds. Confidences are probabilities as the network gives them; they are not
calibrated against how often words are right.
"""

import dataclasses
import math

PLACES_SECONDS, PLACES_SCORE = 4, 4  # of numbers in JSON


@dataclasses.dataclass(frozen=True)
class Word:
    """A word, when it was said, and how sure the network was.

    word : text; start, end : seconds, end exclusive; conf : 0 to 1.
    """

    word: str
    start: float
    end: float
    conf: float


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """One reading of the utterance and its ledger.

    text : words separated by spaces; acoustic : of the transducer's path; lm, bias : what a language model and a phrase
    list added.
    """

    text: str
    acoustic: float
    lm: float = 0.0
    bias: float = 0.0

    @property
    def total(self):
        """The score that ranks hypotheses."""
        return self.acoustic + self.lm + self.bias

    def as_json(self):
        """Keys text, acoustic, lm, bias, total. Returns a dict."""
        scores = {name: round(getattr(self, name), PLACES_SCORE) for name in ("acoustic", "lm", "bias")}
        return {"text": self.text, **scores, "total": round(sum(scores.values()), PLACES_SCORE)}  # the rounded ones add up too


@dataclasses.dataclass(frozen=True)
class Result:
    """One recognised utterance.

    text : of the best hypothesis; words : tuple of Word; duration : seconds of audio given; conf : 0 to 1 for the whole,
    0 when no word was heard; nbest : tuple of Hypothesis, best first, no text twice; lattice : Lattice, or None after
    greedy search; rescored : "first" or "second", the pass it is of, where a second was asked for, else None.
    """

    text: str
    words: tuple
    duration: float
    conf: float
    nbest: tuple
    lattice: object = dataclasses.field(default=None, compare=False)
    rescored: object = None

    def as_json(self):
        """What `refasr transcribe --format jsonl` writes: duration, text, conf, words, nbest; pass, if a second was asked for.

        Returns a dict.
        """
        words = [{"word": word.word, "start": round(word.start, PLACES_SECONDS), "end": round(word.end, PLACES_SECONDS),
                  "conf": round(word.conf, PLACES_SCORE)} for word in self.words]
        return {"duration": round(self.duration, PLACES_SECONDS), "text": self.text, "conf": round(self.conf, PLACES_SCORE),
                "words": words, "nbest": [hypothesis.as_json() for hypothesis in self.nbest],
                **({} if self.rescored is None else {"pass": self.rescored})}


def confidence(log_probabilities):
    """Geometric mean of the probabilities of some units: what one unit was worth, however many there are.

        conf = exp(mean of ln p)

    Parameters
    ----------
    log_probabilities : sequence of float, <= 0    One a unit.

    Returns
    -------
    float, 0 to 1                                  0 without units.

    Examples
    --------
    >>> confidence([math.log(0.5), math.log(0.5)])
    0.5
    """
    if not log_probabilities:
        return 0.0
    return min(1.0, math.exp(math.fsum(log_probabilities) / len(log_probabilities)))
