"""Tiles of vectors: compiled operations do what their NumPy stand-ins say, and touch nothing beyond their arrays.

Their loads and stores are raw: NUMBA_BOUNDSCHECK does not see them. So every kernel that uses them runs here between
canaries, which are NaN: a number read from outside would spoil the result, and one written outside would be found.
"""

import ast

import house
import numpy as np
import pytest

from refasr import simd
from refasr.hw import codec, codec_fast, codec_layout
from refasr.jit import kernel
from refasr.nn import lstm, lstm_fast, product_fast
from refasr.transducer import joiner, joiner_fast

F32 = np.float32
CANARY = 70  # numbers on either side, more than a row of tiles
USERS = {"refasr.hw.codec_fast", "refasr.nn.lstm_fast", "refasr.nn.product_fast", "refasr.transducer.joiner_fast"}


class Cage:
    """Makes arrays with canaries around them, and looks whether all are still alive."""

    def __init__(self):
        self.buffers = []

    def __call__(self, value):
        """A copy of the array between canaries. Parameters: value. Returns an array."""
        buffer = np.full(value.size + 2 * CANARY, np.nan, F32)
        self.buffers.append(buffer)
        inside = buffer[CANARY:-CANARY].reshape(value.shape)
        inside[...] = value
        return inside

    def check(self):
        """Fail if anything was written outside."""
        for buffer in self.buffers:
            assert np.isnan(buffer[:CANARY]).all() and np.isnan(buffer[-CANARY:]).all()


@pytest.fixture
def cage():
    """A cage that is inspected after the test."""
    made = Cage()
    yield made
    made.check()


def random(*shape):
    """Parameters: *shape. Returns a float32 array."""
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=F32)


def test_who_uses_tiles():
    """A module that joins needs a test between canaries here."""
    users = {house.dotted(path) for path in house.package_files() if "refasr.simd" in {name for name, _ in house.imports(path)}}
    assert users == USERS
    names = {alias.name for path in house.fast_files() for node in ast.walk(house.tree(path)) if isinstance(node, ast.ImportFrom)
             and node.module == "refasr.simd" for alias in node.names}
    assert names <= {"zero_tile", "load_tile", "store_tile", "add_outer",
                     "load_lanes", "store_lanes", "read_symbols", "wide_lanes"}


@kernel
def _all_operations(x, a, b, out):
    tile = simd.load_tile(simd.zero_tile(3, 2, 8), x, 2, 20)
    tile = simd.add_outer(tile, a, 1, 4, b, 5)
    tile = simd.add_outer(tile, a, 0, 0, b, 0)
    simd.store_tile(tile, out, 3, 17)
    simd.store_tile(simd.zero_tile(1, 1, 16), out, 60, 0)


def test_operations_do_what_their_stand_ins_say(cage):
    x, a, b = cage(random(58)), cage(random(10)), cage(random(21))
    want, got = np.zeros(77, F32), cage(np.zeros(77, F32))
    tile = simd.plain_load_tile(simd.plain_zero_tile(3, 2, 8), x, 2, 20)
    tile = simd.plain_add_outer(tile, a, 1, 4, b, 5)
    tile = simd.plain_add_outer(tile, a, 0, 0, b, 0)
    simd.plain_store_tile(tile, want, 3, 17)
    simd.plain_store_tile(simd.plain_zero_tile(1, 1, 16), want, 60, 0)
    _all_operations(x, a, b, got)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)
    assert (got[:3] == 0).all() and (got[60:] == 0).all()


