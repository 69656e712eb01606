"""`refasr lattice` and `refasr plot lattice`."""

import json

import numpy as np
import pytest

from cases_lattice import weave
from refasr import cli
from refasr.errors import DTypeError
from refasr.lattice import wire
from refasr.lattice.formats import read_lattice, write_lattice
from refasr.lattice.layout import lay_out
from refasr.lattice.lattice import make_lattice

LATTICE = make_lattice(("", "jazz", "play", "sam", "some"), 5, [
    (0, 1, 2, 0, 5, -1280, -512, 256), (1, 2, 4, 6, 9, -1024, 0, 0), (1, 3, 3, 6, 10, -3072, 0, 0), (2, 4, 1, 10, 20, 0, 0, 0),
    (3, 4, 1, 10, 20, 0, 0, 0)])


@pytest.fixture
def file(tmp_path):
    """A lattice on disk."""
    write_lattice(LATTICE, tmp_path / "a.lat")
    return str(tmp_path / "a.lat")


def exit_code(*arguments):
    """What the process would exit with. Parameters: arguments. Returns int."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as error:
        return error.code


def test_show(file, capsys):
    assert exit_code("lattice", "show", file) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "5 nodes, 5 arcs, 4 different words, 0.80 s"
    assert lines[1] == "1.60 arcs a frame, 6.2 a second, 1.7 a word"
    assert lines[2] == f"{len(wire.encode(LATTICE))} bytes on the wire"
    assert [line.split() for line in lines[4:]] == [["-2.250", "-0.500", "0.250", "-2.500", "play", "some", "jazz"],
                                                    ["-4.250", "-0.500", "0.250", "-4.500", "play", "sam", "jazz"]]


def test_show_json(file, capsys):
    assert exit_code("lattice", "show", "--json", "--nbest", "1", file) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["nbest"] == [{"text": "play some jazz", "acoustic": -2.25, "lm": -0.5, "bias": 0.25, "total": -2.5}]
    assert (found["file"], found["nodes"], found["arcs"], found["words"], found["seconds"]) == (file, 5, 5, 4, 0.8)
    assert found["arcs_a_word"] == 5 / 3 and found["bytes"] == len(wire.encode(LATTICE))


def test_show_without_a_path(tmp_path, capsys):
    write_lattice(make_lattice([""], 2, []), tmp_path / "a.slf")
    assert exit_code("lattice", "show", tmp_path / "a.slf") == 0
    assert "no path" in capsys.readouterr().out


def test_prune(file, tmp_path, capsys):
    for limit in (["--beam", 1], ["--max-arcs", 3]):
        assert exit_code("lattice", "prune", file, tmp_path / "b.slf", *limit) == 0
        assert capsys.readouterr().out == ""
        assert read_lattice(tmp_path / "b.slf").n_arcs == 3
    assert exit_code("lattice", "prune", file, tmp_path / "b.slf", "--beam", 2) == 0
    assert read_lattice(tmp_path / "b.slf").n_arcs == 5


@pytest.mark.parametrize("suffix", [".fst", ".kaldi", ".slf", ".lat", ".dot", ".svg", ".SVG"])
def test_convert(file, tmp_path, suffix):
    assert exit_code("lattice", "convert", file, tmp_path / f"b{suffix}") == 0
    assert (tmp_path / f"b{suffix}").stat().st_size > 50
    assert (tmp_path / f"b{suffix}.syms").exists() == (suffix == ".fst")


def test_oracle(file, capsys):
    assert exit_code("lattice", "oracle", file, "--text", "Play sam, the jazz!") == 0
    assert capsys.readouterr().out == "1 errors in 4 words: 25.00 %\nplay sam jazz\n"
    assert exit_code("lattice", "oracle", file, "--text", "play sam the jazz", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"file": file, "errors": 1, "n_words": 4, "rate": 0.25, "text": "play sam jazz"}


@pytest.mark.parametrize("arguments", [
    "", "show", "nonsense", "show {} --nbest 0", "show {} --nbest x", "prune {} b.lat", "prune {} b.lat --beam -1",
    "prune {} b.lat --beam nan", "prune {} b.lat --max-arcs 0", "prune {} --beam 1", "convert {} b.txt", "convert {}",
    "oracle {}", "oracle {} --text ,", "prune {} b --beam 2"])
def test_wrong_usage(file, arguments, capsys):
    assert exit_code("lattice", *arguments.format(file).split()) == 2
    assert "usage: refasr lattice" in capsys.readouterr().err


@pytest.mark.parametrize("name, text, message", [
    ("b.fst", "0 1 a\n1 0 b\n", "no final node"), ("b.txt", "", "expected a lattice's"), ("b.svg", "", "written only"),
    ("b.lat", "nonsense", "b.lat")])
def test_bad_file(tmp_path, name, text, message, capsys):
    (tmp_path / name).write_text(text)
    assert exit_code("lattice", "show", tmp_path / name) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and message in captured.err and len(captured.err.splitlines()) == 1


def test_layout_keeps_labels_apart():
    for lattice in (LATTICE, weave(4, 3, 2, 3000), weave(12, 2, 1, 3000)):
        layout = lay_out(lattice)
        drawn = layout.lattice
        spans = sorted(zip(layout.lane.tolist(), layout.x[drawn.source].tolist(), layout.x[drawn.target].tolist()))
        for (lane, _, past), (next_lane, first, _) in zip(spans, spans[1:]):
            assert lane != next_lane or past <= first + 1e-9
        assert (layout.lane[layout.picture.best] == 0).all()
        assert (np.diff(layout.x[np.argsort(layout.times, kind="stable")]) >= 0).all()
        widths = layout.x[drawn.target] - layout.x[drawn.source]
        assert (widths >= [0.1 * len(label) for label in layout.labels]).all()


def test_plot(file, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'refasr[plots]'")
    for suffix, start in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        assert exit_code("plot", "lattice", file, "-o", tmp_path / f"b{suffix}") == 0
        assert (tmp_path / f"b{suffix}").read_bytes().startswith(start)
    assert exit_code("plot", "lattice", file, "-o", tmp_path / "b.txt") == 2
    assert exit_code("plot", "lattice", tmp_path / "none.lat", "-o", tmp_path / "b.png") == 1


@pytest.mark.parametrize("lattice, texts", [
    (LATTICE, {"play", "some", "sam", "jazz", "0.88", "0.12"}), (make_lattice([""], 2, []), set()),
    (make_lattice(["", "a$b$"], 2, [(0, 1, 1, 0, 5, 0, 0, 0), (0, 1, 0, 0, 5, 0, 0, 0)]), {r"a\$b\$", "\u03b5", "0.50"})])
def test_drawing(lattice, texts):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'refasr[plots]'")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from refasr.plot import lattice as figure
    axes = FigureCanvasAgg(Figure()).figure.add_subplot()
    assert figure.draw(lattice, axes) is axes
    assert texts <= {text.get_text() for text in axes.texts} and len(axes.patches) == lattice.n_arcs
    axes.figure.canvas.draw()
    if lattice is LATTICE:
        figure.draw(lattice, axes, max_arcs=3)
        assert "the best 3 of 5 arcs" in {text.get_text() for text in axes.texts}
    with pytest.raises(DTypeError, match="lattice"):
        figure.draw(None, axes)
