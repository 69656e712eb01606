"""Shallow fusion: an n-gram model speaks while the words are being found, not only when the lattice is complete.

    lm(text) = sum over finished words of (weight ln P(word | words before) + bonus)
    and at the end of the utterance also  weight ln P(</s> | words)

A word is finished by the next word mark or by the end of the utterance. Until then its letters stand for the best word that
begins with them, by the model's probabilities without history, and what they were given is taken back when the word is finished:

    ahead(letters) = weight max ln P(word that begins so, or <unk>) + bonus

Without this, who never ends a word never pays, and a narrow beam fills with endless words: on barista that made a third more
errors than no model does. Each share is rounded once to the grid of lattice scores, so sums are exact and the same in any
order. A word that the model does not have, as any sequence of letters may be, is scored as <unk>.

What a hypothesis needs to remember is two numbers: `history`, the state of the n-gram model after the finished words, and
`spelling`, how far the letters since the last mark have come in a tree of the model's words. Hypotheses may become one only
where both are equal, for only then do they earn the same from there on.

Source: Gulcehre 2015, "On using monolingual corpora in neural machine translation" (shallow fusion). The bonus for a word makes
up for the model's dislike of long texts: Hannun 2014, "First-pass large vocabulary continuous speech recognition", section 3.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.lattice.lattice import SCORES_A_NAT
from refasr.rescoring import ngram
from refasr.transducer.units import CHARACTERS, RESERVED, WORD_MARK

MARK = CHARACTERS.index(WORD_MARK)
BETWEEN = 0              # spelling between words
NO_WORD = -1             # what a spelling between words spells
LARGEST_WEIGHT = 100.0
DEFAULT_WEIGHT, DEFAULT_BONUS = 0.5, 0.5     # chosen on dev sets, see docs/second-pass.md
MOST_SPELLINGS = 1 << 22


class Fusion(NamedTuple):
    """A model ready for the search.

    next_spelling : int32 [S, V]    Spelling after a unit; 0 is between words, 1 a spelling that no word of the model begins with.
    ahead : float64 [S]             What the letters so far have been given; 0 between words.
    word : int32 [S]                The word that a spelling is; UNKNOWN for the others, NO_WORD between words.
    trie : Trie                     Of the n-gram model.
    start : int                     Its state before the first word.
    weight, bonus : float           See above.
    """

    next_spelling: np.ndarray
    ahead: np.ndarray
    word: np.ndarray
    trie: ngram.Trie
    start: int
    weight: float
    bonus: float


class LmSettings(NamedTuple):
    """A language model and how much it counts.

    model : NgramModel; weight : of its logarithms; bonus : nats for each word.
    """

    model: ngram.NgramModel
    weight: float = DEFAULT_WEIGHT
    bonus: float = DEFAULT_BONUS


def build(settings, n_units):
    """Make a model ready.

    Parameters
    ----------
    settings : LmSettings or None    None: no model, nothing is ever earned.
    n_units : int                    V; the first V units of `CHARACTERS`.

    Returns
    -------
    Fusion

    Raises
    ------
    RangeError

    Notes
    -----
    Cost: a table of 4 V bytes for each beginning of a word.
    """
    if settings is None:
        nothing = np.zeros(len(ngram.MARKS), np.float32)
        marks = ngram.Level(np.arange(len(ngram.MARKS), dtype=np.int32)[:, None], nothing, nothing)
        model = ngram.build(ngram.MARKS, [marks])
        return Fusion(np.zeros((1, n_units), np.int32), np.zeros(1), np.array([NO_WORD], np.int32), model.trie,
                      ngram.start(model), 0.0, 0.0)
    model, weight, bonus = settings
    checks.between("lm weight", weight, -LARGEST_WEIGHT, LARGEST_WEIGHT)
    checks.between("lm bonus", bonus, -LARGEST_WEIGHT, LARGEST_WEIGHT)
    ids = {unit: i for i, unit in enumerate(CHARACTERS[:n_units]) if i >= len(RESERVED) and i != MARK}
    alone = (ngram.LN10 * model.trie.log10_p[1 : 1 + len(model.words)]).tolist()      # nodes of single words come first
    rows, word, best = [{}, {}], [NO_WORD, ngram.UNKNOWN], 2 * alone[:1]              # rows: letter to spelling
    for number, text in enumerate(model.words):
        if number < len(ngram.MARKS) or not all(letter in ids for letter in text):
            continue
        at = BETWEEN
        for letter in text:
            if letter not in rows[at]:
                rows[at][letter] = len(rows)
                rows.append({})
                word.append(ngram.UNKNOWN)
                best.append(alone[ngram.UNKNOWN])
            at = rows[at][letter]
            best[at] = max(best[at], alone[number])
        word[at] = number
        if len(rows) > MOST_SPELLINGS:
            raise RangeError(f"lm: got words with more than {MOST_SPELLINGS} beginnings, expected fewer; take a smaller model")
    table = np.ones((len(rows), n_units), np.int32)
    table[:, : len(RESERVED)] = np.arange(len(rows), dtype=np.int32)[:, None]      # these spell nothing
    table[:, MARK : MARK + 1] = BETWEEN
    for row, letters in zip(table, rows):
        for letter, after in letters.items():
            row[ids[letter]] = after
    ahead = np.rint((weight * np.array(best) + bonus) * SCORES_A_NAT) / SCORES_A_NAT
    ahead[BETWEEN] = 0.0
    return Fusion(table, ahead, np.array(word, np.int32), model.trie, ngram.start(model), float(weight), float(bonus))


def finish_word(fusion, history, spelling):
    """What the word in progress earns; nothing between words.

    Parameters
    ----------
    fusion : Fusion
    history, spelling : int

    Returns
    -------
    (int, float)              The history after it, and what to add to the hypothesis; what its letters were given is taken back.

    Notes
    -----
    Twin of kernels: the scalar `fusion_fast.word_end`, same bits.
    """
    word = int(fusion.word[spelling])
    if word == NO_WORD:
        return history, 0.0
    history, logp = ngram.step(fusion.trie, history, word)
    return history, on_grid(fusion.weight * logp + fusion.bonus) - float(fusion.ahead[spelling])


def advance(fusion, history, spelling, label):
    """Write a unit.

    Parameters
    ----------
    fusion : Fusion
    history, spelling : int    From `fusion.start`, BETWEEN, or the unit before.
    label : int, 1..V-1

    Returns
    -------
    (int, float, int)          The next history, what to add to the hypothesis, and the next spelling.
    """
    after = int(fusion.next_spelling[spelling, label])
    if label == MARK:
        return *finish_word(fusion, history, spelling), after
    return history, float(fusion.ahead[after] - fusion.ahead[spelling]), after


def finish(fusion, history, spelling):
    """End the utterance. Parameters: fusion, history, spelling. Returns a float, what to add to the hypothesis."""
    history, earned = finish_word(fusion, history, spelling)
    return earned + on_grid(fusion.weight * ngram.step(fusion.trie, history, ngram.STOP)[1])


def score_units(fusion, labels):
    """What a text has earned after each of its units, and when it is finished.

    Parameters
    ----------
    fusion : Fusion
    labels : int32 [U], 1..V-1    Units without blank.

    Returns
    -------
    float64 [U+1]                 Sums of `advance`; the last is with `finish`.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: a step of the model a word.
    """
    checks.labels("labels", labels, fusion.next_spelling.shape[1])
    history, spelling, total, scores = fusion.start, BETWEEN, 0.0, []
    for label in labels.tolist():
        history, earned, spelling = advance(fusion, history, spelling, label)
        total += earned
        scores.append(total)
    return np.array([*scores, total + finish(fusion, history, spelling)])


def on_grid(nats):
    """The nearest lattice score, in nats. Parameters: nats. Returns a float."""
    return float(np.rint(nats * SCORES_A_NAT)) / SCORES_A_NAT
