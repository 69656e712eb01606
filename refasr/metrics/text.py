"""The scoring normaliser: the one form in which a reference and a hypothesis are compared, and in which text is trained on.

In order: Unicode NFC; lower case; typographic apostrophes become "'"; dashes, slashes and underscores become spaces;
sentence punctuation and quotation marks are removed; white space becomes single spaces, none at either end. An apostrophe
is a letter only within or at the edge of a word that has letters; one alone is removed.

Nothing else changes. Digits, "%" or "é" stay as they are and lie outside the alphabet: training refuses them
(`require_alphabet`), evaluation reports the utterance. There is no number spelling, no list of synonyms and no removal
of fillers: such rules change error rates by more than most techniques do. Reports name `NAME` and `fingerprint()`.
"""

import hashlib
import unicodedata

from refasr.errors import FormatError

NAME = "refasr-text-1"  # a new number whenever any rule changes
ALPHABET = "abcdefghijklmnopqrstuvwxyz'"
APOSTROPHES = "\u2018\u2019\u02bc\uff07`\u00b4"
SPACES = "-\u2010\u2011\u2012\u2013\u2014\u2015/_"
REMOVED = ".,!?;:\"()[]{}\u2026\u201c\u201d\u201e\u00ab\u00bb\u00a1\u00bf"
TABLE = str.maketrans({**dict.fromkeys(APOSTROPHES, "'"), **dict.fromkeys(SPACES, " "), **dict.fromkeys(REMOVED, "")})


def fingerprint():
    """Hash of the rules' data, so that two reports can be seen to have scored alike. Returns 12 hexadecimal digits."""
    rules = "\n".join((NAME, ALPHABET, APOSTROPHES, SPACES, REMOVED))
    return hashlib.sha256(rules.encode()).hexdigest()[:12]


def normalise(text):
    """Bring text into the scored form.

    Parameters
    ----------
    text : str

    Returns
    -------
    str    Words with single spaces; may hold characters outside the alphabet. Normalising again changes nothing.

    Examples
    --------
    >>> normalise("  What\u2019s the twenty-first word, Anna?")
    "what's the twenty first word anna"
    """
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower()).translate(TABLE)
    return " ".join(word for word in unicodedata.normalize("NFC", plain).split() if word.strip("'"))


def foreign(text):
    """Characters of normalised text that no unit can spell. Parameters: text. Returns a string, each once, sorted."""
    return "".join(sorted(set(text) - set(ALPHABET) - {" "}))


def require_alphabet(text, where):
    """Refuse normalised text that the units cannot spell.

    Parameters
    ----------
    text : str     Normalised.
    where : str    Where the text comes from, for the error: a file and line.

    Returns
    -------
    str            The text, unchanged.

    Raises
    ------
    FormatError    Naming the characters.
    """
    outside = foreign(text)
    if outside:
        named = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in outside[:5])
        raise FormatError(f"{where}: got {named} in the transcript, expected a-z, apostrophe and space; spell it as it is said")
    return text
