"""Products of int8 matrices: exact against plain integers, in every layout, with and without the processor's instruction."""

import dataclasses
import hashlib
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from house import ROOT

from refasr import simd_int8
from refasr.errors import DTypeError, FormatError, RangeError, ShapeError
from refasr.hw import gemm, gemm_fast, gemm_gaps_fast
from refasr.jit import kernel

I8 = np.int8
UNCOMPILED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
SHAPES = [(16, 4, 1), (1, 1, 1), (17, 5, 3), (64, 64, 16), (65, 66, 17), (100, 30, 31), (130, 12, 24), (33, 128, 6)]  # M, K, N


def random_pair(m, k, n, density=1.0, block=(1, 1)):
    """Weights of some density and inputs. Parameters: m, k, n, density, block. Returns (w, x), int8."""
    rng = np.random.default_rng(1000 * m + 10 * k + n)
    kept = rng.random((-(-m // block[0]), -(-k // block[1]))) < density
    kept = np.kron(kept, np.ones(block, bool))[:m, :k]
    return np.where(kept, rng.integers(-128, 128, (m, k)), 0).astype(I8), rng.integers(-128, 128, (n, k)).astype(I8)


def plain(x, w):
    """The product in Python's integers. Parameters: x, w. Returns a list of lists."""
    return [[sum(int(a) * int(b) for a, b in zip(row, column)) for column in w] for row in x]


def wide(x, w):
    """The product in 64-bit integers. Parameters: x, w. Returns int64 [N, M]."""
    return np.einsum("nk,mk->nm", x.astype(np.int64), w.astype(np.int64))


def both(x, packed):
    """Product of the reference, after checking that the fast one is the same. Parameters: x, packed. Returns int32 [N, M]."""
    want, got = gemm.product(x, packed), gemm_fast.product(x, packed)
    assert got.dtype == want.dtype == np.int32 and got.flags.c_contiguous
    np.testing.assert_array_equal(got, want)
    return want


@pytest.mark.parametrize("layout", gemm.LAYOUTS)
@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (3, 5, 2), (17, 6, 9), (2, 33, 3)])
def test_product_is_that_of_plain_integers(m, k, n, layout):
    w, x = random_pair(m, k, n, 0.6)
    assert both(x, gemm.pack_weights(w, layout)).tolist() == plain(x, w)


@pytest.mark.parametrize("layout", gemm.LAYOUTS)
@pytest.mark.parametrize("m, k, n", SHAPES)
def test_product_at_all_densities(m, k, n, layout):
    for density, block in ((0, (1, 1)), (0.05, (1, 1)), (0.3, (16, 4)), (0.5, (4, 4)), (1, (1, 1))):
        w, x = random_pair(m, k, n, density, block)
        packed = gemm.pack_weights(w, layout)
        np.testing.assert_array_equal(gemm.unpack_weights(packed), w)
        np.testing.assert_array_equal(both(x, packed), wide(x, w))


@pytest.mark.parametrize("layout", gemm.LAYOUTS)
def test_rows_and_columns_without_codes(layout):
    w, x = random_pair(70, 50, 9)
    w[[0, 3, 69]] = 0
    w[16:32] = 0
    w[:, 4:13] = 0
    np.testing.assert_array_equal(both(x, gemm.pack_weights(w, layout)), wide(x, w))


@pytest.mark.parametrize("layout", gemm.LAYOUTS)
@pytest.mark.parametrize("m, k, n", [(0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0)])
def test_empty_sizes(m, k, n, layout):
    w, x = random_pair(m, k, n)
    got = both(x, gemm.pack_weights(w, layout))
    assert got.shape == (n, m) and not got.any()


@pytest.mark.parametrize("layout", gemm.LAYOUTS)
@pytest.mark.parametrize("a, b", [(-128, -128), (-128, 127), (127, -128), (127, 127)])
def test_longest_sums_of_extreme_values_do_not_overflow(a, b, layout):
    k = gemm.MOST_INPUTS if not UNCOMPILED else 1000
    w, x = np.full((1, k), a, I8), np.full((1, k), b, I8)
    assert both(x, gemm.pack_weights(w, layout)).tolist() == [[a * b * k]]
    assert abs(a * b * gemm.MOST_INPUTS) < 2**31


def test_one_more_input_could_overflow_and_is_refused():
    k = gemm.MOST_INPUTS + 1
    assert 128 * 128 * k > 2**31 - 1 >= 128 * 128 * (k - 1)
    with pytest.raises(RangeError, match="n_inputs: got 131072"):
        gemm.pack_weights(np.zeros((1, k), I8))


@pytest.mark.parametrize("product", [gemm.product, gemm_fast.product])
def test_bad_arguments_are_refused(product):
    w, x = random_pair(20, 12, 3)
    packed = gemm.pack_weights(w)
    for bad, error, says in ((x.astype(np.int32), DTypeError, "int32"), (x.view(np.uint8), DTypeError, "uint8"),
                             (x[:, :8], ShapeError, "shape"), (x[0], ShapeError, "shape"), (None, DTypeError, "NumPy"),
                             (np.repeat(x, 2, axis=1)[:, ::2], DTypeError, "non-contiguous"),
                             (x.T.copy().T, DTypeError, "contiguous")):
        with pytest.raises(error, match=says):
            product(bad, packed)
    with pytest.raises(DTypeError, match="use pack_weights"):
        product(x, w)


def test_bad_weights_are_refused():
    w = random_pair(20, 12, 3)[0]
    for bad, error in ((w.astype(float), DTypeError), (w.T, DTypeError), (w[0], ShapeError)):
        with pytest.raises(error):
            gemm.pack_weights(bad)
    with pytest.raises(RangeError, match="layout"):
        gemm.pack_weights(w, "diagonal")


def test_packed_weights_that_would_lead_kernels_astray_are_refused():
    dense, blocks, squares, bitmap = (gemm.pack_weights(random_pair(40, 12, 1, 0.5)[0], name) for name in gemm.LAYOUTS)
    for packed, change in ((blocks, dict(places=blocks.places + np.int32(3))), (blocks, dict(places=blocks.places - np.int32(1))),
                           (blocks, dict(starts=blocks.starts[::-1].copy())), (blocks, dict(starts=blocks.starts + 1)),
                           (squares, dict(places=squares.places + np.int32(3))),
                           (squares, dict(starts=squares.starts[::-1].copy())),
                           (squares, dict(starts=np.minimum(squares.starts + 1, squares.starts[-1]) * (squares.starts > 0))),
                           (bitmap, dict(masks=~bitmap.masks)), (bitmap, dict(codes=bitmap.codes[:-1].copy())),
                           (bitmap, dict(starts=bitmap.starts * 2))):
        with pytest.raises(FormatError, match="pack again"):
            dataclasses.replace(packed, **change)
    for change in (dict(codes=dense.codes[:-1].copy()), dict(n_outputs=65), dict(n_inputs=13),
                   dict(offsets=dense.offsets[:8].copy())):
        with pytest.raises(ShapeError):
            dataclasses.replace(dense, **change)
    with pytest.raises(RangeError):
        dataclasses.replace(dense, n_inputs=gemm.MOST_INPUTS + 1)
    with pytest.raises(ValueError, match="read-only"):
        blocks.places[0] = 1000


def test_layout_follows_the_rule(monkeypatch):
    full = random_pair(128, 128, 1)[0]
    assert gemm.choose_layout(full) == "dense" == gemm.pack_weights(full).layout
    few_blocks, many_blocks = random_pair(128, 128, 1, 0.5, (16, 4))[0], random_pair(128, 128, 1, 0.75, (16, 4))[0]
    assert gemm.choose_layout(few_blocks) == "blocks" and gemm.choose_layout(many_blocks) == "dense"
    few_squares, many_squares = random_pair(128, 128, 1, 0.45, (4, 4))[0], random_pair(128, 128, 1, 0.75, (4, 4))[0]
    assert gemm.choose_layout(few_squares) == "squares" and gemm.choose_layout(many_squares) == "dense"
    assert gemm.choose_layout(few_squares, 1) == "dense" == gemm.pack_weights(few_squares, n_rows=15).layout
    assert gemm.choose_layout(random_pair(128, 128, 1, 0.15, (4, 4))[0], 1) == "squares"
    scattered = random_pair(128, 128, 1, 0.4)[0]
    assert gemm.choose_layout(scattered) == "dense"
    monkeypatch.setattr(gemm, "CACHE_BYTES", 100)
    assert gemm.choose_layout(scattered) == "bitmap" and gemm.choose_layout(full) == "dense"
    assert gemm.choose_layout(np.zeros((0, 0), I8)) == "dense"


@kernel
def _row(codes, offsets, x, packed, out):
    gemm_fast.dense_row(codes, offsets, x[1], packed, out)


def test_one_row_from_another_kernel():
    w, x = random_pair(70, 50, 3)
    packed, out = gemm.pack_weights(w, "dense"), np.empty(128, np.int32)
    _row(packed.codes, packed.offsets, x, np.empty(13, np.uint32), out)
    np.testing.assert_array_equal(out[:70], wide(x, w)[1])


def test_zeros_that_fill_up_rows_of_squares_cost_no_code():
    w = random_pair(64, 40, 1, 0.3, (4, 4))[0]
    w[4:8] = 0
    w[4, 8] = 5  # one square in its row: three of zeros beside it, at column 0 like a true one of another row
    w[8, 0] = 7
    packed = gemm.pack_weights(w, "squares")
    assert not (packed.starts % 4).any() and packed.starts[2] - packed.starts[1] == 4
    np.testing.assert_array_equal(gemm.unpack_weights(packed), w)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 12, 13, 14, 15, 16, 17, 33])
