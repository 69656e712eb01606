"""The first place where two traces part: which stage, which frame, which unit.

Stages are compared in the order of the pipeline, rows from the first, bit by bit; and only as far as both read the same: once two
searches chose different units, their text encodings differ for a good reason, and it is K6 that is named.
"""

from typing import NamedTuple

import numpy as np

from refasr.trace import order

READ = {"K4": ("label",), "K5": ("frame", "step")}  # fields that say what a row was made of
FRAMES = {"K5": "frame", "K6": "frame", "K8": "start"}
TITLES = {"K0": "samples", "K1": "filter bank", "K2": "normalisation and stacking", "K3": "encoder layer", "K4": "predictor",
          "K5": "joiner", "K6": "search", "K8": "lattice"}
ROWS = {"K0": "sample", "K1": "feature frame", "K4": "step", "K8.words": "byte"}


class Divergence(NamedTuple):
    """The first place where two traces part.

    stage : such as "K3.1"; field : of a table, or "".
    frame : encoder frame; of K1 the feature frame, of K0 the sample, of K4 the step.
    row, unit : where in the array; unit is None where a row is one number.
    a, b : both values; None where there is none.
    difference : whole number from 0 of `measure`, "ulps" or "codes"; None if there is none.
    n_differ, n_values : how many values of the array differ, of how many both have.
    problem : "" or what differs if it is no value: a type, a width, a length, a missing stage.
    """

    stage: str
    field: str = ""
    frame: int | None = None
    row: int | None = None
    unit: int | None = None
    a: float | int | None = None
    b: float | int | None = None
    difference: int | None = None
    measure: str = ""
    n_differ: int = 0
    n_values: int = 0
    problem: str = ""


def first_divergence(a, b):
    """Compare two traces.

    Parameters
    ----------
    a, b : Trace

    Returns
    -------
    Divergence or None    None if all arrays are equal: types, shapes, and every bit.
    """
    stages = sorted({key.split("/")[0] for key in (*a.arrays, *b.arrays)}, key=order)
    pairs = {stage: [fields_of(trace, stage) for trace in (a, b)] for stage in stages}
    found = (look(stage, *pair) for look in (in_stage, in_what_was_read) for stage, pair in pairs.items())
    return next(filter(None, found), None)


def fields_of(trace, stage):
    """Arrays of a stage. Parameters: trace, stage. Returns a dict of str to array, by field."""
    return {key.partition("/")[2]: value for key, value in trace.arrays.items() if key.split("/")[0] == stage}


def in_stage(stage, a, b):
    """The first difference within a stage.

    Parameters
    ----------
    stage : str
    a, b : dict of str to array    By field; of equal length within each.

    Returns
    -------
    Divergence or None
    """
    for field in sorted({*a, *b}):
        problem = unlike(a.get(field), b.get(field))
        if problem:
            return Divergence(stage, field, problem=problem)
    rows_a, rows_b = (len(next(iter(fields.values()))) for fields in (a, b))
    n_rows, comparable = min(rows_a, rows_b), min(rows_a, rows_b)
    for field in READ.get(stage, ()):
        others = np.flatnonzero(a[field][:n_rows] != b[field][:n_rows]) if field in a else []
        comparable = int(min([comparable, *others[:1]]))
    fields = [field for field in a if field not in READ.get(stage, ())]
    firsts = {field: first_row(a[field][:comparable], b[field][:comparable]) for field in fields}
    row = min(firsts.values(), default=comparable)
    if row < comparable:
        field = next(field for field in fields if firsts[field] == row)
        return at(stage, field, row, a, b, comparable)
    if comparable < n_rows or rows_a == rows_b or stage in READ:  # K6 says why other units were read
        return None
    longer = a if rows_a > rows_b else b
    return Divergence(stage, frame=frame_of(stage, longer, n_rows), row=n_rows, problem=f"A has {rows_a} rows, B has {rows_b}")


