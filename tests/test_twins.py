"""One property for every registered pair: the fast twin does what the readable reference does.

Run three times by `make test`: compiled; without compilation, which shows missing casts; with bounds checks, which shows
reads past the end.
"""

import importlib
import os
import pkgutil

import numpy as np
import pytest
from agreement import leaves, require_agreement, snapshot
from cases import CASES
from hypothesis import given
from hypothesis import strategies as st

import refasr
from refasr.errors import RefasrError
from refasr.jit import kernel
from refasr.twins import TWINS

for module in pkgutil.walk_packages(refasr.__path__, "refasr."):
    if module.name.endswith("_fast"):
        importlib.import_module(module.name)


def outcome(function, arguments):
    """Call, and check that the arguments survive. Parameters: function, arguments. Returns (result, error as text or None)."""
    before = snapshot(arguments)
    try:
        with np.errstate(all="ignore"):  # NumPy scalars warn where compiled code, rightly, says nothing
            result, error = function(*arguments), None
    except RefasrError as raised:  # any other error is an accident, not a refusal
        result, error = None, f"{type(raised).__name__}: {raised}"
    assert snapshot(arguments) == before, f"{function.__module__}.{function.__name__} changed its arguments"
    return result, error


def common_memory(got, again, arguments):
    """Whether two results lie in the same memory, views of arguments aside. Parameters: got, again, arguments. Returns bool."""
    first, second, given = ([leaf for _, leaf in leaves(value) if isinstance(leaf, np.ndarray)]
                            for value in (got, again, arguments))
    return any(np.may_share_memory(a, b) and not any(np.may_share_memory(a, c) for c in given) for a in first for b in second)


def test_every_twin_has_cases_and_all_cases_a_twin():
    assert set(TWINS) ^ set(CASES) == set()


@pytest.mark.parametrize("name", sorted(set(TWINS) & set(CASES)))
@given(data=st.data())
def test_agreement(name, data):
    twin = TWINS[name]
    arguments = data.draw(CASES[name])
    want, want_error = outcome(twin.reference, arguments)
    got, got_error = outcome(twin.fast, arguments)
    assert want_error == got_error
    again, _ = outcome(twin.fast, arguments)
    assert snapshot(again) == snapshot(got)
    assert not common_memory(got, again, arguments), "a second call wrote over the first result"
    if want_error is None:
        require_agreement(twin.agree, arguments, want, got)


@kernel
def _read_past_the_end(x):
    return x[x.size]


@pytest.mark.skipif(os.environ.get("NUMBA_BOUNDSCHECK") != "1", reason="unchecked, it would read foreign memory; see pass three")
def test_bounds_checks_are_on():
    with pytest.raises(IndexError):
        _read_past_the_end(np.zeros(3, np.float32))
