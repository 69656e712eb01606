"""What the float network's activations look like on speech, and the int8 scales that lose least.

    frames = stacked_frames(model, samples, backend)
    calibration = calibrate(model, [(frames, labels), ...], backend)

A scale is the one whose rounding and clipping of the observed values has the least squared error. The second moments of each
matrix's inputs are kept too: they say which errors of weights matter (`refasr.compress.rounding`).
"""

from typing import NamedTuple

import numpy as np

from refasr import stages
from refasr.compress.layout import INT8, recurrent_layers, scale_names
from refasr.errors import RangeError
from refasr.features.profiles import PROFILES
from refasr.transducer.model import assemble
from refasr.transducer.units import BLANK

F32 = np.float32
BINS, CANDIDATES, NODES = 8192, np.linspace(0.2, 1.0, 161), 1000


class Calibration(NamedTuple):
    """What was observed.

    scales : dict of str to float                Of each activation but the logits.
    cell_peaks : dict of str to float            Largest magnitude of each LSTM's cell state.
    moments : dict of str to float64 [K, K]      Mean of x x^T over the inputs x of each matrix.
    """

    scales: dict
    cell_peaks: dict
    moments: dict


def stacked_frames(model, samples, backend):
    """The network's input for a recording and the silence that follows it.

    Parameters
    ----------
    model : Model
    samples : float32 [S]    At 16 kHz.
    backend : Backend

    Returns
    -------
    float32 [T, K]
    """
    features, stacking = stages.features_stage(model, backend), stages.stacking_stage(model, assemble(model, backend))
    hop = PROFILES[model.architecture.profile].hop_samples
    silence = np.zeros(model.card.get("flush_frames", 0) * model.architecture.stack * hop, F32)
    frames, _ = features.step(np.concatenate([samples, silence]), features.start())
    return stacking.step(frames, stacking.start())[0]


def calibrate(model, utterances, backend):
    """Watch the float network.

    Parameters
    ----------
    model : Model
    utterances : list of (float32 [T, K], int32 [U])    Frames of speech to train on, and the units that are said.
    backend : Backend

    Returns
    -------
    Calibration

    Raises
    ------
    RangeError                                          Without any frame.
    """
    utterances = [(frames, labels) for frames, labels in utterances if len(frames)]
    if not utterances:
        raise RangeError("utterances: got no frame, expected some speech to calibrate on")
    network, seen, cells = assemble(model, backend), {}, {}
    for frames, labels in utterances:
        watch(network, frames, labels, seen, cells)
    values = {name: np.concatenate(parts) for name, parts in seen.items()}
    inputs = inputs_of_matrices(model.architecture)
    moments = {name: second_moment(values[source]) for name, source in inputs.items()}
    names = [name for name in scale_names(model.architecture) if name not in ("joiner.audio", "joiner.text", "joiner.logits")]
    scales = {name: best_scale(values[name]) for name in names}
    scales["joiner.audio"], scales["joiner.text"] = joint_scales(values["joiner.audio"], values["joiner.text"])
    return Calibration(scales, {name: float(max(peaks)) for name, peaks in cells.items()}, moments)


def watch(network, frames, labels, seen, cells):
    """One utterance. Parameters: network, frames, labels, seen, cells (values and peaks by name, both grow)."""
    def see(name, values):
        seen.setdefault(name, []).append(values)

    encodings, caches = network.encoder.forward(frames, np.ones(len(frames), np.int32))
    outputs = [x for x, *_ in caches[1:]] + [encodings]
    see("input", frames)
    for index, (_, hidden, cache, _) in enumerate(caches):
        see(f"encoder.{index}.hidden", hidden)
        see(f"encoder.{index}.output", outputs[index])
        cells.setdefault(f"encoder.{index}", []).append(np.abs(cache.cells).max())
    text, cache = network.predictor.forward(np.concatenate([[BLANK], labels]).astype(np.int32)[:, None])
    text = text[:, 0]
    see("predictor.embedded", cache.embedded)
    see("predictor.hidden", cache.outputs)
    see("predictor.output", text)
    cells.setdefault("predictor", []).append(np.abs(cache.lstm.cells).max())
    e, p = network.joiner.project_audio(encodings), network.joiner.project_text(text)
    p = p[np.arange(len(e)) * len(p) // len(e)]  # at nodes near the path that the recording takes
    see("joiner.audio", e)
    see("joiner.text", p)
    see("joiner.hidden", np.tanh(e + p))


def inputs_of_matrices(architecture):
    """Which activation each matrix multiplies. Parameters: architecture. Returns a dict of names."""
    source, inputs = "input", {}
    for name, _, _ in recurrent_layers(architecture):
        source = "predictor.embedded" if name == "predictor" else source
        inputs |= {f"{name}.input": source, f"{name}.recurrent": f"{name}.hidden"}
        source = f"{name}.output"
    last = f"encoder.{len(architecture.encoder_widths) - 1}.output"
    return inputs | {"joiner.audio": last, "joiner.text": "predictor.output", "joiner.output": "joiner.hidden"}


def second_moment(x):
    """Mean of x x^T. Parameters: x (float32 [T, K]). Returns float64 [K, K]."""
    wide = x.astype(np.float64)
    return wide.T @ wide / len(wide)


def joint_scales(audio, text):
    """Scales of the two projections with the least error after they met: beyond its bend, tanh forgives clipping.

        sum over nodes of (tanh(round(audio) + round(text)) - tanh(audio + text))^2

    Parameters
    ----------
    audio, text : float32 [R, J]    Both sides of some nodes.

    Returns
    -------
    (float, float)
    """
    step = max(1, len(audio) // NODES)
    audio, text = audio[::step], text[::step]
    exact = np.tanh(audio + text)
    sides = [[scale * np.clip(np.rint(side / scale), -INT8, INT8) for scale in peak_scales(side)] for side in (audio, text)]
    errors = [[np.square(np.tanh(e + p) - exact).sum() for p in sides[1]] for e in sides[0]]
    best = np.unravel_index(np.argmin(errors), (len(sides[0]), len(sides[1])))
    return tuple(float(peak_scales(side)[i]) for side, i in zip((audio, text), best))


def peak_scales(values):
    """Scales to choose from. Parameters: values. Returns float64 [17]."""
    return np.linspace(0.2, 1.0, 17) * max(float(np.abs(values).max()), 1e-6) / INT8


def best_scale(values):
    """The scale of int8 with the least squared error.

        sum over values of (v - s q)^2,  q = clip(round(v / s), -127, 127)

    Parameters
    ----------
    values : float array    Observed.

    Returns
    -------
    float                   > 0; taken from a histogram of magnitudes.
    """
    size = np.abs(values.ravel()).astype(np.float64)
    peak = max(float(size.max()), 1e-6)
    counts, edges = np.histogram(size, BINS, (0, peak))
    middle = (edges[1:] + edges[:-1]) / 2
    errors = []
    for share in CANDIDATES:
        scale = share * peak / INT8
        errors.append(counts @ (middle - scale * np.minimum(np.rint(middle / scale), INT8)) ** 2)
    return float(CANDIDATES[int(np.argmin(errors))] * peak / INT8)
