"""The multiply-accumulate array: what it computes for a tile, and how long it takes to, with zeros skipped or not.

Unit (r, c) has the weights w[n, k] of a tile with n = r modulo rows and k = c modulo columns, in the order of n, then k. Each
cycle it looks at its next `words` weights, multiplies the first that is not zero, and goes on behind it; if all are zero, it
goes on behind all. It does not look beyond the end of a row. So z zeros before a weight cost floor(z / words) cycles besides the
weight's own, and z zeros at the end of a row ceil(z / words). A tile is done when the slowest unit is.

Where zeros are not skipped, a unit takes one cycle a weight.
"""

import numpy as np


def product(codes, x):
    """What a tile adds to its sums.

        y[n] = sum_k w[n, k] x[k]

    Parameters
    ----------
    codes : int array [N, K]    Weights.
    x : int8 [K]

    Returns
    -------
    int32 [N]                   Exact, where A6 of `docs/arithmetic.md` holds.
    """
    return codes.astype(np.int32) @ x.astype(np.int32)


def dense_cycles(n_outputs, n_inputs, processor):
    """Cycles of a tile when each weight takes one. Parameters: n_outputs, n_inputs, processor. Returns int."""
    return -(-n_outputs // processor.rows) * -(-n_inputs // processor.columns)


def row_cycles(codes, columns, words):
    """Cycles that each row of weights takes in each column of the array.

    Parameters
    ----------
    codes : int array [N, K]
    columns : int
    words : int

    Returns
    -------
    int64 [N, columns]
    """
    n, k = codes.shape
    length = -(-k // columns)
    slices = np.zeros((n, length * columns), bool)
    slices[:, :k] = codes != 0
    slices = slices.reshape(n, length, columns).transpose(0, 2, 1)                      # (N, columns, length)
    ends = np.array([len(range(c, k, columns)) for c in range(columns)])                # without the padding
    place = np.where(slices, np.arange(length), -1)
    last = np.maximum.accumulate(place, axis=2)                                         # the weight at or before each place
    before = np.concatenate([np.full((n, columns, 1), -1), last[:, :, :-1]], axis=2)
    gaps = np.where(slices, (np.arange(length) - before - 1) // words, 0).sum(axis=2)
    return slices.sum(axis=2) + gaps + -(-(ends - 1 - last[:, :, -1]) // words)


def skipping_cycles(codes, processor):
    """Cycles of a tile when zeros are passed over. Parameters: codes (int array [N, K]), processor. Returns int."""
    n, rows = len(codes), processor.rows
    each = np.zeros((-(-n // rows) * rows, processor.columns), np.int64)
    each[:n] = row_cycles(codes, processor.columns, processor.words_a_cycle)
    return int(each.reshape(-1, rows, processor.columns).sum(axis=0).max())


def tile_cycles(codes, processor):
    """Cycles of a tile on a part. Parameters: codes (int array [N, K]), processor. Returns int."""
    if processor.skip_zeros:
        return skipping_cycles(codes, processor)
    return dense_cycles(*codes.shape, processor)
