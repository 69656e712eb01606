"""The unit inventory: characters, with the word mark as a unit of its own before each word.

Blank is id 0 and counts in V; ids 1-7 are reserved (end of sentence, language tags, unknown).
"""

import unicodedata

import numpy as np

from refasr.errors import RangeError

BLANK = 0
WORD_MARK = "\u2581"
RESERVED = ("<blank>", "</s>", "<unk>", "<en>", "<es>", "<r5>", "<r6>", "<r7>")
CHARACTERS = RESERVED + (WORD_MARK, *"abcdefghijklmnopqrstuvwxyz", "'")


def encode_text(text, units=CHARACTERS):
    """Spell a transcript.

    Parameters
    ----------
    text : str           Words separated by spaces, lower case, a-z and apostrophe.
    units : tuple of str    The inventory; position is the id.

    Returns
    -------
    int32 [U]            Each word as its mark and its characters.

    Raises
    ------
    RangeError           Naming the first character that the inventory cannot spell.

    Examples
    --------
    >>> encode_text("a b").tolist()
    [8, 9, 8, 10]
    """
    known = {unit: index for index, unit in enumerate(units)}
    spelled = "".join(WORD_MARK + word for word in unicodedata.normalize("NFC", text).split())
    for character in spelled:
        if character not in known:
            raise RangeError(f"text: got character {character!r} in {text!r}, expected a-z, apostrophe, spaces; normalise it")
    return np.array([known[character] for character in spelled], np.int32)


def decode_labels(labels, units=CHARACTERS):
    """Join units to text; the inverse of `encode_text`. Reserved units are left out.

    Parameters
    ----------
    labels : int32 [U]      Unit ids.
    units : tuple of str    The inventory.

    Returns
    -------
    str                     Words separated by single spaces.

    Examples
    --------
    >>> decode_labels([8, 9, 8, 10])
    'a b'
    """
    return " ".join("".join(units[label] for label in labels if label >= len(RESERVED)).replace(WORD_MARK, " ").split())
