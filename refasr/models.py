"""Model files of both kinds: the float network's archive and the integer network's container."""

from refasr.compress import integer_network
from refasr.compress.container import read_contents
from refasr.compress.dequantise import dequantise
from refasr.compress.integer_model import IntegerModel, from_contents
from refasr.transducer import model as float_model
from refasr.transducer.model_file import load_model

SUFFIX = ".refasr"    # of containers


def load(path):
    """Read a model of either kind.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Model or IntegerModel    What ends in `.refasr` is a container.

    Raises
    ------
    FormatError              If the file is missing, damaged, or holds what no network can use.
    """
    if path.suffix == SUFFIX:
        return from_contents(*read_contents(path), place=path)
    return load_model(path)


def load_float(path):
    """Read a model of either kind to train on, or to learn from. Parameters: path. Returns a Model; raises as `load`.

    A container's weights are its codes times their scales; what it computes differs from the integer network by the rounding
    of activations.
    """
    model = load(path)
    return dequantise(model) if isinstance(model, IntegerModel) else model


def assemble(model, backend):
    """Build the network. Parameters: model (Model or IntegerModel), backend. Returns a Network or an IntegerNetwork."""
    builder = integer_network if isinstance(model, IntegerModel) else float_model
    return builder.assemble(model, backend)
