"""A picture of a lattice as SVG. Written only; lattices too large to be read are drawn without their least likely arcs.

Time runs right, the best path is the straight red line, and the darker and thicker an arc, the more probable it is.
"""

from xml.sax.saxutils import escape

import numpy as np

from refasr.lattice.layout import corners, lay_out
from refasr.whole_file import whole_file

UNIT, LANE = 70, 34                       # pixels of the layout's x and of a lane
LEFT, ABOVE, BELOW = 30, 40, 46           # borders
BEST, INK, PAPER, FAINT = "#d1495b", "#20303c", "#ffffff", "#8896a0"
SHORTEST_TICK = 60                        # pixels between times


def write(lattice, path):
    """Draw.

    Parameters
    ----------
    lattice : Lattice
    path : str or Path

    Raises
    ------
    FormatError           If it cannot be written.
    """
    layout = lay_out(lattice)
    highest, lowest = layout.lane.max(initial=0), layout.lane.min(initial=0)
    width, height = LEFT * 2 + UNIT * layout.x[-1], ABOVE + BELOW + LANE * (highest - lowest)
    to_x, to_y = (lambda x: LEFT + UNIT * x), (lambda y: ABOVE + LANE * (highest - y))
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
             f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="Helvetica, Arial, sans-serif" font-size="12">',
             f'<rect width="100%" height="100%" fill="{PAPER}"/>', *axis(layout, to_x, height - 22)]
    order = np.argsort(layout.picture.posterior + layout.picture.best, kind="stable").tolist()    # the best path on top
    lines += [curve(layout, arc, to_x, to_y) for arc in order]
    lines += [f'<circle cx="{to_x(x):.1f}" cy="{to_y(y):.1f}" r="3.5" fill="{PAPER}" stroke="{INK}" stroke-width="1.2"/>'
              for x, y in zip(layout.x, layout.y)]
    lines += [label(layout, arc, to_x, to_y) for arc in order]
    if layout.lattice.n_arcs < layout.n_arcs:
        lines.append(f'<text x="{LEFT}" y="16" fill="{FAINT}" font-size="11">'
                     f"the best {layout.lattice.n_arcs} of {layout.n_arcs} arcs</text>")
    with whole_file(path, "w", encoding="utf-8", errors="replace") as file:
        file.writelines(f"{line}\n" for line in [*lines, "</svg>"])


def curve(layout, arc, to_x, to_y):
    """An arc's line. Parameters: layout, arc, to_x, to_y (functions to pixels). Returns an SVG element."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = [(to_x(x), to_y(y)) for x, y in corners(layout, arc)]
    path = (f"M{ax:.1f},{ay:.1f} C{(ax + bx) / 2:.1f},{ay:.1f} {(ax + bx) / 2:.1f},{by:.1f} {bx:.1f},{by:.1f} "
            f"L{cx:.1f},{cy:.1f} C{(cx + dx) / 2:.1f},{cy:.1f} {(cx + dx) / 2:.1f},{dy:.1f} {dx:.1f},{dy:.1f}")
    posterior = layout.picture.posterior[arc]
    colour = BEST if layout.picture.best[arc] else INK
    return (f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{0.8 + 2.2 * posterior:.2f}" '
            f'opacity="{0.35 + 0.65 * posterior if colour == INK else 1:.2f}"/>')


def label(layout, arc, to_x, to_y):
    """An arc's word and posterior, above its line. Parameters: layout, arc, to_x, to_y. Returns an SVG element."""
    lattice = layout.lattice
    middle = (layout.x[lattice.source[arc]] + layout.x[lattice.target[arc]]) / 2
    word, posterior = layout.labels[arc].rsplit(" ", 1)
    word = "".join(letter if letter.isprintable() else "\ufffd" for letter in word)
    best = ' font-weight="bold"' if layout.picture.best[arc] else ""
    return (f'<text x="{to_x(middle):.1f}" y="{to_y(layout.lane[arc]) - 5:.1f}" text-anchor="middle" fill="{INK}"{best} '
            f'stroke="{PAPER}" stroke-width="3" stroke-linejoin="round" paint-order="stroke">'
            f'{escape(word)} <tspan fill="{FAINT}" font-size="9" font-weight="normal">{posterior}</tspan></text>')


def axis(layout, to_x, y):
    """Times below the picture. Parameters: layout, to_x, y (pixels). Returns a list of SVG elements."""
    marks, last, latest = [], -np.inf, None
    for node in np.argsort(layout.x, kind="stable").tolist():
        x = to_x(layout.x[node])
        if x - last >= SHORTEST_TICK and layout.times[node] != latest:
            last, latest = x, layout.times[node]
            marks.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 12}" y2="{y - 8}" stroke="{FAINT}"/>'
                         f'<text x="{x:.1f}" y="{y + 4}" text-anchor="middle" fill="{FAINT}" font-size="10">'
                         f"{layout.times[node]:.2f} s</text>")
    return marks
