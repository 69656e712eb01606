"""Where frames lie in a signal, and what stands beyond its ends. All arithmetic is float32, the same for both twins."""

import numpy as np

from refasr import checks

F32 = np.float32
SAMPLE_LIMIT = F32(1e6)  # full scale is 1; so the power of a frame stays below the largest float32


def check_samples(samples):
    """Refuse what is not audio.

    Parameters
    ----------
    samples : float32 [S]    In [-1, 1]; up to 1e6 is accepted, so that integers by mistake give large, not wrong, numbers.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    checks.array("samples", samples, F32, (None,))
    checks.finite("samples", samples)
    if samples.size:
        checks.between("samples", float(np.abs(samples).max()), 0.0, float(SAMPLE_LIMIT))


def first_sample(profile):
    """Position of frame 0's first sample; frame t begins t hops later.

    Parameters
    ----------
    profile : Profile    Gives edge, window_samples and hop_samples.

    Returns
    -------
    int                  Negative if the frame begins before the signal.
    """
    half = profile.window_samples // 2
    return {"snip": 0, "mirror": profile.hop_samples // 2 - half}.get(profile.edge, -half)


def n_frames(profile, n_samples):
    """Number of frames of a whole signal.

        snip               whole windows only                   1 + floor((S - N) / hop), 0 if S < N
        mirror             frame t centred on (t + 1/2) hop     round(S / hop)
        centre-reflect     frame t centred on t hop             1 + floor(S / hop), 0 if S = 0
        centre-zero        the same

    Beyond the ends, "mirror" repeats the end sample (x[-1] = x[0]), "centre-reflect" does not (x[-1] = x[1]), and
    "centre-zero" is silent. "mirror" is Kaldi's snip_edges=false; the centred ones are those of torch.stft. With drop_last
    there is one frame less.

    Parameters
    ----------
    profile : Profile      Gives edge, window_samples, hop_samples and drop_last.
    n_samples : int, >= 0  S.

    Returns
    -------
    int                    T.
    """
    hop = profile.hop_samples
    if profile.edge == "snip":
        count = n_windows(profile, n_samples)
    elif profile.edge == "mirror":
        count = (n_samples + hop // 2) // hop
    else:
        count = 1 + n_samples // hop if n_samples else 0
    return max(count - profile.drop_last, 0)


def n_windows(profile, n_samples):
    """Number of whole windows in a stretch that begins with one. Parameters: profile, n_samples. Returns int."""
    return max(1 + (n_samples - profile.window_samples) // profile.hop_samples, 0)


def n_ready(profile, n_samples):
    """Number of frames that no later sample can change.

    Parameters
    ----------
    profile : Profile        Gives edge, window_samples and hop_samples.
    n_samples : int, >= 0    Heard so far.

    Returns
    -------
    int
    """
    first = first_sample(profile)
    return n_windows(profile, n_samples - first) if n_samples > -first else 0  # frame 0 may reflect sample -first


def stretch(signal, begin, stop, edge):
    """Cut out positions begin..stop-1, which may lie beyond either end.

    Parameters
    ----------
    signal : float32 [S], S >= 1    The signal.
    begin : int                     First position.
    stop : int                      One past the last.
    edge : str                      Rule of `Profile.edge`.

    Returns
    -------
    float32 [stop - begin]
    """
    size = len(signal)
    if 0 <= begin and stop <= size:
        return signal[begin:stop]
    out = np.zeros(stop - begin, F32)
    left, right = max(begin, 0), max(min(stop, size), 0)
    out[left - begin:right - begin] = signal[left:right]
    if edge == "centre-zero":
        return out
    beyond = np.concatenate([np.arange(begin, left), np.arange(max(right, left), stop)])
    period = 2 * size if edge == "mirror" else max(2 * size - 2, 1)
    folded = beyond % period
    out[beyond - begin] = signal[np.where(folded < size, folded, 2 * size - 1 - folded if edge == "mirror" else period - folded)]
    return out


def emphasise_signal(signal, coefficient):
    """Pre-emphasis along the whole signal: y[n] = x[n] - a x[n-1], y[0] = x[0].

    Parameters
    ----------
    signal : float32 [S]                 The signal.
    coefficient : float, 0 to 1          a; 0 returns the signal itself.

    Returns
    -------
    float32 [S]
    """
    if not coefficient:
        return signal
    out = signal.copy()
    out[1:] -= F32(coefficient) * signal[:-1]
    return out


def noise_source(profile):
    """Where dither comes from. Parameters: profile. Returns a NumPy Generator, or None if the profile has none."""
    return np.random.Generator(np.random.Philox(profile.dither_seed)) if profile.dither else None


def dithered(samples, profile, source):
    """Add the profile's noise: one number a sample, so that overlapping frames share it (Kaldi draws anew for each frame).

    Parameters
    ----------
    samples : float32 [S]         The samples, before scaling.
    profile : Profile             Gives dither and sample_scale.
    source : Generator or None    From `noise_source`; it advances by S numbers.

    Returns
    -------
    float32 [S]
    """
    if source is None:
        return samples
    return samples + (source.standard_normal(samples.size) * (profile.dither / profile.sample_scale)).astype(F32)


def lay_out(samples, profile):
    """Dither, emphasise and stretch a whole signal, so that frame t is the N samples from t hop on.

    Parameters
    ----------
    samples : float32 [S]    Checked samples.
    profile : Profile        Gives dither, signal_pre_emphasis, edge and sizes.

    Returns
    -------
    float32 [S']             S' >= (T - 1) hop + N, or anything shorter than N if T = 0.
    """
    count = n_frames(profile, samples.size)
    if count == 0:
        return np.zeros(0, F32)
    signal = emphasise_signal(dithered(samples, profile, noise_source(profile)), profile.signal_pre_emphasis)
    begin = first_sample(profile)
    return stretch(signal, begin, begin + (count - 1) * profile.hop_samples + profile.window_samples, profile.edge)
