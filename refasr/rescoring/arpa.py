"""ARPA files, the text in which n-gram models are exchanged: read what SRILM, KenLM and others write, and write what they read.

    \\data\\
    ngram 1=4
    ngram 2=2
                                    an empty line ends each part
    \\1-grams:
    -0.6<TAB>hello<TAB>-0.3         logarithm to base 10, words, backoff of these as a history (left out where it is 0)
    ...
    \\end\\

A name that ends in `.gz` is compressed. Numbers are float32 and are written so that reading them gives the same ones.
"""

import gzip
import math
import zlib

import numpy as np

from refasr.errors import FormatError
from refasr.rescoring.ngram import LARGEST_ORDER, MARKS, Level, build
from refasr.whole_file import whole_file

LONGEST_LINE = 4096                  # bytes
LARGEST_BYTES = 1 << 30              # unpacked
MOST_NGRAMS = 30_000_000             # of one length
SMALLEST, LARGEST = -1000.0, 1000.0  # of a logarithm
LEAST_LOG10 = -100.0                 # of <unk> in a file without it
NOT_KNOWN = {"<UNK>": "<unk>", "<S>": "<s>", "</S>": "</s>"}


def write_arpa(path, model):
    """Write a model; the old file stays until the new one is complete.

    Parameters
    ----------
    path : str or Path    `.gz` at its end compresses.
    model : NgramModel

    Raises
    ------
    FormatError           If the folder is missing or cannot be written.
    """
    with whole_file(path) as file:
        if str(path).endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:     # the same bytes every time
                packed.writelines(line.encode() for line in lines_of(model))
        else:
            file.writelines(line.encode() for line in lines_of(model))


def lines_of(model):
    """The lines of a file. Parameters: model. Yields str."""
    sequences = levels_of(model)
    yield "\\data\\\n"
    for k, nodes in enumerate(sequences, 1):
        yield f"ngram {k}={len(nodes)}\n"
    for k, nodes in enumerate(sequences, 1):
        yield f"\n\\{k}-grams:\n"
        for node, ngram in nodes.items():
            backoff = model.trie.log10_backoff[node]
            tail = f"\t{backoff}" if backoff else ""
            yield f"{model.trie.log10_p[node]}\t{' '.join(model.words[word] for word in ngram)}{tail}\n"
    yield "\n\\end\\\n"


def levels_of(model):
    """Word numbers of all nodes. Parameters: model. Returns a list of dict from node to tuple, by length."""
    found, word, first = [{0: ()}], model.trie.word.tolist(), model.trie.first.tolist()
    for _ in range(model.order):
        found.append({child: (*ngram, word[child]) for node, ngram in found[-1].items()
                      for child in range(first[node], first[node + 1])})
    return found[1:]


