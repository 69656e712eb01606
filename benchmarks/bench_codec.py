"""Weight codec beside the Shannon bound and other coders: bits a weight, and the speed of decoding.

Synthetic weights are of a bell or Laplace shape, independent, some of them zero: nothing can be shorter than their entropy.
Real ones are the matrices of the shipped model, each row divided by its largest magnitude and rounded; their order holds some
information beyond the entropy of single weights (`shannon`). `fast` is one tile a tensor, `fast-64k` tiles of 65,536. All sizes
hold all headers. mlw_codec is timed with the Python lists that it takes; its output may be padded.
"""

import lzma

import numpy as np

from benchmarks import harness
from refasr import shipped, twins
from refasr.hw import codec
from refasr.transducer.model_file import load_model

SHAPES = (("bell", 8, 0.0), ("bell", 8, 0.5), ("laplace", 8, 0.75), ("bell", 5, 0.0), ("laplace", 5, 0.75), ("bell", 4, 0.5))
N_CODES, N_TIMED = 1 << 20, 1 << 22
ONE_TILE, TILE = 1 << 28, 1 << 16


def synthetic(shape, width, zeros, n):
    """Independent codes. Parameters: shape, width, zeros (their share), n. Returns int8 [n]."""
    source, most = np.random.default_rng(7), (1 << width - 1) - 1
    values = source.standard_normal(n) if shape == "bell" else source.laplace(size=n)
    scale = np.abs(values).max() if width == 8 else 3 * values.std()
    codes = np.clip(np.rint(values / scale * most), -most, most)
    return np.where(source.random(n) < zeros, 0, codes).astype(np.int8)


def quantised(matrix, width):
    """Codes of a matrix, a scale for each row of outputs. Parameters: matrix [K, N], width. Returns int8 [N * K]."""
    return np.rint(matrix.T / np.abs(matrix.T).max(1, keepdims=True) * ((1 << width - 1) - 1)).astype(np.int8).ravel()


def shannon_bytes(codes):
    """Order-0 entropy of a tensor. Parameters: codes. Returns float."""
    share = np.bincount(codes.view(np.uint8)) / codes.size
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum() * codes.size / 8)


def coders(width):
    """Ways to code codes of a width. Parameters: width. Returns a dict of contestant to size function, or Missing."""

    def constriction(library):
        def n_bytes(codes):
            symbols, used = np.unique(codes, return_inverse=True)
            model = library.stream.model.Categorical((np.bincount(used) / codes.size).astype(np.float32), perfect=False)
            coder = library.stream.stack.AnsCoder()
            coder.encode_reverse(used.astype(np.int32), model)
            return coder.get_compressed().nbytes + 2 * symbols.size  # its caller has to send the frequencies
        return n_bytes

    encode = twins.select("fast")(codec.encode)
    return {"fast": lambda codes: encode(codes, width, ONE_TILE).size, "fast-64k": lambda codes: encode(codes, width, TILE).size,
            "shannon": shannon_bytes, "lzma": lambda codes: len(lzma.compress(codes.tobytes(), preset=9)),
            "zstandard-19": harness.rival("zstandard", lambda library: lambda codes: len(
                library.ZstdCompressor(level=19).compress(codes.tobytes()))),
            "ethos-u-vela": harness.rival("ethosu.mlw_codec", lambda library: lambda codes: len(
                library.encode(codes.astype(np.int16).tolist()))),
            "constriction": harness.rival("constriction", constriction)}


def sizes(case, tensors, width):
    """Rows of sizes, all tensors together. Parameters: case, tensors, width. Yields (case, contestant, value, unit)."""
    total = sum(codes.size for codes in tensors)
    for name, n_bytes in coders(width).items():
        value = n_bytes if isinstance(n_bytes, harness.Missing) else 8 * sum(map(n_bytes, tensors)) / total
        yield case, name, value, "bit/weight"


def measure():
    """Sizes. Yields (case, contestant, value, unit)."""
    for shape, width, zeros in SHAPES:
        yield from sizes(f"size {shape} b={width} zeros={zeros:g} N={N_CODES}", [synthetic(shape, width, zeros, N_CODES)], width)
    matrices = [value for value in load_model(shipped.model_path("default")).parameters.values() if value.ndim == 2]
    for width in (8, 5, 4):
        tensors = [quantised(matrix, width) for matrix in matrices]
        yield from sizes(f"size model b={width} N={sum(codes.size for codes in tensors)}", tensors, width)


def cases():
    """Decoding. Yields (case text, {contestant: callable}): seconds for all codes."""
    ours = {name: twins.select(name) for name in ("fast", "reference")}
    for shape, width, zeros in SHAPES:
        codes = synthetic(shape, width, zeros, N_TIMED)
        stream, tiled = (ours["fast"](codec.encode)(codes, width, tile) for tile in (ONE_TILE, TILE))
        packed = lzma.compress(codes.tobytes(), preset=1)
        contestants = {name: lambda run=backend(codec.decode), stream=stream: run(stream, N_TIMED)
                       for name, backend in ours.items()}
        contestants["fast-64k"] = lambda run=ours["fast"](codec.decode), stream=tiled: run(stream, N_TIMED)
        contestants["lzma"] = lambda packed=packed: np.frombuffer(lzma.decompress(packed), np.int8)

        def zstd(library, codes=codes):
            content, decoder = library.ZstdCompressor(level=19).compress(codes.tobytes()), library.ZstdDecompressor()
            return lambda: np.frombuffer(decoder.decompress(content), np.int8)

        def mlw(library, codes=codes):
            content = bytearray(library.encode(codes.astype(np.int16).tolist()))
            return lambda: np.array(library.decode(content)[:N_TIMED], np.int8)

        contestants |= {"zstandard-19": harness.rival("zstandard", zstd), "ethos-u-vela": harness.rival("ethosu.mlw_codec", mlw)}
        yield f"decode {shape} b={width} zeros={zeros:g} N={N_TIMED}", contestants
