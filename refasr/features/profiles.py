"""Named feature profiles: every constant that changes a value is a field, so nothing hides in a default."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Profile:
    """One complete definition of log-mel features. Fields are in the order in which audio meets them.

    name : key in PROFILES; source : project and options that it reproduces.
    sample_rate_hz : the only rate accepted; sample_scale : factor on samples in [-1, 1] (32768: 16-bit integers).
    dither : standard deviation of added Gaussian noise, after scaling; 0 is none, and only `fbank.dither` adds it.
    signal_pre_emphasis : y[n] = x[n] - a x[n-1] over the whole signal, y[0] = x[0]; 0 is none.
    edge : "snip" (whole windows only, frame t starts at t hop), "mirror" (Kaldi's snip_edges=false: round(S / hop) frames,
        centred on (t + 1/2) hop, samples beyond either end mirrored), "centre-reflect" or "centre-zero"
        (frame t centred on t hop; ends mirrored without repeating the end sample, or zero).
    drop_last : leave out the last frame (Whisper).
    window_samples, hop_samples, fft_size : a centred window shorter than the FFT sits in its middle, else at its start.
    remove_dc : subtract the frame's mean. pre_emphasis : within the frame, y[0] = (1 - a) x[0].
    window : "hann", "hamming", "povey" or "rectangular"; window_periodic : period N rather than N - 1.
    power_exponent : 2 for |X|^2, 1 for |X|.
    n_bins, low_hz, high_hz : mel bands and their outer edges; mel_scale : "htk" or "slaney".
    triangle_axis : triangles linear in "mel" (Kaldi, HTK) or in "hz" (Slaney); bank_norm : "none", or "slaney" (unit area).
    skip_dc_bin : HTK leaves FFT bin 0 out of the first band. warp_low_hz, warp_high_hz : where vocal-tract warping bends.
    floor, floor_rule : "max" for log(max(mel, floor)), "add" for log(mel + floor); log : "ln" or "log10".
    normalisation : "none", "per_feature" (NeMo, whole utterance) or "whisper" (global maximum, whole utterance).
    """

    name: str
    source: str
    sample_rate_hz: int = 16000
    sample_scale: float = 1.0
    dither: float = 0.0
    signal_pre_emphasis: float = 0.0
    edge: str = "snip"
    drop_last: bool = False
    window_samples: int = 400
    hop_samples: int = 160
    fft_size: int = 512
    remove_dc: bool = False
    pre_emphasis: float = 0.0
    window: str = "hann"
    window_periodic: bool = False
    power_exponent: int = 2
    n_bins: int = 80
    low_hz: float = 20.0
    high_hz: float = 8000.0
    mel_scale: str = "htk"
    triangle_axis: str = "mel"
    bank_norm: str = "none"
    skip_dc_bin: bool = False
    warp_low_hz: float = 100.0
    warp_high_hz: float = 7500.0
    floor: float = 1.1920928955078125e-07
    floor_rule: str = "max"
    log: str = "ln"
    normalisation: str = "none"


REFASR = Profile(
    "refasr", "this project: the shipped model's features",
    pre_emphasis=0.97, n_bins=40, low_hz=20.0, high_hz=7600.0, warp_high_hz=7000.0, floor=1e-5)

PROFILES = {profile.name: profile for profile in (REFASR,)}