class ArpaLines:
    """The lines of a file, one after the other, with their numbers. Parameters: path, file (open for bytes)."""

    def __init__(self, path, file):
        self.path, self.file, self.number, self.bytes = path, file, 0, 0

    def next(self):
        """The next line without spaces around it. Returns str; raises FormatError at the end of the file."""
        line = self.file.readline(LONGEST_LINE + 1)
        self.number += 1
        self.bytes += len(line)
        if not line.endswith(b"\n"):
            raise self.wrong(line[:40], f"a line of up to {LONGEST_LINE} bytes and a line feed, and \\end\\ last; is it cut off?")
        if self.bytes > LARGEST_BYTES:
            raise self.wrong(f"more than {LARGEST_BYTES} bytes", "a smaller model; prune it")
        return line.decode("utf-8").strip(" \t\r\n")

    def after_empty(self):
        """The next line that is not empty. Returns str."""
        line = self.next()
        while not line:
            line = self.next()
        return line

    def require_end(self):
        """Read to the end of the file, where gzip keeps its checksum. Raises FormatError for more than empty lines."""
        while piece := self.file.read(LONGEST_LINE):
            if piece.strip():
                raise self.wrong(piece[:40], "nothing after \\end\\")

    def wrong(self, got, expected):
        """Build the error. Parameters: got, expected. Returns FormatError."""
        return FormatError(f"{self.path}, line {self.number}: got {got!r:.60}, expected {expected}")

    def number_of(self, text, high):
        """A logarithm. Parameters: text, high (largest). Returns float."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        value = max(value, SMALLEST) if value == -math.inf else value
        if not SMALLEST <= value <= high:
            raise self.wrong(text, f"a logarithm from {SMALLEST} to {high}")
        return value


def read_arpa(path):
    """Read a model.

    Parameters
    ----------
    path : str or Path    `.gz` at its end says that it is compressed.

    Returns
    -------
    NgramModel            A file without <unk> gives it a probability of 10^-100, as other readers do.

    Raises
    ------
    FormatError           With the line, for anything that is not a model; memory stays within a multiple of the lines read.
    """
    try:
        with (gzip.open if str(path).endswith(".gz") else open)(path, "rb") as file:
            return read_lines(ArpaLines(path, file))
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: got bytes that are not UTF-8, expected text; is it a binary model?") from error
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); check the path") from error


def read_lines(lines):
    """All parts. Parameters: lines (ArpaLines). Returns an NgramModel."""
    line = lines.after_empty()
    if line != "\\data\\":
        raise lines.wrong(line, "\\data\\ first; this is no ARPA file")
    counts = []
    while (line := lines.after_empty()).startswith("ngram "):
        length, equals, count = line.removeprefix("ngram ").replace(" ", "").partition("=")
        good = equals and length == str(len(counts) + 1) and count.isascii() and count.isdigit() and len(count) < 10
        if not good or len(counts) == LARGEST_ORDER:
            raise lines.wrong(line, f"ngram {len(counts) + 1}=COUNT, up to {LARGEST_ORDER} lengths")
        counts.append(int(count))
        if counts[-1] > MOST_NGRAMS:
            raise lines.wrong(line, f"up to {MOST_NGRAMS} sequences of one length")
    ids, levels = {mark: number for number, mark in enumerate(MARKS)}, []
    for length, count in enumerate(counts, 1):
        if line != f"\\{length}-grams:":
            raise lines.wrong(line, f"\\{length}-grams:")
        levels.append(read_level(lines, ids, length, count, is_last=length == len(counts)))
        line = lines.after_empty()
    if line != "\\end\\" or not counts:
        raise lines.wrong(line, "\\end\\" if counts else "ngram 1=COUNT")
    lines.require_end()
    try:
        return build(tuple(ids), levels)
    except FormatError as error:
        raise FormatError(f"{lines.path}: {error}") from error


def read_level(lines, ids, length, count, is_last):
    """Sequences of one length.

    Parameters
    ----------
    lines : ArpaLines
    ids : dict          Word to number; the single words are added to it.
    length, count : int
    is_last : bool      Whether the longest, which have no backoff.

    Returns
    -------
    Level
    """
    ngrams, log10_p, backoffs = [], [], []
    for _ in range(count):
        line = lines.next()
        pieces = line.split()
        if len(pieces) not in (length + 1, length + 2) or (is_last and len(pieces) == length + 2):
            raise lines.wrong(line, f"a logarithm, {length} words{'' if is_last else ' and perhaps a backoff'}")
        words = [NOT_KNOWN.get(word, word) for word in pieces[1 : length + 1]]
        if length == 1:
            ids.setdefault(words[0], len(ids))
        if not all(word in ids for word in words):
            raise lines.wrong(line, "words that also stand among the 1-grams")
        ngrams.append([ids[word] for word in words])
        log10_p.append(lines.number_of(pieces[0], 0.0))
        backoffs.append(lines.number_of(pieces[-1], LARGEST) if len(pieces) == length + 2 else 0.0)
    if length == 1 and [0] not in ngrams:
        ngrams, log10_p, backoffs = [[0], *ngrams], [LEAST_LOG10, *log10_p], [0.0, *backoffs]
    return Level(np.array(ngrams, np.int32).reshape(-1, length), np.array(log10_p, np.float32), np.array(backoffs, np.float32))
