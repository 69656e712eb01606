"""Building the phrase automaton: phrases written out, the tree of their beginnings, its failures and scores.

What is built, and the rules behind the scores, is said in `refasr.search.boost`.
"""

import itertools
import numbers
from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError

START = 0                        # state before the first unit
LARGEST_WEIGHT = 100.0           # natural log per unit: more than any model's certainty
LONGEST_PHRASE = 512             # units, prefix included
MOST_PREFIXES = 64               # of one phrase
LARGEST_SPELLING = 1 << 23       # units of all phrases after all of their prefixes
LARGEST_TABLE = 1 << 27          # entries, 512 MB


class Phrase(NamedTuple):
    """A phrase to build from; `phrases.spell` makes them.

    units : int32 [N], 1 <= unit < V    Spelling, beginning with the first unit of a word.
    weight : float, -100..100           Natural log per unit.
    prefixes : tuple of int32 [M]       The phrase counts directly after one of these only; none: everywhere.
    text : str                          For messages.
    origin : str                        File and line, for messages.
    unpaid : float, 0..512              So many units at the beginning earn nothing; with whole words only.
    """

    units: np.ndarray
    weight: float
    prefixes: tuple = ()
    text: str = ""
    origin: str = ""
    unpaid: float = 0.0

    def reward(self, n):
        """Of its first n units: weight max(0, n - unpaid). Parameters: n (one or an array). Returns the same in natural log."""
        return self.weight * np.maximum(0.0, n - self.unpaid)


class Spellings(NamedTuple):
    """All phrases, each with each of its prefixes: E spellings, end to end.

    flat : int32 [N]            Units.
    first, length : int64 [E]   Where a spelling begins in `flat`, and its number of units.
    n_prefix : int64 [E]        How many of them are prefix.
    weight : float64 [E]        Per unit that is not prefix.
    unpaid : float64 [E]        Of those units, how many at the beginning earn nothing.
    earns : float64 [E]         What an occurrence adds to those of the same phrase with less prefix.
    """

    flat: np.ndarray
    first: np.ndarray
    length: np.ndarray
    n_prefix: np.ndarray
    weight: np.ndarray
    unpaid: np.ndarray
    earns: np.ndarray


class Trie(NamedTuple):
    """States numbered by depth: depth d is depths[d] up to depths[d + 1].

    depths : list of int
    parent, unit : int64 [S]    The state before, and the unit that leads here.
    fail : int64 [S]            The longest shorter end of the text that begins some phrase.
    after : int64 [N]           State after each unit of `Spellings.flat`.
    """

    depths: list
    parent: np.ndarray
    unit: np.ndarray
    fail: np.ndarray
    after: np.ndarray


def expand(phrases, n_units, may_begin):
    """Validate, and write every phrase after each of its prefixes.

    Parameters
    ----------
    phrases : iterable of Phrase
    n_units : int
    may_begin : bool [V]    Units a phrase or prefix may begin with.

    Returns
    -------
    Spellings
    """
    found = {}    # units -> prefix -> {(reward, weight, unpaid)}
    for phrase in phrases:
        check_phrase(phrase, n_units, may_begin)
        by_prefix = found.setdefault(tuple(phrase.units.tolist()), {})
        this = (float(phrase.reward(phrase.units.size)), float(phrase.weight), float(phrase.unpaid))
        for prefix in [tuple(prefix.tolist()) for prefix in phrase.prefixes] or [()]:
            by_prefix.setdefault(prefix, set()).add(this)
    rows, flat = [], []
    for units in sorted(found):
        shares = increments({prefix: max(ways)[0] for prefix, ways in found[units].items()})
        for prefix, (_, weight, unpaid) in ((prefix, way) for prefix in shares for way in sorted(found[units][prefix])):
            if len(flat) > LARGEST_SPELLING:
                raise RangeError(f"phrases: got more than {LARGEST_SPELLING} units with prefixes, expected fewer; "
                                 "use fewer prefixes")
            rows.append((len(flat), len(prefix) + len(units), len(prefix), weight, unpaid, shares[prefix]))
            shares[prefix] = 0.0    # once, however many ways lead here
            flat += prefix + units
    columns = list(zip(*rows)) or [()] * 6
    types = (np.int64, np.int64, np.int64, np.float64, np.float64, np.float64)
    return Spellings(np.array(flat, np.int32), *(np.array(column, dtype) for column, dtype in zip(columns, types)))


