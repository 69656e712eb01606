"""Word and sentence error rate of a set of utterances.

    WER = sum over utterances of (S + D + I) / sum over utterances of the words in the reference
    SER = utterances with at least one error / utterances

Sums are taken before dividing, so a long utterance weighs more than a short one. An utterance with an empty reference
adds its insertions above and nothing below. If no reference has a word the rate is 0 when nothing was inserted, else
infinite: there is no number of words to divide by, and no substitute is made up.
"""

import collections
import dataclasses
import itertools
import math

import numpy as np

from refasr import twins
from refasr.errors import RangeError
from refasr.metrics import edit_distance


@dataclasses.dataclass(frozen=True)
class Score:
    """Errors of one system on one set.

    counts : int64 [N, 3]    Substitutions, deletions and insertions of each utterance.
    words : int64 [N]        Words in each reference.
    """

    counts: np.ndarray
    words: np.ndarray

    @property
    def errors(self):
        """Errors of each utterance, int64 [N]: what the bootstrap resamples."""
        return self.counts.sum(axis=1)

    @property
    def n_utterances(self):
        """Number of utterances."""
        return int(self.words.size)

    @property
    def n_words(self):
        """Number of words in all references."""
        return int(self.words.sum())

    @property
    def substitutions(self):
        """Substituted words."""
        return int(self.counts[:, 0].sum())

    @property
    def deletions(self):
        """Words of the references that are missing."""
        return int(self.counts[:, 1].sum())

    @property
    def insertions(self):
        """Words of the hypotheses that were not said."""
        return int(self.counts[:, 2].sum())

    @property
    def wer(self):
        """Word error rate, a fraction; may exceed 1."""
        return rate(self.substitutions + self.deletions + self.insertions, self.n_words)

    @property
    def ser(self):
        """Sentence error rate, a fraction."""
        return int((self.errors > 0).sum()) / self.n_utterances


def rate(errors, words):
    """Errors a word, with the rule for no words. Parameters: errors, words. Returns a float."""
    if words:
        return errors / words
    return math.inf if errors else 0.0


def new_vocabulary():
    """Numbers words in the order they are first looked up. Returns a dictionary for `word_ids`."""
    vocabulary = collections.defaultdict()
    vocabulary.default_factory = vocabulary.__len__
    return vocabulary


def word_ids(texts, vocabulary):
    """Number the words of texts.

    Parameters
    ----------
    texts : list of str
    vocabulary : dict          Of `new_vocabulary`; one for both lists, so that equal words get equal ids.

    Returns
    -------
    (int32 [sum of U], int64 [N])    Ids of all words end to end, and where each text ends.
    """
    split = [text.split() for text in texts]
    ends = np.cumsum(np.fromiter(map(len, split), np.int64, len(split)))
    return np.fromiter(map(vocabulary.__getitem__, itertools.chain.from_iterable(split)), np.int32), ends


def score(references, hypotheses, backend=None):
    """Compare hypotheses with references.

    Parameters
    ----------
    references : list of str    Normalised (`refasr.metrics.text.normalise`); words are separated by white space.
    hypotheses : list of str    As many, normalised likewise.
    backend : Backend or None   Of `twins.select`; None is the fast one.

    Returns
    -------
    Score

    Raises
    ------
    RangeError                  If there are no utterances or the numbers differ.

    Examples
    --------
    >>> result = score(["turn the light off", "stop"], ["turn light of", "stop"])
    >>> result.wer, result.substitutions, result.deletions, result.insertions, result.ser
    (0.4, 1, 1, 0, 0.5)
    """
    if len(references) != len(hypotheses) or not references:
        raise RangeError(f"hypotheses: got {len(hypotheses)} for {len(references)} references, expected as many, at least one")
    vocabulary = new_vocabulary()
    reference_ids, reference_ends = word_ids(references, vocabulary)
    hypothesis_ids, hypothesis_ends = word_ids(hypotheses, vocabulary)
    count = (backend or twins.select("fast"))(edit_distance.edit_distances)
    counts = count(reference_ids, reference_ends, hypothesis_ids, hypothesis_ends)
    return Score(counts, np.diff(reference_ends, prepend=0))


def alignment(reference, hypothesis, backend=None):
    """Pair the words of two texts, for showing errors.

    Parameters
    ----------
    reference : str
    hypothesis : str
    backend : Backend or None    Of `twins.select`; None is the fast one.

    Returns
    -------
    list of (str or None, str or None)    Reference word and hypothesis word; None where one has no partner.

    Examples
    --------
    >>> alignment("turn the light off", "turn light of")
    [('turn', 'turn'), ('the', None), ('light', 'light'), ('off', 'of')]
    """
    vocabulary = new_vocabulary()
    said, heard = reference.split(), hypothesis.split()
    align = (backend or twins.select("fast"))(edit_distance.align)
    pairs = align(word_ids([reference], vocabulary)[0], word_ids([hypothesis], vocabulary)[0])
    return [(None if i < 0 else said[i], None if j < 0 else heard[j]) for i, j in pairs.tolist()]


def show(pairs):
    """One line that marks errors: `*the*` deleted, `+a+` inserted, `off>of` substituted. Parameters: pairs. Returns text."""
    def mark(said, heard):
        if heard is None:
            return f"*{said}*"
        if said is None:
            return f"+{heard}+"
        return said if said == heard else f"{said}>{heard}"
    return " ".join(mark(said, heard) for said, heard in pairs)
