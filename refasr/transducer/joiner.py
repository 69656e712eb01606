"""The joiner: one hidden layer that meets audio and text at every node of the grid.

    z(t, u) = W tanh(A h_t + B g_u + b) + c
"""

import numpy as np

from refasr import checks, numerics

F32 = np.float32


def join_grid(e, p, output, output_bias):
    """Logits at every node, from the two projections.

        y[t, u] = tanh(e[t] + p[u]),  z[t, u] = y[t, u] W + c

    Parameters
    ----------
    e : float32 [T, J]            Projected audio, bias included.
    p : float32 [U+1, J]          Projected text.
    output : float32 [J, V]       W.
    output_bias : float32 [V]     c.

    Returns
    -------
    (logits, hidden)              z and y, float32 [T, U+1, V] and [T, U+1, J].

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS for y; BOUND for z, sums of J products in another order. Cost: T*(U+1)*J tanh, T*(U+1)*J*V MAC.
    """
    check_grid(e, p, output, output_bias)
    total = e[:, None] + p[None]
    hidden = numerics.tanh(total.ravel()).reshape(total.shape)
    return hidden @ output + output_bias, hidden


def join_grid_backward(dlogits, hidden, output):
    """Gradients of `join_grid`: through W and the slope of tanh, then sums over rows and columns.

        d = (dz W^T) (1 - y^2),  de[t] = sum_u d[t, u],  dp[u] = sum_t d[t, u]
        dW = sum_tu y[t, u]^T dz[t, u],  dc = sum_tu dz[t, u]

    Parameters
    ----------
    dlogits : float32 [T, U+1, V]    Gradient of the logits, dz.
    hidden : float32 [T, U+1, J]     From `join_grid`, y.
    output : float32 [J, V]          W.

    Returns
    -------
    (de, dp, doutput, doutput_bias)    Shapes of e, p, W and c.

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BOUND, all sums may run in another order. Cost: 2*T*(U+1)*J*V MAC.
    """
    check_grid_backward(dlogits, hidden, output)
    d = (dlogits @ output.T) * (F32(1) - hidden * hidden)
    return d.sum(axis=1), d.sum(axis=0), np.tensordot(hidden, dlogits, axes=((0, 1), (0, 1))), dlogits.sum(axis=(0, 1))


def check_grid(e, p, output, output_bias):
    """Validate the forward arguments. Parameters: e, p, output, output_bias."""
    checks.array("e", e, F32, (None, None))
    checks.array("p", p, F32, (None, e.shape[1]))
    checks.array("output", output, F32, (e.shape[1], None))
    checks.array("output_bias", output_bias, F32, (output.shape[1],))


def check_grid_backward(dlogits, hidden, output):
    """Validate the backward arguments. Parameters: dlogits, hidden, output."""
    checks.array("dlogits", dlogits, F32, (None, None, None))
    checks.array("hidden", hidden, F32, (*dlogits.shape[:2], None))
    checks.array("output", output, F32, (hidden.shape[2], dlogits.shape[2]))


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
        return self._grid(e, p, self.output, self.output_bias)

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
        return self._grid_backward(dlogits, hidden, self.output)
