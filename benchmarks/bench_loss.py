"""Transducer loss and gradient: a batch of equal lengths, and one utterance as training meets it.

Every contestant returns (losses [B], gradient [B, T, U+1, V]); the gradients agree within 1e-5.
"""

import numpy as np

from benchmarks.rivals import rnnt_numpy
from refasr import twins
from refasr.transducer import loss

SHAPES = ((4, 150, 30, 128), (1, 75, 45, 36))
SHARED_ERROR = 1e-5     # how far apart the gradients of two contestants may be


def grid(n_batch, n_frames, n_labels, n_vocabulary):
    """Normal logits and random labels. Parameters: the axes. Returns (logits, labels)."""
    source = np.random.default_rng(0)
    logits = 2 * source.standard_normal((n_batch, n_frames, n_labels + 1, n_vocabulary), dtype=np.float32)
    return logits, source.integers(1, n_vocabulary, (n_batch, n_labels)).astype(np.int32)


def ours(rnnt_loss, logits, labels):
    """One utterance after the other. Parameters: rnnt_loss, logits, labels. Returns (losses, gradients), lists."""
    results = [rnnt_loss(one, row) for one, row in zip(logits, labels)]
    return [result.loss for result in results], [result.gradient for result in results]


def contestants(logits, labels):
    """Parameters: logits, labels. Returns {contestant: callable}."""
    callables = {name: lambda rnnt_loss=twins.select(name)(loss.rnnt_loss): ours(rnnt_loss, logits, labels)
                 for name in ("fast", "reference")}
    callables["numpy-vectorised"] = lambda: rnnt_numpy.vectorised(logits, labels)
    callables["naive"] = lambda: rnnt_numpy.naive(logits, labels)
    return callables


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable})."""
    for shape in SHAPES:
        text = " ".join(f"{axis}={length}" for axis, length in zip("BTUV", shape))
        yield text, contestants(*grid(*shape))
