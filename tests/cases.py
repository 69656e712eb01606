"""Arguments for every twin: the CASES of all `tests/cases_<room>.py`, merged.

Each is `CASES = {"refasr.module.function": strategy of argument tuples}`. A strategy makes hostile arguments too (empty,
extreme, NaN, wrong type or shape), because both twins must then raise the same error.
"""

import importlib
import pathlib

CASES = {}
for path in sorted(pathlib.Path(__file__).parent.glob("cases_*.py")):
    for name, strategy in importlib.import_module(path.stem).CASES.items():
        if name in CASES:
            raise ValueError(f"{path.name}: got cases for {name} a second time, expected one strategy a twin; delete one")
        CASES[name] = strategy
