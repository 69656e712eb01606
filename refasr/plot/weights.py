"""Weights that drift to the levels of their codes, as a picture: one histogram a snapshot, the first at the bottom."""

import numpy as np

from refasr.errors import ShapeError

FIRST, LAST, LEVEL = "#9db4c0", "#d1495b", "#444444"
MOST_ROWS = 9
BEYOND = 2.5        # steps shown beyond the last level
HEIGHT = 0.9        # of a row: the tallest bar of a histogram
SMALLEST_SHARE = 1e-4  # of all weights in a bin that is still seen: bars are logarithms


def chosen(snapshots, most):
    """The first, the last and evenly spread others. Parameters: snapshots, most. Returns a list."""
    places = np.unique(np.linspace(0, len(snapshots) - 1, min(most, len(snapshots))).round().astype(int))
    return [snapshots[place] for place in places]


def draw(snapshots, ax, most=MOST_ROWS):
    """Draw histograms of weights, in steps of their row.

    Parameters
    ----------
    snapshots : list of dict      From `refasr.train.snapshots.read_snapshots`.
    ax : matplotlib Axes          Weights run right, time runs up.
    most : int                    Histograms to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ShapeError                    If the snapshots are of different runs.
    """
    kept = chosen(snapshots, most)
    window = kept[0]["histogram"]["window"]
    for entry in kept:
        if len(entry["histogram"]["counts"]) != len(kept[0]["histogram"]["counts"]) or entry["histogram"]["window"] != window:
            raise ShapeError("snapshots: got histograms over other weights, expected those of one run; use one work folder")
    edges = np.linspace(-window, window, len(kept[0]["histogram"]["counts"]) + 1)
    levels = kept[-1]["histogram"]["levels"]
    for level in {*levels, *(-level for level in levels)}:
        ax.axvline(level, color=LEVEL, linewidth=0.5, alpha=0.35, zorder=0)
    for row, entry in enumerate(kept):
        shares = np.array(entry["histogram"]["counts"]) / max(1, sum(entry["histogram"]["counts"]))
        height = np.log(np.maximum(shares, SMALLEST_SHARE) / SMALLEST_SHARE) / -np.log(SMALLEST_SHARE) * HEIGHT
        color = LAST if entry is kept[-1] else FIRST
        ax.stairs(row + height, edges, baseline=row, fill=True, color=color, alpha=0.85, zorder=2 + row)
    ax.set_yticks(range(len(kept)), [f"step {entry['step']}" for entry in kept])
    side = min(window, max(levels, default=window) + BEYOND)
    ax.set_xlim(-side, side)
    ax.set_ylim(0, len(kept))
    ax.set_xlabel("weight, in steps of its row; lines are levels")
    ax.set_title(f"share of weights, logarithmic: a row's height is 1 to {SMALLEST_SHARE:g}", loc="left")
    return ax
