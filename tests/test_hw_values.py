"""The processor computes what the integer network computes: every layer, every bit, on every part, tile by tile."""

import dataclasses
import functools

import numpy as np
import pytest
from tiny_integer import tiny_integer_model
from tiny_model import noise

from refasr import corpus, models
from refasr.compress.integer_layer import IntegerState
from refasr.compress.integer_network import assemble
from refasr.errors import FormatError, RangeError
from refasr.hw.jobs import Job, run_jobs
from refasr.hw.network import ProcessorNetwork
from refasr.hw.presets import PRESETS
from refasr.hw.processor import changed
from refasr.hw.utterance import codes_of, hear
from refasr.shipped import MODELS, data_path
from refasr.twins import select

REFERENCE = select("reference")
SETTINGS = [[], ["tile_codes=512"], ["tile_codes=100", "storage=packed"], ["tile_codes=17", "buffers=1", "storage=plain"],
            ["tile_codes=256", "decoder_codes_a_cycle=3"], ["rows=3", "columns=5", "tile_codes=75"]]


def random_model(seed, bits=8):
    """A model with signs flipped and zeros at random, which keeps all its sums within their proofs. Parameters: seed, bits."""
    rng, model = np.random.default_rng(seed), tiny_integer_model(bits)
    density = rng.choice([0.0, 0.1, 0.5, 1.0], len(model.codes))
    codes = {name: matrix * rng.choice(np.array([-1, 1], np.int8), matrix.shape) * (rng.random(matrix.shape) < share)
             for share, (name, matrix) in zip(density, model.codes.items())}
    return dataclasses.replace(model, codes=codes)


def random_state(rng, width):
    """Any state. Parameters: rng, width. Returns an IntegerState."""
    return IntegerState(rng.integers(-127, 128, width).astype(np.int8), rng.integers(-32767, 32768, width).astype(np.int16))


def same(state, other):
    """Whether two states are equal. Parameters: state, other. Returns bool."""
    return bool((state.h == other.h).all() and (state.c == other.c).all())


def compare_steps(models_, expected, part, rng, n_steps, backend=REFERENCE):
    """Random frames, units and states through both; `expected` are integer networks, one a body. Fails where they differ."""
    network = ProcessorNetwork(models_, part, backend)
    widths = [layer.norm.gain.size for layer in expected[0].encoder.layers]
    for _ in range(n_steps):
        choice = int(rng.integers(len(expected)))
        frame, states = rng.integers(-127, 128, 160).astype(np.int8), tuple(random_state(rng, width) for width in widths)
        audio, after, _ = network.encoder.encode(frame, states, context=choice)
        h = frame[None]
        for index, state in enumerate(states):
            h, state = expected[choice].encoder.encode_layer(index, h, state)
            assert (network.view(f"encoder.{index}.output") == h[0]).all() and same(after[index], state)
        assert (audio == expected[0].joiner.project_audio(h[0])).all()
        unit, state = int(rng.integers(36)), random_state(rng, expected[0].predictor.layer.norm.gain.size)
        text, after = network.predictor.predict(unit, state)
        g, state = expected[0].predictor.predict(unit, state)
        assert same(after, state) and (network.view("predictor.output") == g).all()
        assert (text == expected[0].joiner.project_text(g)).all()
        logits = expected[0].joiner.logits(audio[None], text[None])[0]
        assert (network.joiner.logits(audio, text) == logits).all() and logits.dtype == np.int32
        assert (network.joiner.join_projected(audio, text) == expected[0].joiner.join(h[0], g)).all()


@pytest.mark.parametrize("settings", SETTINGS, ids=" ".join)
@pytest.mark.parametrize("name", PRESETS)
def test_every_layer_is_equal_on_every_part(name, settings):
    for seed, bits in ((0, 8), (1, 4)):
        model = random_model(seed, bits)
        compare_steps(model, [assemble(model, REFERENCE)], changed(PRESETS[name], settings), np.random.default_rng(seed), 2)


@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_both_backends(backend):
    model = tiny_integer_model(5)
    compare_steps(model, [assemble(model, REFERENCE)], PRESETS["refasr"], np.random.default_rng(0), 3, select(backend))


@pytest.mark.slow
def test_ten_thousand_random_inputs():
    parts = [changed(part, settings) for part in PRESETS.values() for settings in SETTINGS[:3]]
    for seed in range(100):
        model = random_model(seed, (8, 5, 4)[seed % 3])
        rng = np.random.default_rng(seed)
        compare_steps(model, [assemble(model, select("fast"))], parts[seed % len(parts)], rng, 100, select("fast"))


def test_a_body_is_selected_frame_by_frame():
    pair = tiny_integer_model(8), tiny_integer_model(4)
    expected = [assemble(model, REFERENCE) for model in pair]
    expected[1] = dataclasses.replace(expected[1], joiner=expected[0].joiner)
    for settings in ([], ["tile_codes=64"], ["buffers=1"]):
        compare_steps(pair, expected, changed(PRESETS["refasr"], settings), np.random.default_rng(3), 12)


def test_an_utterance_is_equal():
    model = tiny_integer_model()
    expected = assemble(model, REFERENCE)
    for name in PRESETS:
        network = ProcessorNetwork(model, PRESETS[name], REFERENCE)
        codes = codes_of(model, network, noise(16000, 5), REFERENCE)
        assert (codes == codes_of(model, expected, noise(16000, 5), REFERENCE)).all()
        heard = hear(network, codes)
        assert heard == hear(expected, codes) and heard.labels
        assert network.chip.runs == heard.runs


@functools.cache
def real_model():
    """The shipped integer model, or a skipped test."""
    try:
        return models.load(data_path("models", MODELS["int8"][0]))
    except FormatError as error:
        pytest.skip(f"no integer model is shipped: {error}")


