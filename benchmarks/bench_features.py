"""Log-mel of a minute of sound, one thread: the same 80 bands in every library, and the shipped profile beside them."""

import dataclasses

import numpy as np

from benchmarks.harness import rival
from refasr.features import fbank
from refasr.features.fbank_fast import log_mel
from refasr.features.profiles import PROFILES, REFASR
from refasr.twins import TWINS

SECONDS = (60, 3)
SHARED_ERROR = 5e-3  # all but the reference compute in float32; quiet bands beside loud ones differ most
HAMMING = dataclasses.replace(PROFILES["kaldi"], window="hamming", n_bins=80)  # what all of them can do


def sound(seconds):
    """Noise, and a tone that wavers. Parameters: seconds. Returns float32 [S]."""
    time = np.arange(16000 * seconds) / 16000
    tone = 0.3 * np.sin(2 * np.pi * (200 + 50 * np.sin(2 * np.pi * 3 * time)) * time)
    return (tone + 0.1 * np.random.default_rng(0).standard_normal(time.size)).clip(-1, 1).astype(np.float32)


def kaldi_native_fbank(library, samples):
    """Parameters: library, samples. Returns a callable."""
    options = library.FbankOptions()
    options.frame_opts.dither, options.frame_opts.window_type, options.mel_opts.num_bins = 0, "hamming", 80
    loud = samples * np.float32(32768)

    def compute():
        computer = library.OnlineFbank(options)
        computer.accept_waveform(16000, loud)
        computer.input_finished()
        return np.array([computer.get_frame(i) for i in range(computer.num_frames_ready)])
    return compute


def contestants(samples, profile):
    """Parameters: samples, profile. Returns {contestant: callable}."""
    plan = fbank.Plan.of(profile)
    callables = {"fast": lambda: log_mel(samples, plan), "reference": lambda: fbank.log_mel(samples, plan)}
    if profile is HAMMING:
        callables["asrfront"] = rival("asrfront.sensevoice", lambda library: lambda: library.fbank_raw(samples))
        callables["kaldi-native-fbank"] = rival("kaldi_native_fbank", lambda library: kaldi_native_fbank(library, samples))
    return callables


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable}, (multiply-adds, bytes))."""
    for profile in (HAMMING, REFASR):
        for seconds in SECONDS:
            samples = sound(seconds)
            cost = TWINS["refasr.features.fbank.log_mel_windows"].cost(samples, fbank.Plan.of(profile))
            text = f"seconds={seconds} profile={profile.name} window={profile.window} bins={profile.n_bins}"
            yield text, contestants(samples, profile), cost
