"""Cases for `refasr.features`: every profile, lengths around every edge, hostile samples, and arguments to refuse."""

import dataclasses

import numpy as np
from cases_numerics import hostile
from hypothesis import strategies as st

from refasr.features.fbank import Plan
from refasr.features.profiles import PROFILES, Profile

F32 = np.float32
ODD = (  # what no project uses: other transforms, hops that do not divide anything, magnitudes, noise
    Profile("half", "8 kHz", sample_rate_hz=8000, window_samples=200, hop_samples=80, fft_size=256, high_hz=3999.0, n_bins=23),
    Profile("long", "1024 points", window_samples=1000, hop_samples=125, fft_size=1024, power_exponent=1, remove_dc=True),
    Profile("tenth", "320 points", window_samples=320, hop_samples=320, fft_size=320, n_bins=3, pre_emphasis=1.0, log="log10"),
    Profile("odd", "odd lengths", window_samples=33, hop_samples=7, fft_size=40, n_bins=5, remove_dc=True, pre_emphasis=0.5,
            window="rectangular", floor_rule="add", edge="mirror"),
    Profile("sparse", "gaps between frames", window_samples=16, hop_samples=50, fft_size=16, n_bins=2, edge="centre-reflect",
            signal_pre_emphasis=0.9),
    dataclasses.replace(PROFILES["kaldi"], name="dithered", dither=1.0, dither_seed=3),
)
LENGTHS = (0, 1, 2, 7, 79, 80, 81, 159, 160, 161, 199, 200, 201, 399, 400, 401, 559, 560, 561, 2799, 2800, 2801, 2960, 3121)


def samples_of(kind, size, seed):
    """A signal. Parameters: kind, size, seed. Returns float32 [size]."""
    noise = np.random.default_rng(seed).standard_normal(size).astype(F32)
    return {
        "noise": lambda: 0.1 * noise,
        "quiet": lambda: 1e-6 * noise,
        "denormal": lambda: 1e-40 * noise.astype(np.float64),
        "square": lambda: np.sign(noise),
        "offset": lambda: 0.9 + 1e-4 * noise,
        "impulse": lambda: np.arange(size) == size // 2,
        "integers": lambda: np.round(20000 * noise).clip(-32768, 32767),
        "loudest": lambda: np.full(size, 1e6),
        "too loud": lambda: np.full(size, 1.01e6),
        "nan": lambda: np.where(np.arange(size) == size - 1, np.nan, noise),
        "infinite": lambda: np.where(np.arange(size) == size // 3, -np.inf, noise),
    }[kind]().astype(F32)


KINDS = ("noise", "noise", "noise", "quiet", "denormal", "square", "offset", "impulse", "integers", "loudest", "too loud", "nan",
         "infinite")


@st.composite
def signals(draw):
    """Arguments of log_mel: samples and a plan; now and then no samples at all. Parameters: draw."""
    profile = draw(st.sampled_from([*PROFILES.values(), *ODD]))
    warp = draw(st.sampled_from([1.0, 1.0, 0.9, 1.12])) if profile.high_hz > profile.warp_high_hz else 1.0
    size = draw(st.one_of(st.sampled_from(LENGTHS), st.integers(0, 1300)))
    samples = samples_of(draw(st.sampled_from(KINDS)), size, draw(st.integers(0, 9)))
    if draw(st.integers(0, 9)) == 0:
        samples = draw(hostile(samples))
    return samples, Plan.of(profile, warp if profile.low_hz < profile.warp_low_hz else 1.0)


CASES = {"refasr.features.fbank.log_mel": signals(), "refasr.features.fbank.log_mel_windows": signals()}
