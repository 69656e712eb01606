"""Beam search on the shipped recordings: the search alone, with 10,000 phrases, in the whole recogniser, and against sherpa-onnx.

Sherpa decodes a toy: one network, given to it as ONNX and to refasr as a `Scorer` (`tests/test_oracles_search.py` compares
what the two write). Its encoder is a table of stored encodings that counts its own frames, and its text side a table by last
label, where refasr computes the LSTM; on the other hand its time has a filter bank in it, of the samples that it has to be
given. `sherpa-onnx-greedy` has that too, and hardly any search: the difference of the two is sherpa's beam search alone.
"""

import functools
import pathlib
import tempfile
import time

import numpy as np

from benchmarks import bench_boost, harness
from benchmarks.bench_recogniser import recordings
from refasr.audio import SAMPLE_RATE_HZ
from refasr.recognise import Recogniser
from refasr.search import beam, boost, fusion, hypotheses, scorer
from refasr.search.hypotheses import SearchSettings
from refasr.search.scorer import Scorer
from refasr.twins import select

BEAM, N_PHRASES, PASSES = 8, 10_000, 5
TOY_BLANK, TOY_SHAPE = 6.0, (500, 36, 256, 128)     # widths of the shipped model, 20 seconds
FEATURE_FRAMES, FRAME_SAMPLES, CONTEXT = 4, 160, 2   # of an encoder frame; samples of a feature frame; labels sherpa hands on
F32, FLOAT, INT64 = np.float32, 1, 7                 # ONNX's numbers for its types


def toy(seed, blank, shape=(80, 24, 16, 8)):
    """Random weights whose text side is a function of the last label alone.

    Parameters
    ----------
    seed : int
    blank : float                      Bias of blank.
    shape : (int, int, int, int)       Frames, units, widths of joiner and predictor.

    Returns
    -------
    (float32 [T, J], Scorer)           Encodings, weights.
    """
    rng, (n_frames, n_units, joint, width) = np.random.default_rng(seed), shape
    normal = lambda *shape: rng.standard_normal(shape).astype(F32)
    bias = normal(4 * width)
    bias[width : 2 * width] = -1e4      # the forget gate
    inputs = normal(6, 4 * width)
    inputs[:, width : 2 * width] = 0
    weights = Scorer(normal(n_units, 6), inputs, np.zeros((width, 4 * width), F32), bias, np.ones(width, F32),
                     np.zeros(width, F32), normal(width, joint) / F32(np.sqrt(width / 2)),
                     normal(joint, n_units) * F32(4 / np.sqrt(joint)), normal(n_units))
    weights.output_bias[0] = blank
    return normal(n_frames, joint), weights


def text_table(weights, state=0.0):
    """Text vectors by last label, from any state. Parameters: weights, state. Returns float32 [V, J]."""
    before = np.full((len(weights.table), weights.gain.size), state, F32)
    return select("reference")(scorer.next_text)(np.arange(len(weights.table), dtype=np.int32), before, before, weights)[0]


