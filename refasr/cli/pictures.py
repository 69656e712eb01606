"""Files with figures: which names they may have, and how they are drawn. Not a sub-command."""

import pathlib

SUFFIXES = (".png", ".svg", ".pdf")


def require_suffix(options, option, path):
    """Refuse a file of a kind that nothing draws. Parameters: options, option (its name), path."""
    if pathlib.Path(path).suffix.lower() not in SUFFIXES:
        options.refuse(f"{option}: got {path!r}, expected a name that ends in {', '.join(SUFFIXES)}")


def write_figure(path, draw, size_inches, dots_an_inch):
    """Draw into a file, whole or not at all.

    Parameters
    ----------
    path : str                            Its suffix chooses the format.
    draw : function of Axes
    size_inches : (float, float)
    dots_an_inch : int

    Raises
    ------
    MissingExtra                          Without Matplotlib.
    """
    from refasr import checks
    from refasr.whole_file import whole_file
    figure = checks.extra("matplotlib.figure", "plots").Figure(figsize=size_inches, dpi=dots_an_inch, layout="constrained")
    draw(figure.add_subplot())
    with whole_file(path) as file:
        figure.savefig(file, format=pathlib.Path(path).suffix.lower()[1:])
