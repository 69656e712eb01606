"""The tiny network in integers."""

import functools

import numpy as np
from tiny_model import noise, tiny_model

from refasr.compress.calibrate import calibrate, stacked_frames
from refasr.compress.quantise import quantise
from refasr.twins import select


@functools.cache
def tiny_calibration():
    """What the tiny network does with noise. Returns a Calibration."""
    backend, rng = select("reference"), np.random.default_rng(0)
    heard = [(stacked_frames(tiny_model(), noise(16000, seed), backend), rng.integers(8, 36, 12).astype(np.int32))
             for seed in range(3)]
    return calibrate(tiny_model(), heard, backend)


@functools.cache
def tiny_integer_model(bits=8):
    """A model. Parameters: bits. Returns an IntegerModel."""
    return quantise(tiny_model(), tiny_calibration(), bits)
