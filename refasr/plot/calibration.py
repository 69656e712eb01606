"""Whether confidences can be believed: how often words are right, by how sure the recogniser was of them."""

from refasr.lattice.confidence import expected_calibration_error, reliability

DIAGONAL = "#d1495b"
COUNTS_HEIGHT = 0.15    # of the axes: the strip below that shows how many words stand behind a point


def draw(confidence, correct, ax, n_bins=10, label="words"):
    """Draw a reliability diagram.

    Parameters
    ----------
    confidence : float64 [N], 0 to 1
    correct : bool [N]
    ax : matplotlib Axes            Where to draw; confidence runs right, accuracy up. Draw twice to compare.
    n_bins : int, 1 to 1000
    label : str                     For the legend; the expected calibration error is added.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    bins = reliability(confidence, correct, n_bins)
    error = expected_calibration_error(confidence, correct, n_bins)
    if not ax.lines:
        ax.plot([0, 1], [0, 1], color=DIAGONAL, linewidth=1.2, linestyle="--", label="right as often as sure")
    (line,) = ax.plot(bins.confidence, bins.accuracy, marker="o", linewidth=1.6,
                      label=f"{label}, calibration error {error:.3f}")
    ax.vlines(bins.confidence, 0, COUNTS_HEIGHT * bins.count / bins.count.max(), color=line.get_color(), linewidth=5, alpha=0.35)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_aspect("equal")
    ax.set_xlabel("confidence")
    ax.set_ylabel("share of words that are right; strip below: words")
    ax.legend(loc="upper left", frameon=False)
    return ax
