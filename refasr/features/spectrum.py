"""Windows and power spectra: the readable reference, in float64."""

import numpy as np

WINDOWS = {
    "hann": lambda cosine: 0.5 - 0.5 * cosine,
    "hamming": lambda cosine: 0.54 - 0.46 * cosine,
    "povey": lambda cosine: (0.5 - 0.5 * cosine) ** 0.85,
    "rectangular": np.ones_like,
}


def window(profile):
    """The samples of a profile's window.

        hann: 1/2 - 1/2 c[n]    hamming: 0.54 - 0.46 c[n]    povey: hann^0.85    rectangular: 1
        c[n] = cos(2 pi n / D),  D = N - 1, or N if periodic

    Parameters
    ----------
    profile : Profile    Gives the shape and N.

    Returns
    -------
    float32 [N]

    Notes
    -----
    The povey window is Kaldi's: like Hamming, but zero at the ends.
    """
    period = profile.window_samples if profile.window_periodic else profile.window_samples - 1
    cosine = np.cos(2 * np.pi * np.arange(profile.window_samples) / max(period, 1))
    return WINDOWS[profile.window](cosine).astype(np.float32)


def power_spectrum(frames, fft_size, exponent=2):
    """Magnitude of the discrete Fourier transform of each frame, squared or not.

        P[t, k] = |sum_n x[t, n] exp(-2 pi i k n / fft_size)| ^ exponent

    Parameters
    ----------
    frames : float64 [T, N], N <= fft_size    Windowed frames; zeros follow them. Where they lie within the transform
                                              does not matter, since the phase is dropped.
    fft_size : int                            Points of the transform.
    exponent : 1 or 2                         2 for power, 1 for magnitude.

    Returns
    -------
    float64 [T, K]                            K = fft_size / 2 + 1.
    """
    spectrum = np.fft.rfft(frames, fft_size, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return power if exponent == 2 else np.sqrt(power)
