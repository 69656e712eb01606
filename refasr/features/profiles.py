"""Named feature profiles: every constant that changes a value is a field, so nothing hides in a default.

    refasr     the shipped model's            kaldi    compute-fbank-feats, dither 0
    sherpa     sherpa-onnx, icefall, lhotse   htk      HTK FBANK as Kaldi's tests use it
    nemo       NeMo's 80-bin recognisers      whisper  OpenAI Whisper
"""

import dataclasses

from refasr.errors import RangeError

CHOICES = {"edge": ("snip", "mirror", "centre-reflect", "centre-zero"), "window": ("hann", "hamming", "povey", "rectangular"),
           "power_exponent": (1, 2), "mel_scale": ("htk", "slaney"), "triangle_axis": ("mel", "hz"),
           "bank_norm": ("none", "slaney"), "floor_rule": ("max", "add"), "log": ("ln", "log10"),
           "normalisation": ("none", "per_feature", "whisper")}
HOPS_A_WINDOW = 8  # what the fast twin's tile of sixteen overlapping frames has room for


@dataclasses.dataclass(frozen=True)
class Profile:
    """One complete definition of log-mel features, in the order in which the samples meet it.

    Parameters
    ----------
    name : str                     Key in PROFILES, or a name of your own.
    source : str                   Project and options that it reproduces.
    sample_rate_hz : int           The rate of the samples; features never resample.
    sample_scale : float           Factor on samples in [-1, 1]; 32768 makes them 16-bit integers.
    dither : float                 Standard deviation of added Gaussian noise, after scaling; 0 is none.
    dither_seed : int              Seed of that noise.
    signal_pre_emphasis : float    a of y[n] = x[n] - a x[n-1], y[0] = x[0], along the whole signal; 0 is none.
    edge : str                     Where frames lie and what is beyond the ends, see `framing.n_frames`.
    drop_last : bool               Leave out the last frame.
    window_samples : int           N, length of a frame.
    hop_samples : int              From frame to frame; at least N / 8.
    remove_dc : bool               Subtract each frame's mean.
    pre_emphasis : float           a of y[n] = x[n] - a x[n-1], y[0] = (1 - a) x[0], within each frame; 0 is none.
    window : str                   "hann", "hamming", "povey" or "rectangular".
    window_periodic : bool         Its period is N, not N - 1.
    fft_size : int                 Points of the transform, >= N; 8 times powers of 2 and 5.
    power_exponent : 1 or 2        |X|, or |X|^2.
    n_bins : int                   F, mel bands.
    low_hz : float                 Lower edge of the first band.
    high_hz : float                Upper edge of the last.
    mel_scale : str                "htk" or "slaney".
    triangle_axis : str            Triangles are linear in "mel" or in "hz".
    bank_norm : str                "none" (peak 1), or "slaney" (area 1).
    first_weight_zero : bool       HTK's slip: the lowest weight of band 0 is 0, unless low_hz is 0.
    warp_low_hz : float            Lower bend of vocal-tract warping, see `mel.warp_hz`.
    warp_high_hz : float           Upper bend.
    floor : float                  Keeps silence finite.
    floor_rule : str               "max": log(max(mel, floor)); "add": log(mel + floor).
    log : str                      "ln" or "log10".
    normalisation : str            "none", or over the whole utterance: "per_feature" or "whisper" (see `normalise`).

    Raises
    ------
    RangeError                     If a field is outside its domain.
    """

    name: str
    source: str
    sample_rate_hz: int = 16000
    sample_scale: float = 1.0
    dither: float = 0.0
    dither_seed: int = 0
    signal_pre_emphasis: float = 0.0
    edge: str = "snip"
    drop_last: bool = False
    window_samples: int = 400
    hop_samples: int = 160
    remove_dc: bool = False
    pre_emphasis: float = 0.0
    window: str = "hann"
    window_periodic: bool = False
    fft_size: int = 512
    power_exponent: int = 2
    n_bins: int = 80
    low_hz: float = 20.0
    high_hz: float = 8000.0
    mel_scale: str = "htk"
    triangle_axis: str = "mel"
    bank_norm: str = "none"
    first_weight_zero: bool = False
    warp_low_hz: float = 100.0
    warp_high_hz: float = 7500.0
    floor: float = 2.0**-23
    floor_rule: str = "max"
    log: str = "ln"
    normalisation: str = "none"

    def __post_init__(self):
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise RangeError(f"{name}: got {getattr(self, name)!r}, expected one of {', '.join(map(str, choices))}")
        nyquist = self.sample_rate_hz / 2
        for name, low, high in (("sample_rate_hz", 1, 768000), ("sample_scale", 1e-6, 1e6), ("dither", 0, 1e6),
                                ("signal_pre_emphasis", 0, 1), ("pre_emphasis", 0, 1), ("fft_size", 8, 65536),
                                ("window_samples", 2, self.fft_size), ("n_bins", 1, self.fft_size), ("low_hz", 0, nyquist),
                                ("high_hz", self.low_hz + 1, nyquist), ("floor", 1e-30, 1e6),
                                ("hop_samples", -(-self.window_samples // HOPS_A_WINDOW), 16 * self.window_samples)):
            if not low <= getattr(self, name) <= high:
                raise RangeError(f"{name}: got {getattr(self, name)}, expected a number from {low} to {high}")
        rest = self.fft_size / 8
        while rest % 1 == 0 and rest > 1:
            rest = rest / 5 if rest % 5 == 0 else rest / 2
        if rest != 1:
            raise RangeError(f"fft_size: got {self.fft_size}, expected 8 times powers of 2 and 5, such as 400 or 512")


REFASR = Profile(
    "refasr", "refasr's shipped model",
    pre_emphasis=0.97, n_bins=40, high_hz=7600.0, warp_high_hz=7000.0, floor=1e-5)

KALDI = Profile(
    "kaldi", "Kaldi compute-fbank-feats with --dither=0 and otherwise default options, on 16-bit samples",
    sample_scale=32768.0, remove_dc=True, pre_emphasis=0.97, window="povey", n_bins=23)

SHERPA = Profile(
    "sherpa", "sherpa-onnx and icefall: kaldi-native-fbank with dither 0, snip_edges false, 80 bins, high_freq -400",
    edge="mirror", remove_dc=True, pre_emphasis=0.97, window="povey", high_hz=7600.0, warp_high_hz=7100.0)

HTK = Profile(
    "htk", "HTK's HCopy as in Kaldi's src/feat/feature-fbank-test.cc: USEHAMMING, USEPOWER, no pre-emphasis, 23 channels",
    sample_scale=32768.0, window="hamming", n_bins=23, low_hz=0.0, first_weight_zero=True, floor=1.0)

NEMO = Profile(
    "nemo", "NeMo AudioToMelSpectrogramPreprocessor at inference, as its 80-bin models set it: window_size 0.025, n_fft 512, "
            "pad_to 0 (the class's own defaults are 0.02 s and 64 bins)",
    signal_pre_emphasis=0.97, edge="centre-zero", drop_last=True, low_hz=0.0, mel_scale="slaney", triangle_axis="hz",
    bank_norm="slaney", floor=2.0**-24, floor_rule="add", normalisation="per_feature")

WHISPER = Profile(
    "whisper", "OpenAI Whisper's log_mel_spectrogram without padding to 30 s, 80 bins",
    edge="centre-reflect", drop_last=True, window_periodic=True, fft_size=400, low_hz=0.0, mel_scale="slaney",
    triangle_axis="hz", bank_norm="slaney", floor=1e-10, log="log10", normalisation="whisper")

PROFILES = {profile.name: profile for profile in (REFASR, KALDI, SHERPA, HTK, NEMO, WHISPER)}


def named(profile):
    """A profile by its name.

    Parameters
    ----------
    profile : str or Profile    A name in PROFILES; a Profile is returned as it is.

    Returns
    -------
    Profile

    Raises
    ------
    RangeError                  If there is none of that name.
    """
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        raise RangeError(f"profile: got {profile!r}, expected one of {', '.join(PROFILES)}")
    return PROFILES[profile]
