"""Reports, energy, comparisons, the figure and the command line of the processor."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest
import soundfile
from test_hw_values import random_model
from tiny_integer import tiny_integer_model
from tiny_model import noise

from refasr import cli
from refasr.compress.container import write_contents
from refasr.compress.integer_model import to_contents
from refasr.errors import RangeError
from refasr.hw import report, variants
from refasr.hw.codec_layout import CODED
from refasr.hw.energy import joules
from refasr.hw.external import needs_table
from refasr.hw.isa import Cost
from refasr.hw.network import ProcessorNetwork
from refasr.hw.presets import INTEGER, PRESETS, preset
from refasr.hw.processor import Energies, changed
from refasr.hw.schedule import cycles, timetable
from refasr.twins import select

REFERENCE = select("reference")
RUNS = {("frame", ()): 20, ("unit", ()): 4, ("node", ()): 23}


@pytest.fixture(scope="module")
def network():
    """A model that has run."""
    network = ProcessorNetwork(random_model(11), changed(PRESETS["refasr"], ["tile_codes=512"]), REFERENCE)
    network.encoder.encode(np.ones(160, np.int8), network.encoder.start())
    network.encoder.encode(np.ones(160, np.int8), network.encoder.start())
    network.predictor.start()
    return network


def test_layers_add_up_to_the_programs(network):
    programs = network.compiled.programs
    totals = report.layer_totals(network.chip, programs)
    spans = {name: cycles(timetable(program, network.chip)) for name, program in programs.items()}
    found = report.report(network.chip.processor, totals, 0.08, network.compiled.n_bytes)
    assert found["total"]["cycles"] == 2 * spans["frame"] + spans["unit"]
    assert [row["layer"] for row in found["layers"]] == ["encoder.0", "encoder.1", "joiner.audio", "predictor", "joiner.text"]
    assert [row["runs"] for row in found["layers"]] == [2, 2, 2, 1, 1]
    for column in report.COLUMNS[1:]:
        assert sum(row[column] for row in found["layers"]) == pytest.approx(found["total"][column])
    assert found["rtf"] == pytest.approx(found["total"]["cycles"] / 200e6 / 0.08) and found["modelled"] is True
    assert found["total"]["energy_uj"] == pytest.approx(sum(found["energy_by_part_uj"].values()))


def test_counts_are_those_of_the_codes(network):
    codes, total = network.model.codes, report.layer_totals(network.chip, network.compiled.programs, {("node", ()): 3})
    cost = total["joiner.output"].cost
    assert cost.done == 3 * np.count_nonzero(codes["joiner.output"])
    assert cost.done + cost.skipped == 3 * codes["joiner.output"].size
    tensor = network.chip.external.tensors["joiner.output"]
    coded = [tile.n_codes for tile, kind in zip(tensor.tiles, tensor.layout.kinds) if kind == CODED]
    assert cost.codes == 3 * sum(coded) and total["joiner.output"].runs == 3


def test_bytes_are_those_of_external_memory():
    for storage in ("plain", "packed", "coded"):
        network = ProcessorNetwork(tiny_integer_model(5), changed(PRESETS["refasr"], [f"storage={storage}", "tile_codes=512"]),
                                   REFERENCE)
        external, once = network.chip.external, {(name, ()): 1 for name in network.compiled.programs}
        totals = report.layer_totals(network.chip, network.compiled.programs, once)
        moved = sum(part.cost.external_bytes for part in totals.values())
        at, table = network.compiled.regions, external.values["predictor.embedding"]
        mail = at["frame"].n_bytes + at["unit"].n_bytes + at["logits"].n_bytes
        mail -= sum(tensor.head_bytes for tensor in external.tensors.values() if not needs_table(tensor))
        assert moved == external.n_bytes - table.nbytes + table.shape[1] + mail, storage
        if storage == "packed":
            tiles = [tile for tensor in external.tensors.values() for tile in tensor.tiles]
            assert all(tile.n_bytes == -(-5 * tile.n_outputs * tile.n_inputs // 8) for tile in tiles)


def test_energy_by_hand():
    cost = Cost(0, external_bytes=10, codes=20, done=30, skipped=99, multiplies=4, additions=5, lookups=6, on_chip_bytes=7)
    spent = joules(cost, INTEGER)
    assert {name: value * 1e12 for name, value in spent.items()} == pytest.approx(
        {"external": 1625, "on_chip": 17.5, "decoder": 216, "array": 9, "vector": 12.4 + 0.5 + 30})


def test_report_needs_sound(network):
    with pytest.raises(RangeError, match="audio_seconds"):
        report.report(network.chip.processor, {}, 0.0, 0)


def test_each_idea_gains_and_none_loses():
    rows = variants.compare([tiny_integer_model(8), tiny_integer_model(4)], RUNS, 0.8, REFERENCE)
    key = lambda row: (row["bits"], row["zeros"] >= 0.5, row["zeros"] >= 0.75, row["transfer"], row["skipping"])
    by = {key(row): row for row in rows}
    assert len(by) == len(rows) == 5 + 2 * 3 + 3 * 3 and rows[0]["faster"] == rows[0]["less_energy"] == 1
    dense = [by[8, False, False, f"{bits}-bit words", "no"] for bits in (32, 16, 8)]
    assert dense[0]["frame_bytes"] > dense[1]["frame_bytes"] > dense[2]["frame_bytes"]
    assert dense[0]["cycles"] > dense[1]["cycles"] > dense[2]["cycles"]
    for bits in (8, 4):
        for transfer, skipping in (("coded", "no"), ("coded", "yes")):
            chain = [by[bits, *zeros, transfer, skipping] for zeros in ((False, False), (True, False), (True, True))]
            assert chain[0]["frame_bytes"] > chain[1]["frame_bytes"] > chain[2]["frame_bytes"]
            assert chain[0]["energy_uj"] > chain[1]["energy_uj"] > chain[2]["energy_uj"]
        for zeros in ((True, False), (True, True)):
            assert by[bits, *zeros, "coded", "yes"]["cycles"] <= by[bits, *zeros, "coded", "no"]["cycles"]
            assert by[bits, *zeros, "coded", "yes"]["macs_done"] < 0.6 * by[bits, *zeros, "coded", "no"]["macs_done"]
    sparse, full = (by[4, zeros, zeros, "packed", "no"]["frame_bytes"] for zeros in (True, False))
    assert sparse == full, "a half-zero dense matrix saves no space"


def test_pruning_takes_the_smallest():
    model = tiny_integer_model()
    for share in (0.0, 0.5, 0.75, 1.0):
        for name, codes in variants.pruned(model, share).codes.items():
            kept, gone = model.codes[name][codes != 0], model.codes[name][(codes == 0) & (model.codes[name] != 0)]
            assert (codes[codes != 0] == kept).all() and np.mean(codes == 0) >= share - 1e-9
            assert not gone.size or not kept.size or np.abs(gone.astype(int)).max() <= np.abs(kept.astype(int)).min()
    with pytest.raises(RangeError, match="share"):
        variants.pruned(model, 1.5)


@pytest.mark.parametrize("setting, message", [
    ("rows=100", "rows, columns: got an array of 100 x 4 units, expected at most 256 on refasr"),
    ("tile_codes=15", "tile_codes: got 15, expected at least 16"),
    ("sram_bytes=32767", "sram_bytes: got 32767, expected at least 32768"),
    ("weight_bits=5", "weight_bits: got 5"), ("weight_bits=x", "weight_bits: got 'x', expected a whole number"),
    ("storage=zip", "storage: got 'zip'"), ("buffers=3", "buffers: got 3"), ("clock_hz=nan", "clock_hz: got nan"),
    ("skip_zeros=maybe", "skip_zeros: got 'maybe'"), ("skip_zeros=false", "words_a_cycle: got 4 without skip_zeros"),
    ("energies.multiply=-1", "energies.multiply: got -1.0"), ("energies.external_byte=inf", "energies.external_byte: got inf"),
    ("energies.none=1", "setting: got 'energies.none=1'"), ("none=1", "setting: got 'none=1'"), ("rows", "setting: got 'rows'"),
    ("decoder_codes_a_cycle=257", "decoder_codes_a_cycle: got 257"),
    ("external_bytes_a_cycle=0", "external_bytes_a_cycle: got 0"),
    ("sram_bytes=99999999999", "sram_bytes: got 99999999999"), ("energies=1", "setting: got 'energies=1'")])
def test_parts_that_cannot_be_are_refused(setting, message):
    with pytest.raises(RangeError) as caught:
        changed(PRESETS["refasr"], [setting])
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_presets():
    assert list(PRESETS) == ["float32", "float16", "int8", "refasr"] and preset("int8") is PRESETS["int8"]
    with pytest.raises(RangeError, match="preset: got 'x', expected one of float32"):
        preset("x")
    with pytest.raises(RangeError, match="energies.multiply: got nan"):
        Energies(np.nan, 0, 0, 0, 0, 0, 0, 0)
    with pytest.raises(RangeError, match="energies: got NoneType"):
        dataclasses.replace(PRESETS["int8"], energies=None)


def test_timeline(network):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'refasr[plots]'")
    from matplotlib.figure import Figure

    from refasr.plot import timeline
    axes, events = Figure().add_subplot(), timetable(network.compiled.programs["frame"], network.chip)
    assert timeline.draw(events, 50, axes) is axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["encoder.0", "encoder.1", "joiner.audio"]
    drawn = [path.get_extents() for bars in axes.collections for path in bars.get_paths()]
    assert max(box.x1 for box in drawn) == cycles(events) == axes.get_xlim()[1]
    array = sorted((box.x0, box.x1) for box in drawn if abs((box.y0 + box.y1) / 2 - 2) < 0.1)
    works = sorted((event.start, event.end) for event in events if event.instruction.unit == "array")
    assert array == works
    axes.figure.canvas.draw()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A packed model and a recording."""
    folder = tmp_path_factory.mktemp("hw")
    write_contents(folder / "tiny.refasr", to_contents(tiny_integer_model()))
    soundfile.write(folder / "noise.wav", noise(8000, 1), 16000)
    return str(folder / "tiny.refasr"), str(folder / "noise.wav"), folder


