"""Quantisation-aware training: weights that end on the levels of their codes.

A row of weights w is stored as whole numbers, codes, and one scale D: w = D code, code = -L .. L, L = 2^(bits-1) - 1.

*Periodic regulariser* (Nguyen et al. 2020, "Quantization aware training with absolute-cosine regularization"): the loss gains

    strength * sum (D / pi) |cos(pi (w / D - 1/2))|  =  strength * sum (D / pi) |sin(pi w / D)|

which is 0 on the levels and steepest beside them. The phase 1/2 makes zero a level: plain |cos(pi w / D)| has its levels at
(k + 1/2) D and would push every pruned weight away from zero. D / pi makes the slope 1 at a level, whatever D. The network runs
on its float weights, and the regulariser costs one pass over them, whatever the batch.

*Chosen levels* (Zhen et al. 2022, arXiv 2206.15408): 2^bits - 1 of the 8-bit codes, symmetric and with 0, placed by the method of
Lloyd and Max, and in each gap between neighbours a and b the regulariser ((b - a) / pi) |sin(pi (w - a) / (b - a))|. The
multiplier sees 8-bit codes of few different values; the file stores which.

*Straight-through estimator*, for comparison: the network runs on rounded weights, and its gradient is given to the float ones.

Whichever it was, what is evaluated and exported is rounded: codes times scales, exactly. The checkpoint keeps the weights as they
are, so that a next stage can go on from them.
"""

import dataclasses

import numpy as np

from refasr.errors import RangeError
from refasr.train.coded_weights import as_rows, check_ramp, progress_of, tensor_values
from refasr.train.row_scale import row_scale

F32 = np.float32
METHODS, LEVELS = ("periodic", "straight-through", "both", "none"), ("uniform", "chosen")
WIDE_BITS, WIDE_LIMIT = 8, 127
LLOYD_ROUNDS = 100


@dataclasses.dataclass(frozen=True)
class QuantiseSettings:
    """Table [quantise] of a training configuration.

    bits : of a code, 2 to 8.
    method : "periodic" (regulariser), "straight-through", "both", or "none": rounded after the last step only.
    levels : "uniform", or "chosen" among the 8-bit codes.
    strength : of the periodic regulariser, reached at `to_step`. Its gradient is not clipped; that of the objective is, to a
        mean of clip / sqrt(parameters) a weight, 0.004 for 1.5 million. A strength of a tenth to a quarter of it lets both be
        heard; more, for long, and the regulariser alone decides.
    from_step, to_step : the strength grows linearly between them; straight-through begins at from_step.
    round_every : steps between roundings of all weights on the way (hard compression); 0 rounds at the end only.
    tensors : widths of coded tensors whose names begin so, such as ["joiner=5", "predictor.embedding=8"].
    """

    bits: int = 8
    method: str = "periodic"
    levels: str = "uniform"
    strength: float = 1e-3
    from_step: int = 0
    to_step: int = 0
    round_every: int = 0
    tensors: tuple = ()


def lloyd_max(counts, n_levels):
    """Place levels so that the mean square of rounding is small: each is the mean of what is nearest to it.

    Parameters
    ----------
    counts : int [128]     How many weights have each magnitude, in 8-bit codes.
    n_levels : int, >= 1   Levels above 0, at most 127; 0 is always a level, 127 always the last.

    Returns
    -------
    int64 [n_levels+1]     Rising from 0. Of weights that have no more magnitudes than levels, those magnitudes.
    """
    values, taken = np.arange(counts.size), np.flatnonzero(counts)
    taken = np.union1d(taken, [0, values[-1]])
    if taken.size <= n_levels + 1:
        return np.union1d(taken, np.setdiff1d(values, taken)[: n_levels + 1 - taken.size])
    levels = np.linspace(0, values[-1], n_levels + 1)
    for _ in range(LLOYD_ROUNDS):
        owner = np.searchsorted((levels[1:] + levels[:-1]) / 2, values, side="right")
        weight = np.bincount(owner, counts, n_levels + 1)
        moved = np.where(weight > 0, np.bincount(owner, counts * values, n_levels + 1) / np.maximum(weight, 1), levels)
        moved[0], moved[-1] = 0, values[-1]
        if np.array_equal(moved, levels):
            break
        levels = moved
    place = np.arange(n_levels + 1)
    whole = np.maximum.accumulate(np.rint(levels).astype(np.int64) - place) + place  # all different ...
    return np.minimum(whole, values[-1] - place[::-1])  # ... and none beyond the last


