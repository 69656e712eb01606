"""The wire form: round trips, size, and a decoder written from `docs/lattice-wire.md` alone. Damage: test_corruption_lattice."""

import dataclasses
import pathlib
import re
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refasr.errors import RangeError
from refasr.lattice import wire, wire_bits
from refasr.lattice.lattice import ARC_FIELDS, make_lattice

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "lattice-wire.md"
SMALL = make_lattice(["", "hi", "Zo\u00eb"], 3,
                     [(0, 1, 1, 0, 5, -1024, 0, 0), (0, 1, 2, 0, 6, -3000, 0, 512), (1, 2, 0, 6, 6, -7, 0, 0)])


@st.composite
def lattices(draw):
    """Any lattice. Parameters: draw. Returns a Lattice."""
    n_nodes = draw(st.integers(2, 8))
    letters = st.one_of(st.sampled_from("abcdefghijklmnopqrstuvwxyz'"), st.characters(exclude_categories=["Cs"]))
    words = ["", *draw(st.lists(st.text(letters, min_size=1, max_size=6), max_size=6))]
    score = st.integers(-(2**30), 2**30)
    arcs = []
    for _ in range(draw(st.integers(0, 12))):
        source = draw(st.integers(0, n_nodes - 2))
        start = draw(st.integers(0, 2**20))
        word = draw(st.integers(0, len(words) - 1))
        arcs.append((source, draw(st.integers(source + 1, n_nodes - 1)), word, start, start + draw(st.integers(1, 300)),
                     draw(score), draw(st.sampled_from([0, 0, -5, 9])), draw(st.sampled_from([0, 0, 1024]))))
    return make_lattice(words, n_nodes, arcs, draw(st.sampled_from([0.04, 0.01, 0.08])))


def same(one, other):
    """Whether two lattices are equal. Parameters: one, other. Returns bool."""
    return ((one.words, one.n_nodes, one.frame_seconds) == (other.words, other.n_nodes, other.frame_seconds)
            and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARC_FIELDS))


def stranger(data):
    """A decoder by the document: plain lists, no refasr. Parameters: data. Returns (frame in us, nodes, words, arcs)."""
    assert data[:4] == b"RFL\x01" and int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-4])
    rest = list(data[4:-4])
    size = shift = 0
    while True:
        byte = rest.pop(0)
        size += (byte % 128) << shift
        shift += 7
        if byte < 128:
            break
    assert size == len(rest)
    bits = [byte >> i & 1 for byte in rest for i in range(7, -1, -1)][::-1]

    def plain(n):
        value = 0
        for _ in range(n):
            value = 2 * value + bits.pop()
        return value

    def number(k):
        for ones in range(24):
            if not bits.pop():
                return ones * 2**k + plain(k)
        return plain(32)

    def column():
        k = plain(5)
        return [number(k) for _ in range(n_arcs)]

    def scores():
        kind = plain(2)
        assert kind < 3
        return [0] * n_arcs if kind == 0 else [-value for value in column()] if kind == 1 else list(map(sign, column()))

    sign = lambda z: -(z + 1) // 2 if z % 2 else z // 2
    frame, n_nodes, n_words, n_arcs = (plain(plain(5)) for _ in range(4))
    words = [""] + [spell(plain, bits) for _ in range(n_words)]
    steps, gaps, marks, begins, ends = column(), column(), column(), column(), column()
    columns = [scores(), scores(), scores()]
    assert len(bits) < 8 and not any(bits)
    arcs, source, highest = [], 0, 0
    for i in range(n_arcs):
        source += steps[i]
        target = source + gaps[i] + 1
        word = marks[i] - 1 if marks[i] else highest + 1
        highest = max(highest, word)
        last = lambda field, node, value: [arc[value] for arc in arcs if arc[field] == node][-1:]
        begin = sign(begins[i]) + (last(0, source, 3) or last(1, source, 4) or [0])[0]
        arcs.append((source, target, word, begin, sign(ends[i]) + (last(1, target, 4) or [begin])[0], *(c[i] for c in columns)))
    return frame, n_nodes, words, arcs


def spell(plain, bits):
    """A word by the document's table. Parameters: plain (function), bits (the next one last). Returns text."""
    rows = {3: ["end", "e"], 4: "taoinsr", 5: "hld", 6: "cumfpgwybvk", 7: [*"'xjqz", "other"]}
    found = b""
    while True:
        code, first = 0, 0
        for length in range(1, 8):
            code, first = 2 * code + bits.pop(), 2 * first
            if code - first < len(rows.get(length, "")):
                break
            first += len(rows.get(length, ""))
        sign = rows[length][code - first]
        if sign == "end":
            return found.decode()
        found += bytes([plain(8)]) if sign == "other" else sign.encode()


