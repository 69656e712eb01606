"""Features: frames and edges, banks, streams, normalisation, the command, the comparison of profiles, the figure."""

import dataclasses
import json
import threading

import numpy as np
import pytest
from cases_features import ODD, samples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from refasr import cli
from refasr.errors import DTypeError, FormatError, RangeError, ShapeError
from refasr.features import compare, fbank, framing, mel, normalise, online
from refasr.features.profiles import PROFILES, REFASR, Profile
from refasr.twins import select

F32 = np.float32
EVERY = [*PROFILES.values(), *ODD]
BACKENDS = [select("fast"), select("reference")]
by_name = pytest.mark.parametrize("profile", EVERY, ids=lambda profile: profile.name)
by_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)


def streaming(profile):
    """The same profile without what needs the whole utterance. Parameters: profile. Returns Profile."""
    return dataclasses.replace(profile, normalisation="none")


# --- profiles and banks

def test_the_shipped_profile_is_what_the_model_was_trained_on():
    assert REFASR == Profile("refasr", REFASR.source, 16000, 1.0, 0.0, 0, 0.0, "snip", False, 400, 160, False, 0.97, "hann", False,
                             512, 2, 40, 20.0, 7600.0, "htk", "mel", "none", False, 100.0, 7000.0, 1e-5, "max", "ln", "none")


@pytest.mark.parametrize("change", [dict(edge="reflect"), dict(window="blackman"), dict(window_samples=513), dict(fft_size=600),
                                    dict(fft_size=516), dict(hop_samples=49), dict(hop_samples=0), dict(floor=0.0), dict(n_bins=0),
                                    dict(high_hz=8001.0), dict(low_hz=-1.0), dict(high_hz=20.5), dict(pre_emphasis=1.5),
                                    dict(dither=-1.0), dict(log="log2"), dict(power_exponent=3), dict(sample_scale=float("nan"))])
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


# --- frames

@pytest.mark.parametrize("profile, counts", [
    ("refasr", {0: 0, 1: 0, 399: 0, 400: 1, 401: 1, 559: 1, 560: 2}), ("sherpa", {0: 0, 1: 0, 79: 0, 80: 1, 239: 1, 240: 2}),
    ("nemo", {0: 0, 159: 0, 160: 1, 16000: 100}), ("whisper", {0: 0, 160: 1, 480000: 3000})])
def test_frame_counts(profile, counts):
    for n_samples, want in counts.items():
        assert framing.n_frames(PROFILES[profile], n_samples) == want


@pytest.mark.parametrize("edge, want", [("mirror", [2, 1, 0, 0, 1, 2, 2, 1, 0, 0]), ("centre-reflect", [1, 2, 1, 0, 1, 2, 1, 0, 1, 2]),
                                        ("centre-zero", [9, 9, 9, 0, 1, 2, 9, 9, 9, 9])])
def test_what_is_beyond_the_ends(edge, want):
    signal = np.array([10, 11, 12], F32)
    got = framing.stretch(signal, -3, 7, edge)
    assert got.tolist() == [0.0 if source == 9 else 10.0 + source for source in want]
    assert framing.stretch(signal[:1], -2, 3, edge).tolist() == [10 * (edge != "centre-zero" or i == 2) for i in range(5)]


@by_backend
def test_silence_is_the_floor(backend):
    for name, want in (("refasr", np.log(1e-5)), ("kaldi", np.log(2.0**-23)), ("htk", 0), ("nemo", np.log(2.0**-24)), ("whisper", -10)):
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


# --- streams

@by_backend
@by_name
@settings(max_examples=8)
@given(data=st.data())
def test_stream_equals_whole(profile, backend, data):
    features = online.OnlineFeatures(streaming(profile), backend)
    samples = samples_of("noise", data.draw(st.one_of(st.integers(0, 500), st.integers(0, 3000))), 1)
    whole = backend(fbank.log_mel)(samples, features.plan)
    cuts = sorted(data.draw(st.lists(st.integers(0, samples.size), max_size=9)))
    state, parts = features.start(), []
    for chunk in np.split(samples, cuts):
        before = state.held.tobytes()
        frames, after = features.step(chunk, state)
        assert state.held.tobytes() == before
        assert after.size <= profile.window_samples + profile.hop_samples + 2
        parts, state = [*parts, frames], after
    frames, state = features.finish(state)
    assert np.concatenate([*parts, frames]).tobytes() == whole.tobytes()
    assert state.n_samples == state.n_frames == state.size == 0


def test_one_sample_at_a_time():
    features = online.OnlineFeatures("sherpa", BACKENDS[0])
    samples, state, parts = samples_of("noise", 900, 2), features.start(), []
    for sample in samples:
        frames, state = features.step(np.array([sample]), state)
        parts.append(frames)
    parts.append(features.finish(state)[0])
    assert np.concatenate(parts).tobytes() == BACKENDS[0](fbank.log_mel)(samples, features.plan).tobytes()


@pytest.mark.parametrize("name", ["nemo", "whisper"])
def test_what_cannot_stream_says_why(name):
    with pytest.raises(RangeError, match=f"'{name}', expected one that can stream.*whole utterance"):
        online.OnlineFeatures(name, BACKENDS[0])


