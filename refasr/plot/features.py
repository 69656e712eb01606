"""Features over time, as a picture: time runs right, frequency runs up, louder is brighter."""

import numpy as np

from refasr import checks
from refasr.features import framing, mel

TICKS_HZ = (100, 250, 500, 1000, 2000, 4000, 7000, 11000, 20000)
PERCENTILES = (5, 99.8)  # of the values: darkest and brightest, so that one click does not grey the rest


def draw(features, profile, ax=None):
    """Draw one utterance.

    Parameters
    ----------
    features : float32 [T, F]         From `fbank.log_mel`, normalised or not.
    profile : Profile                 What they were made under; gives the axes.
    ax : matplotlib Axes or None      Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DTypeError, ShapeError, MissingExtra
    """
    checks.array("features", features, np.float32, (None, profile.n_bins))
    ax = ax or checks.extra("matplotlib.pyplot", "plots").subplots()[1]
    hop_seconds = profile.hop_samples / profile.sample_rate_hz
    begin = framing.first_sample(profile) / profile.sample_rate_hz
    begin += (profile.window_samples - profile.hop_samples) / 2 / profile.sample_rate_hz  # a frame is drawn about its centre
    low, high = np.percentile(features, PERCENTILES) if features.size else (0.0, 1.0)
    extent = begin, begin + max(len(features), 1) * hop_seconds, -0.5, profile.n_bins - 0.5
    image = ax.imshow(features.T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest", vmin=low,
                      vmax=max(high, low + 1e-6), extent=extent)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.015, fraction=0.04)
    bar.set_label(f"{profile.log} of mel energy" + ("" if profile.normalisation == "none" else ", normalised"))
    positions, labels = mel_ticks(profile)
    ax.set_yticks(positions, labels)
    ax.set_xlabel("time, seconds")
    ax.set_ylabel(f"{profile.n_bins} mel bands, centre frequency in Hz")
    ax.set_title(f"profile {profile.name}", loc="left")
    return ax


def mel_ticks(profile):
    """Where round frequencies are among the bands. Parameters: profile. Returns (positions, labels)."""
    low, high = mel.hz_to_mel([profile.low_hz, profile.high_hz], profile.mel_scale)
    inside = [hz for hz in TICKS_HZ if profile.low_hz <= hz <= profile.high_hz]
    positions = (mel.hz_to_mel(inside, profile.mel_scale) - low) / (high - low) * (profile.n_bins + 1) - 1
    return [float(position) for position in positions], [str(hz) for hz in inside]
