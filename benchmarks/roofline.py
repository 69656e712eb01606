"""What this machine can do at best on one core, measured in the same run: multiply-adds, and reading by level of memory.

A kernel that does n multiply-adds over m bytes needs at least max(n / rate, m / bandwidth of the level that holds m). The
bandwidth is that of our best loop over memory, not the data sheet's, so a share may slightly exceed 1.
"""

import functools
import pathlib
import time

import numpy as np

from refasr.jit import kernel
from refasr.simd import add_outer, store_tile, zero_tile
from refasr.simd_int8 import add_dots, native_dots, store_sums, zero_sums

ROUNDS = 7
REPEATS = 20_000
CACHES = pathlib.Path("/sys/devices/system/cpu/cpu0/cache")
USUAL_BYTES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}  # where the system does not say
LARGEST_BYTES = 256 << 20
CACHE_LINE = 64


@kernel
def _multiply_adds(n, a, b, out):
    """16 vectors of 16 lanes, n times: as many independent sums as the pipes are deep."""
    tile = zero_tile(4, 4, 16)
    for _ in range(n):
        tile = add_outer(tile, a, 0, 1, b, 0)
    store_tile(tile, out, 0, 64)


@kernel
def _few_multiply_adds(n, a, b, out):
    """8 vectors: for processors with 16 registers of half the width."""
    tile = zero_tile(4, 2, 16)
    for _ in range(n):
        tile = add_outer(tile, a, 0, 1, b, 0)
    store_tile(tile, out, 0, 32)


@kernel
def _int8_multiply_adds(n, codes, x, out):
    """Like `_multiply_adds` with bytes: 24 vectors of 16 sums, each of 4 products."""
    tile = zero_sums(4, 6)
    for _ in range(n):
        tile = add_dots(tile, 1, codes, 0, x, 0, 1)
    store_sums(tile, out, 0, 64)


@kernel
def has_int8_dots():
    """Whether this processor has one instruction for four products of bytes in each of 16 lanes. Returns bool."""
    return native_dots()


@kernel
def _read(n, words):
    """Combine all words, n times, with a logic operation that vectors do in any order."""
    total = np.uint64(0)
    for i in range(n):
        part = np.uint64(i)
        for j in range(words.size):
            part ^= words[j]
        total += part
    return total


def least_seconds(call, *arguments):
    """Shortest of several calls after one to warm up. Parameters: call, *arguments. Returns seconds."""
    call(*arguments)
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        call(*arguments)
        times.append(time.perf_counter() - begin)
    return min(times)


@functools.cache
def multiply_adds_per_second():
    """The most float32 multiply-adds per second, operands in registers. Returns a float."""
    a, b = np.full(4, 1e-3, np.float32), np.full(64, 1e-3, np.float32)
    out = np.empty(256, np.float32)
    return max(REPEATS * lanes / least_seconds(call, REPEATS, a, b, out)
               for call, lanes in ((_multiply_adds, 256), (_few_multiply_adds, 128)))


@functools.cache
def int8_multiply_adds_per_second():
    """The most int8 multiply-adds per second, operands in registers. Returns a float."""
    codes, x, out = np.ones(256, np.int8), np.ones(6, np.uint32), np.empty(384, np.int32)
    return REPEATS * 24 * 64 / least_seconds(_int8_multiply_adds, REPEATS, codes, x, out)


def int8_loop(multiply_adds):
    """So many int8 multiply-adds from registers, rounded down. Parameters: multiply_adds. Returns a function() -> None."""
    codes, x, out = np.ones(256, np.int8), np.ones(6, np.uint32), np.empty(384, np.int32)
    return lambda: _int8_multiply_adds(multiply_adds // (24 * 64), codes, x, out)


@functools.cache
def levels():
    """Levels of memory with their sizes in bytes, the nearest first. Returns {name: bytes}; "memory" has no bound."""
    sizes = dict(USUAL_BYTES)
    for folder in CACHES.glob("index*"):
        try:
            kind, level, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            sizes[f"L{level}"] = int(size[:-1]) << 10
    return dict(sorted(sizes.items())) | {"memory": np.inf}


@functools.cache
def bytes_per_second(level):
    """Reading speed of a level, over half of it (memory: 4 times the last cache). Parameters: level. Returns a float."""
    sizes = levels()
    below = sizes[list(sizes)[list(sizes).index(level) - 1]]
    size = int(min(LARGEST_BYTES, 4 * below if level == "memory" else sizes[level] / 2))
    words = np.ones(size // 8 + CACHE_LINE // 8, np.uint64)
    words = words[-words.ctypes.data % CACHE_LINE // 8 :][: size // 8]  # a load that straddles two lines takes twice as long
    n = max(1, (64 << 20) // size)
    return n * words.nbytes / least_seconds(_read, n, words)


def limit_seconds(multiply_adds, n_bytes, kind="float32"):
    """Time that this machine needs at least for one call.

    Parameters
    ----------
    multiply_adds : number    Of the type.
    n_bytes : number          Bytes read, each once; what is written may be counted too.
    kind : str                "float32" or "int8".

    Returns
    -------
    float
    """
    level = next(name for name, size in levels().items() if n_bytes <= size)
    rate = int8_multiply_adds_per_second() if kind == "int8" else multiply_adds_per_second()
    return max(multiply_adds / rate, n_bytes / bytes_per_second(level))


def rows():
    """The ceilings themselves. Returns a list of dict, rows as of `harness`."""
    found = [("what=multiply-adds type=float32", multiply_adds_per_second(), "1/s")]
    found += [("what=multiply-adds type=int8", int8_multiply_adds_per_second(), "1/s")]
    found += [(f"what=read level={level}", bytes_per_second(level), "bytes/s") for level in levels()]
    return [dict(bench="roofline", case=case, contestant="limit", value=value, unit=unit) for case, value, unit in found]
