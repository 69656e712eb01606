"""Comparison of what two twins did: structure, type and shape first, then values as the registered agreement says."""

import dataclasses

import numpy as np

UNSIGNED = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def leaves(value, path="result"):
    """Take nested results apart: tuples, NamedTuples, dataclasses, lists and dictionaries, down to arrays and scalars.

    Parameters
    ----------
    value : object    What a function returned or was given.
    path : str        Name of the value in messages.

    Returns
    -------
    list of (path, leaf)    A container adds a leaf for its own type, so that structures can be compared.
    """
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        children = [(f".{name}", getattr(value, name)) for name in value._fields]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        children = [(f".{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value)]
    elif isinstance(value, dict):
        children = [(f"[{key!r}]", child) for key, child in value.items()]
    elif isinstance(value, (tuple, list)):
        children = [(f"[{i}]", child) for i, child in enumerate(value)]
    else:
        return [(path, value)]
    return [(path, type(value))] + [leaf for name, child in children for leaf in leaves(child, path + name)]


def kind(leaf):
    """What must be equal before values are looked at. Parameters: leaf. Returns (type, dtype, shape)."""
    return type(leaf).__name__, str(getattr(leaf, "dtype", "")), getattr(leaf, "shape", ())


def bits(leaf):
    """Something comparable, in which NaN equals itself and 0.0 differs from -0.0. Parameters: leaf. Returns bytes or the leaf."""
    if isinstance(leaf, float):
        leaf = np.float64(leaf)
    return leaf.tobytes() if isinstance(leaf, (np.ndarray, np.generic)) else leaf


def snapshot(value):
    """All bits of a value, to notice later whether it changed. Parameters: value. Returns a list."""
    return [(path, kind(leaf), bits(leaf)) for path, leaf in leaves(value)]


def ulp_distance(a, b):
    """How many floating-point numbers apart: 0 for NaN and NaN, the most there is for NaN and a number.

    Parameters
    ----------
    a, b : float array    Of one type and shape.

    Returns
    -------
    unsigned integer array
    """
    unsigned = UNSIGNED[a.dtype.itemsize]
    sign = unsigned(1) << unsigned(8 * a.dtype.itemsize - 1)

    def rank(x):  # the order of the numbers as unsigned integers, -0.0 and 0.0 being the same
        raw = x.view(unsigned)
        return np.where(raw & sign, sign - (raw & ~sign), sign + raw)

    low, high = np.minimum(rank(a), rank(b)), np.maximum(rank(a), rank(b))
    one_nan = np.isnan(a) != np.isnan(b)
    return np.where(one_nan, np.iinfo(unsigned).max, np.where(np.isnan(a), 0, high - low))


def first_offence(path, want, got, bad):
    """Message about the first wrong element. Parameters: path, want, got, bad (mask). Returns str."""
    index = tuple(int(i[0]) for i in np.nonzero(bad))
    return f"{path}{list(index)}: reference {want[index]!r}, fast {got[index]!r}; {np.count_nonzero(bad)} of {bad.size} differ"


def require_bits(path, want, got, excused=None):
    """Equal bits, except where excused. Parameters: path, want, got, excused (mask or None)."""
    if bits(want) == bits(got):
        return
    assert isinstance(want, (np.ndarray, np.generic, float)), f"{path}: reference {want!r}, fast {got!r}"
    want, got = np.atleast_1d(np.asarray(want)), np.atleast_1d(np.asarray(got))
    raw = [np.ascontiguousarray(x).view(np.uint8).reshape(*x.shape, x.itemsize) for x in (want, got)]
    bad = np.any(raw[0] != raw[1], axis=-1)
    if excused is not None:
        bad &= ~np.broadcast_to(excused, bad.shape)
    assert not bad.any(), first_offence(path, want, got, bad)


def require_ulps(path, want, got, limit):
    """At most `limit` units in the last place apart. Parameters: path, want, got, limit."""
    want, got = np.atleast_1d(np.asarray(want)), np.atleast_1d(np.asarray(got))
    bad = ulp_distance(want, got) > limit
    assert not bad.any(), first_offence(path, want, got, bad) + f"; {limit} ulp allowed"


def require_bound(path, want, got, bound):
    """At most `bound` apart, and not finite in the same places. Parameters: path, want, got, bound."""
    want, got = np.atleast_1d(np.asarray(want)), np.atleast_1d(np.asarray(got))
    bound = np.broadcast_to(np.asarray(bound, np.float64), want.shape)
    finite = np.isfinite(want) & np.isfinite(got)
    with np.errstate(all="ignore"):
        near = np.abs(got.astype(np.float64) - want.astype(np.float64)) <= bound
    same = (want == got) | (np.isnan(want) & np.isnan(got))
    bad = ~np.where(finite, near, same)
    assert not bad.any(), first_offence(path, want, got, bad) + f"; {bound[bad][0]} allowed"


def require_agreement(agree, arguments, want, got):
    """Assert that a twin's result agrees with its reference's.

    Parameters
    ----------
    agree : Agreement    From the registry.
    arguments : tuple    What both were called with.
    want : object        Result of the reference.
    got : object         Result of the fast twin.
    """
    margin = agree.margin(*arguments) if agree.kind == "margin" else None
    if margin is not None and np.ndim(margin) == 0 and margin <= 0:
        return  # the whole decision was a toss-up
    want, got = leaves(want), leaves(got)
    assert [(path, kind(leaf)) for path, leaf in want] == [(path, kind(leaf)) for path, leaf in got]
    bounds = [leaf for _, leaf in leaves(agree.bound(*arguments))] if agree.kind == "bound" else [None]
    bounds = bounds * len(want) if len(bounds) == 1 else bounds
    assert agree.kind != "bound" or len(bounds) == len(want), "the bound has another structure than the result"
    for i, ((path, a), (_, b)) in enumerate(zip(want, got)):
        inexact = np.issubdtype(getattr(a, "dtype", type(a)) if not isinstance(a, type) else object, np.inexact)
        if agree.kind == "ulps" and inexact:
            require_ulps(path, a, b, agree.ulps)
        elif agree.kind == "bound" and inexact and bounds[i] is not None:
            require_bound(path, a, b, bounds[i])
        else:
            require_bits(path, a, b, None if margin is None else np.asarray(margin) <= 0)
