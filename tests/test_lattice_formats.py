"""Lattices as files: round trips, files of others, pictures. Damaged files: test_lattice_formats_damaged.py."""

import dataclasses
import re
import xml.etree.ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases_lattice import lattices, weave
from refasr.errors import FormatError, RangeError
from refasr.lattice import forward_backward, nbest, prune, text_file
from refasr.lattice.formats import read_lattice, write_lattice
from refasr.lattice.lattice import ARC_FIELDS, NO_WORD, make_lattice

READ = (".fst", ".lat", ".kaldi", ".slf")
TEXT = (".fst", ".kaldi", ".slf")
SMALL = lattices(8, 20).filter(lambda lattice: np.abs(lattice.total).max(initial=0) < 2**20)
TIMED = lattices(8, 20).filter(lambda lattice: (lattice.start >= text_file.node_times(lattice)[lattice.source]).all())
EXAMPLE = make_lattice(("", "jazz", "play", "sam", "some"), 5, [
    (0, 1, 2, 0, 5, -1280, -512, 256), (1, 2, 4, 6, 9, -100, 0, 0), (1, 3, 3, 6, 10, -3000, 0, 0), (2, 4, 1, 10, 20, -1, 0, 0),
    (3, 4, 1, 10, 20, -1, 0, 0), (2, 4, 0, 9, 20, -9000, 0, 0)])


def same(a, b, fields=ARC_FIELDS):
    """Whether two lattices are equal. Parameters: a, b, fields. Returns bool."""
    return (a.words, a.n_nodes) == (b.words, b.n_nodes) and all((getattr(a, name) == getattr(b, name)).all() for name in fields)


def kept(lattice, suffix):
    """What a format can hold of a lattice. Parameters: lattice, suffix. Returns a Lattice."""
    if suffix == ".lat":
        return lattice
    lattice = prune.take_arcs(lattice, np.ones(lattice.n_arcs, bool))       # nodes with an arc
    if suffix == ".fst":
        zero = np.zeros_like(lattice.lm)
        return dataclasses.replace(lattice, acoustic=lattice.total.astype(np.int32), lm=zero, bias=zero)
    if suffix == ".kaldi":
        lattice = dataclasses.replace(lattice, lm=lattice.lm + lattice.bias, bias=np.zeros_like(lattice.bias))
    words = ["", *sorted({lattice.words[word] for word in lattice.word.tolist()} - {""})]
    number = np.array([words.index(word) if word in words else 0 for word in lattice.words], np.int32)
    rows = np.stack([number[lattice.word] if name == "word" else getattr(lattice, name) for name in ARC_FIELDS], axis=1)
    return make_lattice(words, lattice.n_nodes, rows.tolist(), lattice.frame_seconds)


