"""LSTM and layer normalisation against ONNX: the standard's own node vectors, and ONNX Runtime on random layers."""

import warnings

import numpy as np
import pytest

from refasr.nn import layer_norm, lstm
from refasr.twins import select

F32 = np.float32
NODES = ("test_lstm_defaults", "test_lstm_with_initial_bias", "test_layer_normalization_2d_axis1",
         "test_layer_normalization_2d_axis_negative_1", "test_layer_normalization_4d_axis3",
         "test_layer_normalization_default_axis")
OURS = (0, 2, 3, 1)  # ONNX keeps the gates as input, output, forget, cell; we as input, forget, cell, output


@pytest.fixture(params=("reference", "fast"))
def backend(request):
    """Both backends."""
    return select(request.param)


@pytest.fixture(scope="module")
def nodes():
    """The node vectors: name to test case."""
    with warnings.catch_warnings():  # some of its other vectors overflow while they are made
        warnings.simplefilter("ignore")
        loader = pytest.importorskip("onnx.backend.test.loader", reason="needs onnx; run make test-oracles")
        return {case.name: case for case in loader.load_model_tests(kind="node")}


def weights_of(w, r, b):
    """Our layer from ONNX's. Parameters: w, [1, 4N, K]; r, [1, 4N, N]; b, [1, 8N]. Returns LstmWeights."""
    reorder = lambda a: np.concatenate([np.split(a, 4, axis=-1)[i] for i in OURS], axis=-1)
    first, second = np.split(b[0], 2)
    return lstm.LstmWeights(reorder(np.ascontiguousarray(w[0].T)), reorder(np.ascontiguousarray(r[0].T)), reorder(first + second))


def check_lstm(backend, inputs, attributes, outputs, error=1e-6):
    """Run a batch, and the same by streams. Parameters: backend, inputs (X, W, R, B), attributes, outputs (Y, Y_h), error."""
    x, w, r = inputs[:3]
    b = inputs[3] if len(inputs) > 3 else np.zeros((1, 8 * attributes["hidden_size"]), F32)
    weights, (n_frames, batch, n_inputs) = weights_of(w, r, b), x.shape
    ours, _ = backend(lstm.lstm_sequence)(x.reshape(-1, n_inputs), np.full(n_frames, batch, np.int32), weights)
    want_all, want_last = outputs
    if want_all is not None:
        np.testing.assert_allclose(ours.reshape(n_frames, batch, -1), want_all[:, 0], rtol=1e-5, atol=error)
    for stream in range(batch):
        state = lstm.zero_state(weights)
        for frame in x[:, stream]:
            state = backend(lstm.lstm_step)(np.ascontiguousarray(frame), state, weights)
        np.testing.assert_allclose(state.h, want_last[0, stream], rtol=1e-5, atol=error)


@pytest.mark.parametrize("name", NODES)
def test_node_vectors(backend, nodes, name):
    case = nodes[name]
    node = case.model.graph.node[0]
    attributes = {attribute.name: attribute.i or attribute.f for attribute in node.attribute}
    for inputs, outputs in case.data_sets:
        if node.op_type == "LSTM":
            check_lstm(backend, inputs, attributes, [None, *outputs] if not node.output[0] else outputs)
            continue
        x, scale, bias = inputs
        y, cache = backend(layer_norm.layer_norm)(x.reshape(-1, x.shape[-1]), scale, bias)
        np.testing.assert_allclose(y.reshape(x.shape), outputs[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(cache.reciprocal, outputs[2].ravel(), rtol=1e-5)


@pytest.mark.parametrize("n_frames, batch, n_inputs, width", [(1, 1, 1, 1), (5, 3, 7, 4), (20, 9, 40, 33)])
def test_lstm_agrees_with_onnxruntime(backend, n_frames, batch, n_inputs, width):
    onnx = pytest.importorskip("onnx", reason="needs onnx; run make test-oracles")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime; run make test-oracles")
    rng, floats = np.random.default_rng(0), onnx.TensorProto.FLOAT
    shapes = {"X": (n_frames, batch, n_inputs), "W": (1, 4 * width, n_inputs), "R": (1, 4 * width, width), "B": (1, 8 * width)}
    values = {name: rng.standard_normal(shape, dtype=F32) for name, shape in shapes.items()}
    node = onnx.helper.make_node("LSTM", list(shapes), ["Y", "Y_h"], hidden_size=width)
    declare = onnx.helper.make_tensor_value_info
    inputs = [declare(name, floats, shape) for name, shape in shapes.items()]
    outputs = [declare(name, floats, None) for name in ("Y", "Y_h")]
    graph = onnx.helper.make_graph([node], "layer", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    results = session.run(None, values)
    check_lstm(backend, list(values.values()), {"hidden_size": width}, results, error=2e-5)  # its tanh is coarser
