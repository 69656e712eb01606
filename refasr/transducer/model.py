"""The network as one thing: its architecture and named parameters. `model_file.py` reads and writes them."""

import dataclasses

import numpy as np

from refasr.transducer.encoder import Encoder
from refasr.transducer.joiner import Joiner
from refasr.transducer.predictor import Predictor
from refasr.transducer.units import CHARACTERS

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
