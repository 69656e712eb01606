"""Hypotheses of one frame as columns, for the kernels of `refasr.search.beam_fast`."""

from typing import NamedTuple

import numpy as np

from refasr.jit import scalar

F32 = np.float32


class Pool(NamedTuple):
    """Hypotheses as columns; `slot` says where the text side's state is."""

    acoustic: np.ndarray
    bias: np.ndarray
    node: np.ndarray
    key: np.ndarray
    boost: np.ndarray
    slot: np.ndarray
    suffix: np.ndarray

    @classmethod
    def of(cls, size, context):
        """Room for some entries. Parameters: size, context. Returns a Pool."""
        ints = lambda: np.zeros(size, np.int32)
        return cls(np.zeros(size), np.zeros(size), ints(), np.zeros(size, np.uint64), ints(), ints(),
                   np.zeros((size, context), np.int32))


class Texts(NamedTuple):
    """States of the text side."""

    text: np.ndarray
    h: np.ndarray
    c: np.ndarray

    @classmethod
    def of(cls, size, weights):
        """Room for some states. Parameters: size, weights (Scorer). Returns a Texts."""
        width, joint = weights.gain.size, weights.output.shape[0]
        return cls(np.empty((size, joint), F32), np.empty((size, width), F32), np.empty((size, width), F32))


@scalar
def copy_entry(source, i, target, j):
    """Entry i of one pool becomes entry j of another."""
    target.acoustic[j], target.bias[j], target.node[j] = source.acoustic[i], source.bias[i], source.node[i]
    target.key[j], target.boost[j], target.slot[j] = source.key[i], source.boost[i], source.slot[i]
    for k in range(source.suffix.shape[1]):
        target.suffix[j, k] = source.suffix[i, k]


@scalar
def find_key(pool, n, key):
    """Entry with this key, or -1."""
    for i in range(n):
        if pool.key[i] == key:
            return i
    return -1
