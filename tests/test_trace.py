"""Traces: what is recorded, what is refused, and that a difference is named where it is."""

import json
import zipfile

import numpy as np
import pytest
import soundfile
from first_divergence import require_equal
from tiny_model import noise, tiny_model, with_parameter

from refasr import cli, divergence, trace
from refasr.divergence import first_divergence
from refasr.errors import FormatError
from refasr.recognise import Recogniser
from refasr.search.hypotheses import SearchSettings
from refasr.trace import Trace
from refasr.transducer.model_file import save_model

SAMPLES = noise(16000)
STAGES = ["K0", "K1", "K2", "K3.0", "K3.1", "K4", "K5", "K6"]


def traced(model, backend="fast", beam=1, samples=SAMPLES):
    """Parameters: model, backend, beam, samples. Returns a Trace."""
    settings = None if beam == 1 else SearchSettings(beam=beam)
    return trace.record(lambda record: Recogniser(model, backend, record, settings), samples, {"backend": backend})


@pytest.fixture(scope="module", params=[1, 4])
def heard(request):
    """Width of the beam, and a trace of it."""
    return request.param, traced(tiny_model(), beam=request.param)


def stages(found):
    """Parameters: found (Trace). Returns names of its stages in order."""
    return list(dict.fromkeys(key.split("/")[0] for key in found.arrays))


def nudged(model, name, place):
    """A model with one weight moved by an ulp. Parameters: model, name, place. Returns a Model."""
    value = model.parameters[name].copy()
    value[place] = np.nextafter(value[place], np.float32(np.inf))
    return with_parameter(model, name, value)


def test_all_stages_are_there(heard):
    beam, found = heard
    assert stages(found) == STAGES + ["K8", "K8.words"] * (beam > 1)
    sizes = {key: value.shape for key, value in found.arrays.items()}
    n_frames = sizes["K3.0"][0]
    assert sizes["K0"][0] > SAMPLES.size and sizes["K1"] == (4 * n_frames, 40) and sizes["K2"] == (n_frames, 160)
    assert sizes["K3.1"] == (n_frames, 16) and sizes["K5"][0] == n_frames + sizes["K4"][0] - 1
    assert found.arrays["K0"][:SAMPLES.size].tobytes() == SAMPLES.tobytes() and found.arrays["K4/label"][0] == 0
    if beam == 1:
        assert found.arrays["K4/label"][1:].tolist() == found.arrays["K6/label"].tolist() and sizes["K6/frame"][0] > 3
        best = found.arrays["K5"].argmax(axis=1)  # along the path, each unit is the best where it was written, and then blank
        ends = np.append(np.diff(found.arrays["K5/frame"]) > 0, True)
        cut_off = np.bincount(found.arrays["K6/frame"], minlength=n_frames) == 16
        assert (cut_off | (best[ends] == 0)).all() and best[~ends].tolist() == found.arrays["K6/label"].tolist()


def test_the_same_run_gives_the_same_trace(heard):
    beam, found = heard
    again = traced(tiny_model(), beam=beam)
    require_equal(found, again)
    assert found.arrays.keys() == again.arrays.keys()


def test_save_and_load(heard, tmp_path):
    _, found = heard
    trace.save(tmp_path / "a.npz", found)
    again = trace.load(tmp_path / "a.npz")
    require_equal(found, again)
    assert again.about == found.about and list(again.arrays) == list(found.arrays)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as plain:
        assert plain["K3.1"].tobytes() == found.arrays["K3.1"].tobytes()


@pytest.mark.parametrize("name, stage", [
    ("encoder.0.recurrent", "K3.0"), ("encoder.0.norm_gain", "K3.0"), ("encoder.1.input", "K3.1"),
    ("encoder.1.norm_gain", "K3.1"), ("predictor.norm_gain", "K4"), ("joiner.output", "K5")])
def test_a_weight_of_one_ulp_is_found(heard, name, stage):
    beam, found = heard
    for place in np.ndindex(tiny_model().parameters[name].shape):  # until one is not lost in rounding
        other = traced(nudged(tiny_model(), name, place), beam=beam)
        first = first_divergence(found, other)
        if first is not None:
            break
    a, b = found.arrays[stage], other.arrays[stage]
    n_rows = min(len(a), len(b))
    row, unit = np.argwhere(a[:n_rows] != b[:n_rows])[0].tolist()
    assert (first.stage, first.row, first.unit) == (stage, row, unit) and first.problem == ""
    assert (first.a, first.b) == (a[row, unit].item(), b[row, unit].item()) and first.measure == "ulps" and first.difference > 0
    if "gain" in name:
        assert unit == place[0]
    assert first.frame == (found.arrays["K5/frame"][row] if stage == "K5" else row)
    for earlier in STAGES[:STAGES.index(stage)]:
        assert found.arrays[earlier].tobytes() == other.arrays[earlier].tobytes()
    text = divergence.as_text(first)
    assert text.startswith(f"{stage}, ") and f"unit {unit}: A {first.a}, B {first.b}, {first.difference} ulps apart" in text


