"""Figures: what is drawn where, looked at through the Matplotlib objects."""

import numpy as np
import pytest

from refasr.errors import ShapeError
from refasr.plot import alignment

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'refasr[plots]'")
UNITS = ["\u2581", "h", "i", "\u2581", "a"]


@pytest.fixture
def axes():
    """Axes of a figure that no screen shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure()
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def test_alignment(axes):
    occupancy = np.full((10, 6), 0.1, np.float32)
    frames = np.array([2, 3, 3, 6, 8], np.int32)
    assert alignment.draw(occupancy, frames, UNITS, 0.04, axes) is axes
    path = axes.get_lines()[0].get_xydata()
    assert path[0].tolist() == [0, 0] and path[-1].tolist() == pytest.approx([0.4, 5])
    assert path[1].tolist() == pytest.approx([0.1, 0]), "the first label is written in the middle of frame 2"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["start", "\u00b7", "h", "i", "\u00b7", "a"]
    assert [text.get_text() for text in axes.texts] == ["hi", "a"]
    axes.figure.canvas.draw()


def test_alignment_of_silence(axes):
    alignment.draw(np.ones((4, 1), np.float32), np.zeros(0, np.int32), [], 0.04, axes)
    axes.figure.canvas.draw()


def test_alignment_refuses_other_shapes(axes):
    with pytest.raises(ShapeError, match="occupancy"):
        alignment.draw(np.ones((4, 3), np.float32), np.zeros(1, np.int32), ["a"], 0.04, axes)
