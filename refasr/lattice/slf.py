"""HTK Standard Lattice Format, words on the links.

    VERSION=1.1
    UTTERANCE=turn-on
    acscale=1 lmscale=1 x1scale=1 wdpenalty=0 tscale=0.04
    start=0 end=2
    N=3 L=2
    I=0 t=0                                            t times tscale: seconds, so that t is a whole number of frames
    J=0 S=0 E=1 W=play a=-1.25 l=-0.5 x1=0.25          scores in nats, exact; x1, an extra score as in SRILM, is the bias
    J=1 S=1 E=2 W=!NULL a=-0.5 l=0 first=9 frames=2    fields of our own, where a word does not fill the time between its nodes

Everything comes back, except nodes without a link, words that no link has, and their order: words are numbered in the order
of the alphabet. Files of others may have the words on the nodes, another `base`, scales and a penalty (which are applied), no
times (each word is then one frame, after all words before it), no `start` and `end`; without tscale a frame is 10 ms.

Source: The HTK Book, chapter "HTK Standard Lattice Format"; ngscale, prscale, r and x1 as in SRILM.
"""

import math
import re

import numpy as np

from refasr.errors import FormatError
from refasr.lattice.text_file import (LARGEST_FRAME, Arc, Place, build, name_of, nats, node_times, read_lines, require_words,
                                      word_texts)
from refasr.whole_file import whole_file

NO_WORD = "!NULL"
HTK_FRAME_SECONDS = 0.01
FIELD = re.compile(r"""\s*([A-Za-z]\w*)=("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\S*)(?=\s|$)""")
SHORT = {"NODES": "N", "LINKS": "L", "time": "t", "WORD": "W", "START": "S", "END": "E", "acoustic": "a", "language": "l",
         "ngram": "n", "SUBLAT": "S"}
SCALES = ("acscale", "lmscale", "ngscale", "prscale", "x1scale")


