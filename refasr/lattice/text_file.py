"""What the text formats share: lines and numbers with a place to complain of, words, times, and from a graph to a lattice.

A file's graph may number its nodes at will, start anywhere and end in several places. `build` numbers them anew in topological
order, the smaller number first where there is a choice, so that a file that is in order keeps its numbers.
"""

import heapq
import math
import os
from typing import NamedTuple

import numpy as np

from refasr.errors import FormatError, RangeError
from refasr.lattice.lattice import LARGEST_SCORE, NO_WORD, SCORES_A_NAT, make_lattice

LARGEST_FILE_BYTES = 2**28
LARGEST_FRAME = 2**30
SHOWN = 40                # characters of a line that an error quotes


class Arc(NamedTuple):
    """An arc as a file has it.

    line : int                       Where it stands, from 1.
    source, target : int             Any numbers.
    word : str                       "" for no word.
    acoustic, lm, bias : int         In 1/1024 nat.
    start, end : int or None         Frames; None where the file has no times.
    """

    line: int
    source: int
    target: int
    word: str
    acoustic: int
    lm: int = 0
    bias: int = 0
    start: object = None
    end: object = None


def read_lines(path):
    """The lines of a text file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    list of (int, str)    Numbers from 1, and lines without their ends; empty lines too.

    Raises
    ------
    FormatError           If it cannot be read, is too large, or is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    if len(data) > LARGEST_FILE_BYTES:
        raise FormatError(f"{path}: got more than {LARGEST_FILE_BYTES} bytes, expected a lattice of one recording; split it")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(f"{path}, line {line}: got bytes that are not UTF-8, expected text; save it as UTF-8") from error
    if "\0" in text:
        raise FormatError(f"{path}: got a zero byte, expected text; is it a binary file?")
    if text and not text.endswith("\n"):    # half a line may look like a whole one
        raise FormatError(f"{path}: got a last line without an end, expected a line feed; is the file cut off?")
    return list(enumerate(text.removesuffix("\n").replace("\r\n", "\n").split("\n"), 1))


class Place(NamedTuple):
    """Where something stands, for errors.

    path : str or Path
    line : int            From 1.
    """

    path: object
    line: int

    def wrong(self, name, got, expected):
        """Build the error. Parameters: name, got (shown), expected (a phrase). Returns FormatError."""
        return FormatError(f"{self.path}, line {self.line}: {name}: got {str(got)[:SHOWN]!r}, expected {expected}")

    def node(self, text):
        """A node's number. Parameters: text. Returns int. Raises FormatError."""
        if not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise self.wrong("node", text, "a whole number from 0")
        return int(text)

    def number(self, name, text):
        """A finite number. Parameters: name, text. Returns float. Raises FormatError."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.wrong(name, text, "a finite number")
        return value

    def score(self, name, nats):
        """The nearest score. Parameters: name, nats (float). Returns int. Raises FormatError for one too large."""
        if not abs(nats) <= LARGEST_SCORE / SCORES_A_NAT:
            raise self.wrong(name, nats, f"at most {LARGEST_SCORE // SCORES_A_NAT} nats in size")
        return int(np.rint(nats * SCORES_A_NAT)) + 0


def cost(score):
    """A score as the exact decimal of its negative, in nats. Parameters: score (int). Returns str."""
    return repr(-int(score) / SCORES_A_NAT) if score else "0"


def nats(score):
    """A score as an exact decimal, in nats. Parameters: score (int). Returns str."""
    return repr(int(score) / SCORES_A_NAT) if score else "0"


def name_of(path):
    """A file's name as that of an utterance: no folder, suffix or white space. Parameters: path. Returns str."""
    return "_".join(os.path.splitext(os.path.basename(str(path)))[0].split()) or "lattice"


def require_words(path, words, no_word):
    """Require words that a text file can carry: not empty, without white space, and not what it calls no word.

    Parameters
    ----------
    path : str or Path
    words : sequence of str    Symbol table, "" first.
    no_word : str              Such as "<eps>".

    Raises
    ------
    FormatError
    """
    for word in words[1:]:
        if not word or word == no_word or word.split() != [word] or "\0" in word or not can_be_encoded(word):
            raise FormatError(f"{path}: got the word {word[:SHOWN]!r}, expected words without white space, none of them "
                              f"{no_word}; write .lat, which holds any")


