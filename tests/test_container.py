"""The model container: what is written comes back, equal contents give equal bytes, and a stranger reads the same."""

import json
import os
import pathlib
import re

import numpy as np
import pytest
from container_files import contents, resealed
from container_reader import read_container
from hypothesis import given, settings

from refasr import cli
from refasr.compress import container, container_layout, packed_ints
from refasr.compress.container import Coded, Contents, contents_of, describe, image_of, read_contents, write_contents
from refasr.compress.folder import read_folder, write_folder
from refasr.errors import DTypeError, FormatError, RangeError, ShapeError

DOCUMENT = pathlib.Path(__file__).resolve().parents[1] / "docs" / "model-container.md"
NUMBERS = np.array([1280, 1344, 1536, 1280], np.int32)
EXAMPLE = Contents({"n": 1}, {"w": Coded(np.array([[1, -1], [1, -1]], np.int8), 3)},
                   {"m": NUMBERS, "s": np.array([0.5], np.float32)})
CARD = {"name": "tiny", "flush_frames": 3, "accuracy": [{"set": "x", "wer": 0.25, "ci95": [0.2, 0.3]}]}


def facts(found):
    """Everything there is to compare: values, types, shapes, names. Parameters: found (Contents). Returns a list."""
    def of(array):
        return str(array.dtype), array.shape, array.tobytes()
    return [json.dumps(found.header, sort_keys=True), {name: (of(codes), bits) for name, (codes, bits) in found.coded.items()},
            {name: of(value) for name, value in found.plain.items()}]


def same(a, b):
    """Whether contents are equal. Parameters: a, b. Returns bool."""
    return facts(a) == facts(b)


def as_image(file):
    """Parameters: file (bytes). Returns uint8 array."""
    return np.frombuffer(file, np.uint8)


def larger():
    """Contents of several tiles. Returns Contents."""
    source = np.random.default_rng(3)
    codes = {f"layer.{i}": Coded(np.clip(np.rint(source.standard_normal((300, 500)) * 4), -15, 15).astype(np.int8), 5)
             for i in range(2)}
    return Contents({"card": CARD, "units": ["<blank>", "é", "▁"]}, codes, {"scale": source.random(300)})


@given(contents())
def test_what_is_written_comes_back(found):
    file = image_of(found)
    assert same(contents_of("x", as_image(file)), found)
    assert file == image_of(found, "reference") and same(contents_of("x", as_image(file), "reference"), found)


@given(contents())
@settings(max_examples=40)
def test_equal_contents_give_equal_bytes(found):
    turned = Contents(*(dict(reversed(part.items())) for part in found))
    file = image_of(found)
    assert image_of(turned) == file and image_of(contents_of("x", as_image(file))) == file


@given(contents())
@settings(max_examples=40)
def test_a_stranger_reads_the_same(found):
    header, coded, plain = read_container(image_of(found))
    assert json.dumps(header, sort_keys=True) == json.dumps(found.header, sort_keys=True)
    assert coded == {name: (list(codes.shape), codes.ravel().tolist()) for name, (codes, _) in found.coded.items()}
    assert plain == {name: (container.VALUE_TYPES.index(value.dtype.name), list(value.shape), value.ravel().tolist())
                     for name, value in found.plain.items()}