@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (2, 3, 63), (3, 5, 64), (4, 2, 65), (9, 7, 130), (0, 2, 3), (2, 0, 3)])
def test_product_stays_inside(cage, m, k, n):
    a, b, out = cage(random(m, k)), cage(random(k, n)), cage(np.zeros((m, n), F32))
    product_fast._multiply(a, cage(product_fast._pack(b, product_fast.PANEL)), out)
    np.testing.assert_allclose(out, a @ b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("n_inputs, width", [(1, 1), (5, 16), (70, 17)])
def test_lstm_step_stays_inside(cage, n_inputs, width):
    weights = lstm.LstmWeights(*(cage(random(*shape)) for shape in ((n_inputs, 4 * width), (width, 4 * width), (4 * width,))))
    x, state = cage(random(n_inputs)), lstm.LstmState(cage(random(width)), cage(random(width)))
    a, h, c, cell_tanh = (cage(np.zeros(n, F32)) for n in (4 * width, width, width, width))
    lstm_fast._step(x, *state, *weights, a, h, c, cell_tanh)
    np.testing.assert_allclose((h, c), lstm.lstm_step(x, state, weights), rtol=0, atol=1e-5)


@pytest.mark.parametrize("n_inputs, width", [(1, 1), (5, 16), (70, 17)])
def test_lstm_sequences_stay_inside(cage, n_inputs, width):
    active = np.array([7, 5, 5, 2, 1], np.int32)
    n_rows = active.sum()
    weights = lstm.LstmWeights(*(cage(random(*shape)) for shape in ((n_inputs, 4 * width), (width, 4 * width), (4 * width,))))
    x, dh = cage(random(n_rows, n_inputs)), cage(random(n_rows, width))
    outputs, cache = lstm.lstm_sequence(x, active, weights)
    gates, cells, cell_tanh, h = (cage(np.zeros((n_rows, n), F32)) for n in (4 * width, width, width, width))
    lstm_fast._sequence(x, active, *weights, gates, cells, cell_tanh, h)
    np.testing.assert_allclose(h, outputs, rtol=0, atol=1e-4)
    da, dx = cage(np.zeros((n_rows, 4 * width), F32)), cage(np.zeros((n_rows, n_inputs), F32))
    transposed = [cage(part.T) for part in weights[:2]]
    lstm_fast._sequence_backward(dh, active, *transposed, gates, cells, cell_tanh, dx, da)
    dweight = cage(np.zeros((n_inputs + width + 1, 4 * width), F32))
    lstm_fast._weight_gradient(x, active, h, da, dweight)
    want_dx, want = lstm.lstm_sequence_backward(dh, x, active, outputs, cache, weights)
    np.testing.assert_allclose(dx, want_dx, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(dweight, np.vstack(want), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("width, n_units", [(1, 1), (64, 36), (70, 41)])
def test_joiner_stays_inside(cage, width, n_units):
    e, p, output, bias = (cage(random(*shape)) for shape in ((3, width), (6, width), (width, n_units), (n_units,)))
    hidden, logits = cage(np.zeros((3, 6, width), F32)), cage(np.zeros((3, 6, n_units), F32))
    joiner_fast._grid(e, p, output, bias, hidden, logits)
    np.testing.assert_allclose(logits, joiner.join_grid(e, p, output, bias)[0], rtol=0, atol=1e-4)
    dlogits = cage(random(3, 6, n_units))
    dlogits[1, :2] = dlogits[2, 4:] = 0
    de, dp, doutput, dbias = (cage(np.zeros(shape, F32)) for shape in (e.shape, p.shape, output.T.shape, bias.shape))
    joiner_fast._grid_backward(dlogits, hidden, cage(output.T), de, dp, doutput, dbias)
    for got, want in zip((de, dp, doutput.T, dbias), joiner.join_grid_backward(dlogits, hidden, output)):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


@kernel
def _sixteen_steps(x, table, content, out):
    lanes, place = simd.read_symbols(simd.load_lanes(x, 3), table, content, 5, out, 2)
    simd.store_lanes(lanes, x, 3)
    return place


@pytest.mark.parametrize("n_small", [0, 1, 7, 16])
def test_lanes_do_what_their_stand_ins_say(n_small):
    source = np.random.default_rng(n_small)
    table = source.integers(0, 1 << 32, 4096, dtype=np.uint32) | np.uint32(1 << 31)  # frequencies of 2048 and more
    x = source.integers(1 << 24, 1 << 32, 22, dtype=np.uint32)
    x[3 + source.permutation(16)[:n_small]] = np.uint32(9 << 12)  # these need a word
    content, out, again = source.integers(0, 256, 37).astype(np.uint8), np.full(20, 77, np.uint8), np.full(20, 77, np.uint8)
    want, place = simd.plain_read_symbols(simd.plain_load_lanes(x, 3), table, content, 5, again, 2)
    kept = x.copy()
    assert _sixteen_steps(x, table, content, out) == place == 5 + 2 * n_small
    assert np.array_equal(x[3:19], want) and np.array_equal(out, again) and (out[[0, 1, 18, 19]] == 77).all()
    assert np.array_equal(x[:3], kept[:3]) and np.array_equal(x[19:], kept[19:])


@pytest.mark.parametrize("n", [64, 65, 127, 128, 5000])
def test_wide_decoder_stays_inside(n):
    """Between canaries of bytes, with all words, with one too few, and with none."""
    symbols = np.rint(np.random.default_rng(n).standard_normal(n) * 20 + 128).astype(np.uint8)
    frequencies = codec.fit_frequencies(np.bincount(symbols, minlength=256))
    states, words = codec.code_lanes(symbols, frequencies, 64)
    content, table = np.concatenate([states.view(np.uint8), words.view(np.uint8)]), codec_layout.decoding_table(frequencies)
    for size in (content.size, max(256, content.size - 2), 256):
        buffer, out = np.full(size + 2 * CANARY, 0xFF, np.uint8), np.full(n + 2 * CANARY, 0xFF, np.uint8)
        buffer[CANARY:-CANARY] = content[:size]
        found = codec_fast._read(buffer[CANARY:-CANARY], table, 64, out[CANARY:-CANARY], True)
        assert found == (codec.GOOD if size == content.size else codec.SHORT)
        assert (out[:CANARY] == 0xFF).all() and (out[-CANARY:] == 0xFF).all()
        assert found != codec.GOOD or np.array_equal(out[CANARY:-CANARY] ^ 128, symbols)
