"""Graphviz DOT: `dot -Tpdf OUT.dot`. Written only.

Arcs are labelled with word and posterior and drawn the darker, the more probable; the best path is bold and red.
"""

from refasr.lattice.layout import Picture
from refasr.whole_file import whole_file

NO_WORD = "\u03b5"
BEST = "#d1495b"


def write(lattice, path):
    """Write all arcs.

    Parameters
    ----------
    lattice : Lattice
    path : str or Path

    Raises
    ------
    FormatError           If it cannot be written.
    """
    picture = Picture.of(lattice)
    lines = ["digraph lattice {", "rankdir=LR;", "node [shape=circle, fontsize=9, width=0.2, fixedsize=true];",
             "edge [fontsize=10];", f"{lattice.n_nodes - 1} [shape=doublecircle];"]
    for arc, (source, target, word) in enumerate(zip(lattice.source.tolist(), lattice.target.tolist(), lattice.word.tolist())):
        posterior = float(picture.posterior[arc])
        style = f'color="{BEST}", penwidth=2.5' if picture.best[arc] else f'color="gray{round(75 * (1 - posterior))}"'
        label = escaped(lattice.words[word]) if word else NO_WORD
        seconds = f"{lattice.start[arc] * lattice.frame_seconds:.2f} to {lattice.end[arc] * lattice.frame_seconds:.2f} s"
        lines.append(f'{source} -> {target} [label="{label} {posterior:.2f}", tooltip="{seconds}", {style}];')
    with whole_file(path, "w", encoding="utf-8", errors="replace") as file:
        file.writelines(f"{line}\n" for line in [*lines, "}"])


def escaped(word):
    """A word inside a quoted string of DOT. Parameters: word. Returns str."""
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\0", "")