def test_example_of_the_document():
    packed, whole = re.findall(r"```hex\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert by_lines(packed, 18) == packed_ints.pack(NUMBERS)
    file = by_lines(whole, 308)
    assert file == image_of(EXAMPLE) and same(contents_of("x", as_image(file)), EXAMPLE)


def by_lines(text, n_bytes):
    """Bytes that a document shows. Parameters: text, n_bytes. Returns bytes."""
    file = bytearray(n_bytes)
    for line in text.splitlines():
        place, content = re.match(r"(\d+) +((?:[0-9a-f]{2} {1,2})+)", line + "  ").groups()
        content = bytes.fromhex(content)
        assert int(place) + len(content) <= n_bytes
        file[int(place):int(place) + len(content)] = content
    return bytes(file)


def test_file_is_mapped_and_replaced_whole(tmp_path):
    path = tmp_path / "model.refasr"
    write_contents(path, larger())
    found = read_contents(path)
    assert same(found, larger()) and not found.plain["scale"].flags.writeable and not found.plain["scale"].flags.owndata
    write_contents(path, EXAMPLE)  # what was mapped stays
    assert same(found, larger()) and same(read_contents(path), EXAMPLE) and os.listdir(tmp_path) == ["model.refasr"]


def test_pairs_will_do():
    header, coded, plain = EXAMPLE
    assert image_of((header, {name: tuple(pair) for name, pair in coded.items()}, plain)) == image_of(EXAMPLE)


def test_describe_says_what_is_there(tmp_path):
    path = tmp_path / "model.refasr"
    write_contents(path, larger())
    found = describe(path)
    assert json.loads(json.dumps(found)) == found and found["bytes"] == path.stat().st_size and found["header"] == larger().header
    assert [row["name"] for row in found["tensors"]] == ["layer.0", "layer.1", "scale"]
    first = found["tensors"][0]
    assert [row["packed"] for row in found["tensors"]] == [False, False, False]
    assert first["shape"] == [300, 500] and first["bits"] == 5 and first["tiles"] == 3 and 3 < first["bits_a_weight"] < 5
    write_contents(path, EXAMPLE)
    assert [(row["name"], row["type"], row["packed"], row["bytes"]) for row in describe(path)["tensors"]] == [
        ("w", "codes", False, 38), ("m", "int32", True, 18), ("s", "float32", False, 4)]
    found = describe(path)
    assert found["sha256"] == container_layout.read_sections("x", as_image(path.read_bytes()))[1]


def test_unknown_sections():
    file = image_of(EXAMPLE)
    parts = [(section.kind, section.required, section.content.tobytes())
             for section in container_layout.read_sections("x", as_image(file))[0]]
    for place in range(len(parts) + 1):
        more = container_layout.join_sections([*parts[:place], (b"NOTE", False, b"of another program"), *parts[place:]])
        assert same(contents_of("x", as_image(more)), EXAMPLE) and read_container(more)[0] == {"n": 1}
        needed = container_layout.join_sections([*parts[:place], (b"NOTE", True, b""), *parts[place:]])
        with pytest.raises(FormatError, match="required section 'NOTE'"):
            contents_of("x", as_image(needed))


@pytest.mark.parametrize("header", [{"a": (1,)}, {1: 2}, {"a": float("nan")}, {"a": 2**63}, {"a": np.int32(1)}, {"a": b""}, [],
                                    "x", {"a": "\ud800"}, {"a": "x" * (1 << 20)}, {"a": {1}}, None])
def test_header_that_json_cannot_hold_is_refused(header):
    with pytest.raises(RangeError, match="header: got .*, expected"):
        image_of(Contents(header, {}, {}))


def test_deep_headers():
    deep = {}
    for _ in range(63):
        deep = {"a": deep}
    assert contents_of("x", as_image(image_of(Contents(deep, {}, {})))).header == deep
    for levels in (1, 5000):
        for _ in range(levels):
            deep = {"a": deep}
        with pytest.raises(RangeError, match="header: got"):
            image_of(Contents(deep, {}, {}))


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "é", "x" * 201, None, 3, "a\n", "-x"])
def test_names_that_are_no_file_names_are_refused(name):
    for found in (Contents({}, {name: EXAMPLE.coded["w"]}, {}), Contents({}, {}, {name: EXAMPLE.plain["s"]})):
        with pytest.raises(RangeError, match="name of a tensor: got"):
            image_of(found)


CODES = np.ones((2, 3), np.int8)


@pytest.mark.parametrize("codes, bits, error", [
    (CODES.astype(np.int16), 5, DTypeError), (CODES[:, ::2], 5, DTypeError), (CODES[0], 5, ShapeError),
    (CODES[:0], 5, RangeError), (CODES * 16, 5, RangeError), (CODES * -17, 5, RangeError), (CODES, 9, RangeError),
    (CODES, 1, RangeError), (CODES, 5.0, RangeError), (CODES.tolist(), 5, DTypeError)])
def test_codes_that_do_not_fit_are_refused(codes, bits, error):
    with pytest.raises(error, match="w[: ]"):
        image_of(Contents({}, {"w": Coded(codes, bits)}, {}))


@pytest.mark.parametrize("value, error", [
    (np.ones(3, np.float16), DTypeError), (np.ones(3, ">f4"), DTypeError), (3.0, DTypeError), (np.array(["a"]), DTypeError),
    (np.ones(3, np.uint8), DTypeError), (np.float32(3), DTypeError), (np.ones((1,) * 5), RangeError),
    (np.ones((2, 0)), RangeError), (np.array([1, np.nan]), RangeError), (np.array(np.inf), RangeError),
    (np.array([None]), DTypeError)])
