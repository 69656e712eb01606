"""Features against other people's: kaldi-native-fbank, HTK, asrfront, ONNX's signal operators, formulas written again."""

import dataclasses
import functools
import struct
import warnings

import numpy as np
import pytest
from cases_features import samples_of
from test_features import by_backend

from refasr.features import compare, fbank, mel, normalise, spectrum
from refasr.features.profiles import PROFILES, Profile

F32 = np.float32
HOP = 160


@pytest.fixture(scope="module")
def knf():
    """kaldi-native-fbank."""
    return pytest.importorskip("kaldi_native_fbank", reason="kaldi-native-fbank is not installed; see make test-oracles")


def kaldi_options(knf, profile):
    """Say the profile in Kaldi's words. Parameters: knf, profile. Returns FbankOptions."""
    options = knf.FbankOptions()
    options.htk_compat = options.mel_opts.htk_mode = profile.first_weight_zero
    frame = options.frame_opts
    frame.dither, frame.samp_freq, frame.preemph_coeff = profile.dither, profile.sample_rate_hz, profile.pre_emphasis
    frame.window_type = {"hann": "hanning"}.get(profile.window, profile.window)
    frame.remove_dc_offset, frame.snip_edges = profile.remove_dc, profile.edge == "snip"
    options.mel_opts.num_bins = profile.n_bins
    options.mel_opts.low_freq, options.mel_opts.high_freq = profile.low_hz, profile.high_hz
    return options


def kaldi(knf, options, samples):
    """Its features. Parameters: knf, options, samples (scaled). Returns float32 [T, F]."""
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(options.frame_opts.samp_freq, samples)
    computer.input_finished()
    frames = [computer.get_frame(i) for i in range(computer.num_frames_ready)]
    return np.array(frames, F32).reshape(len(frames), options.mel_opts.num_bins)


def near(ours, theirs, loudest=4e-3, mean=5e-5):
    """Both float32, so quiet bands beside loud ones differ most. Parameters: ours, theirs, loudest, mean."""
    assert ours.shape == theirs.shape
    if ours.size:
        gap = np.abs(ours.astype(np.float64) - theirs)
        assert gap.max() < loudest and gap.mean() < mean


def test_profiles_are_the_defaults_of_their_projects(knf):
    for name, wanted in (("kaldi", knf.FbankOptions()), ("sherpa", knf.FbankOptions())):
        wanted.frame_opts.dither = 0
        if name == "sherpa":
            wanted.frame_opts.snip_edges, wanted.mel_opts.num_bins, wanted.mel_opts.high_freq = False, 80, 7600
        ours = kaldi_options(knf, PROFILES[name])
        ours.mel_opts.high_freq = 0 if name == "kaldi" else 7600
        assert str(ours) == str(wanted)


@by_backend
@pytest.mark.parametrize("name", ["kaldi", "sherpa", "refasr"])
def test_kaldi_native_fbank_for_every_length_modulo_the_hop(knf, name, backend):
    profile = PROFILES[name]
    options, plan = kaldi_options(knf, profile), fbank.Plan.of(profile)
    signal = compare.probe_signal()[:1200]
    lengths = [*range(0, 90, 20), *range(239, 242), *range(398, 403), *range(700, 700 + HOP)]
    for n_samples in lengths:
        samples = signal[:n_samples]
        theirs = kaldi(knf, options, samples * F32(profile.sample_scale))
        floor = F32(np.log(profile.floor))
        near(backend(fbank.log_mel)(samples, plan), np.maximum(theirs, floor))


@by_backend
@pytest.mark.parametrize("change", [dict(), dict(n_bins=80), dict(window="hamming", n_bins=40), dict(window="rectangular"),
                                    dict(remove_dc=False), dict(pre_emphasis=0.0), dict(low_hz=60.0, high_hz=7000.0),
                                    dict(sample_rate_hz=8000, window_samples=200, hop_samples=80, fft_size=256, high_hz=3900.0)])
def test_kaldi_native_fbank_options(knf, change, backend):
    profile = dataclasses.replace(PROFILES["kaldi"], **change)
    samples = compare.probe_signal()
    near(backend(fbank.log_mel)(samples, fbank.Plan.of(profile)), kaldi(knf, kaldi_options(knf, profile), samples * F32(32768)))


