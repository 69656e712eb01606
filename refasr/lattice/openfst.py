"""OpenFst text: an acceptor of words with costs, for `fstcompile --acceptor --isymbols=OUT.syms OUT`.

    0  1  play   1.25       source, target, word, cost; tab-separated
    1  2  <eps>  0.5        <eps> is no word
    2                       a final state, with a cost if there is one

and beside it, in OUT.syms (the file's name and ".syms"), the symbol table: word, number. The first state named is the start.

What it cannot carry: scores apart (their sum is written, as a cost: negative nats, and read as acoustic), times, the length of
a frame, nodes without an arc. Costs are exact decimals, but OpenFst rounds them to float32, 24 bits.
"""

import os

from refasr.errors import FormatError
from refasr.lattice.text_file import Arc, Place, build, cost, read_lines, require_words, word_texts
from refasr.whole_file import whole_file

NO_WORD = "<eps>"
SYMBOLS = ".syms"
NEVER = ("Infinity", "inf")     # the cost of an end that is none


def write(lattice, path):
    """Write both files.

    Parameters
    ----------
    lattice : Lattice
    path : str or Path

    Raises
    ------
    FormatError           If they cannot be written, or a word is empty, has white space, is "<eps>" or stands there twice.
    """
    require_words(path, lattice.words, NO_WORD)
    if len(set(lattice.words)) < len(lattice.words):
        raise FormatError(f"{path}: got a word twice in the symbol table, expected each once; write .lat, which holds any")
    lines = [] if lattice.n_arcs and lattice.source[0] == 0 else ["0\tInfinity\n"]    # the first state named is the start
    for source, target, word, total in zip(lattice.source.tolist(), lattice.target.tolist(), word_texts(lattice, NO_WORD),
                                           lattice.total.tolist()):
        lines.append(f"{source}\t{target}\t{word}\t{cost(total)}\n")
    with whole_file(f"{path}{SYMBOLS}", "w", encoding="utf-8") as file:
        file.writelines(f"{word or NO_WORD}\t{number}\n" for number, word in enumerate(lattice.words))
    with whole_file(path, "w", encoding="utf-8") as file:
        file.writelines([*lines, f"{lattice.n_nodes - 1}\n"])


def read(path):
    """Read a file, and its symbol table if there is one.

    Parameters
    ----------
    path : str or Path    A transducer's output labels are taken. Without OUT.syms the labels are the words; <eps> and 0 are none.

    Returns
    -------
    Lattice               Scores to the nearest 1/1024 nat.

    Raises
    ------
    FormatError
    """
    lines = [(Place(path, line), text.split()) for line, text in read_lines(path) if text.strip()]
    if not lines:
        raise FormatError(f"{path}: got no lines, expected arcs and a final state; an empty OpenFst has no paths")
    words = read_symbols(f"{path}{SYMBOLS}")
    known = None if words is None else set(words)
    is_transducer = any(len(fields) == 5 for _, fields in lines)
    arcs, finals = [], {}
    for place, fields in lines:
        if len(fields) > 5:
            raise place.wrong("line", " ".join(fields), "a final state (1 or 2 fields) or an arc (3 to 5)")
        state = place.node(fields[0])
        if len(fields) > 2:
            arcs.append(read_arc(place, fields, is_transducer, known))
        elif state in finals:
            raise place.wrong("final state", state, "each once")
        elif len(fields) == 1 or fields[1] not in NEVER:
            finals[state] = Arc(place.line, state, -1, "", read_cost(place, fields[1]) if len(fields) == 2 else 0)
    return build(path, arcs, int(lines[0][1][0]), list(finals.values()), words=words)


def read_arc(place, fields, is_transducer, known):
    """One arc.

    Parameters
    ----------
    place : Place
    fields : list of str     3 to 5.
    is_transducer : bool     Two labels, the second taken.
    known : set or None      Words of the symbol table.

    Returns
    -------
    Arc

    Raises
    ------
    FormatError
    """
    n_labels = 2 if is_transducer else 1
    if len(fields) < 2 + n_labels:
        raise place.wrong("arc", " ".join(fields), "two labels, as in the lines with 5 fields")
    label, weight = fields[1 + n_labels], fields[2 + n_labels:]
    word = "" if label == NO_WORD or (known is None and label == "0") else label
    if known is not None and word not in known:
        raise place.wrong("word", label, f"one of {os.path.basename(place.path)}{SYMBOLS}; write both files anew")
    return Arc(place.line, place.node(fields[0]), place.node(fields[1]), word, read_cost(place, weight[0]) if weight else 0)


def read_cost(place, text):
    """A cost as a score. Parameters: place, text. Returns int. Raises FormatError."""
    return place.score("cost", -place.number("cost", text))


def read_symbols(path):
    """The symbol table.

    Parameters
    ----------
    path : str

    Returns
    -------
    tuple of str, or None     Words in the order of their numbers, "" first; None if there is no file. Numbers may have gaps.

    Raises
    ------
    FormatError
    """
    if not os.path.exists(path):
        return None
    table, words = {}, set()
    for line, text in read_lines(path):
        place, fields = Place(path, line), text.split()
        if not fields:
            continue
        if len(fields) != 2 or not (fields[1].isascii() and fields[1].isdigit()) or len(fields[1]) > 18:
            raise place.wrong("line", text, "a word and its number")
        number = int(fields[1])
        if number in table or fields[0] in words or (number == 0) != (fields[0] == NO_WORD):
            raise place.wrong("symbol", text, f"each word and number once, and {NO_WORD} as 0")
        table[number] = fields[0]
        words.add(fields[0])
    if 0 not in table:
        raise FormatError(f"{path}: got no {NO_WORD} 0, expected it; add it, as the symbol of no word")
    return ("", *(table[number] for number in sorted(table) if number))