def test_arrays_that_do_not_fit_are_refused(value, error):
    with pytest.raises(error, match="s: got"):
        image_of(Contents({}, {}, {"s": value}))


def test_one_name_for_two_tensors_is_refused():
    with pytest.raises(RangeError, match="w: got codes and a plain array"):
        image_of(Contents({}, EXAMPLE.coded, {"w": np.ones(3)}))


def test_folder_gives_the_same_bytes(tmp_path):
    write_folder(tmp_path / "new", larger())
    again = read_folder(tmp_path / "new")
    assert same(again, larger()) and image_of(again) == image_of(larger())
    with pytest.raises(FormatError, match="with files"):
        write_folder(tmp_path / "new", EXAMPLE)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(FormatError, match="cannot be made"):
        write_folder(tmp_path / "file", EXAMPLE)


def spoil(folder, place, content):
    """Parameters: folder, place, content (bytes or None to delete)."""
    (folder / place).unlink(missing_ok=True)
    if content is not None:
        (folder / place).write_bytes(content)


@pytest.mark.parametrize("place, content", [
    ("header.json", None), ("header.json", b"["), ("header.json", b"[]"), ("bits.json", None), ("bits.json", b'{"w": 3, "v": 3}'),
    ("codes/w.npy", None), ("codes/w.npy", b"\x93NUMPY"), ("codes/w.npy", b""), ("codes/v.npy", b"x"), ("plain/s.npy", b"PK"),
    ("plain/bad name.npy", b"x"), ("header.json", b'{"a": 1, "a": 1}'), ("header.json", b"\xff"), ("header.json", b"[" * 99999)])
def test_damaged_folder_is_refused(tmp_path, place, content):
    write_folder(tmp_path / "it", EXAMPLE)
    spoil(tmp_path / "it", place, content)
    with pytest.raises((FormatError, RangeError), match="got .*expected"):
        read_folder(tmp_path / "it")


def test_array_file_is_not_believed(tmp_path):
    write_folder(tmp_path / "it", EXAMPLE)
    with open(tmp_path / "it/plain/s.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with pytest.raises(FormatError, match="as many values as its shape"):
        read_folder(tmp_path / "it")
    np.save(tmp_path / "it/plain/s.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(FormatError, match="object"):
        read_folder(tmp_path / "it")


def command(*arguments):
    """Run the command line. Parameters: *arguments. Returns the exit code."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as error:
        return error.code


def test_pack_and_unpack(tmp_path, capsys):
    file, again = tmp_path / "model.refasr", tmp_path / "again.refasr"
    write_contents(file, larger())
    assert command("unpack", file, tmp_path / "folder") == 0 and command("pack", tmp_path / "folder", again) == 0
    assert file.read_bytes() == again.read_bytes()
    assert capsys.readouterr().out == ""
    assert command("pack", tmp_path / "folder", again, "--json") == 0
    assert json.loads(capsys.readouterr().out)["sha256"] == describe(file)["sha256"]
    assert command("pack", tmp_path / "folder", again, "--bits", "4") == 2
    assert command("unpack", file, tmp_path / "folder") == 1 and command("unpack", tmp_path / "none", tmp_path / "other") == 1
    before = sorted(tmp_path.iterdir())
    assert command("unpack", file, tmp_path) == 1 and sorted(tmp_path.iterdir()) == before  # nothing was left behind
    assert command("pack", tmp_path / "folder", tmp_path / "again.npz") == 2 and command("pack", file, again) == 1
    file.write_bytes(file.read_bytes()[:-1])
    assert command("unpack", file, tmp_path / "other") == 1 and not (tmp_path / "other").exists()
    assert "model.refasr: got length" in capsys.readouterr().err


def test_info(tmp_path, capsys):
    file = tmp_path / "model.refasr"
    write_contents(file, larger())
    assert command("info", file, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sha256"] == describe(file)["sha256"] and found["card"] == CARD and len(found["tensors"]) == 3
    assert command("info", "--model", file) == 0
    text = capsys.readouterr().out
    assert found["sha256"] in text and "layer.1" in text and "bits a weight" in text and "word error rate 0.2500" in text
    file.write_bytes(resealed(file.read_bytes())[:500])
    assert command("info", file) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
