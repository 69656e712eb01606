"""`docs/arithmetic.md` clause by clause, in Python's unlimited integers and in exact fractions: nothing shared with the code."""

import math
import pathlib
import re
import zlib
from fractions import Fraction

import numpy as np
import pytest
from cases_compress import cell_of, codes, multipliers, norm_of, shifts, sums

from refasr.compress import integer_ops as ops
from refasr.compress import tables
from refasr.compress.proofs import most_of_sum, prove_gates, prove_logits, prove_norm
from refasr.errors import RangeError
from refasr.numerics import requantise_half_up, saturate

TEXT = (pathlib.Path(__file__).parents[1] / "docs" / "arithmetic.md").read_text(encoding="utf-8")


def clamp(x, limit):
    """A4. Parameters: x, limit. Returns int."""
    return max(-limit, min(limit, x))


def rounded(x, m, s):
    """A5 as a fraction: the nearest integer, halves upwards. Parameters: x, m, s. Returns int."""
    return math.floor(Fraction(int(x) * int(m), 2 ** int(s)) + Fraction(1, 2))


def tanh15(u):
    """A30, from the definition. Parameters: u. Returns int."""
    entry = lambda n: min(32767, math.floor(32768 * math.tanh(n / 64) + 0.5))
    n, f = divmod(abs(int(u)), 64)
    y = entry(n) + (((entry(n + 1) - entry(n)) * f + 32) >> 6)
    return -y if u < 0 else y


def rsqrt15(e):
    """A22, A31. Parameters: e. Returns (r, p)."""
    p = next(p for p in range(64) if e < 4**p)
    z = e * 4 ** (15 - p) if p <= 15 else e >> (2 * p - 30)
    entry = lambda n: math.floor(32768 / math.sqrt(0.25 + n / 512) + 0.5)
    n, f = divmod(z - 2**28, 2**21)
    return entry(n) + (((entry(n + 1) - entry(n)) * f + 2**20) >> 21), p


def test_a5_rounds_once_to_the_nearest_and_halves_upwards():
    x = np.array([[1, -1, 3, -3, 5, 2**31 - 1, -(2**31 - 1)]], np.int32)
    half = np.array([1 << 30], np.int32), np.array([31], np.int8)
    assert requantise_half_up(x, *half).tolist() == [[1, 0, 2, -1, 3, 2**30, -(2**30) + 1]]
    rng = np.random.default_rng(0)
    x, m, s = sums(rng, (40, 50)), multipliers(rng, 50), shifts(rng, 50, 31)
    want = [[rounded(*entry) for entry in zip(row, m, s)] for row in x]
    assert requantise_half_up(x, m, s).tolist() == want


def test_a4_saturates_on_both_sides():
    assert saturate(np.array([-128, -127, 0, 127, 128]), 127).tolist() == [-127, -127, 0, 127, 127]


@pytest.mark.parametrize("table, name", [(tables.TANH, "A30"), (tables.RSQRT, "A31")])
def test_tables_have_the_published_checksum(table, name):
    published = re.search(rf"\*\*{name} .*?CRC-32 `([0-9a-f]{{8}})`", TEXT, re.DOTALL).group(1)
    assert f"{zlib.crc32(table.astype('<i4').tobytes()):08x}" == published


def test_no_entry_of_a_table_is_near_a_tie():
    reals = [32768 * math.tanh(n / 64) for n in range(513)] + [32768 / math.sqrt(0.25 + n / 512) for n in range(385)]
    assert min(abs(real % 1 - 0.5) for real in reals) > 1e-5


def test_a30_at_every_argument():
    u = np.arange(-32767, 32768).astype(np.int32)
    y = tables.tanh15(u)
    assert (y == -y[::-1]).all() and np.abs(y - 32768 * np.tanh(u / 4096)).max() < 1.6
    assert y[::97].tolist() == [tanh15(value) for value in u[::97]]


def test_a31_at_all_magnitudes():
    rng = np.random.default_rng(1)
    e = [int(rng.integers(1, 4)) << int(rng.integers(0, 60)) | int(rng.integers(0, 2)) for _ in range(300)]
    e += [1, 2, 3, 4, 2**62 - 1]
    r, p = tables.rsqrt15(np.array(e, np.int64))
    assert list(zip(r.tolist(), p.tolist())) == [rsqrt15(value) for value in e]
    assert max(abs(math.sqrt(v) * a / 2 ** (15 + b) - 1) for v, a, b in zip(e, r.tolist(), p.tolist())) < 3e-5


def test_a10_rounds_halves_upwards_and_saturates():
    x = np.array([[0.5, -0.5, 1.49, -1.51, 1e30, -1e30]], np.float32)
    assert ops.quantise_input(x, np.array([1], np.float32)).tolist() == [[1, 0, 1, -2, 127, -127]]


