"""How sure the lattice is, of each word and of the utterance, and how sure it should be.

The posterior of one arc is too small: the same word also lies on arcs that begin a frame earlier or come after another word. So
the posteriors of all arcs with that word are added wherever they cover the same frame, and the best frame counts (C_max):

    conf(w, s, e) = max over frames t in [s, e) of  sum over arcs a with word w and start a <= t < end a of  posterior(a)

Source: Wessel, Schlueter, Macherey, Ney: Confidence measures for large vocabulary continuous speech recognition, 2001, eq. 17.
Calibration then maps it to how often such words are right: Platt's logistic curve over the logit, two numbers.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks, numerics
from refasr.errors import RangeError
from refasr.lattice.forward_backward import IMPOSSIBLE, arc_weights, log_scores, require_lattice
from refasr.lattice.lattice import NO_WORD
from refasr.lattice.oracle import LARGEST_TABLE, require_reference

SUREST = 1 - 1e-6         # the logit of 0 and 1 is infinite; confidences beyond 1e-6 and this count as these
NEWTON_STEPS = 100
RIDGE = 1e-6              # keeps the Hessian regular when all confidences are equal


class Calibration(NamedTuple):
    """A logistic curve: calibrated = sigmoid(a logit(raw) + b). (1, 0) changes nothing."""

    a: float
    b: float


class Reliability(NamedTuple):
    """What came true, by bins of equal width; bins without a word are left out.

    confidence : float64 [B]    Mean confidence.
    accuracy : float64 [B]      Share of words that were right.
    count : int64 [B]           Words.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


def word_confidences(lattice, arcs, posteriors):
    """Confidence of the words on a path.

    Parameters
    ----------
    lattice : Lattice
    arcs : int32 [P]              A path, such as `Reading.arcs`; arcs without a word are passed over.
    posteriors : float64 [A]      From `forward_backward.arc_posteriors`.

    Returns
    -------
    float64 [W], 0 to 1           One a word. Arcs of one path may overlap in time and say the same word; counted twice they
                                  would exceed 1, so 1 is the limit.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Cost: W A.
    """
    require_lattice(lattice)
    checks.array("arcs", arcs, np.int32, (None,))
    checks.array("posteriors", posteriors, np.float64, (lattice.n_arcs,))
    if arcs.size and not (arcs.min() >= 0 and arcs.max() < lattice.n_arcs):
        raise RangeError(f"arcs: got {arcs.min()} to {arcs.max()}, expected arcs from 0 to {lattice.n_arcs - 1}")
    found = []
    for arc in arcs[lattice.word[arcs] != NO_WORD]:
        first, last = lattice.start[arc], lattice.end[arc]
        same = np.flatnonzero((lattice.word == lattice.word[arc]) & (lattice.start < last) & (lattice.end > first))
        change = np.zeros(2 * same.size)    # the sum only rises where an arc starts, so only starts and ends are looked at
        change[::2], change[1::2] = posteriors[same], -posteriors[same]
        time = np.stack([np.maximum(lattice.start[same], first), np.minimum(lattice.end[same], last)], axis=1).ravel()
        order = np.lexsort([change, time])      # ends before starts: the end is exclusive
        found.append(min(1.0, np.cumsum(change[order]).max()))
    return np.array(found, np.float64)


def sequence_posterior(lattice, words, scale=1.0):
    """Probability of a word sequence: the share of all paths that spell it.

    Parameters
    ----------
    lattice : Lattice
    words : int32 [U]           Word numbers, as `oracle.word_numbers` gives them.
    scale : float, 0 to 1000    Of the scores; see `forward_backward.log_scores`.

    Returns
    -------
    float, 0 to 1               0 if no path spells it.

    Raises
    ------
    DTypeError, ShapeError, RangeError    RangeError also where the table of N (U+1) cells would not fit.

    Notes
    -----
    Twin: BITS. Cost: A (U+1) log-additions.
    """
    all_paths = log_scores(lattice, scale).total
    require_reference(words)
    forward = new_table(lattice, words)
    weights = arc_weights(lattice, scale)
    for arc in range(lattice.n_arcs):
        before, after = forward[lattice.source[arc]], forward[lattice.target[arc]]
        if lattice.word[arc] == NO_WORD:
            after[:] = numerics.log_add(after, before + weights[arc])
        else:
            step = np.where(words == lattice.word[arc], before[:-1] + weights[arc], IMPOSSIBLE)
            after[1:] = numerics.log_add(after[1:], step)
    return share(float(forward[-1, -1]), all_paths)


