"""`refasr.numerics` against NumPy's float64 functions, over numbers spread evenly in their representation."""

import numpy as np
import pytest
from agreement import ulp_distance

from refasr import numerics
from refasr.errors import DTypeError, ShapeError

F32 = np.float32


def spread(low, high, step=1009):
    """Every `step`-th float32 from low to high, both of one sign. Parameters: low, high, step. Returns float32 [N]."""
    first, last = sorted(F32([low, high]).view(np.int32))
    return np.arange(first, last, step, dtype=np.int32).view(F32)


def around_zero(limit):
    """Both signs, from the smallest normal number to the limit. Parameters: limit. Returns float32 [N]."""
    positive = spread(1.2e-38, limit)
    return np.concatenate([-positive[::-1], F32([0]), positive])


def test_exp_is_within_one_ulp():
    x = np.concatenate([spread(-87, -1e-30), spread(1e-30, 88)])
    assert ulp_distance(numerics.exp(x), np.exp(x.astype(np.float64)).astype(F32)).max() <= 1


def test_exp_is_clamped_and_keeps_nan():
    y = numerics.exp(F32([-1e30, -np.inf, 1e30, np.inf, np.nan, 0]))
    assert np.all(np.isfinite(y[:4])) and np.all(y[:2] > 0)
    assert np.isnan(y[4]) and y[5] == 1


def test_log_is_within_one_ulp_or_1e_7():
    x = spread(1.2e-38, 3e38)
    want = np.log(x.astype(np.float64))
    near = np.abs(numerics.log(x) - want) <= 1e-7
    assert np.all(near | (ulp_distance(numerics.log(x), want.astype(F32)) <= 1))


def test_tanh_is_within_six_ulp_or_1e_37():
    x = around_zero(20)
    want = np.tanh(x.astype(np.float64))
    near = np.abs(numerics.tanh(x) - want) <= 1e-37
    assert np.all(near | (ulp_distance(numerics.tanh(x), want.astype(F32)) <= 6))
    assert np.abs(numerics.tanh(x)).max() <= 1


def test_sigmoid_is_within_2e_7():
    x = around_zero(100)
    want = 1 / (1 + np.exp(-x.astype(np.float64)))
    assert np.abs(numerics.sigmoid(x) - want).max() <= 2e-7


def test_log_add_is_within_its_bound():
    a, b = np.meshgrid(np.linspace(-200, 0, 401), np.linspace(-200, 0, 397))
    a, b = a.ravel(), b.ravel()
    assert np.abs(numerics.log_add(a, b) - np.logaddexp(a, b)).max() <= 1.2e-7


def test_log_add_of_the_impossible_changes_nothing():
    assert numerics.log_add(np.array([-3.5, -1e30]), np.array([-1e30, -2.25])).tolist() == [-3.5, -2.25]


@pytest.mark.parametrize("function", [numerics.exp, numerics.log, numerics.tanh, numerics.sigmoid])
def test_wrong_arguments_are_refused(function):
    with pytest.raises(DTypeError, match="x: got float64, expected float32; convert it explicitly"):
        function(np.zeros(3))
    with pytest.raises(DTypeError, match="x: got list, expected a NumPy array"):
        function([0.0])
    with pytest.raises(DTypeError, match="x: got a non-contiguous array"):
        function(np.zeros(6, F32)[::2])
    with pytest.raises(ShapeError, match=r"x: got shape \[2, 2\], expected \[any\]"):
        function(np.zeros((2, 2), F32))
