"""A damaged or hostile model file is refused with FormatError, in bounded time and memory, whatever is wrong with it."""

import dataclasses
import io
import json
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import tiny_model

from refasr.errors import FormatError
from refasr.transducer import model_file
from refasr.transducer.model_file import load_model, save_model

SECONDS, BYTES = 30.0, 30 << 20
MODEL = tiny_model(card={"name": "tiny", "flush_frames": 4})


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a good file."""
    path = tmp_path_factory.mktemp("model") / "good.npz"
    save_model(path, MODEL)
    return path.read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where bad files are put."""
    return tmp_path_factory.mktemp("bad")


def refused(folder, content, match=None):
    """Require FormatError, on one line that names the file, soon and in little memory. Parameters: folder, content, match."""
    path = folder / "bad.npz"
    path.write_bytes(content)
    tracemalloc.start()
    begin = time.process_time()
    try:
        with pytest.raises(FormatError, match=match) as caught:
            load_model(path)
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()
    assert time.process_time() - begin < SECONDS
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and "; " in str(caught.value)


def members(good):
    """The members of a model file. Parameters: good. Returns a dict from name to bytes."""
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts, method=zipfile.ZIP_DEFLATED):
    """A zip file. Parameters: parts (dict or list of pairs), method. Returns bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in parts.items() if isinstance(parts, dict) else parts:
            archive.writestr(name, content)
    return target.getvalue()


def stored(array, **options):
    """An array as NumPy writes it. Parameters: array, **options. Returns bytes."""
    target = io.BytesIO()
    np.lib.format.write_array(target, array, **options)
    return target.getvalue()


def claim(kind, shape):
    """The head of an array, with two bytes of values. Parameters: kind, shape. Returns bytes."""
    target = io.BytesIO()
    np.lib.format.write_array_header_1_0(target, {"descr": kind, "fortran_order": False, "shape": shape})
    return target.getvalue() + b"ab"


def with_header(good, **changes):
    """The file with another header; a key set to None is left out. Parameters: good, **changes. Returns bytes."""
    parts = members(good)
    header = json.loads(parts["card.npy"][np.lib.format.MAGIC_LEN:].split(b"\n", 1)[1])
    header = {key: value for key, value in (header | changes).items() if value is not None}
    return zipped(parts | {"card.npy": stored(np.frombuffer(json.dumps(header).encode(), np.uint8))})


def with_array(good, name, array, **options):
    """The file with another array. Parameters: good, name, array, **options. Returns bytes."""
    return zipped(members(good) | {f"{name}.npy": stored(array, **options)})


def test_what_is_saved_is_loaded(good, folder):
    (folder / "a.npz").write_bytes(good)
    loaded = load_model(folder / "a.npz")
    assert (loaded.architecture, loaded.units, loaded.card) == (MODEL.architecture, MODEL.units, MODEL.card)
    assert list(loaded.parameters) == list(MODEL.parameters)
    assert all(np.array_equal(loaded.parameters[name], value) and loaded.parameters[name].dtype == np.float32
               for name, value in MODEL.parameters.items())
    assert np.array_equal(loaded.mean, MODEL.mean) and np.array_equal(loaded.reciprocal_deviation, MODEL.reciprocal_deviation)
    (folder / "b.npz").write_bytes(zipped(members(good), zipfile.ZIP_STORED))
    assert np.array_equal(load_model(folder / "b.npz").parameters["joiner.bias"], MODEL.parameters["joiner.bias"])


def test_diverged_parameters_are_not_saved(folder):
    (folder / "kept.npz").write_bytes(b"old")
    for value in (np.nan, 1e6):
        bad = dataclasses.replace(MODEL, parameters=MODEL.parameters | {"joiner.bias": np.full(20, value, np.float32)})
        with pytest.raises(FormatError, match="joiner.bias"):
            save_model(folder / "kept.npz", bad)
    assert (folder / "kept.npz").read_bytes() == b"old" and list(folder.glob(".*")) == []


@settings(max_examples=60)
@given(data=st.data())
def test_truncated(good, folder, data):
    refused(folder, good[:data.draw(st.integers(0, len(good) - 1))])


@settings(max_examples=150)
@given(data=st.data())
def test_flipped_bytes_are_noticed_or_do_not_matter(good, folder, data):
    content = bytearray(good)
    places = st.one_of(st.integers(0, len(good) - 1), st.integers(len(good) - 2000, len(good) - 1), st.integers(0, 400))
    for place in data.draw(st.lists(places, min_size=1, max_size=3)):
        content[place] ^= data.draw(st.integers(1, 255))
    (folder / "flip.npz").write_bytes(bytes(content))
    try:
        loaded = load_model(folder / "flip.npz")
    except FormatError:
        return
    assert loaded.architecture == MODEL.architecture and loaded.card == MODEL.card  # a date, say
    assert all(np.array_equal(loaded.parameters[name], value) for name, value in MODEL.parameters.items())


@settings(max_examples=40)
@given(content=st.one_of(st.binary(max_size=300), st.binary(max_size=100).map(lambda rest: b"PK\x03\x04" + rest)))
def test_noise(folder, content):
    refused(folder, content)


def test_missing_file_and_folder(folder):
    with pytest.raises(FormatError, match="got no such model file"):
        load_model(folder / "nowhere.npz")
    with pytest.raises(FormatError, match="damaged"):
        load_model(folder)


def test_file_too_large(folder, monkeypatch, good):
    monkeypatch.setattr(model_file, "LARGEST_FILE_BYTES", len(good) - 1)
    refused(folder, good, "at most")


@pytest.mark.parametrize("changes", [
    {"format": 2}, {"format": "1"}, {"format": True}, {"format": None}, {"architecture": None}, {"architecture": []},
    {"units": None}, {"units": "abc"}, {"units": []}, {"units": ["<blank>"] * 36}, {"units": [*MODEL.units[:-1], ""]},
    {"units": list(MODEL.units[::-1])}, {"units": [*MODEL.units[:-1], 3]}, {"card": None}, {"card": []},
    {"card": {"flush_frames": -1}}, {"card": {"flush_frames": 10**9}}, {"card": {"flush_frames": 1.5}},
    {"card": {"flush_frames": None}}])
def test_wrong_header(good, folder, changes):
    refused(folder, with_header(good, **changes))


@pytest.mark.parametrize("changes", [
    {"n_inputs": 0}, {"n_inputs": 120}, {"n_inputs": True}, {"n_inputs": 160.0}, {"n_inputs": "160"}, {"encoder_widths": []},
    {"encoder_widths": [10**9]}, {"encoder_widths": [24]}, {"encoder_widths": [24, 17]}, {"encoder_widths": [24] * 65},
    {"encoder_widths": [65536] * 64}, {"encoder_widths": 24}, {"joiner_width": -1}, {"joiner_width": 2**40}, {"stack": 3},
    {"stack": 0}, {"profile": "nobody"}, {"profile": "whisper"}, {"profile": ["refasr"]}, {"profile": {}}, {"n_vocabulary": 37},
    {"unknown": 1}])
def test_wrong_architecture(good, folder, changes):
    sizes = json.loads(json.dumps(dataclasses.asdict(MODEL.architecture))) | changes
    refused(folder, with_header(good, architecture=sizes))


def test_architecture_that_lacks_a_field(good, folder):
    sizes = dataclasses.asdict(MODEL.architecture)
    sizes.pop("stack")
    refused(folder, with_header(good, architecture=sizes), "architecture fields")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 200_000, b'{"format": ' + b"9" * 6000 + b"}",
                                  b'{"format": NaN}'])
def test_card_that_is_no_object(good, folder, text):
    refused(folder, with_array(good, "card", np.frombuffer(text, np.uint8)))


def test_wrong_arrays(good, folder):
    bias, mean = MODEL.parameters["joiner.bias"].astype(np.float16), MODEL.mean
    bad = {"longer": np.append(bias, bias[:1]), "shorter": bias[:-1], "flat": bias[:, None], "wide": bias.astype(np.float32),
           "whole": bias.astype(np.int16), "swapped": bias.astype(">f2"), "nan": bias * np.float16("nan"),
           "inf": bias + np.float16("inf")}
    for array in bad.values():
        refused(folder, with_array(good, "joiner.bias", array), "joiner.bias")
    for array in (mean[:-1], mean.astype(np.float64), mean * np.nan, mean * np.float32(1e30)):
        refused(folder, with_array(good, "mean", array))
    for array in (-mean * 0, mean, -mean * np.float32(1e30)):  # the reciprocal deviation must be positive
        refused(folder, with_array(good, "reciprocal_deviation", array))
    columns = np.asfortranarray(MODEL.parameters["joiner.text"].astype(np.float16))
    refused(folder, with_array(good, "joiner.text", columns), "by rows")
    refused(folder, with_array(good, "joiner.bias", bias, version=(2, 0)), "version")


def test_pickled_array_is_refused_and_not_run(good, folder):
    class Trap:
        def __reduce__(self):
            return (open, (str(folder / "trapped"), "w"))
    for name in ("joiner.bias", "card", "mean"):
        refused(folder, with_array(good, name, np.array([Trap()], object), allow_pickle=True))
    assert not (folder / "trapped").exists()


def test_missing_additional_and_repeated_members(good, folder):
    parts = members(good)
    for name in ("joiner.bias.npy", "mean.npy", "card.npy"):
        refused(folder, zipped({key: value for key, value in parts.items() if key != name}), name.removesuffix(".npy"))
    refused(folder, zipped(parts | {"more.npy": parts["mean.npy"]}), "more.npy")
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped([*parts.items(), ("mean.npy", parts["mean.npy"])])
    refused(folder, twice, "one twice")


def test_bombs_stay_small(good, folder):
    parts, zeros = members(good), bytes(100 << 20)
    head = parts["joiner.bias.npy"]
    refused(folder, zipped(parts | {"joiner.bias.npy": head + zeros}), "joiner.bias")
    refused(folder, zipped(parts | {"card.npy": parts["card.npy"] + zeros}), "card of")
    refused(folder, zipped(parts | {"more.npy": zeros}), "more.npy")
    for name, kind in (("joiner.bias", "<f2"), ("card", "|u1")):
        for shape in ((2_000_000_000,), (10**30,), (-1,), (2**32, 2**32)):
            refused(folder, zipped(parts | {f"{name}.npy": claim(kind, shape)}), name)
    refused(folder, zipped(parts | {"joiner.bias.npy": head}, zipfile.ZIP_LZMA), "compression method")
    refused(folder, zipped(parts | {"joiner.bias.npy": head}, zipfile.ZIP_BZIP2), "compression method")


def test_size_that_the_directory_understates(good, folder):
    """The local data is longer than the central directory admits."""
    parts = members(good)
    content = bytearray(zipped(parts, zipfile.ZIP_STORED))
    directory = content.rindex(b"PK\x01\x02")
    for field in (20, 24):  # compressed and plain size of the last member
        size = struct.unpack_from("<I", content, directory + field)[0]
        struct.pack_into("<I", content, directory + field, size - 2)
    refused(folder, bytes(content))
    struct.pack_into("<I", content, directory + 24, 0xFFFFFFF0)
    refused(folder, bytes(content))


def test_encrypted_member(good, folder):
    content = bytearray(good)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(mark)
        content[at + offset] |= 1
    refused(folder, bytes(content), "damaged")
