"""Table lookup, and its backward pass."""

import numpy as np


def embedding(ids, table):
    """Rows of the table.

        y[i] = table[ids[i]]

    Parameters
    ----------
    ids : int32 [...], 0 <= id < V    Which rows.
    table : float32 [V, D]            One row a unit.

    Returns
    -------
    float32 [..., D]
    """
    return table[ids]


def embedding_backward(dy, ids, n_rows):
    """Gradient of the table: rows add up where an id repeats.

    Parameters
    ----------
    dy : float32 [..., D]    Gradient of the looked-up rows.
    ids : int32 [...]        The ids looked up.
    n_rows : int             V.

    Returns
    -------
    float32 [V, D]
    """
    one_hot = np.zeros((ids.size, n_rows), np.float32)
    one_hot[np.arange(ids.size), ids.ravel()] = 1
    return one_hot.T @ dy.reshape(ids.size, -1)
