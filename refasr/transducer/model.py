"""The network as one thing: its architecture, named parameters, and the file that holds them.

A model file is a NumPy archive (`.npz`, a zip with a CRC-32 for each member): one array for each parameter, stored as
float16 and widened on load, the normalisation vectors as float32, and `card`, a JSON text in bytes. `docs/model-file.md`
is the specification.
"""

import dataclasses
import json
import os
import pathlib
import tempfile
import zipfile

import numpy as np

from refasr.errors import FormatError
from refasr.transducer.encoder import Encoder
from refasr.transducer.joiner import Joiner
from refasr.transducer.predictor import Predictor
from refasr.transducer.units import CHARACTERS

FORMAT_VERSION = 1
FRAME_SECONDS = 0.04  # four hops of 10 ms


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes of the network.

    n_inputs : width of a stacked frame (bins * stack).
    encoder_widths : cells of each encoder layer.
    embedding_width, predictor_width, joiner_width : widths of the text side and of the joint hidden layer.
    n_vocabulary : units, blank counted.
    stack : feature frames in one encoder frame.
    profile : name of the feature profile.
    """

    n_inputs: int = 160
    encoder_widths: tuple = (256, 256, 256)
    embedding_width: int = 64
    predictor_width: int = 128
    joiner_width: int = 256
    n_vocabulary: int = len(CHARACTERS)
    stack: int = 4
    profile: str = "refasr"


@dataclasses.dataclass(frozen=True)
class Network:
    """The three parts, assembled over one set of parameters and one backend."""

    encoder: Encoder
    predictor: Predictor
    joiner: Joiner


@dataclasses.dataclass(frozen=True)
class Model:
    """Everything a recogniser needs.

    architecture : Architecture
    parameters : dict of str to float32 array
    mean, reciprocal_deviation : float32 [F]    Global feature normalisation.
    units : tuple of str                        Position is the id; blank is 0.
    card : dict                                 The model card, shown by `refasr info`.
    """

    architecture: Architecture
    parameters: dict
    mean: np.ndarray
    reciprocal_deviation: np.ndarray
    units: tuple = CHARACTERS
    card: dict = dataclasses.field(default_factory=dict)


def lstm_shapes(prefix, n_inputs, width):
    """Shapes of one LSTM layer with its normalisation. Parameters: prefix, n_inputs, width. Returns a dict."""
    return {f"{prefix}.input": (n_inputs, 4 * width), f"{prefix}.recurrent": (width, 4 * width), f"{prefix}.bias": (4 * width,),
            f"{prefix}.norm_gain": (width,), f"{prefix}.norm_bias": (width,)}


def parameter_shapes(architecture):
    """Name and shape of every parameter, in the order of the flat vector.

    Parameters
    ----------
    architecture : Architecture

    Returns
    -------
    dict of str to tuple
    """
    shapes, n_inputs = {}, architecture.n_inputs
    for index, width in enumerate(architecture.encoder_widths):
        shapes |= lstm_shapes(f"encoder.{index}", n_inputs, width)
        n_inputs = width
    shapes["predictor.embedding"] = (architecture.n_vocabulary, architecture.embedding_width)
    shapes |= lstm_shapes("predictor", architecture.embedding_width, architecture.predictor_width)
    shapes["joiner.audio"] = (n_inputs, architecture.joiner_width)
    shapes["joiner.text"] = (architecture.predictor_width, architecture.joiner_width)
    shapes["joiner.bias"] = (architecture.joiner_width,)
    shapes["joiner.output"] = (architecture.joiner_width, architecture.n_vocabulary)
    shapes["joiner.output_bias"] = (architecture.n_vocabulary,)
    return shapes


def initial_value(name, shape, rng):
    """Starting value of one parameter: orthogonal recurrence, Glorot elsewhere, forget gates open.

    Parameters
    ----------
    name : str
    shape : tuple
    rng : numpy.random.Generator

    Returns
    -------
    float32 array
    """
    if name.endswith("norm_gain"):
        return np.ones(shape, np.float32)
    if name == "predictor.embedding":
        return (0.3 * rng.standard_normal(shape)).astype(np.float32)
    if name.endswith("recurrent"):
        blocks = [np.linalg.qr(rng.standard_normal((shape[0], shape[0])))[0] for _ in range(4)]
        return np.concatenate(blocks, axis=1).astype(np.float32)
    if len(shape) == 2:
        n_outputs = shape[1] // 4 if name.endswith(".input") else shape[1]
        limit = np.sqrt(6 / (shape[0] + n_outputs))
        return rng.uniform(-limit, limit, shape).astype(np.float32)
    value = np.zeros(shape, np.float32)
    if name.split(".")[0] in ("encoder", "predictor") and name.endswith(".bias"):
        value[shape[0] // 4 : shape[0] // 2] = 1
    if name == "joiner.output_bias":
        value[0] = 2  # blank first: most grid nodes emit nothing
    return value


def initialise(architecture, seed):
    """Random starting parameters. Parameters: architecture, seed. Returns a dict of float32 arrays."""
    rng = np.random.default_rng(seed)
    return {name: initial_value(name, shape, rng) for name, shape in parameter_shapes(architecture).items()}


def assemble(model, backend):
    """Build the network over a model's parameters. Parameters: model, backend. Returns a Network."""
    return assemble_parameters(model.parameters, len(model.architecture.encoder_widths), backend)


