"""How sure an error rate is: confidence intervals by resampling utterances.

The utterance is the unit that is drawn, since the errors within one are not independent. Where one speaker says many,
utterances are not independent either and these intervals are too narrow; give each speaker's sums as one "utterance".
Everything is a function of the data and the seed.

Source: Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004;
the percentile method. Bounds are resampled values themselves (no interpolation), so an infinite rate stays infinite.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError, ShapeError

N_RESAMPLES = 2000
BLOCK_DRAWS = 1 << 20  # resamples are drawn in blocks of this many indices, which bounds memory


class Difference(NamedTuple):
    """Word error rate of system A less that of system B.

    value : float      Of the sets as given; negative means A makes fewer errors.
    low, high : float  Confidence interval of the value.
    p_a_better : float     Share of the resamples in which A makes fewer errors; ties count half.
    """

    value: float
    low: float
    high: float
    p_a_better: float


def quotient(errors, words):
    """Errors a word, elementwise: 0 / 0 is 0 and n / 0 infinite, as in `wer.rate`. Parameters: errors, words. Returns float64."""
    errors, words = np.broadcast_arrays(np.asarray(errors, np.float64), np.asarray(words, np.float64))
    out = np.where(errors > 0, np.inf, 0.0)
    np.divide(errors, words, out=out, where=words > 0)
    return out


def require_counts(name, value, n_axes):
    """Require int64 counts >= 0, at least one. Parameters: name, value, n_axes."""
    checks.array(name, value, np.int64, (None,) * n_axes)
    if not value.size:
        raise ShapeError(f"{name}: got shape {list(value.shape)}, expected at least one utterance")
    if value.min() < 0:
        raise RangeError(f"{name}: got {value.min()}, expected counts >= 0")


def resampled_sums(columns, n_resamples, generator):
    """Draw N utterances with replacement, many times over, and add up.

    Parameters
    ----------
    columns : int64 [N, C]     Counts of each utterance.
    n_resamples : int
    generator : numpy Generator

    Returns
    -------
    int64 [n_resamples, C]
    """
    n_utterances = columns.shape[0]
    block = max(1, BLOCK_DRAWS // n_utterances)
    sums = np.empty((n_resamples, columns.shape[1]), np.int64)
    for first in range(0, n_resamples, block):
        part = sums[first:first + block]
        draws = generator.integers(0, n_utterances, (part.shape[0], n_utterances))
        for c in range(columns.shape[1]):
            part[:, c] = columns[:, c][draws].sum(axis=1)
    return sums


def percentiles(values, confidence):
    """The central range that holds this share of the values. Parameters: values, confidence. Returns (low, high)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, (tail, 1 - tail), method="inverted_cdf")
    return float(low), float(high)


def interval(errors, words, confidence=0.95, n_resamples=N_RESAMPLES, seed=0):
    """Confidence interval of a word error rate.

    Parameters
    ----------
    errors : int64 [N], >= 0      Errors of each utterance.
    words : int64 [N], >= 0       Words in the reference of each utterance.
    confidence : float, 0 to 1
    n_resamples : int, >= 1
    seed : int

    Returns
    -------
    (float, float)                Low and high, fractions.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Cost: n_resamples * N draws.

    Examples
    --------
    >>> interval(np.array([0, 1, 0, 2]), np.array([4, 5, 3, 8]))
    (0.0, 0.23076923076923078)
    """
    require_counts("errors", errors, 1)
    require_counts("words", words, 1)
    checks.array("words", words, np.int64, errors.shape)
    checks.between("confidence", confidence, 0, 1)
    checks.between("n_resamples", n_resamples, 1, 10**7)
    sums = resampled_sums(np.stack([errors, words], axis=1), n_resamples, np.random.default_rng(seed))
    return percentiles(quotient(sums[:, 0], sums[:, 1]), confidence)


def seed_shares(n_seeds, n_resamples, generator):
    """How often each training run is drawn. Parameters: n_seeds, n_resamples, generator. Returns int64 [n_resamples, n_seeds]."""
    return generator.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_resamples)


def difference(errors_a, errors_b, words, confidence=0.95, n_resamples=N_RESAMPLES, seed=0):
    """Compare two systems on the same utterances.

    Each resample draws the utterances once for both systems, so what is hard for both cancels. With several training
    runs a system, the runs of A and of B are drawn as well, apart from each other, and their error counts averaged.

    Parameters
    ----------
    errors_a : int64 [G, N], >= 0    Errors of system A: one row a training run (G = 1 if there is one).
    errors_b : int64 [H, N], >= 0    Errors of system B; H may differ from G.
    words : int64 [N], >= 0          Words in the references.
    confidence : float, 0 to 1
    n_resamples : int, >= 1
    seed : int

    Returns
    -------
    Difference

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    With one run a system the spread between training runs is not in the interval; report it as such.
    """
    require_counts("errors_a", errors_a, 2)
    require_counts("errors_b", errors_b, 2)
    require_counts("words", words, 1)
    checks.array("errors_a", errors_a, np.int64, (None, words.size))
    checks.array("errors_b", errors_b, np.int64, (None, words.size))
    checks.between("confidence", confidence, 0, 1)
    checks.between("n_resamples", n_resamples, 1, 10**7)
    if not words.any():
        raise RangeError("words: got no words in any reference, expected some; there is no rate to compare")
    generator = np.random.default_rng(seed)
    n_a, n_b = errors_a.shape[0], errors_b.shape[0]
    sums = resampled_sums(np.concatenate([errors_a, errors_b, words[None]]).T, n_resamples, generator)
    mean_a = (sums[:, :n_a] * seed_shares(n_a, n_resamples, generator)).sum(axis=1) / n_a
    mean_b = (sums[:, n_a:-1] * seed_shares(n_b, n_resamples, generator)).sum(axis=1) / n_b
    gaps = (mean_a - mean_b) / np.maximum(sums[:, -1], 1)
    value = (errors_a.sum() / n_a - errors_b.sum() / n_b) / words.sum()
    p_a_better = np.mean(gaps < 0) + 0.5 * np.mean(gaps == 0)
    return Difference(float(value), *percentiles(gaps, confidence), float(p_a_better))