def test_normalisation_and_samples(heard):
    beam, found = heard
    model = tiny_model()
    model.mean[3] = np.nextafter(model.mean[3], np.float32(0))
    first = first_divergence(found, traced(model, beam=beam))
    assert first.stage == "K2" and first.frame == 0 and first.unit % 40 == 3
    samples = SAMPLES.copy()
    samples[777] = np.nextafter(samples[777], np.float32(9))
    first = first_divergence(found, traced(tiny_model(), beam=beam, samples=samples))
    assert first[:6] == ("K0", "", 777, 777, None, SAMPLES[777]) and first.difference == 1 and first.n_differ == 1


def test_a_search_that_chooses_otherwise_is_named_itself(heard):
    """Layers and logits agree as far as the paths do; only then K6, not K4, is what differs."""
    beam, found = heard
    other = traced(tiny_model(), beam=beam)
    changed = other.arrays["K6/label"].copy()
    changed[5] += 1
    arrays = other.arrays | {"K6/label": changed}
    if beam == 1:  # another unit was read by step 6, so all that follows is other
        kept = np.flatnonzero(found.arrays["K5/step"] == 6)[0]
        arrays |= {"K4": found.arrays["K4"] + (np.arange(len(found.arrays["K4"])) >= 6)[:, None].astype(np.float32),
                   "K4/label": found.arrays["K4/label"] + (np.arange(len(found.arrays["K4"])) == 6).astype(np.int32)}
        arrays |= {name: value[:kept] for name, value in found.arrays.items() if name.startswith("K5")}
    first = first_divergence(found, Trace({}, arrays))
    assert first[:2] == ("K6", "label") and first.row == 5 and first.frame == found.arrays["K6/frame"][5]
    assert (first.difference, first.measure) == (1, "codes")


def fields(**arrays):
    """A trace of few arrays. Parameters: **arrays (K3_0 stands for K3.0). Returns a Trace."""
    return Trace({}, {key.replace("_", "."): np.asarray(value) for key, value in arrays.items()})


def test_types_widths_lengths_and_stages():
    base = fields(K1=np.zeros((3, 2), np.float32), K3_0=np.zeros((3, 4), np.int8))
    cases = [(fields(K1=np.zeros((3, 2), np.float32), K3_0=np.zeros((3, 4), np.int16)), "K3.0", "A is int8, B is int16"),
             (fields(K1=np.zeros((3, 2), np.float32), K3_0=np.zeros((3, 5), np.int8)), "K3.0", "rows of [4] in A, of [5] in B"),
             (fields(K1=np.zeros((4, 2), np.float32), K3_0=np.zeros((3, 4), np.int8)), "K1", "A has 3 rows, B has 4"),
             (fields(K1=np.zeros((3, 2), np.float32)), "K3.0", "only in A"),
             (fields(K0=np.zeros(3), K1=np.zeros((3, 2), np.float32), K3_0=np.zeros((3, 4), np.int8)), "K0", "only in B")]
    for other, stage, problem in cases:
        first = first_divergence(base, other)
        assert (first.stage, first.problem) == (stage, problem) and stage in divergence.as_text(first)
    assert first_divergence(base, base) is None and divergence.as_text(None) == "no difference"
    codes = np.zeros((3, 4), np.int8)
    codes[1, 2], codes[2] = -128, 1
    first = first_divergence(base, fields(K1=np.zeros((3, 2), np.float32), K3_0=codes))
    assert first[:9] == ("K3.0", "", 1, 1, 2, 0, -128, 128, "codes") and (first.n_differ, first.n_values) == (5, 12)


@pytest.mark.parametrize("a, b, distance", [
    (1.0, np.nextafter(np.float32(1), np.float32(2)), 1), (0.0, -0.0, 0), (np.nan, 1.0, None), (-1e-45, 1e-45, 2),
    (np.inf, 3.0, None), (-1.0, 1.0, 2 * 0x3F800000)])
def test_ulps(a, b, distance):
    first = first_divergence(fields(K0=np.float32([0, a])), fields(K0=np.float32([0, b])))
    assert first.row == 1 and first.difference == distance


def test_order_of_stages():
    keys = ["K8.words", "K3.10", "K6/label", "K0", "K3.2", "K8/word", "K1", "K4", "K4/label"]
    assert sorted(keys, key=trace.order) == ["K0", "K1", "K3.2", "K3.10", "K4", "K4/label", "K6/label", "K8/word", "K8.words"]


