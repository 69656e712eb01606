"""A damaged or hostile `.refasr` file is refused with FormatError, or read as the document says; in bounded time and memory."""

import os
import struct
import time
import tracemalloc

import numpy as np
import pytest
from cases_codec import resealed as resealed_stream
from cases_codec import spread
from container_files import contents, damage, resealed
from container_reader import read_container
from hypothesis import given, settings
from hypothesis import strategies as st
from test_container import facts

from refasr.compress import container_layout
from refasr.compress.container import Coded, Contents, contents_of, describe, image_of, read_contents
from refasr.errors import FormatError

SLOWLY = os.environ.get("NUMBA_DISABLE_JIT") == "1"
BACKEND = "reference" if SLOWLY else "fast"
SOURCE = np.random.default_rng(4)
TINY = Contents({"units": ["<blank>", "a"], "x": 0.5}, {
    "a": Coded(spread(SOURCE, 600, 5, 0.1, 0.3).reshape(20, 30), 5), "b": Coded(np.full((3, 4), 2, np.int8), 4)}, {
    "bias": np.arange(4, dtype=np.int32), "scale": np.array([0.5, 0.25], np.float32)})
GOOD = image_of(TINY, BACKEND)
OVERHEAD_BYTES, SECONDS = 2 << 20, 20.0


def attempt(file):
    """Read a file. Parameters: file (bytes). Returns what `facts` says, or None if it is refused, with an offset."""
    try:
        return facts(contents_of("bad.refasr", np.frombuffer(file, np.uint8), BACKEND))
    except FormatError as error:
        assert isinstance(error.offset, int) and 0 <= error.offset <= len(file)
        assert "\n" not in str(error) and "bad.refasr: " in str(error) and "got" in str(error) and "expected" in str(error)
        return None


def by_the_document(file):
    """What a stranger reads. Parameters: file (bytes). Returns header, coded, plain; or None if it is refused."""
    try:
        return read_container(file)
    except (AssertionError, ValueError, IndexError, StopIteration, RecursionError, struct.error):
        return None


def refused(file, match=None):
    """Require FormatError. Parameters: file (bytes), match."""
    with pytest.raises(FormatError, match=match):
        contents_of("bad.refasr", np.frombuffer(file, np.uint8), BACKEND)


@given(st.data())
def test_damage_is_noticed(data):
    bad = data.draw(damage(GOOD))
    found, want = attempt(bad), by_the_document(bad)
    assert (found is None) == (want is None)
    if found is not None:
        again = contents_of("x", np.frombuffer(bad, np.uint8), BACKEND)
        assert want[0] == again.header and {name: codes for name, (_, codes) in want[1].items()} == {
            name: codes.ravel().tolist() for name, (codes, _) in again.coded.items()}
        assert {name: values for name, (_, _, values) in want[2].items()} == {
            name: values.ravel().tolist() for name, values in again.plain.items()}


@given(st.data(), contents())
@settings(max_examples=60)
def test_damage_of_other_contents(data, found):
    bad = data.draw(damage(image_of(found, BACKEND)))
    assert (attempt(bad) is None) == (by_the_document(bad) is None)


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda rest: GOOD[:64] + rest)))
def test_noise(content):
    for file in (content, resealed(content)):
        assert attempt(file) is None and by_the_document(file) is None


def test_every_truncation_and_every_flipped_bit():
    for n in range(len(GOOD)):
        assert attempt(GOOD[:n]) is None
        bad = bytearray(GOOD)
        bad[n] ^= 1 << n % 8
        assert attempt(bytes(bad)) is None


def changed(form, place, value):
    """GOOD with another number, check sums that hold. Parameters: form, place, value. Returns bytes."""
    bad = bytearray(GOOD)
    assert struct.unpack_from(form, bad, place)[0] != value
    struct.pack_into(form, bad, place, value)
    return resealed(bad)


def start_of(index):
    """Where a section of GOOD begins. Parameters: index. Returns int."""
    return container_layout.read_sections("x", np.frombuffer(GOOD, np.uint8))[0][index].start


@pytest.mark.parametrize("form, place, values, match", [
    ("<I", 40, (0, 1, 3, 2**32 - 1), "version"), ("<I", 44, (0, 1, 4, 6, 4097, 2**32 - 1), "section"),
    ("<Q", 48, (0, 1, 2**63, 2**64 - 1), "length"), ("<Q", 56, (1, 2**63), "reserved"),
    ("<I", 64, (0, 0x20202020), "section"), ("<I", 68, (0, 2, 3, 2**31), "flags"), ("<I", 84, (1,), "section"),
    ("<Q", 72, (0, 2**20, 2**64 - 1), "section|bytes|JSON"), ("<I", 88, (0x4E4F534A,), "another section")])
def test_lying_header_and_table(form, place, values, match):
    for value in values:
        refused(changed(form, place, value), match)


@pytest.mark.parametrize("form, place, values, match", [
    ("<H", 0, (0, 2, 200, 2**16 - 1), "name|head"), ("<B", 2, (1, 6, 7, 10, 11, 255), "head|bytes|packed"),
    ("<B", 3, (0, 1, 3, 5, 255), "head"),
    ("<I", 4, (1,), "head"), ("<Q", 8, (0, 1, 2**31, 2**64 - 1), "shape|codes"), ("<Q", 16, (2**31 - 1, 2**20), "codes"),
    ("<B", 24, (0, 46, 47, 98, 255), "name|after"), ("<B", 25, (1,), "zeros")])
def test_lying_tensor_of_codes(form, place, values, match):
    for value in values:
        refused(changed(form, start_of(1) + place, value), match)


