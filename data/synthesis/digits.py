"""Synthesise the strings of digits of data/smoke, on which `refasr train --smoke` shows that learning works.

    KOKORO_DIR=... python data/synthesis/digits.py --tools DIR [--out data/smoke]

One file a voice holds each digit twice, in strings of three or four said in one breath (said alone, short words come out
garbled), in random order and at random speed; the manifest cuts it by start and duration. Engines: Kokoro-82M (not the voices
reserved for other tests), SVOX Pico (`pip install py-nanotts`) at three pitches, Flite (the program) at two. The voices of
DEV are never trained on. Speeds and orders come from a generator seeded by the voice's name; only the Ogg containers' serial
numbers differ when this is run again.
"""
import argparse
import pathlib
import random
import subprocess
import tempfile

import numpy as np
import soundfile
from studio import KOKORO_RATE_HZ, open_kokoro, resample, trim, write_opus, write_table

RATE_HZ = 16000
GAP_S = 0.1
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LENGTHS = (3, 4, 3, 4, 3, 3)
KOKORO = ("af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_nova", "af_river", "am_adam", "am_echo", "am_fenrir",
          "am_michael", "am_onyx", "am_santa", "bf_alice", "bf_isabella", "bm_fable", "bm_lewis",
          "af_sky", "am_liam", "bf_emma", "bm_george")
PICO = tuple((voice, pitch) for voice in ("en-US", "en-GB") for pitch in (0.8, 1.0, 1.25))
FLITE = (*((voice, pitch_hz) for voice in ("awb", "kal16", "slt") for pitch_hz in (110, 190)), ("rms", 110))  # rms has one pitch
DEV = ("af_sky", "am_liam", "bf_emma", "bm_george")
COLUMNS = ("file", "split", "source", "speaker", "text", "extra", "start", "duration")


def kokoro_voice(engine, voice):
    """Speak with Kokoro. Parameters: engine, voice. Returns a function of text and speed that gives 16 kHz samples."""
    return lambda text, speed: resample(engine(f"{text}.", voice, speed), KOKORO_RATE_HZ, RATE_HZ)


def pico_voice(voice, pitch):
    """Speak with SVOX Pico. Parameters: voice, pitch (factor). Returns a function of text and speed that gives 16 kHz samples."""
    import py_nanotts
    engine = py_nanotts.NanoTTS()
    return lambda text, speed: np.frombuffer(engine.speak(text, voice=voice, speed=speed, pitch=pitch), "<i2") / 32768


def flite_voice(voice, pitch_hz):
    """Speak with Flite. Parameters: voice, pitch_hz (the mean). Returns a function as of `pico_voice`."""
    def speak(text, speed):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "said.wav")
            settings = ["--setf", f"duration_stretch={1 / speed:.3f}", "--setf", f"int_f0_target_mean={pitch_hz}"]
            subprocess.run(["flite", "-voice", voice, "-t", text, *settings, "-o", path], check=True)
            samples, rate_hz = soundfile.read(path)
        return resample(samples, rate_hz, RATE_HZ)
    return speak


def all_voices(engine):
    """Parameters: engine (Kokoro). Returns a list of (source, voice, function of text and speed), the quick engines first."""
    return ([("pico", f"{voice}-{pitch}", pico_voice(voice, pitch)) for voice, pitch in PICO]
            + [("flite", f"{voice}-{pitch_hz}", flite_voice(voice, pitch_hz)) for voice, pitch_hz in FLITE]
            + [("kokoro", voice, kokoro_voice(engine, voice)) for voice in KOKORO])


def record(speak, voice):
    """All digits twice, in random order.

    Parameters
    ----------
    speak : function    Text and speed to 16 kHz samples.
    voice : str         Seeds the order and the speeds.

    Returns
    -------
    (float32 [S], list of (text, start in s, duration in s))
    """
    rng = random.Random(f"digits {voice}")
    digits = rng.sample(DIGITS, 10) + rng.sample(DIGITS, 10)
    gap = np.zeros(int(GAP_S * RATE_HZ), np.float32)
    pieces, cuts, position = [gap], [], gap.size
    for length in LENGTHS:
        text, digits = " ".join(digits[:length]), digits[length:]
        said = trim(speak(text, rng.uniform(0.85, 1.2)), RATE_HZ)
        cuts.append((text, position / RATE_HZ, said.size / RATE_HZ))
        pieces += [said, gap]
        position += said.size + gap.size
    return np.concatenate(pieces), cuts


def main():
    """Speak, write one file a voice and the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", required=True, help="folder with kokoro.py")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parents[1] / "smoke")
    options = parser.parse_args()
    rows = []
    for source, voice, speak in all_voices(open_kokoro(options.tools)):
        samples, cuts = record(speak, voice)
        write_opus(options.out / f"{source}-{voice}.ogg", samples)
        split = "dev" if voice in DEV else "train"
        rows += [(f"{source}-{voice}.ogg", split, source, voice, text, "", f"{start:.4f}", f"{duration:.4f}")
                 for text, start, duration in cuts]
        write_table(options.out / "manifest.tsv", rows, COLUMNS)
        print(f"{source} {voice}: {samples.size / RATE_HZ:.1f} s", flush=True)


if __name__ == "__main__":
    main()
