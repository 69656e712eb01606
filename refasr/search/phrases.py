"""Files of phrases to boost: sherpa-onnx's lists, and contacts and devices as JSON.

A list has one phrase a line and, if wanted, its weight per unit at the end; blank lines and lines that begin with # are left out:

    # names
    ANNA KOWALSKI
    jon smith :3.0

JSON is an object of groups. Every key but "prefixes" is a group of phrases, with or without a weight; "prefixes" says after
which words the phrases of a group count (a group that it does not name counts everywhere):

    {"contacts": ["anna kowalski", {"name": "jon smith", "weight": 3.0}],
     "devices": ["kitchen light"],
     "prefixes": {"contacts": ["call", "text"], "devices": ["turn on", "turn off"]}}

Text is NFC-normalised, lowered, and a typographic apostrophe becomes a plain one, as a model's units are a-z and '. A phrase that
the units cannot spell is named in a warning, and the others are used: an address book has a few of them.
"""

import json
import math
import pathlib
import re
import unicodedata
from typing import NamedTuple

from refasr.errors import FormatError, RangeError
from refasr.search.boost import Phrase
from refasr.search.trie import check_unpaid, check_weight
from refasr.transducer.units import CHARACTERS, WORD_MARK, encode_text

DEFAULT_WEIGHT = 3.0              # with `unpaid_units`; tuned on dev sets by data/training/search_report.py, see `names` there
OPEN_CHOICES = 6.0                # letters that a name's beginning leaves open for the next, 2.6 bits
LEAST_LETTERS = 2.0               # that stay unpaid; with none, a list of three phrases harms other words
EVERYWHERE_LETTERS = 2.0          # more of them for a phrase without prefixes
SIZE_LIMIT_BYTES = 1 << 24
MOST_PHRASES, MOST_PREFIXES = 100_000, 64
LONGEST_TEXT = 200                # characters of a phrase or prefix, so that both fit into `trie.LONGEST_PHRASE` units
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)


class Entry(NamedTuple):
    """A phrase as the file has it.

    text : str
    weight : float or None        Per unit; None: the default.
    prefixes : tuple of str       None of them: counts everywhere.
    origin : str                  "file:line", or "file: group[index]" in JSON.
    """

    text: str
    weight: float | None
    prefixes: tuple
    origin: str


class PhraseList(NamedTuple):
    """The phrases of a file, in its order. Field: entries (tuple of Entry)."""

    entries: tuple


def read_phrases(path):
    """Read a file of phrases: JSON if its name ends in .json or its text begins with a brace, else a list.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    PhraseList

    Raises
    ------
    FormatError     Naming the file and line.
    RangeError      For a weight that is not finite or beyond 100, naming the phrase and line.
    """
    text = read_text(path)
    is_json = pathlib.Path(path).suffix.lower() == ".json" or text.lstrip().startswith("{")
    entries = json_entries(path, text) if is_json else list_entries(path, text)
    if len(entries) > MOST_PHRASES:
        raise FormatError(f"{path}: got {len(entries)} phrases, expected at most {MOST_PHRASES}; split the file")
    for entry in entries:
        check_text(entry.origin, entry.text)
        if entry.weight is not None:
            check_weight(f"{entry.origin}: phrase {entry.text!r}", entry.weight)
    return PhraseList(tuple(entries))


