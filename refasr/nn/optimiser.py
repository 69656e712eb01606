"""Adam with weight averaging, and gradient clipping, on one flat vector of parameters."""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError

F32 = np.float32
STABILITY = F32(1e-8)


class AdamState(NamedTuple):
    """Running moments of the gradient, and the running average of the weights used for evaluation."""

    mean: np.ndarray     # float32 (N,)
    square: np.ndarray   # float32 (N,)
    average: np.ndarray  # float32 (N,)


class AdamRates(NamedTuple):
    """Constants of one update; the learning rate changes from step to step."""

    learning_rate: float
    mean_decay: float = 0.9
    square_decay: float = 0.98
    average_decay: float = 0.998
    weight_decay: float = 0.0


def gradient_scale(gradient, limit):
    """Factor that brings the gradient's norm down to the limit.

        scale = min(1, limit / |gradient|)

    Parameters
    ----------
    gradient : float32 [N]    Flat gradient.
    limit : float             Largest accepted norm.

    Returns
    -------
    (scale, norm)             Two floats.

    Raises
    ------
    RangeError                If the norm is not finite: the step must be looked at, not skipped.
    """
    norm = float(np.sqrt(np.dot(gradient, gradient)))
    if not np.isfinite(norm):
        raise RangeError("gradient: got a norm that is not finite, expected finite; lower the learning rate or inspect the batch")
    return min(1.0, limit / max(norm, 1e-20)), norm


def adam(weights, gradient, state, step, rates):
    """One update.

        m' = b1 m + (1 - b1) g,  v' = b2 v + (1 - b2) g^2
        w' = w - rate (m' / (1 - b1^n) / (sqrt(v' / (1 - b2^n)) + 1e-8) + decay w),  n = step + 1
        average' = d average + (1 - d) w',  d = min(average_decay, (step + 1) / (step + 20))

    Parameters
    ----------
    weights : float32 [N]     Flat parameters.
    gradient : float32 [N]    Gradient, already scaled.
    state : AdamState         Moments and average before the update.
    step : int, >= 0          Number of updates made before this one.
    rates : AdamRates         Constants of this update.

    Returns
    -------
    (float32 [N], AdamState)  New weights and state; nothing is changed in place.

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS, elementwise in the same order. Source: Kingma & Ba 2014, arXiv 1412.6980, algorithm 1;
    decoupled weight decay of Loshchilov & Hutter 2017.
    """
    check_adam(weights, gradient, state)
    constants = update_constants(step, rates)
    b1, b2, mean_scale, square_scale, rate, decay, keep = constants
    one = F32(1)
    mean = b1 * state.mean + (one - b1) * gradient
    square = b2 * state.square + (one - b2) * gradient * gradient
    moved = weights - rate * ((mean * mean_scale) / (np.sqrt(square * square_scale) + STABILITY) + decay * weights)
    return moved, AdamState(mean, square, keep * state.average + (one - keep) * moved)


def update_constants(step, rates):
    """The scalars of one update in float32. Parameters: step, rates. Returns a tuple of seven float32."""
    n = step + 1
    keep = min(rates.average_decay, n / (n + 19))
    return tuple(map(F32, (rates.mean_decay, rates.square_decay, 1 / (1 - rates.mean_decay**n), 1 / (1 - rates.square_decay**n),
                           rates.learning_rate, rates.weight_decay, keep)))


def check_adam(weights, gradient, state):
    """Validate the arguments. Parameters: weights, gradient, state."""
    checks.array("weights", weights, F32, (None,))
    for name, value in (("gradient", gradient), *zip(AdamState._fields, state)):
        checks.array(name, value, F32, weights.shape)
