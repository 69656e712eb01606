"""Synthesise the recordings of data/samples: what someone says to a voice assistant.

    KOKORO_DIR=... python data/synthesis/samples.py --tools DIR [--out data/samples]

Kokoro-82M speaks with the voices reserved for tests (af_sarah, am_puck, bf_lily, bm_daniel), which no training data of
refasr holds, alone or mixed. The sentences were written before any model had heard them, and none was replaced after.
Most files are 16 kHz mono FLAC; three are not, on purpose. The speed of each is drawn from a generator seeded by its
position, and the engine draws nothing, so another run gives the same samples (in the Ogg file but for the container's
random serial number; another version of ONNX Runtime may differ in the last bits).
"""
import argparse
import pathlib
import random

import numpy as np
import soundfile
from studio import KOKORO_RATE_HZ, open_kokoro, resample, trim, write_opus, write_table

SEED = 20261124
FLAC, TELEPHONE, STEREO, OPUS = ".flac", "-8khz.wav", "-44khz-stereo.flac", ".ogg"
SAMPLES = (
    ("lights", "af_sarah", "turn on the kitchen lights", FLAC),
    ("timer", "am_puck", "set a timer for ten minutes", FLAC),
    ("coffee", "bf_lily", "can i have a large latte with a bit of brown sugar", FLAC),
    ("digits", "bm_daniel", "three one four one five nine two six", FLAC),
    ("call", "am_puck", "call maria on mobile", FLAC),
    ("weather", "bm_daniel", "what's the weather in boston tomorrow", FLAC),
    ("media", "af_sarah", "play some jazz in the living room", STEREO),
    ("list", "bf_lily", "add milk and eggs to my shopping list", FLAC),
    ("heating", "bm_daniel", "set the bedroom to twenty one degrees", OPUS),
    ("alarm", "af_sarah", "wake me up at half past six in the morning", FLAC),
    ("volume", "am_puck", "turn the volume down", TELEPHONE),
    ("reminder", "bf_lily", "remind me to water the plants this evening", FLAC),
)
COLUMNS = ("file", "split", "source", "speaker", "text", "extra")


def write(path, samples):
    """One recording, in the form that its name says. Parameters: path, samples (24 kHz)."""
    if path.name.endswith(TELEPHONE):
        soundfile.write(path, resample(samples, KOKORO_RATE_HZ, 8000), 8000, subtype="PCM_16")
    elif path.name.endswith(STEREO):
        mono = resample(samples, KOKORO_RATE_HZ, 44100)
        soundfile.write(path, np.stack([mono, 0.8 * mono], axis=1), 44100, subtype="PCM_16")  # a voice left of the middle
    elif path.name.endswith(OPUS):
        write_opus(path, resample(samples, KOKORO_RATE_HZ, 16000))
    else:
        soundfile.write(path, resample(samples, KOKORO_RATE_HZ, 16000), 16000, subtype="PCM_16")


def main():
    """Speak, write the files and their manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", required=True, help="folder with kokoro.py")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parents[1] / "samples")
    options = parser.parse_args()
    engine, rows = open_kokoro(options.tools), []
    for index, (name, voice, text, form) in enumerate(SAMPLES):
        speed = random.Random(SEED + index).uniform(0.9, 1.15)
        write(options.out / f"{name}{form}", trim(engine(text, voice, speed), KOKORO_RATE_HZ))
        rows.append((f"{name}{form}", "test", "kokoro", voice, text, name))
    write_table(options.out / "manifest.tsv", rows, COLUMNS)


if __name__ == "__main__":
    main()