def read_text(path):
    """The whole file. Parameters: path. Returns text."""
    try:
        with open(path, "rb") as file:
            data = file.read(SIZE_LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); check the path") from error
    if len(data) > SIZE_LIMIT_BYTES:
        raise FormatError(f"{path}: got more than {SIZE_LIMIT_BYTES} bytes, expected a list of phrases; split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(f"{path}:{line}: got bytes that are not UTF-8, expected text; save it as UTF-8", error.start) from error


def list_entries(path, text):
    """Parse sherpa-onnx's form. Parameters: path, text. Returns a list of Entry."""
    entries = []
    for number, line in enumerate(text.split("\n"), 1):
        words, where = line.split(), f"{path}:{number}"
        if not words or words[0].startswith("#"):
            continue
        scores = [i for i, word in enumerate(words) if word.startswith(":")]
        if scores and scores != [len(words) - 1]:
            raise FormatError(f"{where}: got {line.strip()[:60]!r}, expected words and then one :score; put the score at the end")
        if any(word[0] in "#@" for word in words):
            raise FormatError(f"{where}: got {line.strip()[:60]!r}, expected words and a :score; take out #thresholds "
                              "and @names, they are a keyword spotter's")
        weight = None
        if scores:
            number_text = words.pop()[1:]
            if not NUMBER.fullmatch(number_text):
                raise FormatError(f"{where}: got score {number_text[:20]!r}, expected a number as in ':2.0'; "
                                  "no space after the colon")
            weight = float(number_text)
        entries.append(Entry(" ".join(words), weight, (), where))
    return entries


def printable(text, longest=40):
    """For messages of one line. Parameters: text, longest. Returns a str."""
    return text[:longest] if text[:longest].isprintable() else ascii(text[:longest])


def unique_keys(pairs):
    """A JSON object without repeated keys. Parameters: pairs. Returns a dict."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise FormatError("got a key twice in one object, expected each once; join the groups")
    return found


def json_entries(path, text):
    """Parse groups of phrases. Parameters: path, text. Returns a list of Entry."""
    try:
        content = json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise FormatError(f"{path}:{error.lineno}: got text that is not JSON ({error.msg}), expected an object of groups; "
                          "check commas and quotes", error.pos) from error
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except (RecursionError, ValueError) as error:    # ValueError: a number of thousands of digits
        raise FormatError(f"{path}: got JSON that is nested too deep or has huge numbers, expected an object of groups of "
                          "phrases; write it again") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path}: got {type(content).__name__}, expected an object of groups such as contacts; wrap the list")
    prefixes = content.pop("prefixes", {})
    check_prefixes(path, prefixes, content)
    entries = []
    for group, phrases in content.items():
        name = printable(group)
        if not isinstance(phrases, list):
            raise FormatError(f"{path}: {name}: got {type(phrases).__name__}, expected a list of phrases; use brackets")
        after = tuple(dict.fromkeys(prefixes.get(group, ())))
        entries += [json_entry(f"{path}: {name}[{i}]", phrase, after) for i, phrase in enumerate(phrases)]
    return entries


def check_prefixes(path, prefixes, groups):
    """Validate the prefixes of groups. Parameters: path, prefixes, groups."""
    if not isinstance(prefixes, dict):
        raise FormatError(f"{path}: prefixes: got {type(prefixes).__name__}, expected an object from group to list of prefixes")
    for group, words in prefixes.items():
        where = f"{path}: prefixes: {printable(group)}"
        if group not in groups:
            raise FormatError(f"{where}: got prefixes of a group that is not there, expected one of "
                              f"{printable(', '.join(groups), 200)}; spell it alike")
        if not isinstance(words, list) or not 1 <= len(words) <= MOST_PREFIXES:
            raise FormatError(f"{where}: got {printable(str(words))}, expected a list of 1 to {MOST_PREFIXES} texts; "
                              "or leave the group out")
        for word in words:
            check_text(where, word)


def json_entry(where, phrase, prefixes):
    """One phrase of a group. Parameters: where, phrase (decoded JSON), prefixes (tuple of str). Returns an Entry."""
    if isinstance(phrase, str):
        return Entry(phrase, None, prefixes, where)
    if not isinstance(phrase, dict) or not {"name"} <= set(phrase) <= {"name", "weight"}:
        raise FormatError(f'{where}: got {printable(str(phrase))}, expected a text or {{"name": text, "weight": number}}')
    return Entry(phrase["name"], phrase.get("weight"), prefixes, where)


def check_text(where, text):
    """Require a phrase of sensible length on one line. Parameters: where, text."""
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_TEXT:
        raise FormatError(f"{where}: got {str(text)[:40]!r}, expected a text of 1 to {LONGEST_TEXT} characters; "
                          "leave out empty ones")


def unpaid_units(n_phrases, everywhere=False):
    """How many units of a phrase earn nothing, because they only tell which phrase of the list it may be.

        1 + max(2, ln(n_phrases) / ln(6) + (2 if everywhere else 0))

    The word mark, and so many letters as a choice among the phrases takes if each letter is one of about six, but at least
    two: 3 units for 10 phrases, 3.5 for 85, 5.5 for 3000. So a longer list harms other words little more than a short one
    does, and gains less. A phrase without prefixes may fit by chance after every word: it is chosen among as many more as two
    letters tell apart, or the harm is ten times that of phrases which count after a verb only.

    Parameters
    ----------
    n_phrases : int      Those that are encouraged; 0 is as 1.
    everywhere : bool    Of a phrase without prefixes.

    Returns
    -------
    float, >= 3          Need not be whole.
    """
    letters = math.log(max(1, n_phrases)) / math.log(OPEN_CHOICES) + (EVERYWHERE_LETTERS if everywhere else 0.0)
    return 1.0 + max(LEAST_LETTERS, letters)


def spell(phrase_list, units=CHARACTERS, default_weight=DEFAULT_WEIGHT, unpaid=None):
    """Write phrases in the units of a model.

    Parameters
    ----------
    phrase_list : PhraseList
    units : tuple of str       The inventory: characters, with the word mark as a unit of its own.
    default_weight : float     Per unit, for phrases without a weight.
    unpaid : float or None     Units of each phrase that earn nothing; None: `unpaid_units`.

    Returns
    -------
    (list of Phrase, list of str)    For `boost.build`, and warnings: a phrase or prefix that the units cannot spell is left
                                     out; of a phrase given twice the larger weight counts. A phrase none of whose prefixes
                                     can be spelt is left out too, lest it count everywhere.

    Raises
    ------
    RangeError                 For an absurd default weight or number of units.
    """
    check_weight("default_weight", default_weight)
    if unpaid is not None:
        check_unpaid("unpaid", unpaid)
    warnings, spelled, prefix_units = [], {}, {}
    for entry in phrase_list.entries:
        for prefix in entry.prefixes:
            if prefix not in prefix_units:
                prefix_units[prefix] = spell_text(prefix, units, f"{entry.origin}: prefix", warnings)
        labels = spell_text(entry.text, units, f"{entry.origin}: phrase", warnings)
        prefixes = [prefix_units[prefix] for prefix in entry.prefixes if prefix_units[prefix] is not None]
        if labels is None:
            continue
        if entry.prefixes and not prefixes:
            warnings.append(f"{entry.origin}: phrase {entry.text!r} is left out, none of its prefixes can be spelt")
            continue
        weight = default_weight if entry.weight is None else entry.weight
        phrase = Phrase(labels, float(weight), tuple(prefixes), entry.text, entry.origin)
        key = (labels.tobytes(), frozenset(prefix.tobytes() for prefix in prefixes))
        before = spelled.setdefault(key, phrase)
        if before is not phrase:
            spelled[key] = max(before, phrase, key=lambda one: one.weight)
            warnings.append(f"{entry.origin}: phrase {entry.text!r} is at {before.origin} too, the larger weight "
                            f"{spelled[key].weight:g} counts")
    n_phrases = len({phrase.units.tobytes() for phrase in spelled.values() if phrase.weight > 0})
    return [pay_less(phrase, n_phrases, unpaid) for phrase in spelled.values()], warnings


def pay_less(phrase, n_phrases, unpaid):
    """Say how many units stay unpaid. Parameters: phrase, n_phrases, unpaid (as `spell`). Returns a Phrase."""
    if phrase.weight <= 0:
        return phrase
    return phrase._replace(unpaid=float(unpaid_units(n_phrases, not phrase.prefixes) if unpaid is None else unpaid))


def spell_text(text, units, what, warnings):
    """Units, or None and a warning more. Parameters: text, units, what (for messages), warnings (grows). Returns int32 [N]."""
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower().replace("\u2019", "'"))
    if WORD_MARK in plain:
        warnings.append(f"{what} {text!r} is left out, it is written in word pieces; write plain words")
        return None
    try:
        return encode_text(plain, units)
    except RangeError:
        foreign = sorted({character for character in WORD_MARK + plain if character not in units and not character.isspace()})
        warnings.append(f"{what} {text!r} is left out, the units cannot spell {' '.join(map(repr, foreign))}")
        return None
