"""Measure one benchmark: agreement first, then the contestants in turn, many times over.

A row's `value` is the median of the time that passed, `minimum` the least, and `computing` the median of the processor time
spent: on a busy machine, where the first includes waiting, it is the one to compare.
"""

import gc
import importlib
import math
import statistics
import time

import numpy as np

BUDGET_S = 4.0        # for each contestant of a case; after it the contestant stops, with three rounds at least ...
ROUNDS, FEWEST = 25, 3  # ... but one that alone takes longer is timed once
SHORTEST_S = 2e-3     # calls shorter than this are timed several together


class Missing(str):
    """Stands for a contestant that cannot run; the text says why."""


def missing(module):
    """Why a library does not take part. Parameters: module. Returns a Missing."""
    return Missing(f"{module.split('.')[0]} is not installed; `make bench` installs it")


def rival(module, build):
    """A contestant that needs a library.

    Parameters
    ----------
    module : str       What to import.
    build : function   Given the imported module, returns the contestant's callable.

    Returns
    -------
    callable or Missing
    """
    try:
        library = importlib.import_module(module)
    except ImportError:
        return missing(module)
    return build(library)


def numbers(result):
    """All numbers of a result, so that a list of arrays equals one array of them. Parameters: result. Returns float64 [N]."""
    if isinstance(result, (tuple, list)):
        return np.concatenate([np.zeros(0), *map(numbers, result)])
    return np.ravel(np.asarray(result, np.float64))


def disagreement(results, error):
    """Compare all results with the reference's, or with the first where there is none.

    Parameters
    ----------
    results : dict     Contestant to result.
    error : float      Largest difference, as share and in absolute terms.

    Returns
    -------
    str or None        What is wrong.
    """
    first = "reference" if "reference" in results else next(iter(results))
    want = numbers(results[first])
    for name, result in results.items():
        got = numbers(result)
        if want.size == 0 or got.shape != want.shape:
            return f"{name} gives {got.size} numbers, {first} {want.size}"
        distance = np.abs(got - want) - error * np.abs(want)
        if not (distance <= error).all():
            return f"{name} and {first} differ by {np.abs(got - want).max():.3g}, allowed {error:g}"
    return None


def repetitions(call):
    """How many calls to time together, two at least if one is short. Parameters: call. Returns int."""
    begin = time.perf_counter()
    call()
    return math.ceil(SHORTEST_S / max(1e-9, time.perf_counter() - begin))


def interleave(calls):
    """Time the contestants in turn, so that a change of the machine's speed hits all of them.

    Parameters
    ----------
    calls : dict of str to callable    Warm: each was called before.

    Returns
    -------
    dict of str to list of (float, float)    Seconds of one call, once a round: passed, and spent computing.
    """
    together = {name: repetitions(call) for name, call in calls.items()}
    times, spent = {name: [] for name in calls}, dict.fromkeys(calls, 0.0)
    gc.collect()
    gc.disable()
    try:
        for _ in range(ROUNDS):
            for name, call in calls.items():
                if spent[name] > BUDGET_S and (len(times[name]) >= FEWEST or min(times[name])[0] > BUDGET_S):
                    continue
                if together[name] > 1:
                    call()  # after another contestant the caches hold that one's data
                begin, begin_computing = time.perf_counter(), time.process_time()
                for _ in range(together[name]):
                    call()
                computing, seconds = time.process_time() - begin_computing, time.perf_counter() - begin
                spent[name] += seconds
                times[name].append((seconds / together[name], computing / together[name]))
    finally:
        gc.enable()
    return times


def timed_rows(bench, module, case, contestants, limit_s):
    """Rows of one case.

    Parameters
    ----------
    bench : str                  Name of the benchmark.
    module : module              For its SHARED_ERROR or check.
    case : str
    contestants : dict           Name to callable or Missing.
    limit_s : float or None      Seconds that the machine needs at least.

    Returns
    -------
    list of dict                 A row with "failed" says that the results disagree; nothing is timed then.
    """
    calls = {name: call for name, call in contestants.items() if not isinstance(call, Missing)}
    results = {name: call() for name, call in calls.items()}
    check = getattr(module, "check", lambda results: disagreement(results, getattr(module, "SHARED_ERROR", 0)))
    wrong = check(results)
    if wrong:
        return [dict(bench=bench, case=case, contestant="all", value=None, unit="s", failed=wrong)]
    rows = []
    for name, rounds in interleave(calls).items():
        passed, computing = zip(*rounds)
        rows.append(dict(bench=bench, case=case, contestant=name, value=statistics.median(passed), unit="s", minimum=min(passed),
                         computing=statistics.median(computing)))
    rows += [dict(bench=bench, case=case, contestant=name, value=None, unit="s", skipped=str(why))
             for name, why in contestants.items() if isinstance(why, Missing)]
    if limit_s is not None:
        for row in rows:
            if row["value"]:
                row["limit_fraction"] = limit_s / row["value"]
        rows.append(dict(bench=bench, case=case, contestant="limit", value=limit_s, unit="s"))
    return add_ratios(rows)


def add_ratios(rows):
    """Put each value over that of `fast` in the same case. Parameters: rows. Returns the rows."""
    ours = {(row["case"], row["unit"]): row["value"] for row in rows if row["contestant"] == "fast"}
    for row in rows:
        base = ours.get((row["case"], row["unit"]))
        if base and row["value"] is not None:
            row["ratio"] = row["value"] / base
    return rows


def run(bench, roofline):
    """Run one benchmark.

    Parameters
    ----------
    bench : str                  Name, without `bench_`.
    roofline : function          Cost to seconds: what the machine needs at least.

    Yields
    ------
    list of dict                 Rows of one case, or of all that `measure` gives.
    """
    module = importlib.import_module(f"benchmarks.bench_{bench}")
    for case, contestants, *cost in module.cases() if hasattr(module, "cases") else ():
        yield timed_rows(bench, module, case, contestants, roofline(*cost[0]) if cost else None)
    if hasattr(module, "measure"):
        rows = []
        for case, contestant, value, unit in module.measure():
            found = dict(value=None, skipped=str(value)) if isinstance(value, Missing) else dict(value=value)
            rows.append(dict(bench=bench, case=case, contestant=contestant, unit=unit, **found))
        yield add_ratios(rows)
