"""Products of int8 activations with packed int8 weights, from single streams to batches; blocks of zeros; weights in memory.

Everybody gets row-major activations and returns all sums; what a call does to its activations is part of its time, packing
of the weights is not. Weights are so small that float32 is exact. In cases with zeros, `dense` is the same product in the
layout with all blocks. The limit is that of the dot product alone, so it is stated from 16 rows on: fewer wait for memory.
`limit` is its rate in the best of a few short loops; `peak` does as many multiply-adds from registers as the product needs, and
is timed in turn with the others, so that it meets the same clock and the same neighbours: its `ratio` is the share of the peak.
"""

import dataclasses
import itertools

import numpy as np

from benchmarks import harness, roofline
from refasr import twins
from refasr.hw import gemm

SIZES, BATCHES = (512, 2048), (1, 4, 16, 64)
ZEROS, SPARSE_BATCHES = (0.5, 0.75), (1, 16)
N_MATRICES = 48  # of 4 MB: more than caches hold, as a rule
SHARED_ERROR = 0
BLOCKS = (16, 4), (4, 4)
NO_DOTS = harness.Missing("this processor has no dot product of bytes in one instruction (AVX-512 VNNI)")


def pair(size, n_rows, zeros=0.0, block=(1, 1)):
    """Weights and activations. Parameters: size, n_rows, zeros (share of blocks), block. Returns (w, x), int8."""
    rng = np.random.default_rng(size + n_rows)
    w = rng.integers(1, 64, (size, size)) * rng.choice([-1, 1], (size, size))
    kept = rng.random((size // block[0], size // block[1])) >= zeros
    w = np.where(np.kron(kept, np.ones(block, bool)), w, 0)
    return w.astype(np.int8), rng.integers(-127, 128, (n_rows, size)).astype(np.int8)


def onnx_product(onnxruntime, w, x):
    """MatMulInteger, unsigned by signed. Parameters: onnxruntime, w, x. Returns a function() -> int32 [N, M]."""
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return harness.missing("onnx")
    (m, k), n = w.shape, len(x)
    constants = [numpy_helper.from_array(np.ascontiguousarray(w.T), "w"), numpy_helper.from_array(np.uint8(128).reshape(()), "z")]
    node = helper.make_node("MatMulInteger", ["x", "w", "z"], ["y"])
    graph = helper.make_graph([node], "product", [helper.make_tensor_value_info("x", TensorProto.UINT8, [n, k])],
                              [helper.make_tensor_value_info("y", TensorProto.INT32, [n, m])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": x.view(np.uint8) ^ np.uint8(128)}
    return lambda: session.run(None, feed)[0]


def torch_product(torch, w, x):
    """`torch._int_mm`. Parameters: torch, w, x. Returns a function() -> int32 [N, M]."""
    torch.set_num_threads(1)
    a, b = torch.from_numpy(x), torch.from_numpy(np.ascontiguousarray(w.T))
    return lambda: torch._int_mm(a, b)


def check(results):
    """Compare products; `peak` gives none. Parameters: results ({contestant: result}). Returns str or None, what is wrong."""
    return harness.disagreement({name: result for name, result in results.items() if name != "peak"}, SHARED_ERROR)


def dense_contestants(w, x):
    """Parameters: w, x. Returns {contestant: callable}."""
    packed, fast = gemm.pack_weights(w, "dense"), twins.select("fast")(gemm.product)
    w32, x32 = w.T.astype(np.float32), x.astype(np.float32)
    return {"fast": lambda: fast(x, packed), "numpy-float32": lambda: x32 @ w32,
            "onnxruntime": harness.rival("onnxruntime", lambda library: onnx_product(library, w, x)),
            "torch": harness.rival("torch", lambda torch: torch_product(torch, w, x))}


def sparse_contestants(w, x):
    """In the layout that the rule chooses, and with all blocks. Parameters: w, x. Returns {contestant: callable}."""
    fast, chosen, dense = twins.select("fast")(gemm.product), gemm.pack_weights(w), gemm.pack_weights(w, "dense")
    return {"fast": lambda: fast(x, chosen), "dense": lambda: fast(x, dense)}


def memory_contestants(w, x):
    """The same weights many times over, each time in other memory. Parameters: w, x. Returns {contestant: callable}."""
    fast, found = twins.select("fast")(gemm.product), {}
    for name, layout in (("fast", "bitmap"), ("dense", "dense")):
        packed = gemm.pack_weights(w, layout)
        copies = [dataclasses.replace(packed, codes=gemm.aligned(packed.codes), masks=gemm.aligned(packed.masks))
                  for _ in range(N_MATRICES)]
        found[name] = lambda copies=copies: [fast(x, one) for one in copies][-1]
    return found


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable}[, (multiply-adds, bytes, type)])."""
    native = roofline.has_int8_dots()
    for size in SIZES:
        for n_rows in BATCHES:
            w, x = pair(size, n_rows)
            case, contestants = f"M={size} K={size} N={n_rows}", dense_contestants(w, x)
            if n_rows < 16:
                yield case, contestants
            elif native:
                peak = roofline.int8_loop(n_rows * w.size)
                yield case, contestants | {"peak": peak}, (n_rows * w.size, 0, "int8")
            else:
                yield case, contestants | {"limit": NO_DOTS}
        for block, zeros, n_rows in itertools.product(BLOCKS, ZEROS, SPARSE_BATCHES):
            w, x = pair(size, n_rows, zeros, block)
            case = f"M={size} K={size} N={n_rows} zeros={zeros:.0%} blocks={block[0]}x{block[1]}"
            yield case, sparse_contestants(w, x)
    for zeros in ZEROS:
        yield f"M=2048 K=2048 N=1 matrices={N_MATRICES} zeros={zeros:.0%}", memory_contestants(*pair(2048, 1, zeros))
