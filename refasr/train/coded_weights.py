"""Which parameters become codes in the integer network, and how their rows run. Shared by quantisation and sparsification.

A row holds what one output is made of (`docs/arithmetic.md`, A2). Parameters are stored [K, N], inputs down, so their rows are
columns; the embedding is [V, E], a row a unit, already.
"""

import numpy as np

from refasr.compress.layout import code_shapes
from refasr.errors import RangeError

EMBEDDING = "predictor.embedding"


def coded_names(architecture):
    """Parameters that are coded, in their order. Parameters: architecture. Returns a list of str."""
    return list(code_shapes(architecture))


def as_rows(name, weights):
    """A parameter with a row for each output: a view, so that changes reach it. Parameters: name, weights. Returns [N, K]."""
    return weights if name == EMBEDDING else weights.T


def tensor_values(architecture, value, exceptions, place, low, high):
    """A setting of each coded parameter: one for all, and exceptions by the beginning of a name, of which the longest counts.

    Parameters
    ----------
    architecture : Architecture
    value : int or float         For all that no exception names.
    exceptions : tuple of str    Such as "joiner=5", "predictor.embedding=8".
    place : str                  Table and key, for the error.
    low, high : int or float     Smallest and largest value; numbers are of the type of `low`.

    Returns
    -------
    dict of str to int or float

    Raises
    ------
    RangeError                   For a beginning that no coded parameter has, or a value that is none.
    """
    names, values = coded_names(architecture), {}
    for text in sorted(exceptions, key=lambda text: len(text.partition("=")[0])):
        prefix, _, number = text.partition("=")
        chosen = [name for name in names if name.startswith(prefix)]
        if not prefix or not chosen:
            raise RangeError(f"{place}: got {prefix!r}, expected the beginning of one of {', '.join(names)}")
        try:
            read = type(low)(number)
        except ValueError:
            read = None
        if read is None or not low <= read <= high:
            raise RangeError(f"{place}: got {text!r}, expected {prefix}= and a number from {low} to {high}")
        values |= dict.fromkeys(chosen, read)
    return {name: values.get(name, value) for name in names}


def progress_of(step, first, last):
    """How much of a ramp lies behind. Parameters: step, first, last (steps). Returns 0.0 to 1.0; 1 at once if first is last."""
    return float(step >= first) if first >= last else float(np.clip((step - first) / (last - first), 0, 1))


def check_ramp(place, first, last, end):
    """Require that a ramp ends within the run. Parameters: place (table), first, last, end (steps)."""
    if not 0 <= first <= last < end:
        raise RangeError(f"{place}: got from_step {first} and to_step {last}, expected 0 <= from_step <= to_step < {end}, the "
                         "length of the run")
