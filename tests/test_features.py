"""Log-mel: profiles, banks, frames and edges, what the twins share; streams and the command have files of their own."""

import dataclasses
import threading

import numpy as np
import pytest
from cases_features import ODD, samples_of

from refasr.errors import RangeError
from refasr.features import compare, fbank, framing, mel
from refasr.features.profiles import PROFILES, REFASR, Profile
from refasr.twins import select

F32 = np.float32
EVERY = [*PROFILES.values(), *ODD]
BACKENDS = [select("fast"), select("reference")]
by_name = pytest.mark.parametrize("profile", EVERY, ids=lambda profile: profile.name)
by_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)


def test_the_shipped_profile_is_what_the_model_was_trained_on():
    assert REFASR == Profile("refasr", REFASR.source, 16000, 1.0, 0.0, 0, 0.0, "snip", False, 400, 160, False, 0.97, "hann",
                             False, 512, 2, 40, 20.0, 7600.0, "htk", "mel", "none", False, 100.0, 7000.0, 1e-5, "max", "ln",
                             "none")


@pytest.mark.parametrize("change", [
    dict(edge="reflect"), dict(window="blackman"), dict(window_samples=513), dict(fft_size=600), dict(fft_size=516),
    dict(hop_samples=49), dict(hop_samples=0), dict(floor=0.0), dict(n_bins=0), dict(high_hz=8001.0), dict(low_hz=-1.0),
    dict(high_hz=20.5), dict(pre_emphasis=1.5), dict(dither=-1.0), dict(log="log2"), dict(power_exponent=3),
    dict(sample_scale=float("nan"))])
def test_profile_refuses(change):
    with pytest.raises(RangeError, match=f"^{next(iter(change))}: got"):
        dataclasses.replace(REFASR, **change)


def test_unknown_profile_names_the_known_ones():
    with pytest.raises(RangeError, match="expected one of refasr, kaldi"):
        fbank.Plan.of("kladi")


def test_bank_of_kaldi_adds_up_to_one_between_the_outer_centres():
    bank = mel.mel_bank(dataclasses.replace(PROFILES["kaldi"], n_bins=80))
    total = bank.sum(axis=0)
    first, last = np.argmax(bank[0]) + 1, np.argmax(bank[-1])
    assert total[first:last] == pytest.approx(1, abs=1e-6)
    assert bank.min() >= 0 and (np.diff([row.argmax() for row in bank]) >= 0).all()


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_mel_scale_and_back(scale):
    hz = np.linspace(0, 8000, 81)
    assert mel.mel_to_hz(mel.hz_to_mel(hz, scale), scale) == pytest.approx(hz, abs=1e-9)
    assert mel.hz_to_mel([1000.0], scale) == pytest.approx({"htk": 999.9907, "slaney": 15.0}[scale], abs=1e-4)


def test_warp_leaves_the_ends_and_scales_the_middle():
    hz = np.array([0.0, 20.0, 1000.0, 3000.0, 7600.0, 7900.0])
    assert mel.warp_hz(hz, REFASR, 0.9) == pytest.approx([0, 20, 1000 / 0.9, 3000 / 0.9, 7600, 7900])
    assert mel.warp_hz(hz, REFASR, 1.25) == pytest.approx([0, 20, 800, 2400, 7600, 7900])
    assert np.array_equal(mel.mel_bank(REFASR, 1.0), mel.mel_bank(REFASR))
    for wrong in (0.4, 2.1, float("nan")):
        with pytest.raises(RangeError, match="warp"):
            mel.mel_bank(REFASR, wrong)
    with pytest.raises(RangeError, match="order"):
        mel.mel_bank(dataclasses.replace(REFASR, warp_high_hz=7600.0), 1.1)


def test_plan_is_made_once_and_cannot_be_written():
    plan = fbank.Plan.of("refasr", 0.9)
    assert plan is fbank.Plan.of(REFASR, 0.9)
    with pytest.raises(ValueError, match="read-only"):
        plan.bank[0, 0] = 1


