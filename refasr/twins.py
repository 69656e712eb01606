"""Twins: every fast kernel is registered against the readable reference it must agree with.

    @twin_of(reference.log_mel, agree=ULPS(4, "sums run in the same order; only ln differs"))
    def log_mel(power, bank): ...

`tests/test_twins.py` runs one property test over the whole registry. A backend is chosen once, at assembly,
and passed down: `backend = select("fast"); step = backend(lstm.lstm_step)`.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Callable

from refasr.errors import RangeError

BACKENDS = ("fast", "reference")


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How closely a twin must match. Made by BITS, ULPS, BOUND or MARGIN, never by hand.

    kind : "bits", "ulps", "bound" or "margin".
    why : the reason from the arithmetic; a tolerance without one is refused.
    ulps : for "ulps", the largest distance in units of the last place of the reference value.
    bound : for "bound", a function of the arguments returning the allowed absolute error of each output
        (an array that broadcasts against it; a tuple for several outputs).
    margin : for "margin", a function of the arguments: how far the reference's decision was from falling
        differently, less the bound on the score's error. Where it is <= 0 a mismatch is acceptable.
    """

    kind: str
    why: str = ""
    ulps: int = 0
    bound: Callable | None = None
    margin: Callable | None = None

    def __post_init__(self):
        if self.kind != "bits" and not self.why:
            raise RangeError("agree: got no reason, expected one; say why this tolerance follows from the arithmetic")


BITS = Agreement("bits", "the same operations in the same order")


def ULPS(n, why):
    """Agreement within n units in the last place. Parameters: n, why. Returns an Agreement."""
    return Agreement("ulps", why, ulps=n)


def BOUND(bound, why):
    """Agreement within an absolute error computed from the arguments. Parameters: bound, why. Returns an Agreement."""
    return Agreement("bound", why, bound=bound)


def MARGIN(margin, why):
    """Agreement of a decision, except where its own margin is too small. Parameters: margin, why. Returns an Agreement."""
    return Agreement("margin", why, margin=margin)


@dataclasses.dataclass(frozen=True)
class Twin:
    """A registered pair. `cost(*args) -> (operations, bytes)` lets benchmarks state the fraction of the machine's limit."""

    name: str
    reference: Callable
    fast: Callable
    agree: Agreement
    cost: Callable | None = None


TWINS: dict[str, Twin] = {}


def twin_of(reference, agree, cost=None):
    """Register the decorated function as the fast twin of `reference`.

    Parameters
    ----------
    reference : function    The plain NumPy function.
    agree : Agreement       How closely the two must match, and why.
    cost : function or None    cost(*args) -> (operations, bytes).

    Returns
    -------
    decorator               Returns the function unchanged.

    Raises
    ------
    RangeError              If the signatures differ or the reference already has a twin.
    """
    name = f"{reference.__module__}.{reference.__name__}"

    def register(fast):
        if inspect.signature(fast) != inspect.signature(reference):
            raise RangeError(f"{name}: got twin signature {inspect.signature(fast)}, expected {inspect.signature(reference)}")
        if name in TWINS:
            raise RangeError(f"{name}: got a second twin, expected one; delete the other")
        TWINS[name] = Twin(name, reference, fast, agree, cost)
        return fast

    return register


@dataclasses.dataclass(frozen=True)
class Backend:
    """Maps a reference function to the implementation chosen at assembly."""

    name: str

    def __call__(self, reference):
        """Return the implementation of `reference`: itself, or its fast twin from the module next door."""
        if self.name == "reference":
            return reference
        importlib.import_module(f"{reference.__module__}_fast")
        return TWINS[f"{reference.__module__}.{reference.__name__}"].fast


def select(name):
    """Choose the backend.

    Parameters
    ----------
    name : "fast" or "reference"

    Returns
    -------
    Backend

    Raises
    ------
    RangeError    For any other name.
    """
    if name not in BACKENDS:
        raise RangeError(f"backend: got {name!r}, expected one of {', '.join(BACKENDS)}")
    return Backend(name)
