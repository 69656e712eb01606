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


def chosen_names(architecture, prefixes, place):
    """Coded parameters whose names begin in one of some ways.

    Parameters
    ----------
    architecture : Architecture
    prefixes : tuple of str    Such as "joiner.output", or "encoder" for all of it.
    place : str                Table and key, for the error.

    Returns
    -------
    set of str

    Raises
    ------
    RangeError                 For a beginning that no coded parameter has.
    """
    names = coded_names(architecture)
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            raise RangeError(f"{place}: got {prefix!r}, expected the beginning of one of {', '.join(names)}")
    return {name for name in names if name.startswith(tuple(prefixes))}


def progress_of(step, first, last):
    """How much of a ramp lies behind. Parameters: step, first, last (steps). Returns 0.0 to 1.0; 1 at once if first is last."""
    return float(step >= first) if first >= last else float(np.clip((step - first) / (last - first), 0, 1))


def check_ramp(place, first, last, end):
    """Require that a ramp ends within the run. Parameters: place (table), first, last, end (steps)."""
    if not 0 <= first <= last < end:
        raise RangeError(f"{place}: got from_step {first} and to_step {last}, expected 0 <= from_step <= to_step < {end}, the "
                         "length of the run")
