"""What a claim comes to: arms against arms, paired over utterances and over seeds.

Each resample draws utterances with replacement, and seeds with replacement, once for all arms: arms of one seed begin with the
same network and hear the same recordings, so what they share cancels.
"""

from typing import NamedTuple

import numpy as np

from refasr.metrics import bootstrap

N_RESAMPLES, CONFIDENCE = 2000, 0.95
LEAST_RECOVERED = 0.5


class Estimate(NamedTuple):
    """A figure and its interval."""

    value: float
    low: float
    high: float


def rates(errors, words, n_resamples=N_RESAMPLES, seed=0):
    """Word error rates of arms, as they are and resampled.

    Parameters
    ----------
    errors : list of int64 [S, N]    Of each arm: a row a seed; utterances and seeds in the same order for all.
    words : int64 [N]                In each utterance.
    n_resamples : int
    seed : int

    Returns
    -------
    (float64 [A], float64 [n_resamples, A])
    """
    n_seeds, generator = len(errors[0]), np.random.default_rng(seed)
    sums = bootstrap.resampled_sums(np.concatenate([*errors, words[None]]).T, n_resamples, generator)
    shares = bootstrap.seed_shares(n_seeds, n_resamples, generator)
    drawn = (sums[:, :-1].reshape(n_resamples, len(errors), n_seeds) * shares[:, None]).sum(axis=2) / n_seeds / sums[:, -1:]
    return np.array([each.sum() / n_seeds / words.sum() for each in errors]), drawn


def estimate(value, drawn):
    """A figure with its interval. Parameters: value, drawn (float64 [R]). Returns an Estimate."""
    return Estimate(float(value), *bootstrap.percentiles(drawn, CONFIDENCE))


def within(arm, dense, words):
    """Whether an arm is as good as the dense network.

    Parameters
    ----------
    arm, dense : int64 [S, N]    Errors.
    words : int64 [N]

    Returns
    -------
    (Estimate, str)              Of the difference, and the verdict. It holds if the arm's rate lies in the dense network's own
                                 interval, or below it, and the paired difference is not surely above 0.
    """
    value, drawn = rates([arm, dense], words)
    difference, own = estimate(value[0] - value[1], drawn[:, 0] - drawn[:, 1]), estimate(value[1], drawn[:, 1])
    return difference, "holds" if value[0] <= own.high and difference.low <= 0 else "fails"


def lower(arm, other, words):
    """Whether an arm makes fewer errors. Parameters: arm, other (int64 [S, N]), words. Returns (Estimate of difference, str)."""
    value, drawn = rates([arm, other], words)
    difference = estimate(value[0] - value[1], drawn[:, 0] - drawn[:, 1])
    if difference.value >= 0:
        return difference, "fails"
    return difference, "holds" if difference.high < 0 else "lower, but not surely"


def recovers(arm, rounded, dense, words):
    """How much of the loss by rounding an arm avoids.

        share = (rounded - arm) / (rounded - dense)

    Parameters
    ----------
    arm, rounded, dense : int64 [S, N]    Errors.
    words : int64 [N]

    Returns
    -------
    (Estimate, str)                       Of the share, and the verdict.
    """
    value, drawn = rates([arm, rounded, dense], words)
    loss = estimate(value[1] - value[2], drawn[:, 1] - drawn[:, 2])
    if loss.low <= 0:
        return Estimate(float("nan"), float("nan"), float("nan")), f"no sure loss to recover ({loss.value:+.4f})"
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.nan_to_num((drawn[:, 1] - drawn[:, 0]) / (drawn[:, 1] - drawn[:, 2]), nan=0.0)
    share = estimate((value[1] - value[0]) / (value[1] - value[2]), shares)
    return share, "holds" if share.value >= LEAST_RECOVERED else "fails"


def reported(arm, other, words):
    """A difference without a bar. Parameters: arm, other (int64 [S, N]), words. Returns (Estimate, str)."""
    return lower(arm, other, words)[0], "reported"
