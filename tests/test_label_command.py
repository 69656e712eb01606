"""refasr label: a manifest of what a model hears."""

from refasr import cli
from refasr.corpus import read_manifest
from refasr.shipped import data_path


def test_label_writes_pseudo_labels(tmp_path, capsys):
    out = tmp_path / "pseudo.tsv"
    samples = data_path("samples", "manifest.tsv")
    listing = tmp_path / "list.tsv"
    names = ["lights.flac", "timer.flac"]
    listing.write_text("file\ttext\n" + "".join(f"{(samples.parent / name).as_posix()}\tnot what is said\n" for name in names))
    assert cli.main(["label", str(listing), "--beam", "1", "-o", str(out)]) == 0
    assert "2 of 2" in capsys.readouterr().err
    rows = read_manifest(out)
    assert [row.file.name for row in rows] == names and all("not what" not in row.text and row.text for row in rows)
    assert all(0 < float(row.extra.removeprefix("pseudo:")) <= 1 for row in rows)


def test_label_leaves_out_the_unsure_and_reports_the_unreadable(tmp_path, capsys):
    good = (data_path("samples", "manifest.tsv").parent / "timer.flac").as_posix()
    (tmp_path / "noise.wav").write_bytes(b"no sound")
    (tmp_path / "list.tsv").write_text(f"file\ttext\nnoise.wav\t\n{good}\t\n")
    arguments = ["label", str(tmp_path / "list.tsv"), "--beam", "1", "-o", str(tmp_path / "out.tsv")]
    assert cli.main(arguments) == 1
    assert "noise.wav" in capsys.readouterr().err and len(read_manifest(tmp_path / "out.tsv")) == 1
    (tmp_path / "sure.tsv").write_text(f"file\ttext\n{good}\t\n")
    assert cli.main(["label", str(tmp_path / "sure.tsv"), "--beam", "1", "-o", str(tmp_path / "out.tsv"), "--least", "1.1"]) == 1
    assert "less confidence" in capsys.readouterr().err
    assert cli.main(["label", str(tmp_path / "list.tsv"), "--where", "split=x", "-o", str(tmp_path / "o.tsv")]) == 1
    assert "no utterance" in capsys.readouterr().err