def write(lattice, path):
    """Write a lattice.

    Parameters
    ----------
    lattice : Lattice
    path : str or Path

    Raises
    ------
    FormatError           If it cannot be written, or a word is empty, has white space or is "!NULL".
    """
    require_words(path, lattice.words, NO_WORD)
    times = node_times(lattice)
    fills = (lattice.start == times[lattice.source]) & (lattice.end == times[lattice.target])
    lines = ["VERSION=1.1", f"UTTERANCE={quoted(name_of(path))}",
             f"acscale=1 lmscale=1 x1scale=1 wdpenalty=0 tscale={lattice.frame_seconds!r}", f"start=0 end={lattice.n_nodes - 1}",
             f"N={lattice.n_nodes} L={lattice.n_arcs}", *(f"I={node} t={time}" for node, time in enumerate(times.tolist()))]
    words = word_texts(lattice, NO_WORD)
    for arc in range(lattice.n_arcs):
        scores = zip(("a", "l", "x1"), (lattice.acoustic[arc], lattice.lm[arc], lattice.bias[arc]))
        own = "" if fills[arc] else f" first={lattice.start[arc]} frames={lattice.end[arc] - lattice.start[arc]}"
        lines.append(f"J={arc} S={lattice.source[arc]} E={lattice.target[arc]} W={quoted(words[arc])} "
                     + " ".join(f"{name}={nats(score)}" for name, score in scores) + own)
    with whole_file(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def quoted(word):
    """A word so that HTK reads it: a backslash before backslashes and a first quote. Parameters: word. Returns str."""
    word = word.replace("\\", "\\\\")
    return f"\\{word}" if word[0] in "'\"" else word


def unquoted(text):
    """The reverse, for any quoting of HTK. Parameters: text. Returns str."""
    if len(text) > 1 and text[0] in "'\"" and text[-1] == text[0]:
        text = text[1:-1]
    return re.sub(r"\\([0-7]{3}|.)", lambda found: chr(int(found[1], 8)) if len(found[1]) == 3 else found[1], text)


def read(path):
    """Read a lattice.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Lattice               Scores to the nearest 1/1024 nat.

    Raises
    ------
    FormatError
    """
    header, nodes, links = {}, {}, {}
    for line, text in read_lines(path):
        place = Place(path, line)
        if not text.strip() or text.startswith("#"):
            continue
        fields = read_fields(place, text)
        if "J" in fields or "I" in fields:
            key, group = ("J", links) if "J" in fields else ("I", nodes)
            number = place.node(fields[key])
            if number in group:
                raise place.wrong(key, number, "each once")
            group[number] = (place, fields)
        elif nodes or links or "S" in fields:
            raise place.wrong("line", text, "a node (I=) or a link (J=); sub-lattices are not read")
        else:
            header |= {name: (place, value) for name, value in fields.items()}
    check_sizes(path, header, nodes, links)
    scales = {name: header_number(header, name, 1.0) for name in SCALES}
    frame_seconds = header_number(header, "tscale", HTK_FRAME_SECONDS)
    unit = frame_seconds if "tscale" in header else 1.0        # seconds that t counts
    if not 1e-6 <= frame_seconds <= 10:
        raise header["tscale"][0].wrong("tscale", frame_seconds, "seconds from 1e-6 to 10")
    scales |= {"base": log_base(header), "wdpenalty": header_number(header, "wdpenalty", 0.0)}
    times = {number: frame(place, "t", place.number("t", fields["t"]) * (unit / frame_seconds))
             for number, (place, fields) in nodes.items() if "t" in fields}
    arcs = [read_link(place, fields, nodes, times, scales) for _, (place, fields) in sorted(links.items())]
    if len({arc.start is None for arc in arcs}) > 1:
        raise FormatError(f"{path}: got times for some links only, expected t= at all nodes or at none")
    start, end = ends(path, header, arcs, int(header["N"][1]))
    when = times.get(end) if not arcs or arcs[0].start is not None else None
    return build(path, arcs, start, [Arc(header["N"][0].line, end, -1, "", 0, start=when, end=when)], frame_seconds)


def read_fields(place, text):
    """The fields of a line, by their short names. Parameters: place, text. Returns a dict. Raises FormatError."""
    fields, at = {}, 0
    while text[at:].strip():
        found = FIELD.match(text, at)
        if found is None:
            raise place.wrong("field", text[at:].strip(), "NAME=VALUE")
        name = SHORT.get(found[1], found[1])
        if name in fields:
            raise place.wrong("field", name, "it once in a line")
        fields[name], at = unquoted(found[2]), found.end()
    return fields


def check_sizes(path, header, nodes, links):
    """Require as many nodes and links as the header says. Parameters: path, header, nodes, links. Raises FormatError."""
    for name, group in (("N", nodes), ("L", links)):
        if name not in header:
            raise FormatError(f"{path}: got no {name}=, expected the numbers of nodes and links; is it an SLF file, or cut off?")
        place, text = header[name]
        size = place.node(text)
        if len(group) != size and (group or name == "L"):      # nodes may be left out
            raise place.wrong(name, size, f"{len(group)}, which is how many there are; is the file cut off?")
        if any(number >= size for number in group):
            raise place.wrong(name, size, f"numbers below it, got {max(group)}")


def header_number(header, name, default):
    """A number of the header. Parameters: header, name, default. Returns float. Raises FormatError."""
    return header[name][0].number(name, header[name][1]) if name in header else default


def log_base(header):
    """Nats in a unit of the file's logarithms. Parameters: header. Returns float. Raises FormatError."""
    base = header_number(header, "base", math.e)
    if not base > 1:
        raise header["base"][0].wrong("base", base, "a base above 1; plain probabilities are not read")
    return math.log(base)


def frame(place, name, value):
    """A whole frame. Parameters: place, name, value (float). Returns int. Raises FormatError."""
    if not 0 <= value <= LARGEST_FRAME:
        raise place.wrong(name, value, f"0 to {LARGEST_FRAME} frames")
    return int(np.rint(value))


def read_link(place, fields, nodes, times, scales):
    """One link.

    Parameters
    ----------
    place : Place
    fields : dict
    nodes : dict           Number to (Place, fields); for words on nodes.
    times : dict           Number to frame.
    scales : dict          Name to factor, `base` among them.

    Returns
    -------
    Arc

    Raises
    ------
    FormatError
    """
    if not {"S", "E"} <= fields.keys():
        raise place.wrong("link", " ".join(fields), "S= and E=, where it starts and ends")
    source, target = place.node(fields["S"]), place.node(fields["E"])
    for node in (source, target):
        if nodes and node not in nodes:
            raise place.wrong("node", node, "one of the I= lines")
    word = fields.get("W", nodes[target][1].get("W", NO_WORD) if target in nodes else NO_WORD)
    word = "" if word == NO_WORD else word
    value = {name: place.number(name, fields.get(name, "0")) for name in ("a", "l", "n", "r", "x1")}
    lm = scales["lmscale"] * value["l"] if "l" in fields else scales["ngscale"] * value["n"]
    lm += scales["prscale"] * value["r"] + (scales["wdpenalty"] if word else 0.0)
    acoustic, lm, bias = (place.score(name, score * scales["base"]) for name, score in
                          (("a", scales["acscale"] * value["a"]), ("l", lm), ("x1", scales["x1scale"] * value["x1"])))
    first, past = times.get(source), times.get(target)
    if "first" in fields and "frames" in fields:
        first = frame(place, "first", place.number("first", fields["first"]))
        past = first + frame(place, "frames", place.number("frames", fields["frames"]))
    if first is None or past is None:
        return Arc(place.line, source, target, word, acoustic, lm, bias)
    if past < first + (word != ""):
        raise place.wrong("link", f"{word} from frame {first} to {past}", "a word to end after it begins; correct t=")
    return Arc(place.line, source, target, word, acoustic, lm, bias, first, past)


def ends(path, header, arcs, n_nodes):
    """First and last node.

    Parameters
    ----------
    path : str or Path
    header : dict
    arcs : list of Arc
    n_nodes : int

    Returns
    -------
    (int, int)

    Raises
    ------
    FormatError         If the header does not say and several nodes, or none, would do.
    """
    found, used = [], {arc.source for arc in arcs} | {arc.target for arc in arcs}
    if any(node >= n_nodes for node in used):
        raise FormatError(f"{path}: got node {max(used)}, expected numbers below N={n_nodes}")
    for name, inner in (("start", {arc.target for arc in arcs}), ("end", {arc.source for arc in arcs})):
        if name in header:
            place, text = header[name]
            found.append(place.node(text))
        else:
            place, outer = header["N"][0], sorted(used - inner)
            if len(outer) != 1:
                raise FormatError(f"{path}: got {len(outer)} nodes that may be the {name}, expected one; "
                                  f"add {name}= to the header")
            found.append(outer[0])
        if found[-1] >= n_nodes:
            raise place.wrong(name, found[-1], f"a node below N={n_nodes}")
    return found[0], found[1]
