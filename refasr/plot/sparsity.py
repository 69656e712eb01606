"""Zeros over the epochs: the pattern in a corner of one matrix, and the share of zeros of each tensor."""

import numpy as np

from refasr.plot.weights import chosen

MOST_PATCHES = 6
GAP = 3             # columns between patches
CAPTION = 0.02      # of the height, above a patch


def draw_pattern(snapshots, ax, most=MOST_PATCHES):
    """Draw a corner of a matrix at several epochs: white is exactly zero, darker is larger.

    Parameters
    ----------
    snapshots : list of dict      From `refasr.train.snapshots.read_snapshots`.
    ax : matplotlib Axes          Epochs run right; in each patch, outputs run down and inputs right.
    most : int                    Patches to draw.

    Returns
    -------
    matplotlib Axes
    """
    kept = chosen(snapshots, most)
    height, width = kept[0]["patch"].shape
    canvas = np.full((height, len(kept) * (width + GAP) - GAP), np.nan)
    for index, entry in enumerate(kept):
        first = index * (width + GAP)
        size = np.abs(entry["patch"].astype(float))
        # from a visible grey on, so that a small weight is not taken for a zero
        canvas[:, first : first + width] = np.where(size == 0, 0, 0.3 + 0.7 * np.minimum(size / max(size.max(), 1), 1))
        zeros = np.mean(entry["patch"] == 0)
        ax.text(first + width / 2, -CAPTION * height - 1, f"epoch {entry['epoch']}, step {entry['step']}\n{zeros:.0%} zeros",
                ha="center", va="bottom", fontsize=9)
    ax.imshow(np.ma.masked_invalid(canvas), cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    for index in range(len(kept)):
        first = index * (width + GAP) - 0.5
        ax.plot([first, first + width, first + width, first, first], [-0.5, -0.5, height - 0.5, height - 0.5, -0.5],
                color="#444444", linewidth=0.8, clip_on=False)
    ax.set_xlim(-1, canvas.shape[1])
    ax.set_axis_off()
    ax.set_title(f"{kept[0]['patch_name']}: the first {height} outputs and {width} inputs; white is exactly zero", loc="left",
                 pad=34)
    return ax


def draw_layers(snapshots, ax):
    """Draw the share of zeros of each coded tensor over the steps.

    Parameters
    ----------
    snapshots : list of dict      From `refasr.train.snapshots.read_snapshots`.
    ax : matplotlib Axes          Steps run right, zeros up.

    Returns
    -------
    matplotlib Axes
    """
    steps, names = [entry["step"] for entry in snapshots], list(snapshots[-1]["sparsity"])
    styles = ("-", "--", ":", "-.")
    for index, name in enumerate(names):
        shares = [entry["sparsity"].get(name, float("nan")) for entry in snapshots]
        ax.plot(steps, shares, linestyle=styles[index // 10 % 4], marker=".", linewidth=1.3, label=f"{name} {shares[-1]:.0%}")
    ax.set_ylim(0, 1)
    ax.set_xlabel("step")
    ax.set_ylabel("share of exact zeros")
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax
