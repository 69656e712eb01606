"""Where the labels are in time: occupancies of the T x (U+1) grid, the best path through it, and the words."""

import numpy as np

from refasr import checks
from refasr.transducer.align import word_times
from refasr.transducer.units import WORD_MARK

FAINTEST = 1e-3     # occupancies below it are drawn as nothing
INK, PATH, WORDS = "#20303c", "#d1495b", ("#2e86ab", "#7a9e3f")


def draw(occupancy, frames, units, frame_seconds, ax):
    """Draw one utterance.

    Parameters
    ----------
    occupancy : float32 [T, U+1]    From `loss.rnnt_loss`, or exp(alpha + beta - logp).
    frames : int32 [U]              Best path: frame of each label, from `align.best_path`.
    units : sequence of str [U]     Text of each label.
    frame_seconds : float           Length of a frame.
    ax : matplotlib Axes            Where to draw; time runs right, text runs up.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DTypeError, ShapeError, MissingExtra
    """
    checks.array("occupancy", occupancy, np.float32, (None, len(units) + 1))
    checks.array("frames", frames, np.int32, (len(units),))
    colours = checks.extra("matplotlib.colors", "plots")
    seconds = len(occupancy) * frame_seconds
    image = ax.imshow(np.maximum(occupancy.T, FAINTEST), origin="lower", aspect="auto", cmap="Blues", interpolation="nearest",
                      extent=(0, seconds, -0.5, len(units) + 0.5), norm=colours.LogNorm(FAINTEST, 1))
    bar = ax.figure.colorbar(image, ax=ax, pad=0.015, fraction=0.04, aspect=40)
    bar.set_label("probability that the path visits the node")
    draw_path(frames, frame_seconds, seconds, ax)
    draw_units(units, ax)
    draw_words(word_times(frames, units, frame_seconds), seconds, ax)
    ax.set_xlabel("time, seconds")
    ax.set_ylabel("labels written so far")
    ax.legend(loc="lower right", frameon=False)
    return ax


def draw_path(frames, frame_seconds, seconds, ax):
    """The best path: along a row while blank, up a row at a label. Parameters: frames, frame_seconds, seconds, ax."""
    x = np.concatenate([[0], np.repeat((frames + 0.5) * frame_seconds, 2), [seconds]])
    y = np.repeat(np.arange(len(frames) + 1), 2)
    ax.plot(x, y, color=PATH, linewidth=1.6, solid_joinstyle="miter", label="best path")


def draw_units(units, ax):
    """Name the rows: row u + 1 is reached by writing unit u. Parameters: units, ax."""
    ax.set_yticks(range(len(units) + 1), ["start", *(unit.replace(WORD_MARK, "\u00b7") for unit in units)])
    row_points = 0.8 * 72 * ax.figure.get_figheight() / (len(units) + 1)
    ax.tick_params(axis="y", labelsize=float(np.clip(0.85 * row_points, 4, 11)), length=0)
    for row, unit in enumerate(units):
        if unit.startswith(WORD_MARK):
            ax.axhline(row + 0.5, color=INK, linewidth=0.5, alpha=0.35)


def draw_words(words, seconds, ax):
    """The words and their spans, in a strip above the grid. Parameters: words (list of Word), seconds, ax."""
    for index, word in enumerate(words):
        colour = WORDS[index % len(WORDS)]
        ax.axvspan(word.start, word.end, color=colour, alpha=0.10, linewidth=0)
        ax.axvspan(word.start, word.end, ymin=1.0, ymax=1.025, color=colour, linewidth=0, clip_on=False)
        ax.annotate(word.word, ((word.start + word.end) / 2, 1.035), xycoords=("data", "axes fraction"), rotation=35,
                    rotation_mode="anchor", ha="left", va="bottom", fontsize=10, color=INK)
    ax.set_xlim(0, max([seconds, *(word.end for word in words)]))
