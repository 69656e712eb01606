"""What a search kept: nodes over time, arcs with word and posterior, the best path as a straight line."""

import numpy as np

from refasr import checks
from refasr.lattice.layout import MOST_ARCS, corners, lay_out

BEST, INK, FAINT, PAPER = "#d1495b", "#20303c", "#7b8a95", "white"
INCHES_A_UNIT, INCHES_A_LANE = 0.8, 0.36
WIDEST, HIGHEST = 60, 30          # inches
WORD_POINTS, NUMBER_POINTS = 10, 7
TICK_INCHES = 0.55                # least distance of times on the axis


def draw(lattice, ax, max_arcs=MOST_ARCS, scale=1.0):
    """Draw a lattice, and make the figure as large as that needs.

    Parameters
    ----------
    lattice : Lattice
    ax : matplotlib Axes
    max_arcs : int          Draw the best of a larger lattice; posteriors stay those of the whole.
    scale : float           Of the scores, for the posteriors; see `forward_backward.log_scores`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DTypeError, ShapeError, RangeError, MissingExtra
    """
    layout = lay_out(lattice, max_arcs, scale)
    low, high = layout.lane.min(initial=0) - 0.7, layout.lane.max(initial=0) + 1.1
    width, height = max(3.0, INCHES_A_UNIT * (layout.x[-1] + 1)), INCHES_A_LANE * (high - low) + 0.9
    ax.figure.set_size_inches(min(width, WIDEST), min(max(2.2, height), HIGHEST))
    for arc in np.argsort(layout.picture.posterior + layout.picture.best, kind="stable").tolist():    # the best path on top
        draw_arc(layout, arc, ax)
    ax.scatter(layout.x, layout.y, s=26, facecolor=PAPER, edgecolor=INK, linewidth=1.1, zorder=4)
    ax.scatter(layout.x[-1:], layout.y[-1:], s=70, facecolor="none", edgecolor=INK, linewidth=1.1, zorder=4)    # the end
    draw_times(layout, ax)
    if layout.lattice.n_arcs < layout.n_arcs:
        ax.text(0, 1, f"the best {layout.lattice.n_arcs} of {layout.n_arcs} arcs", transform=ax.transAxes, fontsize=8,
                color=FAINT, va="bottom")
    ax.set_xlim(-0.4, layout.x[-1] + 0.4)
    ax.set_ylim(low, high)
    ax.set_yticks([])
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
    return ax


def draw_arc(layout, arc, ax):
    """A line to its lane, along it and back, the thicker and darker the more probable, and a label on the lane.

    Parameters
    ----------
    layout : Layout
    arc : int
    ax : matplotlib Axes
    """
    paths = checks.extra("matplotlib.path", "plots")
    patches = checks.extra("matplotlib.patches", "plots")
    halo = [checks.extra("matplotlib.patheffects", "plots").withStroke(linewidth=2.5, foreground=PAPER)]    # lines pass below
    (ax_, ay), (bx, by), (cx, cy), (dx, dy) = corners(layout, arc)
    points = [(ax_, ay), ((ax_ + bx) / 2, ay), ((ax_ + bx) / 2, by), (bx, by), (cx, cy), ((cx + dx) / 2, cy), ((cx + dx) / 2, dy),
              (dx, dy)]
    kind = paths.Path
    path = kind(points, [kind.MOVETO, *[kind.CURVE4] * 3, kind.LINETO, *[kind.CURVE4] * 3])
    posterior, best = float(layout.picture.posterior[arc]), bool(layout.picture.best[arc])
    ax.add_patch(patches.PathPatch(path, facecolor="none", edgecolor=BEST if best else INK, linewidth=0.7 + 2.3 * posterior,
                                   alpha=1 if best else 0.3 + 0.7 * posterior, capstyle="round", zorder=3 if best else 2))
    word, number = layout.labels[arc].rsplit(" ", 1)
    text = ax.annotate(word.replace("$", r"\$"), ((bx + cx) / 2, by), xytext=(-8, 3), textcoords="offset points", ha="center",
                       va="bottom", fontsize=WORD_POINTS, color=INK, fontweight="bold" if best else "normal", path_effects=halo,
                       zorder=5)
    ax.annotate(number, (1, 0), xycoords=text, xytext=(2, 1), textcoords="offset points", ha="left", va="bottom",
                fontsize=NUMBER_POINTS, color=FAINT, path_effects=halo, zorder=5)


def draw_times(layout, ax):
    """Seconds on the axis, which is stretched where labels need room. Parameters: layout, ax."""
    ticks, last = [], -np.inf
    for node in np.argsort(layout.x, kind="stable").tolist():
        again = ticks and layout.times[node] == layout.times[ticks[-1]]
        if layout.x[node] - last >= TICK_INCHES / INCHES_A_UNIT and not again:
            last = layout.x[node]
            ticks.append(node)
    ax.set_xticks(layout.x[ticks], [f"{layout.times[node]:.2f}" for node in ticks])
    ax.tick_params(axis="x", labelsize=8, colors=FAINT)
    ax.set_xlabel("time, seconds (stretched where words need room)", fontsize=9)