@pytest.mark.parametrize("profile, counts", [
    ("refasr", {0: 0, 1: 0, 399: 0, 400: 1, 401: 1, 559: 1, 560: 2}), ("sherpa", {0: 0, 1: 0, 79: 0, 80: 1, 239: 1, 240: 2}),
    ("nemo", {0: 0, 159: 0, 160: 1, 16000: 100}), ("whisper", {0: 0, 160: 1, 480000: 3000})])
def test_frame_counts(profile, counts):
    for n_samples, want in counts.items():
        assert framing.n_frames(PROFILES[profile], n_samples) == want


@pytest.mark.parametrize("edge, want", [("mirror", [2, 1, 0, 0, 1, 2, 2, 1, 0, 0]),
                                        ("centre-reflect", [1, 2, 1, 0, 1, 2, 1, 0, 1, 2]),
                                        ("centre-zero", [9, 9, 9, 0, 1, 2, 9, 9, 9, 9])])
def test_what_is_beyond_the_ends(edge, want):
    signal = np.array([10, 11, 12], F32)
    got = framing.stretch(signal, -3, 7, edge)
    assert got.tolist() == [0.0 if source == 9 else 10.0 + source for source in want]
    assert framing.stretch(signal[:1], -2, 3, edge).tolist() == [10 * (edge != "centre-zero" or i == 2) for i in range(5)]


@by_backend
def test_silence_is_the_floor(backend):
    for name, want in (("refasr", np.log(1e-5)), ("kaldi", np.log(2.0**-23)), ("htk", 0), ("nemo", np.log(2.0**-24)),
                       ("whisper", -10)):
        assert backend(fbank.log_mel)(np.zeros(800, F32), fbank.Plan.of(name)) == pytest.approx(want, abs=1e-5)


@by_backend
def test_a_tone_is_loudest_in_its_band(backend):
    plan = fbank.Plan.of("refasr")
    centres = mel.mel_to_hz(np.linspace(*mel.hz_to_mel([20, 7600], "htk"), 42), "htk")[1:-1]
    for band in (5, 20, 35):
        tone = np.sin(2 * np.pi * centres[band] * np.arange(4000) / 16000).astype(F32)
        assert (backend(fbank.log_mel)(tone, plan).argmax(axis=1) == band).all()


@by_backend
@by_name
def test_a_frame_depends_on_nothing_but_its_samples(profile, backend):
    plan, n_samples = fbank.Plan.of(profile), 41 * profile.hop_samples + profile.window_samples
    signal = samples_of("noise", n_samples, 0)
    whole = backend(fbank.log_mel_windows)(signal, plan)
    for frame in (0, 15, 16, 17, 40):
        begin = frame * profile.hop_samples
        alone = backend(fbank.log_mel_windows)(signal[begin:begin + profile.window_samples], plan)
        assert alone.tobytes() == whole[frame].tobytes()


@by_name
def test_twins_are_near_on_speech_like_sound(profile):
    samples, plan = compare.probe_signal(16000)[:9000], fbank.Plan.of(profile)
    fast, reference = (backend(fbank.log_mel)(samples, plan) for backend in BACKENDS)
    assert np.abs(fast - reference).max() < 2e-3 and np.abs(fast - reference).mean() < 2e-5


def test_threads_share_a_plan():
    plan, log_mel = fbank.Plan.of("refasr"), BACKENDS[0](fbank.log_mel)
    signals = [samples_of("noise", 5000 + 37 * i, i) for i in range(40)]
    want, got = [log_mel(signal, plan) for signal in signals], [None] * 40

    def work(first):
        for i in range(first, 40, 2):
            got[i] = log_mel(signals[i], plan)
    threads = [threading.Thread(target=work, args=(first,)) for first in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(want, got))


def test_dither_is_seeded_and_as_loud_as_asked():
    profile = dataclasses.replace(PROFILES["kaldi"], dither=2.0)
    silence = np.zeros(20000, F32)
    first, again, other = (framing.lay_out(silence, dataclasses.replace(profile, dither_seed=seed)) for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert (first * 32768).std() == pytest.approx(2.0, rel=0.03)
