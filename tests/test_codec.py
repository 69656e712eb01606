"""The weight codec: read back by a reader written from the document, sizes beside the entropy, random access, both decoders."""

import itertools
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from cases_codec import encodings, spread
from hypothesis import given
from hypothesis import strategies as st
from weight_stream_reader import read_stream

from refasr.errors import RangeError
from refasr.hw import codec, codec_fast, codec_layout
from refasr.twins import select

DOCUMENT = pathlib.Path(__file__).resolve().parents[1] / "docs" / "weight-codec.md"
KINDS = codec_layout.CONSTANT, codec_layout.PACKED, codec_layout.CODED


@pytest.fixture(params=["reference", "fast"])
def backend(request):
    """Both implementations."""
    return select(request.param)


def entropy_bytes(codes):
    """Order-0 entropy of all codes together. Parameters: codes. Returns float, bytes."""
    share = np.bincount(codes.view(np.uint8)) / codes.size
    share = share[share > 0]
    return -(share * np.log2(share)).sum() * codes.size / 8


def example():
    """The tensor of the document. Returns int8 [195]."""
    codes = np.zeros(195, np.int8)
    codes[[3, 10, 17, 30, 41, 77]], codes[[5, 22, 40, 90]], codes[29], codes[192:] = 1, -1, -2, (7, -16, 15)
    return codes