def test_stream_refuses_what_the_whole_refuses():
    features = online.OnlineFeatures("refasr", BACKENDS[0])
    for wrong, error in ((np.zeros(3), DTypeError), (np.zeros((3, 1), F32), ShapeError), (np.full(1, np.nan, F32), RangeError)):
        with pytest.raises(error, match="samples"):
            features.step(wrong, features.start())


@given(n_frames=st.integers(0, 20), factor=st.integers(1, 6), cut=st.integers(0, 20))
def test_stacks_do_not_depend_on_chunks(n_frames, factor, cut):
    frames = np.arange(n_frames * 3, dtype=F32).reshape(n_frames, 3)
    whole, rest = online.stack_frames(frames, frames[:0], factor)
    first, waiting = online.stack_frames(frames[:cut], frames[:0], factor)
    second, waiting = online.stack_frames(frames[cut:], waiting, factor)
    assert np.array_equal(np.concatenate([first, second]), whole) and np.array_equal(waiting, rest)
    assert np.array_equal(whole.ravel(), frames.ravel()[:whole.size]) and len(rest) == n_frames % factor


def test_stacking_refuses():
    frames = np.zeros((4, 3), F32)
    for waiting, factor, error in ((frames, 4, RangeError), (frames[:1, :2].copy(), 4, ShapeError), (frames[:0], 0, RangeError)):
        with pytest.raises(error):
            online.stack_frames(frames, waiting, factor)


# --- normalisation

def test_moments_in_pieces_and_far_from_zero():
    frames = (1e4 + np.random.default_rng(0).standard_normal((500, 3))).astype(F32)
    moments = normalise.no_moments(3)
    for piece in np.split(frames, [0, 1, 7, 300]):
        moments = normalise.add_moments(piece, moments)
    assert moments.count == 500
    assert moments.mean == pytest.approx(frames.mean(axis=0, dtype=np.float64), rel=1e-12)
    assert moments.spread / 500 == pytest.approx(frames.var(axis=0, dtype=np.float64), rel=1e-9)
    normal = normalise.apply(frames, normalise.from_moments(moments))
    assert normal.dtype == F32 and normal.std(axis=0) == pytest.approx(1, abs=1e-3)


def test_moments_of_nothing_and_of_a_constant():
    with pytest.raises(RangeError, match="moments.count"):
        normalise.from_moments(normalise.no_moments(3))
    still = normalise.from_moments(normalise.add_moments(np.full((4, 2), 7, F32), normalise.no_moments(2)))
    assert normalise.apply(np.full((1, 2), 7, F32), still).tolist() == [[0, 0]]


def brute_running(frames, prior, options):
    """The definition of `normalise.running`, frame by frame from scratch. Parameters: frames, prior, options. Returns array."""
    out = []
    for t in range(len(frames)):
        seen = frames[max(0, t + 1 - options.window_frames):t + 1].astype(np.float64)
        borrowed = min(options.global_frames, options.window_frames - len(seen))
        variance = prior.spread / prior.count + prior.mean**2
        mean = (seen.sum(axis=0) + borrowed * prior.mean) / (len(seen) + borrowed)
        square = ((seen**2).sum(axis=0) + borrowed * variance) / (len(seen) + borrowed)
        out.append((frames[t] - mean) / (np.sqrt(square - mean**2) if options.variance else 1))
    return np.array(out)


@pytest.mark.parametrize("variance", [False, True])
def test_running_normalisation(variance):
    frames = np.random.default_rng(1).standard_normal((60, 2)).astype(F32) + F32(3)
    prior = normalise.add_moments(frames[:9], normalise.no_moments(2))
    options = normalise.RunningOptions(20, 7, variance)
    whole, _ = normalise.running(frames, normalise.start_running(2), prior, options)
    assert whole == pytest.approx(brute_running(frames, prior, options), abs=1e-5)
    state, parts = normalise.start_running(2), []
    for chunk in np.split(frames, [0, 3, 4, 33]):
        part, state = normalise.running(chunk, state, prior, options)
        parts.append(part)
        assert len(state.recent) <= 20
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_running_normalisation_needs_a_prior():
    with pytest.raises(RangeError, match="prior"):
        normalise.running(np.zeros((1, 2), F32), normalise.start_running(2), normalise.no_moments(2))


def test_utterance_normalisations():
    frames = np.random.default_rng(2).standard_normal((9, 4)).astype(F32) * F32(3)
    nemo = normalise.utterance(frames, PROFILES["nemo"])
    assert nemo == pytest.approx((frames - frames.mean(axis=0)) / (frames.std(axis=0, ddof=1) + 1e-5), abs=1e-5)
    whisper = normalise.utterance(frames - F32(4) * np.arange(9, dtype=F32)[:, None], PROFILES["whisper"])
    assert whisper.max() - whisper.min() == pytest.approx(2.0)
    assert normalise.utterance(frames, REFASR) is frames
    for name in ("nemo", "whisper"):
        assert normalise.utterance(frames[:0], PROFILES[name]).shape == (0, 4)
    assert normalise.utterance(frames[:1], PROFILES["nemo"]).tolist() == [[0, 0, 0, 0]]


# --- comparison of profiles

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


# --- command line

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
    assert cli.main(["features", "diff", out, "refasr", recording, "--check", "--backend", "reference", "--tolerance", "0.002"]) == 0
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


# --- figure

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