def test_sizes_are_not_believed():
    """Few bytes that ask for much: a tensor of 2^62 codes, a constant tile of 2^27, many sections, deep JSON."""
    def file_of(*parts):
        return container_layout.join_sections([(b"JSON", True, b"{}"), *parts])

    def tensor(n_codes, tile_codes, n_tiles):
        head = struct.pack("<4sBBHIIIHHI", b"RFWC", 1, 8, 64, n_codes, tile_codes, 28 + 9 * n_tiles, 0, 0, 0)
        stream = resealed_stream(head + struct.pack("<II", 1 << 2, 0) * n_tiles + bytes(n_tiles))
        return b"TENS", True, container_layout.write_tensor("a", "codes", (1, n_codes), stream)
    most = 2**31 - 1
    hostile = [
        (file_of((b"TENS", True, container_layout.write_tensor("a", "codes", (most, most), bytes(99)))), "codes in all"),
        (file_of((b"TENS", True, container_layout.write_tensor("a", "float64", (most,) * 4, bytes(99)))), "99 bytes"),
        (file_of(tensor(2**27, 2**27, 1)), "at most 65536 codes"), (file_of(tensor(2**27 + 1, 2**16, 2049)), "codes in all"),
        (container_layout.join_sections([(b"JSON", True, b'{"a":' + b"[" * 500_000)]), "JSON object"),
        (container_layout.join_sections([(b"JSON", True, b'{"a":' + b"9" * 500_000 + b"}")]), "JSON object"),
        (container_layout.join_sections([(b"JSON", True, b'{"a":1e999}')]), "JSON object"),
        (container_layout.join_sections([(b"JSON", True, b" " * (1 << 20) + b"{}")]), "JSON of"),
        (GOOD[:44] + struct.pack("<I", 2**32 - 1) + GOOD[48:], "number of sections")]
    for file, match in hostile:
        tracemalloc.start()
        begin = time.process_time()
        try:
            refused(file, match)
            assert tracemalloc.get_traced_memory()[1] < OVERHEAD_BYTES + 3 * len(file)
        finally:
            tracemalloc.stop()
        assert time.process_time() - begin < SECONDS


def test_order_and_repetition():
    sections = container_layout.read_sections("x", np.frombuffer(GOOD, np.uint8))[0]
    parts = [(section.kind, section.required, section.content.tobytes()) for section in sections]
    for order in ((1, 0, 2, 3, 4), (0, 2, 1, 3, 4), (0, 3, 1, 2, 4), (0, 1, 2, 4, 3), (0, 1, 1, 2), (0, 0), (1,), (),
                  (0, 1, 2, 3, 0)):
        refused(container_layout.join_sections([parts[i] for i in order]))
    twice = container_layout.write_tensor("a", "int8", (1,), b"\1")
    refused(container_layout.join_sections([*parts[:3], (b"TENS", True, twice)]), "the same name")


def test_values_that_are_not_finite():
    for kind, value in (("float32", np.float32(np.nan)), ("float64", np.float64(np.inf))):
        tensor = container_layout.write_tensor("a", kind, (1,), value.tobytes())
        refused(container_layout.join_sections([(b"JSON", True, b"{}"), (b"TENS", True, tensor)]), "not finite")


def test_other_files(tmp_path):
    for content, match in ((b"", "empty"), (b"PK\3\4" + bytes(99), "mark"), (GOOD[:70], "length")):
        (tmp_path / "bad.refasr").write_bytes(content)
        for read in (read_contents, describe):
            with pytest.raises(FormatError, match=f"bad.refasr: .*{match}"):
                read(tmp_path / "bad.refasr")
    for path in (tmp_path, tmp_path / "none", "/dev/null"):
        with pytest.raises(FormatError, match="got .*expected"):
            read_contents(path)


def test_damaged_codes_are_found_by_reading_only(tmp_path):
    """All check sums but those of the codes hold: `describe` does not decode."""
    bad = bytearray(GOOD)
    section = container_layout.read_sections("x", np.frombuffer(GOOD, np.uint8))[0][1]
    bad[section.start + section.content.size - 1] ^= 1
    (tmp_path / "bad.refasr").write_bytes(resealed(bad))
    describe(tmp_path / "bad.refasr")
    refused(resealed(bad), "a: weight stream: got tile 0 with")


def run_mutations(n, seed):
    """Random damage in bulk. Parameters: n, seed. Returns how many were refused and read right."""
    source, refusals, right, want = np.random.default_rng(seed), 0, 0, facts(TINY)
    for i in range(n):
        bad = bytearray(GOOD[:source.integers(len(GOOD))] if i % 5 == 0 else GOOD)
        for place in source.integers(0, max(1, len(bad)), source.integers(1, 4)).tolist() if bad else ():
            bad[place] = source.integers(256)
        sealed = i % 3 > 0
        if sealed and len(bad) >= 64:
            struct.pack_into("<Q", bad, 48, len(bad))
            bad = resealed(bad)
        found = attempt(bytes(bad))
        if found is None:
            refusals += 1
        elif not sealed:
            assert found == want
            right += 1
        else:  # another file that is good, of other numbers: as the document says, and never other codes
            assert [codes[0][2] for codes in found[1].values()] == [codes[0][2] for codes in want[1].values()]
            assert i % 100 or by_the_document(bytes(bad)) is not None
            right += 1
    return refusals, right


def test_many_mutations():
    n = 300 if SLOWLY else 6000
    refusals, right = run_mutations(n, 1)
    assert refusals > n // 2 and refusals + right == n


@pytest.mark.slow
def test_a_million_mutations():
    assert sum(run_mutations(1_000_000, 2)) == 1_000_000
