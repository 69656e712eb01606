"""The joiner: one hidden layer that meets audio and text at every node of the grid.

    z(t, u) = W tanh(A h_t + B g_u + b) + c
"""

import numpy as np

from refasr import checks, numerics

F32 = np.float32


def join_grid(e, p):
    """Hidden layer at every node, from the two projections.

        y[t, u] = tanh(e[t] + p[u])

    Parameters
    ----------
    e : float32 [T, J]      Projected audio, bias included.
    p : float32 [U+1, J]    Projected text.

    Returns
    -------
    float32 [T, U+1, J]

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS. Cost: T*(U+1)*J additions and tanh.
    """
    checks.array("e", e, F32, (None, None))
    checks.array("p", p, F32, (None, e.shape[1]))
    total = e[:, None] + p[None]
    return numerics.tanh(total.ravel()).reshape(total.shape)


def join_grid_backward(dy, y):
    """Gradients of `join_grid`: the slope of tanh, then sums over rows and columns.

        d = dy (1 - y^2),  de[t] = sum_u d[t, u],  dp[u] = sum_t d[t, u]

    Parameters
    ----------
    dy : float32 [T, U+1, J]    Gradient of the hidden layer.
    y : float32 [T, U+1, J]     The hidden layer.

    Returns
    -------
    (de, dp)                    float32 [T, J] and [U+1, J].

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BOUND, the sums may run in another order.
    """
    checks.array("dy", dy, F32, (None, None, None))
    checks.array("y", y, F32, dy.shape)
    d = dy * (F32(1) - y * y)
    return d.sum(axis=1), d.sum(axis=0)


class Joiner:
    """The joiner's weights and its forward and backward passes.

    Parameters
    ----------
    parameters : dict of str to float32 array    Named as in `model.parameter_shapes`.
    backend : Backend                            From `twins.select`.
    """

    def __init__(self, parameters, backend):
        self.audio, self.text = parameters["joiner.audio"], parameters["joiner.text"]
        self.bias = parameters["joiner.bias"]
        self.output, self.output_bias = parameters["joiner.output"], parameters["joiner.output_bias"]
        self._grid, self._grid_backward = backend(join_grid), backend(join_grid_backward)
        self._tanh = backend(numerics.tanh)

    def project_audio(self, h):
        """A h + b. Parameters: h, float32 [..., D]. Returns float32 [..., J]."""
        return h @ self.audio + self.bias

    def project_text(self, g):
        """B g. Parameters: g, float32 [..., P]. Returns float32 [..., J]."""
        return g @ self.text

    def join(self, h, g, *, bias=None):
        """Logits of one node.

        Parameters
        ----------
        h : float32 [D]     Audio encoding.
        g : float32 [P]     Text encoding.
        bias : None         Reserved for attention-based context biasing.

        Returns
        -------
        float32 [V]
        """
        return self.join_projected(self.project_audio(h), self.project_text(g))

    def join_projected(self, e, p):
        """Logits from projections already made. Parameters: e, p, float32 [J]. Returns float32 [V]."""
        return self._tanh(e + p) @ self.output + self.output_bias

    def forward(self, e, p):
        """Logits of a whole grid.

        Parameters
        ----------
        e : float32 [T, J]      Projected audio.
        p : float32 [U+1, J]    Projected text.

        Returns
        -------
        (logits, hidden)        float32 [T, U+1, V] and [T, U+1, J].
        """
        hidden = self._grid(e, p)
        logits = hidden.reshape(-1, hidden.shape[-1]) @ self.output
        logits += self.output_bias
        return logits.reshape(*hidden.shape[:2], -1), hidden

    def backward(self, dlogits, hidden):
        """Gradients of `forward`.

        Parameters
        ----------
        dlogits : float32 [T, U+1, V]    Gradient of the logits.
        hidden : float32 [T, U+1, J]     From `forward`.

        Returns
        -------
        (de, dp, doutput, doutput_bias)
        """
        rows, flat = dlogits.reshape(-1, dlogits.shape[-1]), hidden.reshape(-1, hidden.shape[-1])
        de, dp = self._grid_backward((rows @ self.output.T).reshape(hidden.shape), hidden)
        return de, dp, flat.T @ rows, rows.sum(axis=0)