def htk_features(path):
    """Read HTK's file: big-endian header of 12 bytes, then float32. Parameters: path. Returns float32 [T, F]."""
    data = path.read_bytes()
    n_frames, period, width, kind = struct.unpack(">iihh", data[:12])
    assert (period, kind) == (100000, 7)
    return np.frombuffer(data[12:], ">f4").reshape(n_frames, width // 4)


@by_backend
@pytest.mark.parametrize("suffix, low_hz, warp", [("1", 0.0, 1.0), ("2", 25.0, 1.0)])
def test_htk(shared, suffix, low_hz, warp, backend):
    soundfile = pytest.importorskip("soundfile", reason="soundfile reads recordings")
    folder = shared / "vectors" / "kaldi"
    samples, _ = soundfile.read(folder / "test.wav", dtype="float32")
    plan = fbank.Plan.of(dataclasses.replace(PROFILES["htk"], low_hz=low_hz), warp)
    near(backend(fbank.log_mel)(samples, plan), htk_features(folder / f"test.wav.fbank_htk.{suffix}"), 1e-4, 1e-5)


@by_backend
def test_htk_with_vocal_tract_warp(shared, backend):
    soundfile = pytest.importorskip("soundfile", reason="soundfile reads recordings")
    folder = shared / "vectors" / "kaldi"
    samples, _ = soundfile.read(folder / "test.wav", dtype="float32")
    plan = fbank.Plan.of(dataclasses.replace(PROFILES["htk"], low_hz=25.0), 0.9)
    theirs = htk_features(folder / "test.wav.fbank_htk.3")
    ours = backend(fbank.log_mel)(samples, plan)
    near(ours[:, :20], theirs[:, :20], 1e-4, 1e-5)  # HTK bends otherwise at the top; Kaldi's test leaves out the last three too


def brute_mel(samples, bank, window, n_fft, centres):
    """Mel energies by the definition of the transform. Parameters: as named; centres of the frames. Returns float64 [T, F]."""
    n = np.arange(len(window))
    transform = np.exp(-2j * np.pi * np.outer(np.arange(n_fft // 2 + 1), n) / n_fft)
    frames = np.array([samples[centre - len(window) // 2:][:len(window)] for centre in centres])
    return np.abs((frames * window) @ transform.T) ** 2 @ bank.T


def slaney_bank(n_bins, n_fft, low_hz, high_hz, rate_hz):
    """Slaney's filters, written from the Auditory Toolbox's description: 3 / 200 mel a hertz to 1 kHz, 27 steps to 6.4 kHz."""
    def to_mel(hz):
        return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)

    def to_hz(m):
        return m * 200 / 3 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27)
    edges = [to_hz(m) for m in np.linspace(to_mel(low_hz), to_mel(high_hz), n_bins + 2)]
    bank = np.zeros((n_bins, n_fft // 2 + 1))
    for f in range(n_bins):
        left, centre, right = edges[f:f + 3]
        for k in range(n_fft // 2 + 1):
            hz = k * rate_hz / n_fft
            up, down = (hz - left) / (centre - left), (right - hz) / (right - centre)
            bank[f, k] = max(0, min(up, down)) * 2 / (right - left)
    return bank


@by_backend
@pytest.mark.parametrize("n_samples", [1, 201, 160, 3199, 3200, 3201])
def test_whisper_by_its_formula(n_samples, backend):
    samples = samples_of("noise", n_samples, 5).astype(np.float64)
    padded = np.pad(samples, 200, mode="reflect") if n_samples > 1 else np.full(401, samples[0])
    window = np.sin(np.pi * np.arange(400) / 400) ** 2
    centres = [200 + 160 * t for t in range(n_samples // 160)]
    bank = slaney_bank(80, 400, 0, 8000, 16000)
    power = brute_mel(padded, bank, window, 400, centres) if centres else np.zeros((0, 80))
    want = np.log10(np.maximum(power, 1e-10))
    want = (np.maximum(want, want.max() - 8) + 4) / 4 if want.size else want
    frames = backend(fbank.log_mel)(samples.astype(F32), fbank.Plan.of("whisper"))
    near(normalise.utterance(frames, PROFILES["whisper"]), want, 1e-4, 1e-5)


@by_backend
@pytest.mark.parametrize("n_samples", [320, 3199, 3200])
def test_nemo_by_its_formula(n_samples, backend):
    samples = samples_of("noise", n_samples, 6).astype(np.float64)
    emphasised = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
    window = np.pad(np.sin(np.pi * np.arange(400) / 399) ** 2, 56)  # torch.stft puts it in the middle of 512
    power = brute_mel(np.pad(emphasised, 256), slaney_bank(80, 512, 0, 8000, 16000), window, 512,
                          [256 + 160 * t for t in range(n_samples // 160)])
    want = np.log(power + 2.0**-24)
    want = (want - want.mean(axis=0)) / (want.std(axis=0, ddof=1) + 1e-5)
    frames = backend(fbank.log_mel)(samples.astype(F32), fbank.Plan.of("nemo"))
    near(normalise.utterance(frames, PROFILES["nemo"]), want, 2e-3, 1e-4)


@by_backend
def test_asrfront(backend):
    pytest.importorskip("asrfront", reason="asrfront is not installed: pip install 'refasr[bench]'")
    import asrfront.sensevoice
    import asrfront.whisper
    samples = compare.probe_signal()
    frames = backend(fbank.log_mel)(samples, fbank.Plan.of("whisper"))
    near(normalise.utterance(frames, PROFILES["whisper"]), asrfront.whisper.log_mel(samples, pad_or_trim=False).T, 1e-3, 1e-5)
    profile = dataclasses.replace(PROFILES["kaldi"], window="hamming", n_bins=80)
    loud = samples[:14000]  # in silence asrfront has no floor
    near(backend(fbank.log_mel)(loud, fbank.Plan.of(profile)), asrfront.sensevoice.fbank_raw(loud), 1e-2, 1e-4)


@functools.cache
def onnx_cases():
    """ONNX's own node tests. Returns {name: (inputs, outputs)}, lists of arrays."""
    pytest.importorskip("onnx", reason="onnx is not installed; see make test-oracles")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it makes thousands of tests, and overflows on purpose
        from onnx.backend.test.loader import load_model_tests
        return {case.name: case.data_sets[0] for case in load_model_tests(kind="node") if case.data_sets}


def test_onnx_mel_weight_matrix_shares_the_scale():
    """ONNX takes steps of 1 / (bands + 2), not + 1, rounds edges down to whole bins, and its triangles are linear in hertz."""
    (n_bins, n_fft, rate_hz, low_hz, high_hz), (matrix,) = onnx_cases()["test_melweightmatrix"]
    low, high = mel.hz_to_mel([float(low_hz), float(high_hz)], "htk")
    edges = mel.mel_to_hz(low + (high - low) * np.arange(n_bins + 2) / (n_bins + 2), "htk")
    points, want = ((n_fft + 1) * edges // rate_hz).astype(int), np.zeros(matrix.shape)
    for f in range(n_bins):
        left, centre, right = points[f:f + 3]
        want[left:centre + 1, f] = 1 if left == centre else np.arange(centre - left + 1) / (centre - left)
        if right > centre:
            want[centre:right, f] = 1 - np.arange(right - centre) / (right - centre)
    assert matrix == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("name, periodic", [("test_hannwindow", True), ("test_hannwindow_symmetric", False)])
def test_onnx_hann_window(name, periodic):
    (size,), (want,) = onnx_cases()[name]
    profile = Profile("onnx", name, window_samples=int(size), window_periodic=periodic, fft_size=16, n_bins=1)
    assert spectrum.window(profile) == pytest.approx(want, abs=1e-6)


@by_backend
def test_onnx_stft(backend):
    (signal, hop, shape, *_), (want,) = onnx_cases()["test_stft_with_window"]
    size = len(shape)
    frames = np.lib.stride_tricks.sliding_window_view(signal.ravel(), size)[::int(hop)][:want.shape[1]].astype(np.float64)
    power = (want**2).sum(axis=-1)[0]
    near(spectrum.power_spectrum(frames * shape, size), power, 1e-3 * power.max(), 1e-3 * power.max())
    profile = Profile("onnx", "STFT", window_samples=size, hop_samples=int(hop), fft_size=size, window="hann", n_bins=2)
    plan = fbank.Plan.of(profile)
    sums = power @ plan.bank.T.astype(np.float64)
    ours = backend(fbank.log_mel_windows)(signal.ravel().astype(F32), plan._replace(window=shape.astype(F32)))
    near(ours, np.log(np.maximum(sums, profile.floor)), 1e-4, 1e-4)
