"""A small network with random weights that writes now and then: enough to test everything but what it writes."""

import dataclasses

import numpy as np

from refasr.transducer.model import Architecture, Model, initialise
from refasr.transducer.units import CHARACTERS, WORD_MARK

ARCHITECTURE = Architecture(encoder_widths=(24, 16), embedding_width=5, predictor_width=12, joiner_width=20)
TALKERS = [(28, 1.5), (28, 2.5), (10, 2.5), (30, 1.5), (12, 1.5)]  # seed and preference for blank that write about a unit a frame


def tiny_model(seed=28, blank=1.5, card=None):
    """A model.

    Parameters
    ----------
    seed : int
    blank : float         How much blank is preferred; -100 writes without end, 100 never.
    card : dict or None

    Returns
    -------
    Model
    """
    parameters = initialise(ARCHITECTURE, seed)
    parameters["joiner.output"] *= 3
    parameters["joiner.output_bias"][0] = blank
    parameters["joiner.output_bias"][CHARACTERS.index(WORD_MARK)] = 3
    parameters["joiner.output_bias"][1:8] = -50
    narrow = {name: value.astype(np.float16).astype(np.float32) for name, value in parameters.items()}  # as in a file
    return Model(ARCHITECTURE, narrow, np.full(40, -6, np.float32), np.full(40, 0.3, np.float32), card=card or {})


def noise(n_samples, seed=0):
    """Bursts of noise. Parameters: n_samples, seed. Returns float32 [S]."""
    rng = np.random.default_rng(seed)
    envelope = np.repeat(rng.uniform(0, 0.3, n_samples // 800 + 1), 800)[:n_samples]
    return (rng.standard_normal(n_samples) * envelope).astype(np.float32)


def with_parameter(model, name, value):
    """A copy of a model with another parameter. Parameters: model, name, value. Returns a Model."""
    return dataclasses.replace(model, parameters=model.parameters | {name: value})
