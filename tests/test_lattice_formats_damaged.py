"""Damaged lattice files: each gives a lattice or a FormatError that names the file and what is wrong with it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refasr.errors import FormatError, RefasrError
from refasr.lattice import kaldi_text, nbest, text_file
from refasr.lattice.formats import SUFFIXES, read_lattice, write_lattice
from refasr.lattice.lattice import make_lattice

READ, TEXT = (".fst", ".lat", ".kaldi", ".slf"), (".fst", ".kaldi", ".slf")
EXAMPLE = make_lattice(("", "jazz", "play", "sam", "some"), 5, [
    (0, 1, 2, 0, 5, -1280, -512, 256), (1, 2, 4, 6, 9, -100, 0, 0), (1, 3, 3, 6, 10, -3000, 0, 0), (2, 4, 1, 10, 20, -1, 0, 0),
    (3, 4, 1, 10, 20, -1, 0, 0), (2, 4, 0, 9, 20, -9000, 0, 0)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all examples."""
    return tmp_path_factory.mktemp("lattices")


@pytest.mark.parametrize("suffix", READ)
def test_truncation_anywhere_is_noticed(tmp_path, suffix):
    write_lattice(EXAMPLE, tmp_path / f"a{suffix}")
    data = (tmp_path / f"a{suffix}").read_bytes()
    whole = len(data) - (suffix == ".kaldi")        # its last line is empty
    for n in range(whole):
        (tmp_path / f"a{suffix}").write_bytes(data[:n])
        with pytest.raises(FormatError, match=f"a{suffix}"):
            read_lattice(tmp_path / f"a{suffix}")


@given(st.sampled_from(READ), st.integers(0, 10**6), st.integers(0, 255), st.booleans())
@settings(max_examples=300)
def test_changed_byte_gives_a_lattice_or_an_error(folder, suffix, at, value, inserted):
    path = folder / f"d{suffix}"
    write_lattice(EXAMPLE, path)
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at:at + (not inserted)] = bytes([value])
    path.write_bytes(data)
    try:
        nbest.nbest(read_lattice(path), 3)
    except RefasrError as error:
        assert isinstance(error, FormatError) and str(path) in str(error) and len(str(error)) < 400


@given(st.sampled_from(TEXT), st.text(alphabet="01 \n\t.<eps>aJSEINWLt=,_-+einfN\\\"'", max_size=80))
@settings(max_examples=300)
def test_nonsense_gives_a_lattice_or_an_error(folder, suffix, text):
    path = folder / f"e{suffix}"
    path.write_text(text + "\n")
    (folder / "e.fst.syms").unlink(missing_ok=True)
    try:
        read_lattice(path)
    except FormatError as error:
        assert str(path) in str(error)


