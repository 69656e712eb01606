"""How long end-pointers wait at each rate of early cut-offs, and how many bytes go up; of a report of the latency suite.

The report is the JSON of `data/training/endpoint_report.py`: `table`, `curves`, and perhaps `bytes`.
"""

import numpy as np

from refasr.errors import FormatError

COLOURS = {"model": "#2e86ab", "sherpa": "#d1495b", "kaldi": "#7a9e3f"}
NAMES = {"model": "model", "sherpa": "sherpa-onnx's rules", "kaldi": "Kaldi's rules"}
GREYS = ("#20303c", "#9aa7b0")
STYLES = ("-", "--", ":")
MOST_EARLY, MOST_MS = 0.12, 2600
QUANTILES = {1: "median wait, ms", 2: "90 % wait, ms"}    # by their place in a point
WAYS = ("pcm", "flac", "opus", "lattices", "final")
GROUPS = ("requests", "real people", "synthetic")


def points_of(report, group, ending):
    """One curve. Parameters: report (dict), group, ending (names). Returns float64 [N, 3], or FormatError if it is missing."""
    for one in report.get("curves", []):
        if (one.get("set"), one.get("ended_by")) == (group, ending):
            points = np.array(one["points"], np.float64).reshape(-1, 3)
            return points[np.isfinite(points).all(axis=1)]
    raise FormatError(f"report: got no curve of {group!r} ended by {ending!r}, expected one; "
                      "write it with data/training/endpoint_report.py")


def draw_curves(report, groups, endings, quantile, ax):
    """Draw waits over early cut-offs; lower and further left is better.

    Parameters
    ----------
    report : dict
    groups : sequence of str      Names of sets; each has a style of line.
    endings : sequence of str     End-pointers; each has a colour.
    quantile : 1 or 2             The median or the 90 % wait.
    ax : matplotlib Axes

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    FormatError                   If the report lacks one of them.
    """
    for group, style in zip(groups, STYLES):
        for ending in endings:
            points = points_of(report, group, ending)
            label = NAMES[ending] if len(groups) == 1 else group.split(", ")[-1] if ending == endings[0] else None
            ax.step(points[:, 0], 1000 * np.minimum.accumulate(points[:, quantile]), where="post", color=COLOURS[ending],
                    linestyle=style, linewidth=1.8, label=label)
    ax.set_xlim(0, MOST_EARLY)
    ax.set_ylim(0, MOST_MS)
    ax.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    ax.set_xlabel("cut off early")
    ax.set_ylabel(QUANTILES[quantile])
    ax.grid(alpha=0.25)
    return ax


def draw_bytes(report, ax):
    """Draw what an utterance costs on the way up. Parameters: report, ax. Returns the Axes."""
    found = report.get("bytes", {})
    height = 0.8 / max(1, len(found))
    for index, (name, row) in enumerate(found.items()):
        places = np.arange(len(WAYS)) + index * height
        ax.barh(places, [row[way] for way in WAYS], height, color=GREYS[index % 2], label=name)
        for place, way in zip(places, WAYS):
            ax.text(row[way] * 1.15, place, f"{row[way]:,.0f}", va="center", fontsize=8)
    ax.set_xscale("log")
    ax.set_xlim(100, 1.5e6)
    ax.set_yticks(np.arange(len(WAYS)) + 0.4 - height / 2, ["PCM", "FLAC", "Opus", "lattices,\nwith guesses", "final\nlattice"])
    ax.invert_yaxis()
    ax.set_xlabel("bytes up for an utterance")
    if found:
        ax.legend(frameon=False, fontsize=8, loc="lower right")
    return ax


def draw(report, figure):
    """The whole page.

    Parameters
    ----------
    report : dict                  Of `data/training/endpoint_report.py`.
    figure : matplotlib Figure     Emptied and filled: waits of all end-pointers; below, by noise and pauses, and bytes.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    FormatError                    If the report lacks a curve.
    """
    figure.clear()
    figure.set_size_inches(13, 11)
    rows = figure.subplots(3, 3)
    for column, group in enumerate(GROUPS):
        rows[0][column].set_title(group)
        for quantile, row in zip(QUANTILES, rows):
            draw_curves(report, [group], list(COLOURS), quantile, row[column])
    rows[0][0].legend(frameon=False)
    for ax, names, title in ((rows[2][0], ("clean", "20 dB", "10 dB"), "requests, by noise"),
                             (rows[2][1], ("pauses", "no pauses"), "pauses put in or not")):
        draw_curves(report, [f"requests, {name}" for name in names], ("model", "kaldi"), 1, ax)
        ax.set_title(title + "; blue model, green Kaldi", fontsize=10)
        ax.legend(frameon=False)
    draw_bytes(report, rows[2][2])
    return figure