def test_a12_and_a13():
    rng = np.random.default_rng(2)
    acc, bias, m, s = sums(rng, (9, 30)) >> 2, sums(rng, 30) >> 2, multipliers(rng, 30), shifts(rng, 30, 50)
    rescale = ops.Rescale(bias, m, s)
    want = [[rounded(int(a) + int(b), mn, sn) for a, b, mn, sn in zip(row, bias, m, s)] for row in acc]
    assert ops.rescale_rows(acc, rescale).tolist() == [[clamp(value, 127) for value in row] for row in want]
    s = np.full(30, 45, np.int8)
    want = [[rounded(int(a) + int(b), mn, 45) for a, b, mn in zip(row, bias, m)] for row in acc]
    assert ops.logit_rows(acc, rescale._replace(shift=s)).tolist() == want


def test_a14_keeps_codes_where_the_factor_is_one():
    table = codes(np.random.default_rng(3), (5, 7))
    one = np.full(5, 1 << 30, np.int32), np.full(5, 30, np.int8)
    assert (ops.embedding_table(table, *one) == table).all()
    assert (ops.embedding_table(table, one[0], np.full(5, 31, np.int8)) == np.floor(table / 2 + 0.5)).all()


def test_a15_to_a19():
    rng = np.random.default_rng(4)
    for _ in range(40):
        width = 3
        cell = cell_of(rng, width)
        ax, ah = (sums(rng, (1, 4 * width)) >> 6 for _ in range(2))
        c = rng.integers(-32767, 32768, (1, width)).astype(np.int16)
        h, after = ops.lstm_cell(ax, ah, c, cell)
        total = [((int(x) + int(b)) * int(mx) + int(y) * int(mh) + 2 ** (int(s) - 1)) >> int(s) for x, y, b, mx, mh, s in
                 zip(ax[0], ah[0], cell.bias, cell.input_multiplier, cell.recurrent_multiplier, cell.shift)]
        t = [tanh15(clamp(value, 32767)) for value in total]
        i, f, o = ([(value + 32768) >> 1 for value in t[j * width : (j + 1) * width]] for j in (0, 1, 3))
        g, k = t[2 * width : 3 * width], cell.bits
        want_c = [clamp((f[j] * int(c[0, j]) * 2 ** (15 - k) + i[j] * g[j] + 2 ** (29 - k)) >> (30 - k), 32767)
                  for j in range(width)]
        want_h = [clamp(rounded(o[j] * tanh15(clamp(want_c[j] << (12 - k), 32767)), cell.hidden_multiplier[0],
                                cell.hidden_shift[0]), 127) for j in range(width)]
        assert (after[0].tolist(), h[0].tolist()) == (want_c, want_h)


def test_a21_to_a23():
    rng = np.random.default_rng(5)
    for n in (1, 2, 17, 300):
        q, norm = codes(rng, (2, n)), norm_of(rng, n)
        for row, got in zip(q.tolist(), ops.layer_norm(q, norm).tolist()):
            e = n * sum(value * value for value in row) - sum(row) ** 2 + norm.epsilon
            r, p = rsqrt15(e)
            want = [clamp((((n * value - sum(row)) * r * int(gain) + int(bias) * 2 ** (15 + p) + 2 ** (14 + p + norm.bits))
                           >> (15 + p + norm.bits)), 127) for value, gain, bias in zip(row, norm.gain, norm.bias)]
            assert got == want


def test_a24_and_a25():
    rng = np.random.default_rng(6)
    for _ in range(20):
        joint = ops.Joint(multipliers(rng, 1), multipliers(rng, 1), shifts(rng, 1, 28), multipliers(rng, 1), shifts(rng, 1, 39))
        audio, text = codes(rng, (1, 40)), codes(rng, (1, 40))
        ma, mt, s, m, s_hidden = (int(value[0]) for value in joint)
        u = [clamp((int(a) * ma + int(b) * mt + 2 ** (s - 1)) >> s, 32767) for a, b in zip(audio[0], text[0])]
        assert ops.join(audio, text, joint)[0].tolist() == [clamp(rounded(tanh15(value), m, s_hidden), 127) for value in u]


def test_a6_bounds_every_partial_sum_and_refuses_what_exceeds_int32():
    rng = np.random.default_rng(7)
    w, bias = codes(rng, (20, 60)), sums(rng, 20) >> 1
    most = most_of_sum(w, bias)
    worst = 127 * np.sign(w.astype(np.int64)) * np.where(bias < 0, -1, 1)[:, None]
    assert (np.abs((worst * w).sum(axis=1) + bias) == most).all()
    with pytest.raises(RangeError, match="row 0: got a sum of up to"):
        most_of_sum(np.full((1, 1 << 18), 127, np.int8), np.zeros(1, np.int32))


def test_products_that_could_leave_int64_are_refused():
    most, large = np.array([2**31 - 1]), np.array([2**31 - 1], np.int32)
    prove_gates(most, most, large >> 1, large >> 1, np.array([31], np.int8))
    with pytest.raises(RangeError, match="gate row 0"):
        prove_gates(most, most, large, large, np.array([62], np.int8))
    prove_norm(np.full(256, 32767, np.int16), np.full(256, 1 << 20, np.int32), 9, 10_000)
    with pytest.raises(RangeError, match="norm"):
        prove_norm(np.full(256, 32767, np.int16), np.full(256, 2**31 - 1, np.int32), 24, 1 << 46)
    prove_logits(most, large, np.array([40], np.int8))
    with pytest.raises(RangeError, match="logit 0"):
        prove_logits(most, large, np.array([35], np.int8))
