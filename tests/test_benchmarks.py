"""The harness: agreement before time, rivals that are missing are named, rows have the promised keys."""

import importlib
import json
import sys
import time
import types

import numpy as np
import pytest

from benchmarks import harness, report, roofline

KEYS = {"bench", "case", "contestant", "value", "unit"}
EVERY_BENCHMARK = report.names()


@pytest.fixture
def fake(monkeypatch):
    """A benchmark module to fill; its name is "fake"."""
    module = types.ModuleType("benchmarks.bench_fake")
    monkeypatch.setitem(sys.modules, "benchmarks.bench_fake", module)
    monkeypatch.setattr(harness, "ROUNDS", 5)
    return module


def rows_of(bench):
    """All rows of a benchmark, with a machine that does 1e9 multiply-adds a second. Parameters: bench. Returns a list of dict."""
    return [row for rows in harness.run(bench, lambda multiply_adds, n_bytes: multiply_adds / 1e9) for row in rows]


def test_rows_hold_value_ratio_and_share_of_the_limit(fake):
    slow = lambda: time.sleep(0.05) or [1.0, 2.0]
    contestants = {"fast": lambda: time.sleep(0.001) or (np.array([1.0]), [2.0]), "reference": slow,
                   "ghost": harness.rival("ghost_of_a_library.part", lambda library: library)}
    fake.cases = lambda: iter([("N=2", contestants, (1e5, 8))])
    rows = {row["contestant"]: row for row in rows_of("fake")}
    assert all(KEYS <= set(row) and row["bench"] == "fake" and row["case"] == "N=2" for row in rows.values())
    assert rows["fast"]["ratio"] == 1 and rows["reference"]["ratio"] > 1.5
    assert rows["fast"]["limit_fraction"] == pytest.approx(1e-4 / rows["fast"]["value"])
    assert rows["limit"]["value"] == pytest.approx(1e-4)
    assert rows["ghost"]["value"] is None and "ghost_of_a_library is not installed" in rows["ghost"]["skipped"]


@pytest.mark.parametrize("other", [[1.0, 2.1], [1.0], [1.0, np.nan]])
def test_contestants_that_disagree_are_not_timed(fake, other, capsys):
    fake.SHARED_ERROR = 1e-3
    fake.cases = lambda: iter([("N=2", {"fast": lambda: other, "reference": lambda: [1.0, 2.0]})])
    (row,) = rows_of("fake")
    assert row["value"] is None and "reference" in row["failed"]
    report.print_rows([row])
    assert "FAILED" in capsys.readouterr().out


def test_own_check_and_own_measurement_are_used(fake):
    fake.check = lambda results: None if len(results) == 2 else "one is missing"
    fake.cases = lambda: iter([("a=1", {"fast": lambda: "x", "reference": lambda: "y"})])
    found = {"fast": 2.0, "other": 3.0, "ghost": harness.missing("g")}
    fake.measure = lambda: (("b=2", name, value, "s") for name, value in found.items())
    rows = rows_of("fake")
    assert [(row["case"], row["contestant"]) for row in rows[2:]] == [("b=2", "fast"), ("b=2", "other"), ("b=2", "ghost")]
    assert rows[3]["ratio"] == 1.5 and rows[4]["value"] is None and "skipped" in rows[4]


def test_json_is_one_list_with_commit_and_versions(fake, monkeypatch, capsys):
    fake.cases = lambda: iter([("N=1", {"fast": lambda: 1.0, "numpy-loop": lambda: 1.0})])
    monkeypatch.setattr(report, "names", lambda: ["fake"])
    assert report.main(["fake", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(KEYS | {"commit", "version"} <= set(row) for row in rows)
    assert rows[1]["version"] == f"numpy {np.__version__}"
    with pytest.raises(SystemExit):
        report.main(["unheard-of"])


@pytest.mark.parametrize("name", EVERY_BENCHMARK)
def test_benchmark_keeps_the_protocol(name):
    module = importlib.import_module(f"benchmarks.bench_{name}")
    assert module.__doc__ and (hasattr(module, "cases") or hasattr(module, "measure"))


def test_limits_are_ordered_as_memory_is(monkeypatch):
    assert list(roofline.levels())[-1] == "memory" and list(roofline.levels().values()) == sorted(roofline.levels().values())
    monkeypatch.setattr(roofline, "multiply_adds_per_second", lambda: 1e9)
    monkeypatch.setattr(roofline, "bytes_per_second", lambda level: 1e8 if level == "memory" else 1e9)
    assert roofline.limit_seconds(2e9, 1) == 2
    assert roofline.limit_seconds(0, 1e3) == pytest.approx(1e-6) and roofline.limit_seconds(0, 1e10) == pytest.approx(100)
