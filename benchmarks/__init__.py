"""Benchmarks: how fast, beside rivals and beside the machine's own limit. Run as `python -m benchmarks` from the repository.

A benchmark is a module `bench_NAME.py` with

    cases()         yields (case, contestants) or (case, contestants, cost)
        case            what is computed, as "key=value key=value"
        contestants     {name: callable}; a name is "fast", "reference" or a library's, and in place of the callable may
                        stand what `harness.rival` gives for a library that is not installed
        cost            (multiply-adds, bytes) of one call: gives the share of the machine's limit
    SHARED_ERROR    how far apart the contestants' results may be, as share and in absolute terms (not given: 0)
    check(results)  instead of that: takes {name: result}, returns what is wrong or None

and, where a figure is not the time of a call,

    measure()       yields (case, contestant, value, unit); a value may be what `harness.missing` gives
"""
