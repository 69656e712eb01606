"""The package as a stranger gets it: built, installed into another folder, run from a third, with no checkout in reach."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from house import PACKAGE, ROOT, files, package_files

MODEL = ROOT / "data" / "models" / "float.npz"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the built and installed package."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for path in files():  # a copy: building in place leaves folders behind that the next build would read
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    run = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check",
                          "--target", str(target), str(source)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return target


def refasr(installed, *arguments):
    """Run the installed program. Parameters: installed (folder), arguments. Returns its standard output."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "refasr", *arguments]
    run = subprocess.run(command, cwd=installed.parent, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_wheel_holds_every_module_and_data_file(installed):
    inside = {str(path.relative_to(installed / "refasr")) for path in (installed / "refasr").rglob("*") if path.is_file()}
    modules = {str(path.relative_to(PACKAGE)) for path in package_files()}
    data = {str(path.relative_to(ROOT)) for folder in ("models", "samples", "text") for path in files()
            if ROOT / "data" / folder == path.parent}
    assert (modules | data) - inside == set()
    assert {name for name in inside if name.startswith("data/synthesis")} == set()
    assert "refasr" in refasr(installed, "--version")


@pytest.mark.skipif(not MODEL.exists(), reason="there is no trained model in data/models yet")
def test_installed_program_transcribes_a_sample(installed):
    sample = sorted((installed / "refasr" / "data" / "samples").glob("*.flac"))[0]
    copy = pathlib.Path(shutil.copy(sample, installed.parent))
    assert refasr(installed, "transcribe", "--backend", "reference", str(copy)).split()  # nothing to compile: ten times sooner
