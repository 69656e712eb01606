"""Comparison of profiles, `refasr features`, and the figure."""

import dataclasses
import json

import numpy as np
import pytest
from cases_features import samples_of
from test_features import BACKENDS, by_name

from refasr import cli
from refasr.errors import FormatError, ShapeError
from refasr.features import compare, fbank
from refasr.features.profiles import REFASR, Profile

F32 = np.float32


def test_every_field_belongs_to_a_stage():
    fields = [field.name for field in dataclasses.fields(Profile) if field.name not in ("name", "source")]
    assert sorted(fields) == sorted(sum(compare.STAGES.values(), ()))


@by_name
def test_stages_end_in_the_features(profile):
    samples = compare.probe_signal()[:4000]
    seen = dict(compare.stages(samples, profile))
    assert list(seen) == list(compare.STAGES)
    assert seen["logarithm"].tobytes() == fbank.log_mel(samples, fbank.Plan.of(profile)).tobytes()


@pytest.mark.parametrize("stage, change", [
    ("scale", dict(sample_scale=32768.0)), ("dither", dict(dither=1e-3)), ("signal pre-emphasis", dict(signal_pre_emphasis=0.97)),
    ("frames", dict(edge="mirror")), ("frames", dict(hop_samples=161)), ("mean removal", dict(remove_dc=True)),
    ("pre-emphasis", dict(pre_emphasis=0.95)), ("window", dict(window="povey")), ("window", dict(window_periodic=True)),
    ("spectrum", dict(fft_size=1024)), ("spectrum", dict(power_exponent=1)), ("mel bank", dict(high_hz=7599.0)),
    ("mel bank", dict(bank_norm="slaney")), ("mel bank", dict(first_weight_zero=True)), ("logarithm", dict(floor=2e-5)),
    ("logarithm", dict(log="log10")), ("normalisation", dict(normalisation="per_feature"))])
def test_profiles_part_where_they_were_made_to(stage, change):
    rows = compare.compare(compare.probe_signal(), REFASR, dataclasses.replace(REFASR, **change))
    parts = compare.parting(rows)
    assert parts.stage == stage and list(parts.settings) == list(change)
    assert parts.alone.any
    assert [row.alone for row in rows if row.stage != stage] == [None] * 10


def test_a_profile_does_not_part_from_itself():
    assert compare.parting(compare.compare(compare.probe_signal(), REFASR, REFASR)) is None


@pytest.fixture
def recording(tmp_path):
    """A short recording. Returns its path as text."""
    soundfile = pytest.importorskip("soundfile", reason="soundfile reads recordings")
    path = tmp_path / "a.wav"
    soundfile.write(path, compare.probe_signal()[:8000], 16000)
    return str(path)


def test_command_writes_features(recording, tmp_path, capsys):
    out = tmp_path / "a.npy"
    assert cli.main(["features", recording, "--profile", "sherpa", "-o", str(out)]) == 0
    assert capsys.readouterr().out == ""
    features = np.load(out)
    assert features.shape == (50, 80) and features.dtype == F32
    assert cli.main(["features", recording, "--profile", "sherpa", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] == 50 and summary["bins"] == 80 and summary["max"] == pytest.approx(features.max())
    assert cli.main(["features", recording]) == 0
    assert capsys.readouterr().out.split()[:4] == ["file", recording, "profile", "refasr"]


def test_command_compares_profiles(capsys):
    assert cli.main(["features", "diff", "kaldi", "htk"]) == 0
    assert capsys.readouterr().out.startswith("kaldi and htk part at: mean removal (remove_dc True | False)")
    assert cli.main(["features", "diff", "refasr", "refasr", "--check"]) == 0
    assert "do not part" in capsys.readouterr().out
    assert cli.main(["features", "diff", "refasr", "kaldi", "--json", "--check"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["parts_at"] == "scale" and result["stages"][0]["settings"] == {"sample_scale": [1.0, 32768.0]}


def test_command_compares_files(recording, tmp_path, capsys):
    out = str(tmp_path / "a.npy")
    assert cli.main(["features", recording, "-o", out]) == 0
    assert cli.main(["features", "diff", "refasr", out, recording, "--check"]) == 0
    assert "both 48 x 40; largest difference 0\n" in capsys.readouterr().out
    near = ["--check", "--backend", "reference", "--tolerance", "0.002"]
    assert cli.main(["features", "diff", out, "refasr", recording, *near]) == 0
    assert cli.main(["features", "diff", out, "sherpa", recording, "--check"]) == 1
    assert "48 x 40 and 50 x 80" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["a.wav", "b.wav"], ["diff", "kaldi"], ["diff", "kaldi", "x.npy"],
                                       ["diff", "x.npy", "y.npy", "a.wav"], ["diff", "a", "b", "-o", "x.npy"]])
def test_command_refuses_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as leaving:
        cli.main(["features", *arguments])
    assert leaving.value.code == 2 and "got" in capsys.readouterr().err


def test_command_refuses_bad_files(tmp_path, capsys):
    (tmp_path / "bad.npy").write_bytes(b"no array")
    np.save(tmp_path / "flat.npy", np.zeros(3))
    for name in ("bad.npy", "flat.npy", "none.npy"):
        assert cli.main(["features", "diff", str(tmp_path / name), str(tmp_path / name)]) == 1
        line = capsys.readouterr().err
        assert line.count("\n") == 1 and name in line and FormatError.__name__ not in line
    assert cli.main(["features", "diff", "kaldi", "kladi"]) == 1
    assert "expected one of refasr, kaldi" in capsys.readouterr().err


@by_name
def test_figure(profile):
    pytest.importorskip("matplotlib", reason="matplotlib draws figures")
    from matplotlib.figure import Figure

    from refasr.plot import features as figure
    for n_samples in (0, 3000):
        features = BACKENDS[0](fbank.log_mel)(samples_of("noise", n_samples, 0), fbank.Plan.of(profile))
        ax = figure.draw(features, profile, Figure().add_subplot())
        assert ax.images[0].get_array().shape == (profile.n_bins, len(features))
        assert profile.name in ax.get_title(loc="left")
        ax.figure.canvas.draw()
    with pytest.raises(ShapeError, match="features"):
        figure.draw(np.zeros((2, profile.n_bins + 1), F32), profile, Figure().add_subplot())