def there_and_back(lattice, path):
    """Write and read. Parameters: lattice, path. Returns a Lattice."""
    write_lattice(lattice, path)
    return read_lattice(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all examples."""
    return tmp_path_factory.mktemp("lattices")


@given(SMALL)
def test_lat_and_slf_keep_everything(folder, lattice):
    for suffix in (".lat", ".slf"):
        found = there_and_back(lattice, folder / f"a{suffix}")
        assert same(found, kept(lattice, suffix)) and found.frame_seconds == lattice.frame_seconds


@given(SMALL)
def test_fst_keeps_words_and_total_scores(folder, lattice):
    found = there_and_back(lattice, folder / "a.fst")
    assert same(found, kept(lattice, ".fst"), ("source", "target", "word", "acoustic", "lm", "bias"))


@given(TIMED.filter(lambda lattice: np.abs(lattice.lm.astype(np.int64) + lattice.bias).max(initial=0) < 2**30))
def test_kaldi_keeps_times_that_fit(folder, lattice):
    assert same(there_and_back(lattice, folder / "a.kaldi"), kept(lattice, ".kaldi")) or not lattice.end.any()


@pytest.mark.parametrize("suffix", READ)
def test_second_trip_changes_nothing(folder, suffix):
    for seed in range(20):
        lattice = weave(5, 3, seed, 3000)
        once = there_and_back(lattice, folder / f"b{suffix}")
        assert same(once, there_and_back(once, folder / f"b{suffix}"))
        assert [reading.total for reading in nbest.nbest(once, 5)] == [reading.total for reading in nbest.nbest(lattice, 5)]


@given(SMALL, st.sampled_from([0.01, 0.04, 1.0, 1e-6, 10.0]))
@settings(max_examples=20)
def test_slf_keeps_the_length_of_a_frame(folder, lattice, seconds):
    lattice = dataclasses.replace(lattice, frame_seconds=seconds)
    found = there_and_back(lattice, folder / "c.slf")
    assert found.frame_seconds == seconds and (found.start == lattice.start).all() and (found.end == lattice.end).all()


def test_golden_files(tmp_path):
    write_lattice(EXAMPLE, tmp_path / "turn on.fst")
    assert (tmp_path / "turn on.fst").read_text() == (
        "0\t1\tplay\t1.5\n1\t2\tsome\t0.09765625\n1\t3\tsam\t2.9296875\n2\t4\t<eps>\t8.7890625\n2\t4\tjazz\t0.0009765625\n"
        "3\t4\tjazz\t0.0009765625\n4\n")
    assert (tmp_path / "turn on.fst.syms").read_text() == "<eps>\t0\njazz\t1\nplay\t2\nsam\t3\nsome\t4\n"
    write_lattice(EXAMPLE, tmp_path / "turn on.kaldi")
    assert (tmp_path / "turn on.kaldi").read_text().startswith(
        "turn_on\n0\t1\tplay\t0.25,1.25,1_1_1_1_1\n1\t2\tsome\t0,0.09765625,2_1_1_1\n1\t3\tsam\t0,2.9296875,2_1_1_1_1\n")
    assert (tmp_path / "turn on.kaldi").read_text().endswith("\n4\n\n")
    write_lattice(EXAMPLE, tmp_path / "turn on.slf")
    assert (tmp_path / "turn on.slf").read_text().splitlines()[:11] == [
        "VERSION=1.1", "UTTERANCE=turn_on", "acscale=1 lmscale=1 x1scale=1 wdpenalty=0 tscale=0.04", "start=0 end=4", "N=5 L=6",
        "I=0 t=0", "I=1 t=5", "I=2 t=9", "I=3 t=10", "I=4 t=20", "J=0 S=0 E=1 W=play a=-1.25 l=-0.5 x1=0.25"]
    assert "J=1 S=1 E=2 W=some a=-0.09765625 l=0 x1=0 first=6 frames=3\n" in (tmp_path / "turn on.slf").read_text()


@pytest.mark.parametrize("word", ["'tis", '"quoted"', "back\\slash", "na\u00efve", "a=b", "W=x", "#", "0x", "caf\u00e9,_", "J=0"])
def test_odd_words(tmp_path, word):
    lattice = make_lattice(["", word], 2, [(0, 1, 1, 0, 5, -1, 0, 0)])
    for suffix in READ:
        assert there_and_back(lattice, tmp_path / f"a{suffix}").words == ("", word)


@pytest.mark.parametrize("word", ["a b", "", "a\tb", "\u2028", "x\0", "\ud800", " a"])
def test_words_that_text_cannot_hold(tmp_path, word):
    lattice = make_lattice(["", word], 2, [(0, 1, 1, 0, 5, -1, 0, 0)])
    for suffix in TEXT:
        with pytest.raises(FormatError, match="expected words without white space"):
            write_lattice(lattice, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix, word", [(".fst", "<eps>"), (".kaldi", "<eps>"), (".slf", "!NULL")])
def test_word_that_means_none(tmp_path, suffix, word):
    with pytest.raises(FormatError, match=word):
        write_lattice(make_lattice(["", word], 2, [(0, 1, 1, 0, 5, -1, 0, 0)]), tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", READ)
def test_lattice_without_a_path(tmp_path, suffix):
    for lattice in (make_lattice([""], 2, []), make_lattice(["", "a"], 4, [(1, 2, 1, 0, 5, -1, 0, 0)])):
        found = there_and_back(lattice, tmp_path / f"a{suffix}")
        assert forward_backward.best_scores(found).total == forward_backward.NO_PATH and found.n_arcs == lattice.n_arcs


def test_states_in_any_order(tmp_path):
    (tmp_path / "a.fst").write_text("7 3 a 0.5\n3 5 b 1\n7 5 c 9\n5\n")
    found = read_lattice(tmp_path / "a.fst")
    assert (found.n_nodes, found.words) == (3, ("", "a", "b", "c"))
    assert list(zip(found.source, found.target, found.word, found.total)) == [(0, 1, 1, -512), (0, 2, 3, -9216), (1, 2, 2, -1024)]
    assert found.end.tolist() == [1, 1, 2] and found.start.tolist() == [0, 0, 1]


def test_several_ends_and_a_price_of_ending(tmp_path):
    (tmp_path / "a.fst").write_text("0 1 a\n1 2 b\n1 0.25\n2 1\n9 Infinity\n")
    found = read_lattice(tmp_path / "a.fst")
    assert [(reading.words, reading.total) for reading in nbest.nbest(found, 5)] == [(("a",), -256), (("a", "b"), -1024)]
    assert found.n_nodes == 4 and found.word[found.target == 3].tolist() == [NO_WORD, NO_WORD]


def test_arcs_into_the_start(tmp_path):
    (tmp_path / "a.fst").write_text("1 2 b 1\n0 1 a 1\n2\n")
    found = read_lattice(tmp_path / "a.fst")
    assert [reading.words for reading in nbest.nbest(found, 5)] == [("b",)]


def test_transducer_and_numbers_without_symbols(tmp_path):
    (tmp_path / "a.fst").write_text("0\t1\tp\tplay\t0.5\n1\t2\tx\t<eps>\n2\t3\tx\t0\n3\n")
    assert [reading.words for reading in nbest.nbest(read_lattice(tmp_path / "a.fst"), 2)] == [("play",)]


def test_slf_of_others(tmp_path):
    """Words on nodes, logarithms to base 10, scales and a penalty, no start and end, times in seconds; as HTK and SRILM write."""
    (tmp_path / "a.slf").write_text(
        "# from elsewhere\nVERSION=1.0\nUTTERANCE=\"a b\"\nbase=10 lmscale=2.0 wdpenalty=-1\nNODES=4 LINKS=3\n"
        "I=0 time=0.00\nI=1 time=0.32 WORD=play v=1\nI=2 t=0.90 W=jazz\nI=3 t=0.90 W=!NULL\n"
        "J=0 START=0 END=1 acoustic=-10 language=-0.5\nJ=1 S=1 E=2 a=-20 n=-0.25\nJ=2 S=2 E=3 a=0 r=-1\n")
    found = read_lattice(tmp_path / "a.slf")
    assert found.frame_seconds == 0.01 and found.words == ("", "jazz", "play")
    assert found.start.tolist() == [0, 32, 90] and found.end.tolist() == [32, 90, 90]
    ten = np.log(10) * 1024
    assert found.acoustic.tolist() == [round(-10 * ten), round(-20 * ten), 0]
    assert found.lm.tolist() == [round(-2 * ten), round(-1.25 * ten), round(-ten)]


def test_kaldi_of_others(tmp_path):
    (tmp_path / "a.kaldi").write_text("utt-1 \n0\t1\t17\t1.5,2.25,2_8_8_5\n1\t2\t0\t0,0,2_2\n2\t0.5,0,4\n\n")
    found = read_lattice(tmp_path / "a.kaldi")
    assert found.start.tolist() == [0, 6, 6] and found.end.tolist() == [4, 6, 7] and found.words == ("", "17")
    assert (found.lm.tolist(), found.acoustic.tolist()) == ([-1536, 0, -512], [-2304, 0, 0])


def test_dot(tmp_path):
    write_lattice(make_lattice(["", 'say "hi"\\'], 2, [(0, 1, 1, 0, 5, 0, 0, 0)]), tmp_path / "a.dot")
    text = (tmp_path / "a.dot").read_text()
    assert text.startswith("digraph") and '0 -> 1 [label="say \\"hi\\"\\\\ 1.00"' in text and text.endswith("}\n")


@given(SMALL)
@settings(max_examples=40)
def test_svg_is_xml_and_shows_all(folder, lattice):
    write_lattice(lattice, folder / "a.svg")
    root = xml.etree.ElementTree.parse(folder / "a.svg").getroot()
    connected = prune.connect(lattice)
    assert len(root.findall("{*}path")) == connected.n_arcs and len(root.findall("{*}circle")) == connected.n_nodes


def test_svg_of_odd_words_and_a_large_lattice(tmp_path):
    write_lattice(make_lattice(["", "<&>\x01\ud800"], 2, [(0, 1, 1, 0, 5, 0, 0, 0)]), tmp_path / "a.svg")
    xml.etree.ElementTree.parse(tmp_path / "a.svg")
    write_lattice(weave(20, 4, 1, 2000), tmp_path / "b.svg")
    assert re.search(r"the best (5\d|60) of 296 arcs", (tmp_path / "b.svg").read_text())


def test_not_a_good_lattice(tmp_path):
    with pytest.raises(RangeError):
        write_lattice(dataclasses.replace(EXAMPLE, n_nodes=3), tmp_path / "a.fst")
    with pytest.raises(FormatError, match="expected a lattice's"):
        write_lattice(EXAMPLE, tmp_path / "a.pdf")
