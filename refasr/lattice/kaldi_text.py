"""Kaldi's text form of a word-aligned compact lattice, the only one of an archive.

    turn-on                            the utterance: the file's name
    0  1  play   0.5,1.25,2_2_1_1_1    source, target, word, graph cost, acoustic cost, a transition-id a frame; tab-separated
    1  2  <eps>  0,0.5,                no word, no frame
    2                                  a final state, with a weight if there is one; then an empty line

Costs are negative nats, exact; the graph cost is of lm and bias together, and read as lm. Kaldi itself wants numbers in place
of words: utils/sym2int.pl -f 3 words.txt.

Times are in the strings, as an arc is as long as its string: from when all before its source has ended to when all before its
target has. There 2 is a frame before the arc's own first, 1 a frame of its own, 3 one after its last; any other string counts as
the arc's own. Where an arc begins before its source's time, which this cannot say, all strings are empty, and so are the times:
each word is then read as one frame, after all words before it. The length of a frame is read as 0.04 s, nodes without an arc
are lost.
"""

import re

from refasr.errors import FormatError
from refasr.lattice.text_file import (Arc, Place, build, cost, name_of, node_times, read_lines, require_words, topological,
                                      word_texts)
from refasr.whole_file import whole_file

NO_WORD = "<eps>"
BEFORE, INSIDE, AFTER = "2", "1", "3"
OURS = re.compile(f"({BEFORE}*)({INSIDE}*)({AFTER}*)")
NEVER = "Infinity,Infinity,"      # the weight of an end that is none
MOST_FRAMES = 10**7               # in all strings


def write(lattice, path):
    """Write a lattice.

    Parameters
    ----------
    lattice : Lattice
    path : str or Path

    Raises
    ------
    FormatError           If it cannot be written, or a word is empty, has white space or is "<eps>", or for times too long.
    """
    require_words(path, lattice.words, NO_WORD)
    strings = frame_strings(lattice, path)
    lines = [f"{name_of(path)}\n"]
    if not (lattice.n_arcs and lattice.source[0] == 0):
        lines.append(f"0\t{NEVER}\n")       # the first state named is the start
    for source, target, word, acoustic, graph, frames in zip(
            lattice.source.tolist(), lattice.target.tolist(), word_texts(lattice, NO_WORD), lattice.acoustic.tolist(),
            (lattice.total - lattice.acoustic).tolist(), strings):
        lines.append(f"{source}\t{target}\t{word}\t{cost(graph)},{cost(acoustic)},{frames}\n")
    with whole_file(path, "w", encoding="utf-8") as file:
        file.writelines([*lines, f"{lattice.n_nodes - 1}\n\n"])


def frame_strings(lattice, path):
    """The string of each arc. Parameters: lattice, path (for errors). Returns a list of str, all empty where times do not fit."""
    times = node_times(lattice)
    if (lattice.start < times[lattice.source]).any():
        return [""] * lattice.n_arcs
    before, inside = lattice.start - times[lattice.source], lattice.end - lattice.start
    after = times[lattice.target] - lattice.end
    if (before + inside + after).sum() > MOST_FRAMES:
        raise FormatError(f"{path}: got {(before + inside + after).sum()} frames on the arcs, expected at most {MOST_FRAMES}; "
                          "prune the lattice, or write .lat or .slf")
    return ["_".join(BEFORE * b + INSIDE * i + AFTER * a) for b, i, a in zip(before.tolist(), inside.tolist(), after.tolist())]


def read(path):
    """Read a lattice.

    Parameters
    ----------
    path : str or Path    An archive of one lattice; <eps> and 0 are no word.

    Returns
    -------
    Lattice               Scores to the nearest 1/1024 nat.

    Raises
    ------
    FormatError
    """
    lines = [(Place(path, line), text.split()) for line, text in read_lines(path)]
    if not lines or len(lines[0][1]) != 1:
        raise FormatError(f"{path}, line 1: expected the name of the utterance alone; write it with ark,t:")
    while len(lines) > 1 and not lines[-1][1]:
        del lines[-1]
    if len(lines) < 2:
        raise FormatError(f"{path}: got no arcs and no final state, expected a lattice; it has no paths, or the file is cut off")
    arcs, finals, strings = [], {}, {}
    for place, fields in lines[1:]:
        if not 1 <= len(fields) <= 4:
            raise place.wrong("line", " ".join(fields), "a final state or an arc of one lattice; make it with lattice-copy "
                              "--write-compact=true, one a file")
        is_arc = len(fields) > 2
        weight = fields[1 + 2 * is_arc:]
        state = place.node(fields[0])
        if not is_arc and weight == [NEVER]:
            continue
        graph, acoustic, string = read_weight(place, weight[0]) if weight else (0, 0, "")
        word = "" if not is_arc or fields[2] in (NO_WORD, "0") else fields[2]
        arc = Arc(place.line, state, place.node(fields[1]) if is_arc else -1, word, acoustic, graph)
        strings[place.line] = string
        if is_arc:
            arcs.append(arc)
        elif state in finals:
            raise place.wrong("final state", state, "each once")
        else:
            finals[state] = arc
    start, finals = int(lines[1][1][0]), list(finals.values())
    if any(strings.values()):
        arcs, finals = timed(path, arcs, finals, strings, start)
    return build(path, arcs, start, finals)


def read_weight(place, text):
    """Graph and acoustic score, and the string. Parameters: place, text. Returns (int, int, str). Raises FormatError."""
    parts = text.split(",")
    if len(parts) != 3:
        raise place.wrong("weight", text, "graph cost, acoustic cost and string, with commas; make it with lattice-copy "
                          "--write-compact=true")
    if not re.fullmatch(r"(\d+(_\d+)*)?", parts[2], re.ASCII):
        raise place.wrong("string", parts[2], "numbers with _ between them")
    graph, acoustic = (place.score(name, -place.number(name, part)) for name, part in zip(("graph cost", "acoustic cost"), parts))
    return graph, acoustic, parts[2]


def timed(path, arcs, finals, strings, start):
    """Times from the lengths of the strings.

    Parameters
    ----------
    path : str or Path
    arcs, finals : list of Arc
    strings : dict               Line to string.
    start : int

    Returns
    -------
    (list of Arc, list of Arc)

    Raises
    ------
    FormatError                  Where two ways to a state differ in length, or a word has no frame.
    """
    place_of = {node: i for i, node in enumerate(topological(path, arcs, start, -1))}
    times, found = {}, {}
    for arc in sorted(arcs + finals, key=lambda arc: place_of.get(arc.source, 0)):
        ids = strings[arc.line].split("_") if strings[arc.line] else []
        ours = OURS.fullmatch("".join(ids)) if all(len(number) == 1 for number in ids) else None
        begin = times.get(arc.source, 0)
        end, where = begin + len(ids), Place(path, arc.line)
        if arc.target >= 0 and times.setdefault(arc.target, end) != end:
            raise where.wrong("string", f"{len(ids)} frames",
                              f"{times[arc.target] - begin}, as other ways to state {arc.target} say")
        first, past = (begin + len(ours[1]), end - len(ours[3])) if ours else (begin, end)
        if arc.word and first == past:
            raise where.wrong("string", f"no frame for {arc.word}", "at least one; align the lattice with lattice-align-words")
        found[arc.line] = arc._replace(start=first, end=past)
    return [found[arc.line] for arc in arcs], [found[final.line] for final in finals]
