"""What ships in data/: checksums, manifests, and voices that must stay apart."""

import subprocess
import sys

import pytest
import soundfile

from conftest import ROOT
from refasr import corpus
from refasr.audio.wav import read_audio

RESERVED = {"af_kore", "am_eric", "af_sarah", "am_puck", "bf_lily", "bm_daniel"}
SAMPLES, SMOKE = ROOT / "data" / "samples" / "manifest.tsv", ROOT / "data" / "smoke" / "manifest.tsv"


def test_checksums_are_up_to_date():
    command = [sys.executable, ROOT / "data" / "checksums.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run: python data/checksums.py\n{done.stderr}"


@pytest.mark.parametrize("manifest", [SAMPLES, SMOKE], ids=["samples", "smoke"])
def test_manifest_lists_every_recording_and_its_text_can_be_spelled(manifest):
    utterances = corpus.read_manifest(manifest)
    corpus.check_files(utterances)
    found = {path for path in manifest.parent.iterdir() if path.suffix not in (".tsv", ".toml")}
    assert {item.file for item in utterances} == found
    assert all(corpus.transcript(item) == item.text for item in utterances)


def test_samples_come_in_several_formats_and_last_one_to_five_seconds():
    utterances = corpus.read_manifest(SAMPLES)
    forms = {(soundfile.info(item.file).samplerate, soundfile.info(item.file).channels, item.file.suffix) for item in utterances}
    assert forms == {(16000, 1, ".flac"), (8000, 1, ".wav"), (44100, 2, ".flac"), (16000, 1, ".ogg")}
    assert all(1 <= read_audio(item.file).size / 16000 <= 5 for item in utterances)
    assert {item.speaker for item in utterances} <= RESERVED


def test_smoke_voices_are_apart_and_cuts_are_within_their_files():
    utterances = corpus.read_manifest(SMOKE)
    train, dev = ({item.speaker for item in corpus.select(utterances, [f"split={split}"])} for split in ("train", "dev"))
    assert len(train) + len(dev) == 34 and not train & dev and not (train | dev) & RESERVED
    ends = {path: soundfile.info(path).duration for path in {item.file for item in utterances}}
    assert all(0 < item.duration < 3.0 and item.start + item.duration <= ends[item.file] + 0.01 for item in utterances)
