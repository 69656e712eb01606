"""What the synthesis scripts share: the Kokoro engine, silence cut off, another rate, files."""
import pathlib
import sys

import numpy as np
import soundfile
from scipy.signal import resample_poly

KOKORO_RATE_HZ = 24000
QUIET = 0.01        # of the peak: what lies below it at either end is cut off
MARGIN_S = 0.06     # and so much is left
PEAK = 0.7


def open_kokoro(tools):
    """Load the engine; KOKORO_DIR names its folder. Parameters: tools (where kokoro.py is). Returns a function."""
    sys.path.insert(0, str(tools))
    import kokoro
    return kokoro.Kokoro()


def trim(samples, rate_hz):
    """Cut silence off both ends and set the peak. Parameters: samples, rate_hz. Returns float32 [S]."""
    peak = np.abs(samples).max()
    loud = np.flatnonzero(np.abs(samples) > QUIET * peak)
    margin = int(MARGIN_S * rate_hz)
    return (samples[max(0, loud[0] - margin) : loud[-1] + margin] * (PEAK / peak)).astype(np.float32)


def resample(samples, rate_hz, new_rate_hz):
    """Another sampling rate. Parameters: samples, rate_hz, new_rate_hz (integers). Returns samples."""
    divisor = np.gcd(rate_hz, new_rate_hz)
    return resample_poly(samples, new_rate_hz // divisor, rate_hz // divisor)


def write_opus(path, samples):
    """16 kHz mono Ogg/Opus. Parameters: path, samples (16 kHz)."""
    soundfile.write(path, samples, 16000, format="OGG", subtype="OPUS")


def write_table(path, rows, columns):
    """A manifest. Parameters: path, rows (of texts), columns."""
    lines = ["\t".join(columns), *("\t".join(row) for row in rows)]
    pathlib.Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
