"""The integer network has one value at every layer: reference, compiled, and compiled for a processor without its instructions.

`tests/test_hw_values.py` holds the neural processor to the same values.
"""

import hashlib
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from test_hw_values import random_model, random_state
from tiny_model import noise

from refasr import corpus, models
from refasr.audio import wav
from refasr.compress.calibrate import stacked_frames
from refasr.compress.integer_network import assemble
from refasr.shipped import data_path
from refasr.twins import select

ROOT = pathlib.Path(__file__).parents[1]
UNCOMPILED = os.environ.get("NUMBA_DISABLE_JIT") == "1"


def layers_of(network, frame, states, label, text_state):
    """Outputs of every layer for one input. Parameters: network, frame, states, label, text_state. Returns a list of arrays."""
    found, h = [], frame[None]
    for index, state in enumerate(states):
        h, after = network.encoder.encode_layer(index, h, state)
        found += [h, *after]
    g, after = network.predictor.predict(label, text_state)
    audio, text = network.joiner.project_audio(h[0]), network.joiner.project_text(g)
    return [*found, g, *after, audio, text, network.joiner.logits(audio[None], text[None])]


def random_layers(backend, n_models, n_inputs):
    """All layers' outputs for random inputs of random models. Parameters: backend, n_models, n_inputs. Yields lists of arrays."""
    for seed in range(n_models):
        network, rng = assemble(random_model(seed, (8, 5, 4)[seed % 3]), backend), np.random.default_rng(seed)
        widths = [layer.norm.gain.size for layer in network.encoder.layers]
        for _ in range(n_inputs):
            yield layers_of(network, rng.integers(-127, 128, 160).astype(np.int8), [random_state(rng, width) for width in widths],
                            int(rng.integers(36)), random_state(rng, network.predictor.layer.norm.gain.size))


def spoken_layers(backend, recordings):
    """All layers' outputs of the shipped model, frame by frame. Parameters: backend, recordings. Yields lists of arrays."""
    heard_as, model = (models.load(data_path("models", name)) for name in ("float.npz", "int8.refasr"))
    network = assemble(model, backend)
    text, _ = network.predictor.start()
    for samples in recordings:
        h = network.encoder.enter(stacked_frames(heard_as, samples, select("fast")))
        found = [h]
        for index, before in enumerate(network.encoder.start()):
            h, after = network.encoder.encode_layer(index, h, before)
            found += [h, *after]
        audio = network.joiner.project_audio(h)
        texts = np.broadcast_to(network.joiner.project_text(text), (len(audio), audio.shape[1]))
        yield [*found, audio, network.joiner.logits(audio, np.ascontiguousarray(texts))]


def samples_shipped(n):
    """Shipped recordings. Parameters: n. Returns a list of float32 [S]."""
    return [wav.read_audio(path) for path in sorted(data_path("samples").glob("*.flac"))[:n]]


def require_equal(first, second):
    """Compare outputs. Parameters: first, second (iterators of lists of arrays). Returns how many lists."""
    n = 0
    for n, (ours, theirs) in enumerate(zip(first, second, strict=True), 1):
        assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    return n


def digest(n_models, n_inputs):
    """Of the compiled network's values. Parameters: n_models, n_inputs. Returns str."""
    found = hashlib.sha256()
    for outputs in random_layers(select("fast"), n_models, n_inputs):
        for output in outputs:
            found.update(np.ascontiguousarray(output).tobytes())
    return found.hexdigest()


def digest_without_instructions(*counts):
    """The same where the code generator knows the oldest processor only. Parameters: *counts. Returns str."""
    settings = os.environ | {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "",
                             "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    program = f"import test_integer_equality as t; print(t.digest(*{counts}))"
    done = subprocess.run([sys.executable, "-c", program], env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_compiled_network_equals_the_reference():
    assert require_equal(random_layers(select("fast"), 5, 20), random_layers(select("reference"), 5, 20)) == 100
    heard = [noise(8000), *samples_shipped(1)]
    assert require_equal(spoken_layers(select("fast"), heard), spoken_layers(select("reference"), heard)) == 2


@pytest.mark.skipif(UNCOMPILED, reason="uncompiled, there are no instructions to replace")
def test_portable_network_equals_the_compiled_one():
    assert digest_without_instructions(5, 20) == digest(5, 20)


@pytest.mark.slow
def test_ten_thousand_inputs_have_one_value():
    assert require_equal(random_layers(select("fast"), 100, 100), random_layers(select("reference"), 100, 100)) == 10_000
    assert digest_without_instructions(100, 100) == digest(100, 100)


@pytest.mark.slow
def test_a_hundred_recordings_have_one_value(shared):
    items = corpus.read_manifest(shared / "speech" / "recorded.tsv")
    heard = [corpus.read_samples(item) for item in items[::len(items) // 100][:100]]
    assert require_equal(spoken_layers(select("fast"), heard), spoken_layers(select("reference"), heard)) == 100
