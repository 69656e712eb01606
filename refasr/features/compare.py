"""Where two definitions of features part: the same signal through both, stage by stage."""

import dataclasses
from typing import NamedTuple

import numpy as np

from refasr.errors import RangeError
from refasr.features import fbank, framing, normalise

F32 = np.float32
STAGES = {  # every field of Profile but its name and source belongs to one stage
    "scale": ("sample_rate_hz", "sample_scale"),
    "dither": ("dither", "dither_seed"),
    "signal pre-emphasis": ("signal_pre_emphasis",),
    "frames": ("edge", "drop_last", "window_samples", "hop_samples"),
    "mean removal": ("remove_dc",),
    "pre-emphasis": ("pre_emphasis",),
    "window": ("window", "window_periodic"),
    "spectrum": ("fft_size", "power_exponent"),
    "mel bank": ("n_bins", "low_hz", "high_hz", "mel_scale", "triangle_axis", "bank_norm", "first_weight_zero", "warp_low_hz",
                 "warp_high_hz"),
    "logarithm": ("floor", "floor_rule", "log"),
    "normalisation": ("normalisation",),
}


class Difference(NamedTuple):
    """How far two arrays are apart.

    Parameters
    ----------
    shape_a : tuple of int               Shape of the first.
    shape_b : tuple of int               Shape of the second.
    largest : float                      Largest |a - b| where both have elements; 0 if there is no such place.
    scale : float                        Largest |a|, to judge by.
    index : tuple of int, or None        Where the largest is; None if there is none.
    """

    shape_a: tuple
    shape_b: tuple
    largest: float
    scale: float
    index: tuple | None

    @property
    def any(self):
        """Whether they differ at all. Returns bool."""
        return self.shape_a != self.shape_b or self.largest > 0


class StageDifference(NamedTuple):
    """One stage of two profiles.

    Parameters
    ----------
    stage : str                      Name, a key of STAGES.
    settings : dict                  Fields that differ: {field: (a's, b's)}.
    after : Difference               Of what leaves the stage, each profile having gone its own way up to here.
    alone : Difference or None       Of the finished features when a takes over this stage's settings of b and nothing else;
                                     None if it has them already, or cannot take them.
    """

    stage: str
    settings: dict
    after: Difference
    alone: Difference | None


def difference(a, b):
    """Compare two arrays.

    Parameters
    ----------
    a, b : float array    With equally many axes; lengths may differ.

    Returns
    -------
    Difference

    Examples
    --------
    >>> difference(np.array([1.0, 2.0]), np.array([1.0, 2.5, 9.0]))
    Difference(shape_a=(2,), shape_b=(3,), largest=0.5, scale=2.0, index=(1,))
    """
    if a.ndim != b.ndim:
        raise RangeError(f"arrays: got {a.ndim} and {b.ndim} axes, expected equally many; compare features with features")
    common = tuple(slice(min(lengths)) for lengths in zip(a.shape, b.shape))
    gap = np.abs(a[common].astype(np.float64) - b[common].astype(np.float64))
    index = np.unravel_index(int(np.argmax(gap)), gap.shape) if gap.size else None
    largest = float(gap[index]) if gap.size else 0.0
    return Difference(a.shape, b.shape, largest, float(np.abs(a).max()) if a.size else 0.0,
                      tuple(map(int, index)) if largest > 0 else None)


def stages(samples, profile):
    """All that a profile makes of a signal, in the reference's arithmetic.

    Parameters
    ----------
    samples : float32 [S]    The signal.
    profile : Profile        The definition.

    Returns
    -------
    iterator of (stage, array)    In the order of STAGES.
    """
    framing.check_samples(samples)
    plan = fbank.Plan.of(profile)
    scale = np.float64(profile.sample_scale)
    yield "scale", samples * scale
    noisy = framing.dithered(samples, profile, framing.noise_source(profile))
    yield "dither", noisy * scale
    yield "signal pre-emphasis", framing.emphasise_signal(noisy, profile.signal_pre_emphasis) * scale
    features = None
    for stage, features in fbank.window_stages(framing.lay_out(samples, profile), plan):
        yield stage, features
    yield "normalisation", normalise.utterance(features, profile)


def compare(samples, a, b):
    """Run two profiles side by side.

    Parameters
    ----------
    samples : float32 [S]    The signal.
    a, b : Profile           The definitions.

    Returns
    -------
    list of StageDifference    One a stage; the first whose `after.any` is true is where they part.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    rows, finished = [], None
    for _, finished in stages(samples, a):
        pass
    for (stage, ours), (_, theirs) in zip(stages(samples, a), stages(samples, b)):
        settings = {field: (getattr(a, field), getattr(b, field)) for field in STAGES[stage]
                    if getattr(a, field) != getattr(b, field)}
        rows.append(StageDifference(stage, settings, difference(ours, theirs), _alone(samples, finished, a, settings)))
    return rows


def _alone(samples, finished, profile, settings):
    """Effect of some settings on the finished features. Parameters: samples, finished, profile, settings. Returns as `alone`."""
    if not settings:
        return None
    try:
        changed = dataclasses.replace(profile, **{field: theirs for field, (_, theirs) in settings.items()})
    except RangeError:  # such as a window longer than the other's transform
        return None
    *_, (_, other) = stages(samples, changed)
    return difference(finished, other)


def parting(rows):
    """The first stage where two profiles differ. Parameters: rows (from `compare`). Returns StageDifference or None."""
    return next((row for row in rows if row.after.any), None)


def probe_signal(sample_rate_hz=16000):
    """One second that shows every setting: a sweep, noise, an offset, and silence at the end; a whole hop and a half longer.

    Parameters
    ----------
    sample_rate_hz : int    Rate.

    Returns
    -------
    float32 [S]             The same in every run.
    """
    time = np.arange(int(1.015 * sample_rate_hz)) / sample_rate_hz
    sweep = 0.3 * np.sin(2 * np.pi * (100 * time + 0.22 * sample_rate_hz * time**2))
    noise = 0.01 * np.random.Generator(np.random.Philox(0)).standard_normal(time.size)
    return np.where(time < 0.9, sweep + noise + 0.01, 0.0).astype(F32)