def increments(rewards):
    """Shares such that those of all prefixes that stand before an occurrence sum to the largest reward.

    Where "please call" stands, "call" stands too: the longer one adds what it is worth more than the shorter.

    Parameters
    ----------
    rewards : dict    Prefix (tuple of units) to reward.

    Returns
    -------
    dict              Prefix to share.
    """
    best, shares = {}, {}
    for prefix in sorted(rewards, key=lambda prefix: (len(prefix), prefix)):
        inside = [shorter for shorter in best if prefix[len(prefix) - len(shorter):] == shorter]
        best[prefix] = max(rewards[prefix], best[inside[-1]]) if inside else rewards[prefix]
        shares[prefix] = best[prefix] - (best[inside[-1]] if inside else 0.0)
    return shares


def plant(spellings, n_units):
    """The tree of all beginnings of spellings; `fail` is not yet known. Parameters: spellings, n_units. Returns a Trie."""
    here, after = np.zeros(spellings.length.size, np.int64), np.zeros(spellings.flat.size, np.int64)
    depths, parents, units = [0, 1], [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    for depth in range(spellings.length.max(initial=0)):
        rows = np.flatnonzero(spellings.length > depth)
        places = spellings.first[rows] + depth
        branches, branch = np.unique(here[rows] * n_units + spellings.flat[places], return_inverse=True)
        here[rows] = after[places] = depths[-1] + branch
        parents.append(branches // n_units)
        units.append(branches % n_units)
        depths.append(depths[-1] + branches.size)
        if depths[-1] * n_units > LARGEST_TABLE:
            raise RangeError(f"phrases: got more than {LARGEST_TABLE // n_units} states, expected fewer; "
                             "give fewer phrases or prefixes")
    return Trie(depths, np.concatenate(parents), np.concatenate(units), np.zeros(depths[-1], np.int64), after)


def connect(tree, n_units):
    """Next states, from the shallow to the deep: a row is that of the state's failure, with its own branches put over it.

    Parameters
    ----------
    tree : Trie      From `plant`.
    n_units : int

    Returns
    -------
    (int32 [S, V], Trie)    The table, and the trie with its failures.
    """
    parent, unit, fail = tree.parent, tree.unit, tree.fail.copy()
    table = np.zeros((parent.size, n_units), np.int32)
    for low, high in levels(tree):
        if low > 1:    # those of depth 1 fail to the start
            fail[low:high] = table[fail[parent[low:high]], unit[low:high]]
        table[parent[low:high], unit[low:high]] = np.arange(low, high)
        table[low:high] = table[fail[low:high]]
    return table, tree._replace(fail=fail)


def levels(tree):
    """First and one past the last state of each depth from 1 on. Parameters: tree. Returns an iterator of pairs."""
    return itertools.pairwise(tree.depths[1:])


def whole_word_scores(spellings, tree):
    """Hope, nothing at once, and what is pending. Parameters: spellings, tree. Returns three float64 [S]."""
    hope, pending, n_states = np.zeros(tree.parent.size), np.zeros(tree.parent.size), tree.parent.size
    place = np.arange(spellings.flat.size) - np.repeat(spellings.first + spellings.n_prefix, spellings.length)
    paid = np.maximum(0.0, place + 1 - np.repeat(spellings.unpaid, spellings.length))
    partial = np.repeat(spellings.weight, spellings.length) * paid
    np.maximum.at(hope, tree.after, partial)
    np.add.at(pending, tree.after[spellings.first + spellings.length - 1], spellings.earns)
    for low, high in levels(tree):    # what ends here includes all shorter ends
        fail = tree.fail[low:high]
        hope[low:high] = np.maximum(hope[low:high], hope[fail])
        pending[low:high] += pending[fail]
    return hope, np.zeros(n_states), pending


def context_graph_scores(spellings, tree, next_state, strict):
    """Scores by sherpa's rules.

    Parameters
    ----------
    spellings : Spellings
    tree : Trie
    next_state : int32 [S, V]    Modified if not strict: states that finish a phrase go on as the start does.
    strict : bool

    Returns
    -------
    three float64 [S]            Hope, what is earned at once, and nothing pending.
    """
    n_states = tree.parent.size
    step, ends = np.full(n_states, -LARGEST_WEIGHT), np.zeros(n_states, bool)
    hope, at_once, longest, matched = np.zeros(n_states), np.zeros(n_states), np.zeros(n_states), np.zeros(n_states, bool)
    np.maximum.at(step, tree.after, np.repeat(spellings.weight, spellings.length))
    ends[tree.after[spellings.first + spellings.length - 1]] = True
    for low, high in levels(tree):
        fail, end = tree.fail[low:high], ends[low:high]
        hope[low:high] = hope[tree.parent[low:high]] + step[low:high]
        at_once[low:high] = np.where(end, hope[low:high], 0.0) + at_once[fail]
        longest[low:high] = np.where(end, hope[low:high], longest[fail])
        matched[low:high] = end | matched[fail]
    if not strict:
        next_state[matched], hope[matched], at_once[matched] = next_state[START], 0.0, longest[matched]
    return hope, at_once, np.zeros(n_states)


def check_phrase(phrase, n_units, may_begin):
    """Validate. Parameters: phrase, n_units, may_begin (bool [V])."""
    name = f"{phrase.origin + ': ' if phrase.origin else ''}phrase {phrase.text!r}"
    check_weight(name, phrase.weight)
    check_unpaid(name, phrase.unpaid)
    if len(phrase.prefixes) > MOST_PREFIXES:
        raise RangeError(f"{name}: got {len(phrase.prefixes)} prefixes, expected at most {MOST_PREFIXES}; use the common ones")
    for what, units in ((name, phrase.units), *((f"{name}, prefix", prefix) for prefix in phrase.prefixes)):
        checks.labels(what, units, n_units)
        if units.size == 0:
            raise RangeError(f"{what}: got no units, expected at least one; leave it out")
        if not may_begin[units[0]]:
            raise RangeError(f"{what}: got unit {units[0]} at its beginning, expected one that begins a word; "
                             "spell the word mark")
    n_longest = phrase.units.size + max((prefix.size for prefix in phrase.prefixes), default=0)
    if n_longest > LONGEST_PHRASE:
        raise RangeError(f"{name}: got {n_longest} units, expected at most {LONGEST_PHRASE} with a prefix; shorten it")


def check_weight(name, weight):
    """Require a finite weight of sensible size. Parameters: name, weight."""
    if not isinstance(weight, numbers.Real) or isinstance(weight, bool):
        raise RangeError(f"{name}: got weight {str(weight)[:40]!r}, expected a number; write a score such as 2.0")
    if not -LARGEST_WEIGHT <= weight <= LARGEST_WEIGHT:
        raise RangeError(f"{name}: got weight {str(weight)[:40]}, expected {-LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g} a unit; "
                         "0.3 to 2 is usual")


def check_unpaid(name, unpaid):
    """Require a number of units, which need not be whole. Parameters: name, unpaid."""
    if not isinstance(unpaid, numbers.Real) or isinstance(unpaid, bool) or not 0 <= unpaid <= LONGEST_PHRASE:
        raise RangeError(f"{name}: got {str(unpaid)[:40]!r} unpaid units, expected 0 to {LONGEST_PHRASE}; "
                         "take the value of phrases.unpaid_units")