def test_example_of_the_document(backend):
    lines = re.search(r"```hex\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL).group(1).splitlines()
    stream = bytes.fromhex(" ".join(re.match(r"(?:[0-9a-f]{2} {0,2})+(?=  |$)", line).group() for line in lines))
    assert backend(codec.encode)(example(), 5, 96, 2).tobytes() == stream
    assert read_stream(stream, 195) == example().tolist()
    assert np.array_equal(backend(codec.decode)(np.frombuffer(stream, np.uint8), 195), example())
    assert codec_layout.read_layout(np.frombuffer(stream, np.uint8)).kinds.tolist() == [2, 0, 1]


def test_steps_of_the_document():
    text = DOCUMENT.read_text(encoding="utf-8")
    frequencies = np.zeros(32, np.int64)
    frequencies[[0, 14, 15, 16, 17, 23, 31]] = 41, 41, 166, 3518, 248, 41, 41
    table = codec_layout.decoding_table(frequencies)
    rows = re.findall(r"^\| \d \| \d \| ([0-9a-f]{8}) \| (\d+) \| (-?\d+) \| ([0-9a-f]{8}) \|$", text, re.MULTILINE)
    assert len(rows) == 4
    for before, slot, code, after in rows:
        entry, x = int(table[int(slot)]), int(before, 16)
        assert x % 4096 == int(slot) and entry & 255 == int(code) % 256
        assert (entry >> 20) * (x >> 12) + (entry >> 8 & 4095) == int(after, 16)


@given(encodings(600))
def test_reader_of_the_document_reads_what_is_written(arguments):
    codes = arguments[0]
    stream = codec_fast.encode(*arguments)
    assert read_stream(stream.tobytes(), codes.size) == codes.tolist()
    assert np.array_equal(codec_fast.decode(stream, codes.size), codes)
    assert np.array_equal(codec.decode(stream, codes.size), codes)


@given(encodings(), st.randoms(use_true_random=False))
def test_tiles_are_read_alone_in_any_order(arguments, shuffler):
    codes, stream = arguments[0], codec_fast.encode(*arguments)
    layout = codec_layout.read_layout(stream, codes.size)
    order = list(range(layout.n_tiles))
    shuffler.shuffle(order)
    for tile in order:
        assert np.array_equal(codec_fast.decode_tile(stream, layout, tile), codes[layout.span(tile)])
    assert sum(codes[layout.span(tile)].size for tile in order) == codes.size
    with pytest.raises(RangeError, match="tile"):
        codec_fast.decode_tile(stream, layout, layout.n_tiles)


@given(encodings())
def test_never_larger_than_packed_bits(arguments):
    codes, width, tile_codes, _ = arguments
    n_tiles = -(-codes.size // tile_codes)
    assert codec_fast.encode(*arguments).size <= 28 + 8 * n_tiles + codes.size * width / 8 + n_tiles


def test_constant_and_empty_tensors_take_a_few_bytes(backend):
    for value, width in ((0, 2), (-2, 2), (127, 8), (-128, 8), (15, 5)):
        stream = backend(codec.encode)(np.full(1_000_000, value, np.int8), width)
        assert stream.size == 28 + 16 * 9
        assert (backend(codec.decode)(stream, 1_000_000) == value).all()
    empty = backend(codec.encode)(np.zeros(0, np.int8), 4)
    assert empty.size == 28 and backend(codec.decode)(empty, 0).size == 0


def test_kinds_are_the_shortest():
    source = np.random.default_rng(5)
    uniform = source.integers(-16, 16, 4096).astype(np.int8)
    codes = np.concatenate([np.zeros(4096, np.int8), spread(source, 4096, 5, 0.1, 1.0), uniform])
    layout = codec_layout.read_layout(codec_fast.encode(codes, 5, 4096))
    assert layout.kinds.tolist() == [codec_layout.CONSTANT, codec_layout.CODED, codec_layout.PACKED]
    assert set(layout.kinds.tolist()) == set(KINDS)


@pytest.mark.parametrize("width, sharpness, density", [(8, 0.12, 1.0), (8, 0.25, 0.5), (8, 0.25, 0.25), (5, 0.33, 1.0),
                                                       (5, 0.33, 0.25), (4, 0.33, 0.5), (2, 0.4, 1.0)])
def test_size_beside_the_entropy(width, sharpness, density):
    codes = spread(np.random.default_rng(width), 1 << 18, width, sharpness, density)
    least = entropy_bytes(codes)
    assert least <= codec_fast.encode(codes, width, codes.size).size <= 1.02 * least
    assert codec_fast.encode(codes, width, 1 << 16).size <= 1.05 * least


def test_frequencies_are_the_best_there_are(monkeypatch):
    """All divisions of a small total among three symbols, tried out."""
    total = 32
    monkeypatch.setattr(codec, "TOTAL", total + 256)  # the first division, of TOTAL - 256, then stays below the best
    source = np.random.default_rng(1)
    for _ in range(5):
        counts = np.append(source.integers(1, 1000, 3), 0)
        fitted = codec.fit_frequencies(counts)
        cost = lambda f: -(counts[:3] * np.log2(np.asarray(f[:3], float))).sum()
        near = (np.array(step) + fitted[:3] for step in itertools.product((-1, 0, 1), repeat=3) if sum(step) == 0)
        assert fitted.sum() == total + 256 and fitted[3] == 0
        assert all(cost(other) >= cost(fitted) - 1e-3 for other in near if (other > 0).all())


@given(st.lists(st.integers(0, 10**6), min_size=4, max_size=256), st.integers(1, 10**9))
def test_frequencies_of_any_counts(counts, more):
    counts = np.array(counts[:1 << len(counts).bit_length() - 1], np.int64)
    counts[[0, -1]] += 1, more
    frequencies = codec.fit_frequencies(counts)
    assert frequencies.sum() == 4096 and ((frequencies > 0) == (counts > 0)).all()
    width = counts.size.bit_length() - 1
    content = codec_layout.write_frequencies(frequencies)
    assert np.array_equal(codec_layout.read_frequencies(content, width, 0), frequencies)
    table = codec_fast._read_table(np.frombuffer(content, np.uint8), width, 0)
    assert np.array_equal(table, codec_layout.decoding_table(frequencies))


@given(encodings(20_000))
def test_narrow_decoder_equals_the_wide(arguments):
    """The one for processors without AVX-512 is forced."""
    codes, width, _, _ = arguments
    stream = codec_fast.encode(codes, width, 5000, 64)
    layout = codec_layout.read_layout(stream)
    for tile in np.flatnonzero(layout.kinds == codec_layout.CODED):
        content, n = stream[layout.offsets[tile]:layout.offsets[tile + 1]], codes[layout.span(tile)].size
        out = [np.zeros(n, np.uint8), np.zeros(n, np.uint8)]
        for wide in (False, True):
            assert codec_fast._read(content, layout.table, 64, out[wide], wide) == codec.GOOD
            assert np.array_equal(out[wide].view(np.int8), codes[layout.span(tile)])


PROGRAM = """
import numpy as np
from refasr.hw import codec_fast, codec_layout
from refasr.simd import wide_lanes
from refasr.jit import kernel
@kernel
def is_wide():
    return wide_lanes()
assert not is_wide()
codes = np.rint(3 * np.random.default_rng(0).standard_normal(20_000)).astype(np.int8)
stream = codec_fast.encode(codes, 8)
assert np.array_equal(codec_fast.decode(stream, codes.size), codes)
layout, out, x = codec_layout.read_layout(stream), np.zeros(codes.size, np.uint8), np.zeros(64, np.uint32)
content = stream[layout.offsets[0]:]
x[:] = content[:256].view(np.uint32)
place, first = codec_fast._read_widely(content, 256, layout.table, x, out)  # the vectors, put together from plain instructions
assert first > 19_000 and np.array_equal(out[:first].view(np.int8), codes[:first])
print("done")
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_processor_without_wide_vectors(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")  # a file: Numba's cache needs one
    settings = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "REFASR_CACHE_DIR": str(tmp_path / "cache"),
                "PYTHONPATH": str(DOCUMENT.parents[1])}
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize("arguments, name", [
    ((np.array([4], np.int8), 3), "codes"), ((np.array([-5], np.int8), 3), "codes"), ((np.zeros(3, np.int8), 1), "width"),
    ((np.zeros(3, np.int8), 9), "width"), ((np.zeros(3, np.int8), 8, 0), "tile_codes"), ((np.zeros(3, np.int8), True), "width"),
    ((np.zeros(3, np.int8), 8, 8, 257), "lanes")])
def test_bad_arguments_are_named(backend, arguments, name):
    with pytest.raises(RangeError, match=f"^{name}: got "):
        backend(codec.encode)(*arguments)