SLF = "VERSION=1.0\nN={n} L={l}\n"
BAD = [
    (".fst", "0 1 a 0.5\n1 0 b 0.5\n1\n", "line 2: arc: .* cycle"), (".fst", "0 0 a 1\n0\n", "line 1: arc: .* cycle"),
    (".fst", "0 1 a\n1 2 b\n2 3 c\n3 1 d\n3 4 e\n4 5 f\n5\n", "line [234]: arc: .* cycle"), (".fst", "", "got no lines"),
    (".fst", "0 1 a nan\n1\n", "line 1: cost: got 'nan', expected a finite number"), (".fst", "0 1 a inf\n1\n", "line 1: cost"),
    (".fst", "0 1 a 1e9\n1\n", "line 1: cost: .* at most 1048576 nats"), (".fst", "0 -1 a 1\n1\n", "line 1: node: got '-1'"),
    (".fst", "0 1 a 1\n", "no final node"), (".fst", "0 1 a b 1 2\n1\n", "line 1: line"),
    (".fst", "0 1 a 1\n1\n1\n", "each once"),
    (".fst", "0 1 a 1\n0 99999999999999999999 a 1\n1\n", "line 2: node"),
    (".fst", "0 1 a b 1\n1 2 a\n2\n", "line 2: arc: .* two"),
    (".fst", "0 1 a 1\n1", "without an end"), (".kaldi", "", "line 1"), (".kaldi", "utt\n\n", "no arcs and no final state"),
    (".kaldi", "utt\n0 1 a 1,2\n1\n\n", "line 2: weight"), (".kaldi", "utt\n0 1 5 5 1,2\n1\n\n", "line 2: line: .*compact"),
    (".kaldi", "utt\n0 1 a 1,nan,\n1\n\n", "line 2: acoustic cost"), (".kaldi", "utt\n0 1 a 0,0,1_x\n1\n\n", "line 2: string"),
    (".kaldi", "utt\n0 1 a 0,0,1_1\n0 1 b 0,0,1\n1\n\n", "line 3: string: .* other ways to state 1"),
    (".kaldi", "utt\n0 1 a 0,0,7\n1 2 b 0,0,\n2\n\n", "line 3: string: .*no frame for b"),
    (".kaldi", "utt\n0 1 a 0,0,\n1 0 a 0,0,\n1\n\n", "cycle"),
    (".kaldi", "utt\n0 1 a 0,0,1\n1\n\nutt2\n0 1 a 0,0,1\n1\n\n", "line"),
    (".slf", "VERSION=1.0\n", "no N="), (".slf", SLF.format(n=2, l=1), "line 2: L"),
    (".slf", SLF.format(n=2, l=1) + "J=0 S=0 E=2\n", "got node 2, expected numbers below N=2"),
    (".slf", SLF.format(n=2, l=1) + "J=0 S=0\n", "S= and E="),
    (".slf", SLF.format(n=2, l=1) + "J=0 S=0 E=1 a=nan\n", "line 3: a:"),
    (".slf", SLF.format(n=3, l=1) + "I=0\nI=1\nJ=0 S=0 E=1\n", "line 2: N"),
    (".slf", "base=0\n" + SLF.format(n=2, l=1) + "J=0 S=0 E=1\n", "base"),
    (".slf", SLF.format(n=2, l=2) + "J=0 S=0 E=1\nJ=1 S=1 E=0\n", "add start="), (".slf", "nonsense\n", "line 1: field"),
    (".slf", "start=0 end=1\n" + SLF.format(n=2, l=2) + "J=0 S=0 E=1\nJ=1 S=1 E=0\n", "cycle"),
    (".slf", SLF.format(n=2, l=1) + "I=0 t=0.5\nI=1 t=0.2\nJ=0 S=0 E=1 W=a\n", "line 5: link: .*from frame 50 to 20"),
    (".slf", SLF.format(n=2, l=1) + "I=0 t=0\nI=1 t=1e300\nJ=0 S=0 E=1 W=a\n", "line 4: t:"),
    (".slf", SLF.format(n=2, l=1) + "I=0 t=0\nI=1\nJ=0 S=0 E=1 W=a\n", None),
    (".slf", "SUBLAT=x\n" + SLF.format(n=2, l=1), "sub-lattices"), (".slf", "N=999999999 L=1\nJ=0 S=0 E=999999998 W=a\n", None),
    (".lat", "", "a.lat"), (".txt", "", "expected a lattice's"), (".svg", "", "written only"), ("", "", "no suffix")]


@pytest.mark.parametrize("suffix, text, message", BAD)
def test_bad_file(tmp_path, suffix, text, message):
    path = tmp_path / f"a{suffix}"
    path.write_text(text)
    if message is None:
        assert read_lattice(path).words == ("", "a")
        return
    with pytest.raises(FormatError, match=message) as caught:
        read_lattice(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.fst").write_bytes(b"0 1 a\n1 2 \xff\n2\n")
    with pytest.raises(FormatError, match="line 2: got bytes that are not UTF-8"):
        read_lattice(tmp_path / "a.fst")
    (tmp_path / "b.slf").write_bytes(b"VERSION=1\0\n")
    with pytest.raises(FormatError, match="zero byte"):
        read_lattice(tmp_path / "b.slf")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_and_folder_that_are_not_there(tmp_path, suffix):
    with pytest.raises(FormatError, match="written only" if suffix in (".dot", ".svg") else "cannot be read"):
        read_lattice(tmp_path / f"a{suffix}")
    with pytest.raises(FormatError, match="cannot be written"):
        write_lattice(EXAMPLE, tmp_path / "none" / f"a{suffix}")


def test_oversized_file(tmp_path, monkeypatch):
    monkeypatch.setattr(text_file, "LARGEST_FILE_BYTES", 50)
    (tmp_path / "a.fst").write_text("0 1 a\n" * 9)
    with pytest.raises(FormatError, match="more than 50 bytes"):
        read_lattice(tmp_path / "a.fst")


def test_kaldi_refuses_hours_of_strings(tmp_path):
    lattice = make_lattice(["", "a"], 2, [(0, 1, 1, 0, kaldi_text.MOST_FRAMES + 1, 0, 0, 0)])
    with pytest.raises(FormatError, match="frames on the arcs"):
        write_lattice(lattice, tmp_path / "a.kaldi")


@pytest.mark.parametrize("symbols, message", [
    ("a 1\n", "no <eps> 0"), ("<eps> 0\na\n", "line 2"), ("<eps> 0\na 1\na 2\n", "line 3: symbol"), ("x 0\n", "line 1: symbol"),
    ("<eps> 0\nb 1\n", "line 1: word: got 'a', expected one of a.fst.syms"), ("<eps> 0\na -1\n", "line 2")])
def test_bad_symbols(tmp_path, symbols, message):
    (tmp_path / "a.fst").write_text("0 1 a 1\n1\n")
    (tmp_path / "a.fst.syms").write_text(symbols)
    with pytest.raises(FormatError, match=message):
        read_lattice(tmp_path / "a.fst")
