"""The weight codec against constriction's entropy coder with the same frequencies, and beside mlw_codec, zstandard and lzma."""

import lzma

import numpy as np
import pytest
from cases_codec import spread

from refasr.hw import codec, codec_fast, codec_layout

REASON = "oracle not installed: pip install 'refasr[oracles]'"
SHAPES = [(8, 0.12, 1.0), (8, 0.25, 0.25), (5, 0.33, 1.0), (4, 0.33, 0.25)]


def tensor(width, sharpness, density, n=1 << 17):
    """A tensor of a bell shape. Parameters: width, sharpness, density, n. Returns int8 [n]."""
    return spread(np.random.default_rng(width), n, width, sharpness, density)


@pytest.mark.parametrize("shape", SHAPES)
def test_constriction_with_the_same_frequencies_needs_as_many_bits(shape):
    """Its coder is within a word of the information content, so that ours is too: 64 lanes begin with 16 bits each."""
    stream = pytest.importorskip("constriction", reason=REASON).stream
    codes, width = tensor(*shape), shape[0]
    symbols = codes.astype(np.int32) + (1 << width - 1)
    frequencies = codec.fit_frequencies(np.bincount(symbols, minlength=1 << width))
    used = np.flatnonzero(frequencies)
    model = stream.model.Categorical((frequencies[used] / 4096).astype(np.float32), perfect=False)
    coder = stream.stack.AnsCoder()
    coder.encode_reverse(np.searchsorted(used, symbols).astype(np.int32), model)
    theirs = coder.get_compressed().nbytes
    assert np.array_equal(used[coder.decode(model, symbols.size)], symbols)
    states, words = codec.code_lanes(symbols.astype(np.uint8), frequencies, 64)
    ours = states.nbytes + words.nbytes
    assert -8 <= ours - theirs <= 2 * 64 * 2 + theirs * 1e-3
    assert codec_fast.encode(codes, width, codes.size).size == 28 + 8 + len(codec_layout.write_frequencies(frequencies)) + ours


@pytest.mark.parametrize("shape", SHAPES)
def test_smaller_than_the_others(shape):
    zstandard = pytest.importorskip("zstandard", reason=REASON)
    mlw_codec = pytest.importorskip("ethosu.mlw_codec", reason=REASON)
    codes = tensor(*shape)
    if codes.min() == -128:  # the hardware that mlw_codec serves has no such weight, and neither has the integer model
        codes[codes == -128] = -127
    ours = codec_fast.encode(codes, shape[0], codes.size).size
    assert ours < len(zstandard.ZstdCompressor(level=19).compress(codes.tobytes()))
    assert ours < len(lzma.compress(codes.tobytes(), preset=9))
    assert ours < len(mlw_codec.encode(codes.astype(np.int16).tolist()))
