"""Validation at the boundary. Both twins call the same checks, so both raise the same error; kernels trust."""

import importlib

import numpy as np

from refasr.errors import DTypeError, MissingExtra, RangeError, ShapeError


def array(name, value, dtype, shape):
    """Require a C-contiguous array of exactly this type and shape.

    Parameters
    ----------
    name : str                 Name used in the error.
    value : object             The candidate.
    dtype : NumPy type         Required element type; nothing is converted.
    shape : tuple              Required lengths; `None` accepts any length.

    Raises
    ------
    DTypeError, ShapeError
    """
    if not isinstance(value, np.ndarray):
        raise DTypeError(f"{name}: got {type(value).__name__}, expected a NumPy array; pass np.asarray(...)")
    if value.dtype != dtype:
        raise DTypeError(f"{name}: got {value.dtype}, expected {np.dtype(dtype)}; convert it explicitly")
    fits = value.shape == shape  # the common case, without a loop
    if not fits and (len(value.shape) != len(shape) or any(want not in (None, got) for want, got in zip(shape, value.shape))):
        wanted = "[" + ", ".join("any" if want is None else str(want) for want in shape) + "]"
        raise ShapeError(f"{name}: got shape {list(value.shape)}, expected {wanted}")
    if not value.flags.c_contiguous:
        raise DTypeError(f"{name}: got a non-contiguous array, expected C order; use np.ascontiguousarray")


def finite(name, value):
    """Require every element to be finite.

    Parameters
    ----------
    name : str             Name used in the error.
    value : float array    The candidate.

    Raises
    ------
    RangeError             Naming the first offending index.
    """
    bad = ~np.isfinite(value)
    if bad.any():
        index = int(np.flatnonzero(bad)[0])
        raise RangeError(f"{name}: got {value.ravel()[index]} at index {index}, expected finite numbers; repair the input")


def between(name, value, low, high):
    """Require low <= value <= high.

    Parameters
    ----------
    name : str        Name used in the error.
    value : number    The candidate.
    low : number      Smallest accepted value.
    high : number     Largest accepted value.

    Raises
    ------
    RangeError
    """
    if not low <= value <= high:
        raise RangeError(f"{name}: got {value}, expected a number from {low} to {high}")


def labels(name, value, n_vocabulary):
    """Require a label sequence: int32 [U], each in 1..V-1 (blank is not a label).

    Parameters
    ----------
    name : str             Name used in the error.
    value : int32 [U]      The candidate.
    n_vocabulary : int     V, with blank counted.

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    array(name, value, np.int32, (None,))
    if value.size and not (1 <= value.min() and value.max() < n_vocabulary):
        raise RangeError(f"{name}: got labels {value.min()}..{value.max()}, expected 1..{n_vocabulary - 1}")


def extra(module, extra_name):
    """Import an optional module, or say which extra installs it.

    Parameters
    ----------
    module : str        Module to import, such as "matplotlib.pyplot".
    extra_name : str    The extra of setup.cfg that brings it.

    Returns
    -------
    module

    Raises
    ------
    MissingExtra
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{module}: not installed, needed here; run: pip install 'refasr[{extra_name}]'") from error