@given(lattices())
@example(make_lattice(["", "a" * 1000], 2, []))
@example(make_lattice(["", "a"], 2**31 - 1, [(0, 2**31 - 2, 1, 2**31 - 9, 2**31 - 1, 2**30, -(2**30), 1)]))
def test_round_trip_and_the_stranger_agree(lattice):
    data = wire.encode(lattice)
    assert same(wire.decode(data), lattice)
    frame, n_nodes, words, arcs = stranger(data)
    assert same(make_lattice(words, n_nodes, arcs, frame / 1e6), lattice)


def test_document_has_the_example():
    text = DOCUMENT.read_text(encoding="utf-8")
    bits, whole = (re.split(r"\n", block) for block in re.findall(r"```\n(.*?)\n```", text, re.DOTALL))

    def cut(lines, unit):
        return "".join(re.match(rf" *((?:{unit} {{1,3}})+)", line + " ").group(1).replace(" ", "") for line in lines)

    written = bytes.fromhex(cut(whole, "[0-9a-f]{2}"))
    assert written == wire.encode(SMALL)
    body = cut(bits, "[01]+")
    assert bytes(int(body[i:i + 8].ljust(8, "0"), 2) for i in range(0, len(body), 8)) == written[5:-4]


def test_document_has_the_letters():
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = {int(bits): tuple(signs.split()) for bits, signs in re.findall(r"^\| ([3-7]) \| (.*) \|$", text, re.MULTILINE)
            if signs[0] in "etahc'"}
    assert rows == wire_bits.LETTERS
    assert sum(len(signs) / 2**length for length, signs in rows.items()) == 1, "every sequence of bits is some word"
    for sign, code in re.findall(r"(?:^|[ ,])([a-z'\u2019]+) ([01]{3,7})(?=[,.])", text):
        assert wire_bits.CODES[sign] == code


def utterance(seed):
    """About 100 arcs, as 2.5 s of speech may have. Parameters: seed. Returns a Lattice."""
    source = np.random.default_rng(seed)
    lexicon = ("turn torn on in the a kitchen chicken lights light please play some jazz set timer for ten minutes "
               "what is weather like today tomorrow call mother remind me to buy milk and bread volume up down living "
               "room bedroom").split()
    layers, arcs, n_nodes = [[(0, 2)]], [], 1
    for slot in range(1, 8):
        times = sorted({8 * slot + int(shift) for shift in source.integers(-2, 3, source.integers(1, 4))})
        layers.append([(n_nodes + i, time) for i, time in enumerate(times)])
        n_nodes += len(times)
    table = ["", *source.permutation(lexicon)[:36].tolist()]
    for before, after in zip(layers, layers[1:]):
        for a, first in before:
            for b, last in after:
                arcs += [(a, b, int(word), first, max(first + 1, last - int(source.integers(0, 2))),
                          -int(source.exponential(4000)), 0, 0) for word in source.choice(np.arange(1, 37), 4, replace=False)]
    arcs += [(node, n_nodes, 0, time, time, -int(source.exponential(500)), 0, 0) for node, time in layers[-1]]
    return make_lattice(table, n_nodes + 1, arcs)


def test_an_utterance_is_small():
    lattices = [utterance(seed) for seed in range(11)]
    sizes = [len(wire.encode(lattice)) for lattice in lattices]
    arcs = [lattice.n_arcs for lattice in lattices]
    assert 60 <= np.median(arcs) <= 150
    assert np.median(sizes) < 600
    assert sum(sizes) * 8 / sum(arcs) < 42, "bits an arc, words included"


def test_rice_takes_the_best_parameter():
    for values in ([0] * 9, [5] * 8, [2**32 - 1], [0] * 40 + [10**6], list(range(100))):
        found = wire_bits.rice(np.array(values, np.int64))
        every = [sum((value >> k) + 1 + k if value >> k < 24 else 56 for value in values) for k in range(32)]
        assert len(found) - 5 == min(every)


def test_large_lattices_take_little_time():
    source = np.random.default_rng(0)
    arcs = [(i, i + 1, 1 + i % 2, i, i + 1, -int(score), 0, 0) for i, score in enumerate(source.integers(0, 4000, 20_000))]
    lattice = make_lattice(["", "a", "b"], 20_001, arcs)
    data = wire.encode(lattice)
    assert same(wire.decode(data), lattice) and len(data) < 20_000 * 24 / 8


def test_what_cannot_be_written():
    for changes, match in (({"frame_seconds": 1 / 3}, "microseconds"), ({"words": ("", "hi", "")}, "words"),
                           ({"words": ("", "hi", "\ud800")}, "UTF-8"), ({"words": ("", "hi", "a" * 1001)}, "words"),
                           ({"n_nodes": 2**31}, "n_nodes")):
        with pytest.raises(RangeError, match=match):
            wire.encode(dataclasses.replace(SMALL, **changes))
