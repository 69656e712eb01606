"""One LSTM step of one stream in integers, against the same step in floats and against onnxruntime's int8 operator.

onnxruntime's DynamicQuantizeLSTM takes float inputs and quantises them itself at every step; its weights are int8 as ours. Every
contestant is called with the same frame and state, and answers (h, c) in its own types.
"""

import numpy as np

from benchmarks import harness
from refasr import twins
from refasr.compress import integer_layer
from refasr.compress.integer_ops import Cell
from refasr.compress.quantise import multiplier_at, multiplier_of, shift_of
from refasr.hw.gemm import pack_weights

from .bench_lstm import layer, numpy_step

WIDTHS = (256, 512)     # of input and output
SHARED_ERROR = 0.06     # of h, in which both roundings of ours and the dynamic one of the rival are
INPUT_SCALE, HIDDEN_SCALE, CELL_BITS, GATE_UNIT = 1 / 127, 1 / 127, 12, 4096.0


def integer_weights(weights):
    """The same layer in codes. Parameters: weights (LstmWeights). Returns an IntegerLstm."""
    rows = [np.ascontiguousarray(part.T, np.float64) for part in weights[:2]]
    scales = [np.abs(part).max(axis=1) / 127 for part in rows]
    codes = [np.rint(part / scale[:, None]).astype(np.int8) for part, scale in zip(rows, scales)]
    n = len(rows[0])
    unit = np.full(n, GATE_UNIT / 2)
    unit[n // 2 : n * 3 // 4] = GATE_UNIT
    real = [unit * scale * step for scale, step in zip(scales, (INPUT_SCALE, HIDDEN_SCALE))]
    shift = np.minimum(*map(shift_of, real))
    factors = [multiplier_at(factor, shift) for factor in real]
    bias = np.rint(weights.bias / (scales[0] * INPUT_SCALE)).astype(np.int32)
    hidden = multiplier_of(np.array([1 / (2.0**30 * HIDDEN_SCALE)]))
    cell = Cell(bias, *factors, shift.astype(np.int8), CELL_BITS, *hidden)
    return integer_layer.IntegerLstm(pack_weights(codes[0]), pack_weights(codes[1], "dense"), cell)


def rival_step(onnxruntime, x, state, weights):
    """onnxruntime's DynamicQuantizeLSTM. Parameters: onnxruntime, x, state, weights. Returns a function() -> (h, c)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    width, n_inputs = state.h.size, x.size
    order = [0, 3, 1, 2]  # ours is input, forget, cell, output; ONNX wants input, output, forget, cell
    arrange = lambda part: np.concatenate([np.split(part, 4, axis=-1)[i] for i in order], axis=-1)
    constants, zero = {}, np.zeros((1,), np.int8)
    for name, part in (("W", weights.input), ("R", weights.recurrent)):
        scale = np.float32(np.abs(part).max() / 127)
        constants |= {name: np.rint(arrange(part) / scale).astype(np.int8)[None], f"{name}_scale": np.array([scale]),
                      f"{name}_zero": zero}
    constants["B"] = np.concatenate([arrange(weights.bias), np.zeros(4 * width, np.float32)])[None]
    names = ["X", "W", "R", "B", "", "h", "c", "", "W_scale", "W_zero", "R_scale", "R_zero"]
    node = helper.make_node("DynamicQuantizeLSTM", names, ["", "h_after", "c_after"], domain="com.microsoft", hidden_size=width)
    given = {"X": (1, 1, n_inputs), "h": (1, 1, width), "c": (1, 1, width)}
    info = lambda entries: [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in entries.items()]
    graph = helper.make_graph([node], "step", info(given), info({"h_after": (1, 1, width), "c_after": (1, 1, width)}),
                              [numpy_helper.from_array(value, name) for name, value in constants.items()])
    sets = [helper.make_opsetid("", 14), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=8)
    onnx.checker.check_model(model, full_check=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"X": x[None, None], "h": state.h[None, None], "c": state.c[None, None]}
    return lambda: session.run(None, feed)


def contestants(width):
    """Parameters: width. Returns {contestant: callable}."""
    x, state, weights = layer(width)
    integers = integer_weights(weights)
    codes = [np.rint(part / scale).astype(dtype)[None] for part, scale, dtype in
             ((x, INPUT_SCALE, np.int8), (state.h, HIDDEN_SCALE, np.int8), (state.c, 2.0**-CELL_BITS, np.int16))]

    def ours(name):
        step = twins.select(name)(integer_layer.lstm_step)
        return lambda: step(*codes, integers)

    found = {"fast": ours("fast"), "reference": ours("reference")}
    found["numpy float32"] = lambda: numpy_step(x, state, weights)
    found["onnxruntime int8"] = harness.rival("onnxruntime", lambda onnxruntime: rival_step(onnxruntime, x, state, weights))
    return found


def check(results):
    """Twins bit for bit; the others within roundings. Parameters: results. Returns what is wrong, or None."""
    if not all(np.array_equal(a, b) for a, b in zip(results["fast"], results["reference"])):
        return "fast and reference differ"
    want = np.ravel(results["fast"][0]) * HIDDEN_SCALE
    for name in set(results) - {"fast", "reference"}:
        error = np.abs(np.ravel(results[name][0]) - want).max()
        if error > SHARED_ERROR:
            return f"{name} and fast differ by {error:.3g}, allowed {SHARED_ERROR}"
    return None


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable}, (multiply-adds, bytes, type))."""
    for width in WIDTHS:
        n_weights = 2 * width * 4 * width
        yield f"K={width} N={width} B=1", contestants(width), (n_weights, n_weights, "int8")