def compare_recordings(items):
    """Recordings through both networks. Parameters: items (of a manifest)."""
    model, backend = real_model(), select("fast")
    network, expected = ProcessorNetwork(model, PRESETS["refasr"], backend), assemble(model, backend)
    for item in items:
        codes = codes_of(model, network, corpus.read_samples(item), backend)
        assert hear(network, codes) == hear(expected, codes), item
        state = network.encoder.start()
        layers = expected.encoder.start()
        for frame in codes[:20]:
            audio, state, _ = network.encoder.encode(frame, state)
            h, layers, _ = expected.encoder.encode(frame, layers)
            assert (audio == expected.joiner.project_audio(h)).all() and all(map(same, state, layers))


def test_a_real_utterance_is_equal():
    compare_recordings(corpus.read_manifest(data_path("samples", "manifest.tsv"))[:1])


@pytest.mark.slow
def test_a_hundred_real_utterances_are_equal(shared):
    items = corpus.read_manifest(shared / "speech" / "recorded.tsv")
    compare_recordings(items[::len(items) // 100][:100])


def twin_jobs(sram_bytes=65536):
    """Two recognisers on one chip. Returns network, second partition."""
    part = changed(PRESETS["refasr"], ["tile_codes=256", f"sram_bytes={sram_bytes}"])
    network = ProcessorNetwork(random_model(4), part, REFERENCE)
    return network, network.chip.memory.partition("second", network.compiled.n_bytes)


def test_jobs_in_partitions_do_not_disturb_each_other():
    network, second = twin_jobs()
    rng, program, regions = np.random.default_rng(0), network.compiled.programs["frame"], network.compiled.regions
    frames = rng.integers(-127, 128, (2, 160)).astype(np.int8)
    alone = [network.encoder.encode(frame, network.encoder.start())[0] for frame in frames]
    for partition, frame in zip((network.partition, second), frames):
        partition.contents[:] = 0
        partition.mail["frame"] = frame
    long, urgent = Job("long", program, network.partition), Job("urgent", program, second, priority=1, arrival=900, deadline=8000)
    done = run_jobs(network.chip, [long, urgent])
    assert [item.job.name for item in done] == ["urgent", "long"]
    assert [list(item.job.partition.view(regions["audio"])) for item in done] == [list(alone[1]), list(alone[0])]
    stopped = [event.end for event in done[1].events if event.instruction.engine == "work" and event.start < 900][-1]
    resumed = min(event.start for event in done[1].events if event.instruction.engine == "work" and event.start >= done[0].start)
    assert done[0].events and 900 <= done[0].start and resumed >= stopped
    works = sorted((event.start, event.end) for item in done for event in item.events if event.instruction.engine == "work")
    assert all(end <= start for (_, end), (start, _) in zip(works, works[1:])), "one array does one thing at a time"
    first_urgent = min(event.start for event in done[0].events if event.instruction.engine == "work")
    assert not [event for event in done[1].events
                if event.instruction.engine == "work" and first_urgent < event.start < done[0].end]


def test_deadlines_decide_between_equals_and_are_reported():
    network, second = twin_jobs()
    program = network.compiled.programs["frame"]
    for partition in (network.partition, second):
        partition.mail["frame"] = np.zeros(160, np.int8)
    done = run_jobs(network.chip, [Job("late", program, network.partition, deadline=10**9),
                                   Job("soon", program, second, deadline=10**3)])
    assert [(item.job.name, item.in_time) for item in done] == [("soon", False), ("late", True)]


def test_jobs_of_one_partition_wait_for_each_other():
    network, _ = twin_jobs()
    network.partition.mail |= {"frame": np.ones(160, np.int8), "unit": np.int32(3)}
    names = ("frame", "unit", "node")
    done = run_jobs(network.chip, [Job(name, network.compiled.programs[name], network.partition, priority=i, arrival=i)
                                   for i, name in enumerate(names)])
    assert [item.job.name for item in done] == ["frame", "node", "unit"], "the first had begun, then the higher priority"


def test_memory_that_is_taken_is_refused():
    with pytest.raises(RangeError, match="sram_bytes: got 8192.*second"):
        twin_jobs(sram_bytes=8192)
    with pytest.raises(RangeError, match="deadline"):
        Job("j", None, None, arrival=5, deadline=5)


def test_models_that_do_not_fit_are_refused_before_any_work():
    small = changed(PRESETS["refasr"], ["sram_bytes=4096", "tile_codes=1024"])
    with pytest.raises(RangeError, match="sram_bytes: got 4096 on refasr, expected at least"):
        ProcessorNetwork(tiny_integer_model(), small, REFERENCE)
    with pytest.raises(RangeError, match="models"):
        ProcessorNetwork((tiny_integer_model(),) * 3, PRESETS["refasr"], REFERENCE)
    model = tiny_integer_model()
    wrong = dataclasses.replace(model, codes=model.codes | {"joiner.text": model.codes["joiner.text"].T.copy()})
    with pytest.raises(FormatError, match="joiner.text"):
        ProcessorNetwork(wrong, PRESETS["refasr"], REFERENCE)
    for value in (0.0, np.nan, np.inf):
        with pytest.raises(FormatError, match="scale"):
            ProcessorNetwork(dataclasses.replace(model, scales=model.scales | {"input": value}), PRESETS["refasr"], REFERENCE)
    wide = dataclasses.replace(model, bits=model.bits | {"joiner.text": 4})
    with pytest.raises(FormatError, match="joiner.text"):
        ProcessorNetwork(wide, PRESETS["refasr"], REFERENCE)