def exit_code(*arguments):
    """What the process would exit with. Parameters: arguments. Returns int."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as error:
        return error.code


def test_run_prints_table_json_and_csv(files, capsys):
    model, audio, _ = files
    assert exit_code("hw", "run", audio, "--model", model) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "equal to the integer network" and lines[2].startswith("modelled, not measured: refasr at 200 MHz, 0.50 s")
    assert exit_code("hw", "run", audio, "--backend", "reference", "--model", model, "--json", "--preset", "int8",
                     "--set", "buffers=1") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["modelled"] and found["equal_to_integer_network"] and found["preset"] == "int8"
    assert found["sram_peak_bytes"] > 16384
    assert exit_code("hw", "run", audio, "--backend", "reference", "--model", model, "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0]) == list(report.COLUMNS) and rows[-1]["layer"] == "total"


def test_run_draws(files):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'refasr[plots]'")
    model, audio, folder = files
    assert exit_code("hw", "run", audio, "--backend", "reference", "--model", model, "--timeline", folder / "frame.png") == 0
    assert (folder / "frame.png").read_bytes()[:4] == b"\x89PNG"
    assert exit_code("hw", "run", audio, "--backend", "reference", "--model", model, "--timeline", "frame.gif") == 2


def test_compare_prints_one_table(files, capsys):
    model, audio, _ = files
    assert exit_code("hw", "compare", audio, "--backend", "reference", "--model", model, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert list(rows[0]) == list(variants.COLUMNS) and len(rows) == 11
    assert exit_code("hw", "compare", audio, "--backend", "reference", "--model", model) == 0
    assert "no accuracy is claimed" in capsys.readouterr().out.splitlines()[0]
    assert exit_code("hw", "compare", audio, "--backend", "reference", "--model", model, "--csv") == 0
    assert len(list(csv.DictReader(io.StringIO(capsys.readouterr().out)))) == 11


def test_presets_are_printed_and_bad_ones_refused(files, capsys):
    model, audio, _ = files
    assert exit_code("hw", "presets", "--json") == 0
    assert json.loads(capsys.readouterr().out)["energies"]["external_byte"] == 162.5
    assert exit_code("hw", "presets", "--preset", "float16") == 0
    assert "weight_bits              16" in capsys.readouterr().out
    for arguments, code, message in ((("--set", "rows=1000"), 1, "rows, columns: got an array of 1000 x 4"),
                                     (("--set", "tile_codes=64", "--set", "sram_bytes=2000"), 1, "sram_bytes: got 2000 on"),
                                     (("--bits", "4"), 2, "--bits, --speech")):
        assert exit_code("hw", "run", audio, "--backend", "reference", "--model", model, *arguments) == code
        error = capsys.readouterr().err.splitlines()[-1]
        assert message in error


def test_a_float_model_is_quantised(files, capsys, monkeypatch):
    _, audio, _ = files
    widths = []

    def quantise(model, calibration, bits):
        assert (model, calibration) == ("float model", "what it does")
        widths.append(bits)
        return tiny_integer_model(bits)
    monkeypatch.setattr("refasr.cli.pack.calibrated", lambda options: ("float model", "what it does"))
    monkeypatch.setattr("refasr.compress.quantise.quantise", quantise)
    assert exit_code("hw", "run", audio, "--model", "float", "--bits", "4", "--json") == 0
    assert exit_code("hw", "compare", audio, "--model", "float", "--json") == 0
    out = capsys.readouterr().out.splitlines()
    assert widths == [4, 8, 5, 4] and {row["bits"] for row in json.loads(out[1])} == {8, 5, 4} and len(json.loads(out[1])) == 29