def new_table(lattice, words):
    """Log-probabilities before any arc. Parameters: lattice, words. Returns float64 [N, U+1]. Raises RangeError."""
    checks.between("table cells", lattice.n_nodes * (words.size + 1), 1, LARGEST_TABLE // 2)
    forward = np.full((lattice.n_nodes, words.size + 1), IMPOSSIBLE)
    forward[0, 0] = 0.0
    return forward


def share(some, of):
    """exp(some - of), at most 1; 0 for a sum of no path. Parameters: some, of (float). Returns float."""
    if some <= IMPOSSIBLE / 2:
        return 0.0
    x = np.array([min(0.0, some - of)], numerics.F32)
    return float(numerics.exp(x)[0]) if x[0] >= numerics.EXP_LOW else 0.0


def logit(raw):
    """ln(p / (1 - p)), within what SUREST allows. Parameters: raw (float64 array, 0 to 1). Returns an array like it."""
    p = np.clip(raw, 1 - SUREST, SUREST)
    return np.log(p) - np.log1p(-p)


def require_confidences(confidence, correct):
    """Require N confidences in [0, 1] and N verdicts, N > 0. Parameters: confidence, correct. Raises as `fit_calibration`."""
    checks.array("confidence", confidence, np.float64, (None,))
    checks.array("correct", correct, np.bool_, confidence.shape)
    if confidence.size == 0 or not (confidence.min() >= 0 and confidence.max() <= 1):
        raise RangeError(f"confidence: got {confidence.size} numbers, not all from 0 to 1, expected at least one, all in range")


def calibrate(raw, a, b):
    """Calibrated confidence.

        calibrated = 1 / (1 + exp(-(a ln(raw / (1 - raw)) + b)))

    Parameters
    ----------
    raw : float64 [N], 0 to 1    0 and 1, whose logit is infinite, count as 1e-6 away from there.
    a, b : float                 From `fit_calibration`.

    Returns
    -------
    float64 [N], 0 to 1

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Examples
    --------
    >>> calibrate(np.array([0.5, 0.9]), 1.0, 0.0).round(3).tolist()
    [0.5, 0.9]
    """
    checks.array("raw", raw, np.float64, (None,))
    checks.finite("a, b", np.array([a, b], np.float64))
    if raw.size and not (raw.min() >= 0 and raw.max() <= 1):
        raise RangeError("raw: got a confidence out of range, expected 0 to 1")
    return 0.5 + 0.5 * np.tanh(0.5 * (a * logit(raw) + b))


def fit_calibration(confidence, correct):
    """Maximum-likelihood calibration, by Newton's method from (1, 0); convex, so there is one answer.

        minimise  sum over words of  -y ln p - (1 - y) ln(1 - p) + ridge,  p = sigmoid(a logit(confidence) + b)
        y = (R + 1) / (R + 2) for words that are right, 1 / (F + 2) for the others, where R are right and F wrong

    Parameters
    ----------
    confidence : float64 [N], 0 to 1
    correct : bool [N]

    Returns
    -------
    Calibration

    Raises
    ------
    DTypeError, ShapeError
    RangeError                    Without any word, or for a confidence out of range.

    Notes
    -----
    Source: Platt, Probabilistic outputs for support vector machines, 1999; the targets keep separable data finite.
    """
    require_confidences(confidence, correct)
    x = np.stack([logit(confidence), np.ones(confidence.size)])
    right, wrong = np.count_nonzero(correct), np.count_nonzero(~correct)
    y = np.where(correct, (right + 1) / (right + 2), 1 / (wrong + 2))
    start = np.array([1.0, 0.0])

    def loss(theta):
        z = theta @ x
        return (np.logaddexp(0, z) - y * z).sum() + RIDGE / 2 * ((theta - start) ** 2).sum()

    theta = start
    for _ in range(NEWTON_STEPS):
        p = 0.5 + 0.5 * np.tanh(0.5 * (theta @ x))
        gradient = x @ (p - y) + RIDGE * (theta - start)
        step = np.linalg.solve((x * (p * (1 - p))) @ x.T + RIDGE * np.eye(2), gradient)
        size, before = 1.0, loss(theta)
        while loss(theta - size * step) > before and size > 1e-9:    # a full step may overshoot where the curve is flat
            size /= 2
        if size <= 1e-9 or np.abs(size * step).max() < 1e-12:
            break
        theta = theta - size * step
    return Calibration(*theta.tolist())


def reliability(confidence, correct, n_bins=10):
    """Accuracy by confidence.

    Parameters
    ----------
    confidence : float64 [N], 0 to 1
    correct : bool [N]
    n_bins : int, 1 to 1000             Bins of equal width; 1 belongs to the last.

    Returns
    -------
    Reliability

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    require_confidences(confidence, correct)
    checks.between("n_bins", n_bins, 1, 1000)
    bins = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    count = np.bincount(bins, minlength=n_bins)
    used = count > 0
    mean, share_right = (np.bincount(bins, value, n_bins)[used] / count[used] for value in (confidence, correct))
    return Reliability(mean, share_right, count[used])


def expected_calibration_error(confidence, correct, n_bins=10):
    """Mean distance of accuracy and confidence, over bins weighted by their words.

    Parameters
    ----------
    confidence : float64 [N], 0 to 1
    correct : bool [N]
    n_bins : int, 1 to 1000

    Returns
    -------
    float, 0 to 1

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    bins = reliability(confidence, correct, n_bins)
    return float((bins.count * np.abs(bins.accuracy - bins.confidence)).sum() / bins.count.sum())


def area_under_roc(confidence, correct):
    """Probability that a right word is surer than a wrong one; a tie counts half.

    Parameters
    ----------
    confidence : float64 [N], 0 to 1
    correct : bool [N]

    Returns
    -------
    float, 0 to 1                       1/2 is what chance gives.

    Raises
    ------
    DTypeError, ShapeError
    RangeError                          Also where all words are right, or all wrong.
    """
    require_confidences(confidence, correct)
    right, wrong = np.count_nonzero(correct), np.count_nonzero(~correct)
    if right == 0 or wrong == 0:
        raise RangeError(f"correct: got {right} words right and {wrong} wrong, expected some of each; give more words")
    _, value, count = np.unique(confidence, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2      # mean rank of equal values
    return float((rank[value][correct].sum() - right * (right + 1) / 2) / (right * wrong))