def test_weights_beyond_the_second_cache(n):
    """Fetched ahead while others are used: changes no result, the last panel has no next one."""
    w, x = random_pair(1100, 1002, n) if not UNCOMPILED else random_pair(70, 40, n)
    np.testing.assert_array_equal(gemm_fast.product(x, gemm.pack_weights(w, "dense")), wide(x, w))


@pytest.mark.skipif(UNCOMPILED, reason="uncompiled, NumPy checks every index")
@pytest.mark.parametrize("layout", gemm.LAYOUTS)
@pytest.mark.parametrize("k", [1, 4, 13, 64, 70, 130])
@pytest.mark.parametrize("n", [1, 3, 4, 15, 16, 17, 40])
def test_copies_of_the_inputs_stay_inside(layout, k, n):
    """Of the memory that kernels are given, and take themselves when called by `product`, which canaries do not see."""
    w, x = random_pair(70, k, n, 0.4, (4, 4))
    packed = gemm.pack_weights(w, layout)
    n_words = n * -(-k // 4) if layout == "dense" else gemm_gaps_fast._words(n, k)
    buffer = np.full(n_words + 64, 0xABCDEF01, np.uint32)
    out = np.full((-(-n // 16) * 16 if layout == "squares" and n > 3 else n, packed.offsets.size), 7, np.int32)
    weights = {"dense": (), "bitmap": (packed.starts, packed.masks)}.get(layout, (packed.starts, packed.places))
    module = gemm_fast if layout == "dense" else gemm_gaps_fast
    getattr(module, "_" + layout)(packed.codes, packed.offsets, *weights, x, buffer[32:-32], out)
    np.testing.assert_array_equal(out[:n, :70], wide(x, w))
    assert (buffer[:32] == 0xABCDEF01).all() and (buffer[-32:] == 0xABCDEF01).all()


def digest():
    """A number that all products of many shapes and layouts go into. Returns str."""
    found = hashlib.sha256()
    for m, k, n in SHAPES:
        for layout in gemm.LAYOUTS:
            w, x = random_pair(m, k, n, 0.5)
            w[0], x[0] = -128, -128  # the extremes, where saturating instructions would err
            w[-1], x[-1] = 127, -128
            found.update(gemm_fast.product(x, gemm.pack_weights(w, layout)).tobytes())
            np.testing.assert_array_equal(gemm_fast.product(x, gemm.pack_weights(w, layout)), wide(x, w))
    return found.hexdigest()


@kernel
def _native():
    return simd_int8.native_dots()


def elsewhere(cpu, features):
    """Run `digest` with another code generator. Parameters: cpu, features. Returns [whether the instruction was used, digest]."""
    program = "import test_gemm; print(test_gemm._native(), test_gemm.digest())"
    settings = os.environ | {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features,
                             "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run([sys.executable, "-c", program], env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(UNCOMPILED, reason="uncompiled, there are no instructions to replace")
@pytest.mark.parametrize("cpu, features", [
    ("generic", ""),
    pytest.param("x86-64-v3", "+avx,+avx2,+fma,+popcnt", marks=pytest.mark.slow),
    pytest.param("x86-64-v4", "+avx,+avx2,+fma,+popcnt,+avx512f,+avx512bw,+avx512vl,+avx512dq", marks=pytest.mark.slow)])
def test_portable_code_gives_the_same_bits(cpu, features):
    if cpu != "generic" and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("this list of features is of another processor family")
    native, found = elsewhere(cpu, features)
    assert native == "False"
    assert found == digest()