def test_damaged_and_foreign_files(heard, tmp_path):
    path, bad = tmp_path / "a.npz", tmp_path / "bad.npz"
    trace.save(path, Trace(heard[1].about, {key: value[:3] for key, value in heard[1].arrays.items()}))
    good = path.read_bytes()
    for n in range(0, len(good), 97):
        bad.write_bytes(good[:n])
        with pytest.raises(FormatError, match="bad.npz: got"):
            trace.load(bad)
    source = np.random.default_rng(1)
    for _ in range(300):
        damaged = bytearray(good)
        damaged[source.integers(len(good))] ^= 1 << source.integers(8)
        bad.write_bytes(damaged)
        try:
            trace.load(bad)  # a zip has bytes that do not matter, such as dates
        except FormatError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("arrays, match", [
    ({}, "no description"), ({"about": np.array([{}], object)}, "object|pickle"),
    ({"about": np.frombuffer(b"{}", np.uint8)}, "no description"),
    ({"about": np.frombuffer(b'{"trace": 2}', np.uint8)}, "trace version 2"),
    ({"about": np.frombuffer(b'{"trace": 1}', np.uint8), "x": np.zeros(3)}, "no stage has"),
    ({"about": np.frombuffer(b'{"trace": 1}', np.uint8), "K1": np.zeros((2, 2, 2))}, "no stage has"),
    ({"about": np.frombuffer(b'{"trace": 1}', np.uint8), "K6/a": np.zeros(2), "K6/b": np.zeros(3)}, "no stage has"),
    ({"about": np.frombuffer(b'{"trace": 1}', np.uint8), "K1": np.zeros(3, "S4")}, "S4")])
def test_foreign_arrays(arrays, match, tmp_path):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(FormatError, match=match):
        trace.load(tmp_path / "bad.npz")


def test_compressed_members_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", K1=np.zeros((1000, 1000)))
    with pytest.raises(FormatError, match="compressed"):
        trace.load(tmp_path / "bomb.npz")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive, archive.open("K1.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with pytest.raises(FormatError, match="as many values"):
        trace.load(tmp_path / "bomb.npz")


def test_no_sound_at_all():
    empty = traced(tiny_model(), samples=np.zeros(0, np.float32))
    assert first_divergence(empty, empty) is None
    assert first_divergence(empty, traced(tiny_model())).problem == "only in B"
    short = traced(tiny_model(), samples=np.zeros(10, np.float32))
    assert short.arrays["K1"].shape == (0, 40) and first_divergence(short, short) is None


def test_a_trace_of_some_stages():
    """What was read differs, and no search is there to say why."""
    a, b = ({"K4": np.zeros((2, 3), np.float32), "K4/label": np.int32([first, 1])} for first in (0, 1))
    first = first_divergence(Trace({}, a), Trace({}, b))
    assert (first.stage, first.field, first.row, first.a, first.b) == ("K4", "label", 0, 0, 1)
    only = [Trace({}, {"K5/step": np.arange(n, dtype=np.int32)}) for n in (2, 3)]
    assert first_divergence(*only).problem == "A has 2 rows, B has 3" and first_divergence(only[0], only[0]) is None


def run(*arguments):
    """Parameters: *arguments. Returns the exit code."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as error:
        return error.code


def test_command(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", SAMPLES, 16000, subtype="FLOAT")
    save_model(tmp_path / "one.npz", tiny_model())
    save_model(tmp_path / "two.npz", with_parameter(tiny_model(), "joiner.bias", tiny_model().parameters["joiner.bias"] + 1))
    for name in ("one", "two"):
        model, output = tmp_path / f"{name}.npz", tmp_path / f"{name}.out"
        assert run("trace", tmp_path / "a.wav", "--model", model, "--beam", "2", "-o", output, "--json") == 0
        assert json.loads(capsys.readouterr().out)["stages"]["K3.1"]["type"] == "float32"
    assert run("trace", "diff", tmp_path / "one.out", tmp_path / "one.out") == 0
    assert capsys.readouterr().out == "no difference\n"
    assert run("trace", "diff", tmp_path / "one.out", tmp_path / "two.out") == 1
    assert capsys.readouterr().out.startswith("K5, joiner: frame 0, unit ")
    assert run("trace", "diff", tmp_path / "one.out", tmp_path / "two.out", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["equal"] and found["first"]["stage"] == "K5" and found["a"]["model"].endswith("one.npz")
    assert run("trace", "diff", tmp_path / "one.out", tmp_path / "a.wav") == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    for wrong in (["diff", "a"], ["a.wav"], ["diff", "a", "b", "-o", "c"], ["a.wav", "b.wav", "-o", "c"]):
        assert run("trace", *wrong) == 2