def can_be_encoded(word):
    """Whether it is text. Parameters: word. Returns bool, False for half a surrogate pair."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


def node_times(lattice):
    """A time for every node: when all that comes before it has ended.

    Parameters
    ----------
    lattice : Lattice

    Returns
    -------
    int64 [N]             Frames, never falling along an arc; 0 for a node that nothing leads to.
    """
    times = np.zeros(lattice.n_nodes, np.int64)
    for source, target, end in zip(lattice.source.tolist(), lattice.target.tolist(), lattice.end.tolist()):
        times[target] = max(times[target], times[source], end)
    return times


def build(path, arcs, start, finals, frame_seconds=0.04, words=None):
    """A lattice from the graph that a file holds.

    Parameters
    ----------
    path : str or Path
    arcs : list of Arc
    start : int
    finals : list of Arc        One for each place where a path may end: source, and the scores and times of ending; target None.
    frame_seconds : float
    words : sequence of str or None    Symbol table, "" first; None: the words of the arcs, sorted.

    Returns
    -------
    Lattice                     An end of its own is added, with arcs without a word, where a path may end in several nodes, go
                                on, or pay for the end; and a start, where arcs lead back to it. Where no arc has a time, each
                                word is given one frame, after all words before it.

    Raises
    ------
    FormatError                 For a cycle, or a graph without an end.
    """
    if not finals:
        raise FormatError(f"{path}: got no final node, expected one where paths end; is the file cut off?")
    fresh = 1 + max([start, *(max(arc.source, arc.target) for arc in arcs), *(final.source for final in finals)])
    end, arcs, pays = finals[0].source, list(arcs), any(finals[0][4:7]) or finals[0].start != finals[0].end
    if len(finals) > 1 or pays or end == start or any(arc.source == end for arc in arcs):
        end, fresh = fresh, fresh + 1
        arcs += [final._replace(target=end) for final in finals]
    if any(arc.target == start for arc in arcs):
        arcs.append(Arc(arcs[0].line, fresh, start, "", 0, start=0 if arcs[0].start is not None else None, end=0))
        start = fresh
    order = topological(path, arcs, start, end)
    number = {node: i for i, node in enumerate(order)}
    if arcs and arcs[0].start is None:
        arcs = counted_times(arcs, number)
    table = tuple(words) if words is not None else ("", *sorted({arc.word for arc in arcs} - {""}))
    index = {word: i for i, word in reversed(list(enumerate(table)))}
    rows = [(number[arc.source], number[arc.target], index[arc.word], arc.start, arc.end, arc.acoustic, arc.lm, arc.bias)
            for arc in arcs]
    try:
        return make_lattice(table, len(order), rows, frame_seconds)
    except RangeError as error:
        raise FormatError(f"{path}: {error}") from error


def topological(path, arcs, start, end):
    """The nodes in an order in which every arc leads forward.

    Parameters
    ----------
    path : str or Path
    arcs : list of Arc
    start, end : int      Nothing leads into the start or out of the end.

    Returns
    -------
    list of int           The start first, the end last, else the smallest number that may come next.

    Raises
    ------
    FormatError           For a cycle, with the line of one of its arcs.
    """
    n_before, after = dict.fromkeys([start, end], 0), {}
    for arc in arcs:
        n_before[arc.target] = n_before.get(arc.target, 0) + 1
        n_before.setdefault(arc.source, 0)
        after.setdefault(arc.source, []).append(arc.target)
    rank = {start: -2**62, end: 2**62}
    ready, order = [(rank.get(node, node), node) for node, n in n_before.items() if n == 0], []
    heapq.heapify(ready)
    while ready:
        node = heapq.heappop(ready)[1]
        order.append(node)
        for target in after.get(node, []):
            n_before[target] -= 1
            if n_before[target] == 0:
                heapq.heappush(ready, (rank.get(target, target), target))
    if len(order) < len(n_before):
        arc = arc_of_cycle(arcs, set(n_before) - set(order))
        raise Place(path, arc.line).wrong("arc", f"{arc.source} to {arc.target}", "no way back: it closes a cycle")
    return order


def arc_of_cycle(arcs, nodes):
    """One arc of a cycle. Parameters: arcs, nodes (each with an arc from another of them). Returns an Arc."""
    into = {arc.target: arc for arc in arcs if arc.source in nodes and arc.target in nodes}
    node, seen = min(nodes), set()
    while node not in seen:    # walking against the arcs one cannot leave, so one comes by again
        seen.add(node)
        node = into[node].source
    return into[node]


def counted_times(arcs, number):
    """Times where the file has none: every word takes one frame, after the longest way to where it begins.

    Parameters
    ----------
    arcs : list of Arc
    number : dict         Node to its place in the order.

    Returns
    -------
    list of Arc
    """
    depth = dict.fromkeys(number, 0)
    for arc in sorted(arcs, key=lambda arc: number[arc.source]):
        depth[arc.target] = max(depth[arc.target], depth[arc.source] + (arc.word != ""))
    return [arc._replace(start=depth[arc.source], end=depth[arc.source] + (arc.word != "")) for arc in arcs]


def word_texts(lattice, no_word):
    """The word of each arc. Parameters: lattice, no_word (text for arcs without one). Returns a list of str."""
    return [lattice.words[word] if word != NO_WORD else no_word for word in lattice.word.tolist()]
