"""Figures of a training run: histograms of weights, and zeros over the epochs."""

import numpy as np
import pytest
from technique_runs import random_rows

from refasr import cli
from refasr.errors import FormatError, ShapeError
from refasr.plot import sparsity, weights
from refasr.train.quantise_aware import QuantiseAware, QuantiseSettings
from refasr.train.run import Log
from refasr.train.snapshots import FILE, read_snapshots, snapshot
from refasr.transducer.model import Architecture, initialise
from refasr.twins import select

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'refasr[plots]'")
SMALL = Architecture(encoder_widths=(16,), embedding_width=8, predictor_width=8, joiner_width=16)


@pytest.fixture
def axes():
    """Axes of a figure that no screen shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure()
    FigureCanvasAgg(figure)
    return figure.add_subplot()


@pytest.fixture(params=["uniform", "chosen", None])
def folder(request, tmp_path):
    """A work folder with three snapshots: more zeros each time, and rounded in the end."""
    quantise = request.param and QuantiseAware(QuantiseSettings(bits=4, levels=request.param), SMALL, 10, select("reference"))
    log, params = Log(tmp_path / FILE, 0), initialise(SMALL, 0)
    for epoch, share in enumerate((0.0, 0.5, 0.75)):
        for value in params.values():
            value[np.abs(value) < np.quantile(np.abs(value), share)] = 0
        last = quantise.deployed(params) if quantise and epoch == 2 else params
        log.write(step=10 * epoch, epoch=epoch, **snapshot(last, SMALL, quantise))
    return tmp_path


def test_weights(folder, axes):
    snapshots = read_snapshots(folder)
    assert weights.draw(snapshots, axes) is axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["step 0", "step 10", "step 20"]
    first, last = (np.array(snapshots[i]["histogram"]["counts"]) for i in (0, 2))
    assert first.sum() == last.sum() and np.count_nonzero(last) < np.count_nonzero(first)
    axes.figure.canvas.draw()


def test_sparsity(folder, axes):
    snapshots = read_snapshots(folder)
    assert sparsity.draw_pattern(snapshots, axes) is axes
    captions = [text.get_text() for text in axes.texts]
    assert len(captions) == 3 and "epoch 0, step 0\n0% zeros" in captions and any("75% zeros" in text for text in captions)
    axes.figure.canvas.draw()
    other = axes.figure.add_subplot()
    sparsity.draw_layers(snapshots, other)
    assert all(line.get_ydata()[0] == 0 and line.get_ydata()[-1] > 0.7 for line in other.get_lines())


@pytest.mark.parametrize("figure", ["weights", "sparsity"])
def test_command(folder, figure, tmp_path, capsys):
    out = tmp_path / "out.png"
    assert cli.main(["plot", figure, str(folder), "-o", str(out)]) == 0
    assert out.read_bytes()[:4] == b"\x89PNG"
    assert cli.main(["plot", figure, str(tmp_path / "none"), "-o", str(out)]) == 1
    assert "none" in capsys.readouterr().err


def test_small_weights_are_not_taken_for_zeros(tmp_path):
    params = initialise(SMALL, 0)
    params["encoder.0.recurrent"][:] = np.float32(1e-9) * random_rows((16, 64))
    params["encoder.0.recurrent"][3, 5] = 0
    params["encoder.0.recurrent"][0, 0] = 1
    Log(tmp_path / FILE, 0).write(step=0, epoch=0, **snapshot(params, SMALL))
    assert np.argwhere(read_snapshots(tmp_path)[0]["patch"] == 0).tolist() == [[5, 3]]


@pytest.mark.parametrize("text", ["", "{}\n", "x\n", '{"patch": {"values": "AA", "shape": [9, 9]}}\n', '{"patch": 3}\n'])
def test_damaged_snapshots_are_refused(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(FormatError, match="snapshot"):
        read_snapshots(tmp_path)


def test_snapshots_of_different_runs_are_refused(axes):
    two = [{"step": 0, "histogram": {"window": window, "counts": [1, 2], "levels": [0]}} for window in (8.5, 127.5)]
    with pytest.raises(ShapeError, match="one run"):
        weights.draw(two, axes)
