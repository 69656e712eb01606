"""The ground the rest stands on: checks, errors, the registry of twins, the kernel cache, shipped files."""

import subprocess
import sys

import numpy as np
import pytest
from agreement import leaves, require_agreement, snapshot, ulp_distance

from refasr import checks, errors, jit, numerics, shipped, twins
from refasr.twins import BITS, BOUND, MARGIN, ULPS

F32 = np.float32


def test_errors_can_be_caught_as_what_python_users_expect():
    assert issubclass(errors.ShapeError, ValueError) and issubclass(errors.RangeError, ValueError)
    assert issubclass(errors.DTypeError, TypeError) and issubclass(errors.MissingExtra, ImportError)
    assert str(errors.FormatError("model: got 3 bytes", 12)) == "model: got 3 bytes (at offset 12)"
    assert errors.FormatError("model: got 3 bytes").offset is None


def test_finite_names_the_first_offence():
    checks.finite("x", np.zeros(0, F32))
    with pytest.raises(errors.RangeError, match="x: got inf at index 2, expected finite numbers"):
        checks.finite("x", F32([0, 1, np.inf, np.nan]))


def test_between_refuses_nan_and_the_outside():
    checks.between("n", 3, 3, 3)
    for value in (2, 4, float("nan")):
        with pytest.raises(errors.RangeError, match=f"n: got {value}, expected a number from 3 to 3"):
            checks.between("n", value, 3, 3)


def test_labels_leave_blank_out():
    checks.labels("labels", np.zeros(0, np.int32), 1)
    checks.labels("labels", np.array([1, 35], np.int32), 36)
    for wrong in ([0, 3], [3, 36], [-1]):
        with pytest.raises(errors.RangeError, match=r"expected 1\.\.35"):
            checks.labels("labels", np.array(wrong, np.int32), 36)


def test_missing_extra_says_what_to_install():
    with pytest.raises(errors.MissingExtra, match=r"run: pip install 'refasr\[mic\]'"):
        checks.extra("no_such_module_anywhere", "mic")


def test_twin_must_have_the_signature_and_no_rival(monkeypatch):
    monkeypatch.setattr(twins, "TWINS", {})

    def double(x, times=2): ...
    with pytest.raises(errors.RangeError, match=r"expected \(x, times=2\)"):
        twins.twin_of(double, agree=BITS)(lambda x: None)
    twins.twin_of(double, agree=BITS)(lambda x, times=2: None)
    with pytest.raises(errors.RangeError, match="got a second twin"):
        twins.twin_of(double, agree=BITS)(lambda x, times=2: None)


@pytest.mark.parametrize("make", [lambda: ULPS(3, ""), lambda: BOUND(np.abs, ""), lambda: MARGIN(np.abs, "")])
def test_tolerance_without_a_reason_is_refused(make):
    with pytest.raises(errors.RangeError, match="got no reason"):
        make()


def test_backend_is_chosen_by_name():
    assert twins.select("reference")(numerics.exp) is numerics.exp
    assert twins.select("fast")(numerics.exp) is twins.TWINS["refasr.numerics.exp"].fast
    with pytest.raises(errors.RangeError, match="backend: got 'quick', expected one of fast, reference"):
        twins.select("quick")


def test_cache_folder_follows_sources_and_settings(monkeypatch):
    key = jit.cache_key()
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "0" if key == jit.cache_key() else "1")
    assert jit.cache_key() != key
    monkeypatch.undo()
    assert jit.cache_key() == key


def test_old_caches_are_forgotten(tmp_path):
    current = tmp_path / "0123456789abcdef"
    for i in range(jit.FOLDERS_KEPT + 3):
        (tmp_path / f"{i:016d}").mkdir()
    (tmp_path / "notes").mkdir()
    current.mkdir()
    jit.forget_old_caches(current)
    assert current.exists() and (tmp_path / "notes").exists()
    assert len(list(tmp_path.iterdir())) == jit.FOLDERS_KEPT + 2


def test_data_is_found_from_elsewhere(tmp_path):
    run = subprocess.run([sys.executable, "-c", "from refasr.shipped import data_path; print(data_path())"], cwd=tmp_path,
                         env={"PYTHONPATH": str(shipped.PACKAGE.parent)}, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(shipped.data_path())
    with pytest.raises(errors.FormatError, match="models/none.npz: got no such file"):
        shipped.data_path("models", "none.npz")


def test_ulp_distance_counts_numbers():
    one, tiny = F32([1]), F32([1e-45])
    assert ulp_distance(one, np.nextafter(one, F32(2)))[0] == 1
    assert ulp_distance(-tiny, tiny)[0] == 2
    assert ulp_distance(F32([-0.0]), F32([0.0]))[0] == 0
    assert ulp_distance(F32([np.nan]), F32([np.nan]))[0] == 0
    assert ulp_distance(F32([np.nan]), one)[0] > 1 << 31
    assert ulp_distance(np.array([-1.7e308]), np.array([1.7e308]))[0] > 1 << 63


def test_agreement_is_as_strict_as_registered():
    one, next_one = F32([1, np.nan]), F32([np.nextafter(F32(1), F32(2)), np.nan])
    require_agreement(ULPS(1, "why"), (), one, next_one)
    require_agreement(BOUND(lambda: 1.2e-7, "why"), (), (one, 3), (next_one, 3))
    require_agreement(MARGIN(lambda: np.array([-1.0, 1.0]), "why"), (), np.array([3, 4]), np.array([5, 4]))
    require_agreement(MARGIN(lambda: -1.0, "why"), (), np.zeros(3), np.zeros(4))
    for agree, want, got in [(BITS, one, next_one), (BITS, F32([0]), F32([-0.0])), (BITS, (1, 2), [1, 2]), (BITS, 1, 1.0),
                             (BITS, one, one.astype(np.float64)), (BITS, one, one[:1]), (ULPS(1, "why"), one, F32([1, 1])),
                             (ULPS(1, "why"), np.array([3]), np.array([4])), (BOUND(lambda: 1e-8, "why"), one, next_one),
                             (BOUND(lambda: np.nan, "why"), one, next_one), (BOUND(lambda: 1.0, "why"), F32([1]), F32([np.inf])),
                             (MARGIN(lambda: np.array([1.0]), "why"), np.array([3]), np.array([4]))]:
        with pytest.raises(AssertionError):
            require_agreement(agree, (), want, got)


def test_snapshot_notices_every_bit():
    state = {"a": [F32([0.0])], "b": (1, "text")}
    before = snapshot(state)
    state["a"][0][0] = -0.0
    assert snapshot(state) != before
    assert [path for path, _ in leaves(state, "s")] == ["s", "s['a']", "s['a'][0]", "s['b']", "s['b'][0]", "s['b'][1]"]