class Grid:
    """Levels for one tensor as it is now.

    Parameters
    ----------
    rows : float32 [N, K]
    bits : int
    levels : "uniform" or "chosen"
    scale_of : function              `row_scale.row_scale`, or its twin.
    """

    def __init__(self, rows, bits, levels="uniform", scale_of=row_scale):
        limit, inputs_down = 2 ** (bits - 1) - 1, np.ascontiguousarray(rows.T)
        if levels == "uniform" or bits == WIDE_BITS:
            self.scale, self.levels = scale_of(inputs_down, limit)[:, None], np.arange(limit + 1)
        else:
            self.scale = scale_of(inputs_down, WIDE_LIMIT)[:, None]
            sizes = np.rint(np.abs(rows / self.scale)).astype(np.int64)
            self.levels = lloyd_max(np.bincount(sizes.ravel(), minlength=WIDE_LIMIT + 1)[: WIDE_LIMIT + 1], limit)

    def codes(self, rows):
        """Nearest codes. Parameters: rows. Returns int8 [N, K]."""
        x = rows / self.scale
        if self.levels[-1] == self.levels.size - 1:
            return np.clip(np.rint(x), -self.levels[-1], self.levels[-1]).astype(np.int8)
        middles = ((self.levels[1:] + self.levels[:-1]) / 2).astype(F32)
        return (np.sign(x) * self.levels[np.searchsorted(middles, np.abs(x))]).astype(np.int8)

    def rounded(self, rows):
        """Nearest weights that codes can stand for. Parameters: rows. Returns float32 [N, K]."""
        return self.codes(rows) * self.scale

    def penalty(self, rows):
        """The periodic regulariser and its slope; the scale counts as a constant. Weights beyond the last level are pulled back.

        Parameters
        ----------
        rows : float32 [N, K]

        Returns
        -------
        (float, float32 [N, K])    Sum over the weights, in units of weights; its gradient.
        """
        x = rows / self.scale
        size = np.abs(x)
        if self.levels[-1] == self.levels.size - 1:
            low, gap = np.minimum(np.floor(size), F32(self.levels.size - 2)), F32(1)
        else:
            below = np.minimum(np.searchsorted(self.levels, size, side="right") - 1, self.levels.size - 2)
            low, gap = self.levels.astype(F32)[below], np.diff(self.levels).astype(F32)[below]
        part, over = (size - low) / gap, np.maximum(size - F32(self.levels[-1]), F32(0))
        angle = F32(np.pi) * np.minimum(part, F32(1))
        value = (gap / F32(np.pi) * np.sin(angle) + over) * self.scale
        slope = np.where(over > 0, F32(1), np.where((part > 0) & (part < 1), np.cos(angle), F32(0)))
        return float(value.sum(dtype=np.float64)), slope * np.sign(x)


class QuantiseAware:
    """The technique, as seams of the loop.

    Parameters
    ----------
    settings : QuantiseSettings
    architecture : Architecture
    end : int                      Steps of the run.
    backend : Backend              From `twins.select`.

    Raises
    ------
    RangeError                     For steps outside the run, or tensors that are not there.
    """

    def __init__(self, settings, architecture, end, backend):
        check_ramp("[quantise]", settings.from_step, settings.to_step, end)
        self.settings, self._scale_of = settings, backend(row_scale)
        self.bits = tensor_values(architecture, settings.bits, settings.tensors, "[quantise] tensors", 2, WIDE_BITS)

    def grid(self, name, rows):
        """Levels of one tensor. Parameters: name, rows. Returns a Grid."""
        return Grid(rows, self.bits[name], self.settings.levels, self._scale_of)

    def strength(self, step):
        """Strength of the regulariser. Parameters: step. Returns a float."""
        return self.settings.strength * progress_of(step, self.settings.from_step, self.settings.to_step)

    def regulariser(self, params, step, grads):
        """Add the periodic regulariser's gradient. Parameters: params, step, grads. Returns a dict: its value."""
        strength = self.strength(step) if self.settings.method in ("periodic", "both") else 0.0
        if strength == 0:
            return {}
        total = 0.0
        for name in self.bits:
            rows = as_rows(name, params[name])
            value, slope = self.grid(name, rows).penalty(rows)
            gradient = as_rows(name, grads[name])
            gradient += F32(strength) * slope
            total += strength * value
        return {"quantise": total}

    def forward_weights(self, params, step):
        """What the network computes with. Parameters: params, step. Returns a dict."""
        if self.settings.method not in ("straight-through", "both") or step < self.settings.from_step:
            return params
        return self.deployed(params)

    def projection(self, params, step, before, average):
        """Round in place, when it is time. Parameters: params, step, before, average."""
        every = self.settings.round_every
        if every and step >= self.settings.from_step and (step + 1) % every == 0:
            for name, value in self.deployed(params).items():
                params[name][...] = value

    def deployed(self, params):
        """The parameters with all coded tensors rounded. Parameters: params. Returns a new dict."""
        rounded = dict(params)
        for name in self.bits:
            rows = as_rows(name, params[name])
            rounded[name] = np.ascontiguousarray(as_rows(name, self.grid(name, rows).rounded(rows)))
        return rounded

    def codes(self, params):
        """Codes and scales of all coded tensors. Parameters: params. Returns {name: (int8 [N, K], float32 [N, 1])}."""
        result = {}
        for name in self.bits:
            rows = as_rows(name, params[name])
            grid = self.grid(name, rows)
            result[name] = grid.codes(rows), grid.scale
        return result

    def card(self):
        """What the packer must know. Returns a dict for the model card."""
        return {"quantised": {"bits": self.bits, "levels": self.settings.levels}}


def check_together(quantise, sparsify):
    """Refuse settings that work against each other. Parameters: quantise, sparsify (settings or None)."""
    if quantise and sparsify and quantise.round_every:
        raise RangeError("[quantise] round_every: got it together with [sparsify], expected 0: a weight that is rounded to zero "
                         "on the way would count as pruned")