def save(path, nodes, constants, inputs, outputs, meta):
    """Write an ONNX file. Parameters: path, nodes, constants (by name), inputs, outputs, meta."""
    import onnx

    helper, as_tensor = onnx.helper, onnx.numpy_helper.from_array
    info = lambda values: [helper.make_tensor_value_info(*value) for value in values]
    graph = helper.make_graph([helper.make_node(kind, i.split(), o.split(), **more) for kind, i, o, more in nodes], path.stem,
                              info(inputs), info(outputs), [as_tensor(np.asarray(a), n) for n, a in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {key: str(value) for key, value in meta.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def export(folder, encodings, weights):
    """The three networks and the tokens. Parameters: folder, encodings, weights."""
    (n_frames, joint), n_units = encodings.shape, len(weights.table)
    state = [(name, FLOAT, [1, "N", joint]) for name in ("h", "c")]
    count = [("Slice", "h from to axes", "first", {}), ("Squeeze", "first axes02", "counted", {}),
             ("Min", "counted last", "held", {}), ("Cast", "held", "frame", {"to": INT64}),
             ("Gather", "table frame", "row", {}), ("Unsqueeze", "row one", "encoder_out", {}),
             ("Add", "h step", "next_h", {}), ("Identity", "c", "next_c", {})]
    ints = lambda *values: np.array(values, np.int64)
    save(folder / "encoder.onnx", count, {"from": ints(0), "to": ints(1), "axes": ints(2), "axes02": ints(0, 2), "one": ints(1),
                                          "last": F32(n_frames - 1), "step": F32(1), "table": encodings},
         [("x", FLOAT, ["N", FEATURE_FRAMES, 80]), *state],
         [("encoder_out", FLOAT, ["N", 1, joint]), *((f"next_{name}", *rest) for name, *rest in state)],
         dict(model_type="lstm", num_encoder_layers=1, T=FEATURE_FRAMES, decode_chunk_len=FEATURE_FRAMES, rnn_hidden_size=joint,
              d_model=joint, version=1, model_author="refasr"))
    save(folder / "decoder.onnx", [("Gather", "y last", "label", {"axis": 1}), ("Gather", "table label", "decoder_out", {})],
         {"last": np.array(CONTEXT - 1, np.int64), "table": text_table(weights)}, [("y", INT64, ["N", CONTEXT])],
         [("decoder_out", FLOAT, ["N", joint])], dict(vocab_size=n_units, context_size=CONTEXT))
    save(folder / "joiner.onnx", [("Add", "encoder_out decoder_out", "sum", {}), ("Tanh", "sum", "hidden", {}),
                                  ("MatMul", "hidden weight", "product", {}), ("Add", "product bias", "logit", {})],
         {"weight": weights.output, "bias": weights.output_bias}, [(f"{n}coder_out", FLOAT, ["N", joint]) for n in ("en", "de")],
         [("logit", FLOAT, ["N", n_units])], dict(joiner_dim=joint))
    tokens = ["<blk>", *(f"t{i}" for i in range(1, n_units))]
    (folder / "tokens.txt").write_text("".join(f"{token} {i}\n" for i, token in enumerate(tokens)))


def sherpa(folder, method="modified_beam_search", paths=4, **more):
    """Its recogniser. Parameters: folder (from `export`), method, paths, more. Returns an OnlineRecognizer."""
    import sherpa_onnx

    files = {name: str(folder / f"{name}.onnx") for name in ("encoder", "decoder", "joiner")}
    return sherpa_onnx.OnlineRecognizer.from_transducer(
        tokens=str(folder / "tokens.txt"), **files, num_threads=1, model_type="lstm", decoding_method=method,
        max_active_paths=paths, enable_endpoint_detection=False, **more)


def decode(ready, n_frames, **more):
    """Run it over all stored encodings. Parameters: ready, n_frames, more (of the stream). Returns a tuple of labels."""
    stream = ready.create_stream(**more)
    stream.accept_waveform(16000, np.zeros((FEATURE_FRAMES * n_frames + 1) * FRAME_SAMPLES, F32))
    stream.input_finished()
    while ready.is_ready(stream):
        ready.decode_stream(stream)
    return tuple(int(token[1:]) for token in ready.tokens(stream))


@functools.cache
def stored():
    """Projected encodings of the recordings. Returns (list of float32 [T, J], Scorer)."""
    ready, found = Recogniser.load(), []
    for samples in recordings():
        stream = ready.stream()
        stream.accept(samples)
        found.append(ready.network.joiner.project_audio(np.concatenate(stream.encodings)))
    return found, scorer.scorer_of(ready.network)


def searched(backend, audio, weights, automaton=None, settings=SearchSettings(beam=BEAM)):
    """Search each utterance. Parameters: backend, audio (list), weights, automaton, settings. Returns scores, best first."""
    automaton, words = automaton or boost.build([], len(weights.table)), fusion.build(None, len(weights.table))
    state = hypotheses.start(weights, settings, backend)
    return [backend(beam.search_frames)(rows, state, weights, automaton, words, settings)[0].acoustic for rows in audio]


def check(results):
    """Both twins must find the same scores. Parameters: results. Returns None, or what is wrong."""
    return harness.disagreement({name: found for name, found in results.items() if name in ("fast", "reference")}, 0)


def sherpa_contestant(method):
    """Sherpa on the toy. Parameters: method. Returns a callable, or a Missing."""
    def build(_):
        encodings, weights = toy(0, TOY_BLANK, TOY_SHAPE)
        with tempfile.TemporaryDirectory() as folder:
            export(pathlib.Path(folder), encodings, weights)
            ready = sherpa(pathlib.Path(folder), method, BEAM)
        return lambda: decode(ready, len(encodings))
    found = harness.rival("sherpa_onnx", lambda library: library)
    return found if isinstance(found, harness.Missing) else harness.rival("onnx", build)


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable})."""
    (audio, weights), fast = stored(), select("fast")
    shape = f"beam={BEAM} frames={sum(map(len, audio))}"
    yield f"what=search {shape}", {name: functools.partial(searched, select(name), audio, weights)
                                   for name in ("fast", "reference")}
    phrases = boost.build(bench_boost.names(N_PHRASES), len(weights.table))
    none = boost.build([], len(weights.table))
    yield f"what=phrases {shape}", {"fast": functools.partial(searched, fast, audio, weights, none),
                                    f"fast-with-{N_PHRASES}": functools.partial(searched, fast, audio, weights, phrases)}
    encodings, weights = toy(0, TOY_BLANK, TOY_SHAPE)
    settings = SearchSettings(beam=BEAM, one_symbol=True)
    yield f"what=toy beam={BEAM} frames={len(encodings)}", {
        "fast": functools.partial(searched, fast, [encodings], weights, None, settings),
        "sherpa-onnx": sherpa_contestant("modified_beam_search"), "sherpa-onnx-greedy": sherpa_contestant("greedy_search")}


def measure():
    """Time to build phrases, and of the whole recogniser. Yields (case, contestant, value, unit)."""
    begin = time.perf_counter()
    boost.build(bench_boost.names(N_PHRASES), 36)
    yield f"what=build phrases={N_PHRASES}", "reference", time.perf_counter() - begin, "s"
    heard, ready = recordings(), Recogniser.load(search=SearchSettings(beam=BEAM))
    times = []
    for _ in range(PASSES + 1):    # the first compiles
        begin = time.perf_counter(), time.process_time()
        for samples in heard:
            ready.transcribe_samples(samples)
        times.append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    seconds = sum(map(len, heard)) / SAMPLE_RATE_HZ
    passed, computing = np.median(times[1:], axis=0) / seconds
    yield f"what=recogniser-per-second-of-audio beam={BEAM}", "fast", float(passed), "s"
    yield f"what=recogniser-computing-per-second-of-audio beam={BEAM}", "fast", float(computing), "s"