def in_what_was_read(stage, a, b):
    """A difference in what a stage was given, which no other stage explained. Parameters: stage, a, b. Returns as `in_stage`."""
    for field in READ.get(stage, ()):
        if field in a:
            n_rows = min(len(a[field]), len(b[field]))
            row = first_row(a[field][:n_rows], b[field][:n_rows])
            if row < n_rows:
                return at(stage, field, row, a, b, n_rows)
            if len(a[field]) != len(b[field]):
                return Divergence(stage, field, row=row, problem=f"A has {len(a[field])} rows, B has {len(b[field])}")
    return None


def unlike(a, b):
    """Why two arrays cannot be compared. Parameters: a, b (arrays or None). Returns text, empty if they can."""
    if a is None or b is None:
        return f"only in {'A' if b is None else 'B'}"
    if a.dtype != b.dtype:
        return f"A is {a.dtype}, B is {b.dtype}"
    if a.shape[1:] != b.shape[1:]:
        return f"rows of {list(a.shape[1:])} in A, of {list(b.shape[1:])} in B"
    return ""


def different(a, b):
    """Where bits differ. Parameters: a, b (arrays of equal type and shape). Returns bool array."""
    kind = f"u{a.dtype.itemsize}"
    return np.ascontiguousarray(a).view(kind) != np.ascontiguousarray(b).view(kind)


def first_row(a, b):
    """The first row that differs. Parameters: a, b. Returns int, the number of rows if none does."""
    rows = np.flatnonzero(different(a, b).any(axis=tuple(range(1, a.ndim))))
    return int(rows[0]) if rows.size else len(a)


def frame_of(stage, fields, row):
    """Which frame a row is about. Parameters: stage, fields (dict of str to array), row. Returns int."""
    column = fields.get(FRAMES.get(stage))
    return row if column is None else int(column[row])


def at(stage, field, row, a, b, n_rows):
    """Describe a difference. Parameters: stage, field, row, a, b (arrays by field), n_rows (compared). Returns a Divergence."""
    wrong = different(a[field][:n_rows], b[field][:n_rows])
    unit = int(np.flatnonzero(wrong[row])[0]) if wrong.ndim > 1 else None
    place = row if unit is None else (row, unit)
    x, y = a[field][place], b[field][place]
    floating = x.dtype.kind == "f"
    distance = ulps(x, y) if floating else abs(int(x) - int(y))
    return Divergence(stage, field, frame_of(stage, a, row), row, unit, x.item(), y.item(), distance,
                      "ulps" if floating else "codes", int(wrong.sum()), wrong.size)


def ulps(x, y):
    """How many numbers of the type lie between two, counting one of them. Parameters: x, y (NumPy floats). Returns int, or None.

    None stands for a number against no number; zeros of both signs have distance 0.
    """
    if not (np.isfinite(x) and np.isfinite(y)):
        return None
    bits = 8 * x.dtype.itemsize

    def place(value):
        whole = int(value.view(f"i{x.dtype.itemsize}"))
        return whole if whole >= 0 else -(1 << bits - 1) - whole
    return abs(place(x) - place(y))


def as_text(found):
    """A difference in one line. Parameters: found (Divergence or None). Returns text."""
    if found is None:
        return "no difference"
    family, _, part = found.stage.partition(".")
    title = f"{found.stage}, {TITLES.get(family, 'stage')}{f' {part}' if part else ''}{f', {found.field}' if found.field else ''}"
    where = "" if found.frame is None else f": {ROWS.get(found.stage, 'frame')} {found.frame}"
    where += "" if found.row in (None, found.frame) else f", row {found.row}"
    where += "" if found.unit is None else f", unit {found.unit}"
    if found.problem:
        return f"{title}{where}: {found.problem}"
    apart = f", {found.difference} {found.measure} apart" if found.difference is not None else ""
    return f"{title}{where}: A {found.a!r}, B {found.b!r}{apart}; {found.n_differ} of {found.n_values} values differ here"