def assemble_parameters(parameters, n_layers, backend):
    """Build the network over bare parameters. Parameters: parameters, n_layers, backend. Returns a Network."""
    return Network(Encoder(parameters, n_layers, backend), Predictor(parameters, backend), Joiner(parameters, backend))


def save_model(path, model):
    """Write a model file; the old one stays until the new one is complete.

    Parameters
    ----------
    path : str or Path
    model : Model
    """
    path = pathlib.Path(path)
    header = {"format": FORMAT_VERSION, "architecture": dataclasses.asdict(model.architecture), "units": model.units, "card": model.card}
    arrays = {name: value.astype(np.float16) for name, value in model.parameters.items()}
    arrays |= {"mean": model.mean, "reciprocal_deviation": model.reciprocal_deviation}
    arrays["card"] = np.frombuffer(json.dumps(header, ensure_ascii=False).encode(), np.uint8)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        np.savez_compressed(file, **arrays)
    os.replace(file.name, path)


def load_model(path):
    """Read and check a model file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Model

    Raises
    ------
    FormatError    If the file is missing, damaged, of another version, or its arrays do not fit its architecture.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("card").tobytes())
        if header["format"] != FORMAT_VERSION:
            raise FormatError(f"{path}: got model format {header['format']}, expected {FORMAT_VERSION}; update refasr")
        sizes = header["architecture"] | {"encoder_widths": tuple(header["architecture"]["encoder_widths"])}
        architecture = Architecture(**sizes)
        mean, deviation = arrays.pop("mean"), arrays.pop("reciprocal_deviation")
        parameters = widen(path, arrays, parameter_shapes(architecture))
        return Model(architecture, parameters, mean, deviation, tuple(header["units"]), header["card"])
    except FileNotFoundError:
        raise FormatError(f"{path}: no such model file; give a path, or a name that `refasr info` lists") from None
    except FormatError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, MemoryError) as error:
        raise FormatError(f"{path}: not a refasr model ({type(error).__name__}: {str(error)[:80]}); fetch it again") from error


def widen(path, arrays, shapes):
    """Check names, shapes and values against the architecture, and widen to float32.

    Parameters
    ----------
    path : str or Path                      For the error.
    arrays : dict of str to float16 array    As stored.
    shapes : dict of str to tuple           As expected.

    Returns
    -------
    dict of str to float32 array            In the order of `shapes`.

    Raises
    ------
    FormatError
    """
    if set(arrays) != set(shapes):
        odd = sorted(set(arrays) ^ set(shapes))[:3]
        raise FormatError(f"{path}: got other parameters than the architecture has ({', '.join(odd)}); fetch the model again")
    for name, shape in shapes.items():
        if arrays[name].shape != tuple(shape) or arrays[name].dtype != np.float16 or not np.isfinite(arrays[name]).all():
            raise FormatError(f"{path}: parameter {name}: got {arrays[name].dtype} {list(arrays[name].shape)}, "
                              f"expected finite float16 {list(shape)}; fetch the model again")
    return {name: arrays[name].astype(np.float32) for name in shapes}
