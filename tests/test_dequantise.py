"""The float network of a packed one: codes times scales, worked out here by other means, and what it teaches."""

import numpy as np
import pytest
from test_hw_values import random_model
from tiny_model import noise

from refasr import models
from refasr.compress import integer_network
from refasr.compress.calibrate import calibrate, stacked_frames
from refasr.compress.container import write_contents
from refasr.compress.dequantise import dequantise
from refasr.compress.integer_model import to_contents
from refasr.compress.quantise import quantise
from refasr.shipped import data_path
from refasr.transducer.model import Architecture, Model, assemble, initialise
from refasr.twins import select

SMALL = Architecture(encoder_widths=(12, 10), embedding_width=6, predictor_width=8, joiner_width=9)


def packed(bits):
    """A float model and the integer model of it. Parameters: bits. Returns (Model, IntegerModel, Calibration)."""
    parameters, backend = initialise(SMALL, 1), select("fast")
    model = Model(SMALL, parameters, np.zeros(40, np.float32), np.ones(40, np.float32))
    labels = np.random.default_rng(2).integers(8, 36, 20).astype(np.int32)
    seen = calibrate(model, [(stacked_frames(model, noise(32000), backend), labels)], backend)
    return model, quantise(model, seen, bits), seen


@pytest.mark.parametrize("bits", [8, 5, 4])
def test_weights_are_whole_multiples_of_a_scale_a_row(bits):
    _, integer, _ = packed(bits)
    back = dequantise(integer)
    for name, codes in integer.codes.items():
        rows = back.parameters[name] if name == "predictor.embedding" else back.parameters[name].T
        for weights, row in zip(rows.astype(float), codes):
            used = row != 0
            steps = weights[used] / row[used]
            assert not weights[~used].any() and np.ptp(steps) <= 1e-6 * np.abs(steps).max(initial=1)


@pytest.mark.parametrize("bits", [8, 5])
def test_weights_are_near_those_that_were_quantised(bits):
    model, integer, _ = packed(bits)
    back = dequantise(integer)
    for name, value in model.parameters.items():
        most = {8: 0.02, 5: 0.15}[bits] if name in integer.codes else 2e-3
        if name != "predictor.embedding":    # of 8 bits, it is rounded like the activation that it becomes
            assert np.linalg.norm(back.parameters[name] - value) <= most * max(np.linalg.norm(value), 1e-3), name


def test_quantising_again_gives_the_same_codes():
    _, integer, seen = packed(5)
    again = quantise(dequantise(integer), seen, 5)
    for name, codes in integer.codes.items():
        reached = np.abs(codes).max(axis=1) == 15   # else the row may do with a larger scale
        assert np.array_equal(again.codes[name][reached], codes[reached]), name


def test_it_computes_what_the_integer_network_computes():
    """An oracle for all factors at once: the integer encoder and joiner differ by rounding only."""
    model, integer, _ = packed(8)
    backend = select("fast")
    frames = stacked_frames(model, noise(8000), backend)
    theirs, ours = integer_network.assemble(integer, backend), assemble(dequantise(integer), backend)
    outputs = {}
    for name, network, scale in (("integer", theirs, integer.scales["encoder.1.output"]), ("float", ours, 1.0)):
        state, rows = network.encoder.start(), []
        for frame in (network.encoder.enter(frames) if name == "integer" else frames):
            h, state, _ = network.encoder.encode(frame, state)
            rows.append(np.ravel(h) * scale)
        outputs[name] = np.array(rows)
    apart = np.abs(outputs["integer"] - outputs["float"]).max()
    assert apart < 0.1 * np.abs(outputs["float"]).max()


def test_load_float_takes_both_kinds(tmp_path):
    integer = random_model(1, 5)
    write_contents(tmp_path / "a.refasr", to_contents(integer))
    back = models.load_float(tmp_path / "a.refasr")
    assert all(np.array_equal(back.parameters[name], value) for name, value in dequantise(integer).parameters.items())
    assert not isinstance(models.load_float(data_path("models", "float.npz")), type(integer))
