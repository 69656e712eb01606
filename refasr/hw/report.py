"""What a run took: by layer and in total, as a table, as JSON and as CSV. All of it is modelled; nothing here was measured.

The cycles of a layer run from the end of the layer before it to its own end, so that they add up; what was loaded ahead for it
counts as the time of the layers during which it was loaded.
"""

import csv
import io
from typing import NamedTuple

from refasr.errors import RangeError
from refasr.hw.energy import joules
from refasr.hw.isa import Cost
from refasr.hw.schedule import timetable

COLUMNS = ("layer", "runs", "cycles", "load_cycles", "work_cycles", "external_bytes", "on_chip_bytes", "macs_done",
           "macs_skipped", "energy_uj")
MICRO = 1e6


class LayerTotal(NamedTuple):
    """A layer's sums.

    runs : of the layer.
    cycles : that passed.
    load_cycles, work_cycles : that each engine was busy.
    cost : Cost, sums over its instructions; its `cycles` are those of both engines.
    """

    runs: int
    cycles: int
    load_cycles: int
    work_cycles: int
    cost: Cost


NOTHING = LayerTotal(0, 0, 0, 0, Cost(0))


def added(one, other):
    """Sums of sums. Parameters: one, other (LayerTotal). Returns LayerTotal."""
    return LayerTotal(*map(sum, zip(one[:4], other[:4])), Cost(*map(sum, zip(one.cost, other.cost))))


def times(total, n):
    """The same n times. Parameters: total (LayerTotal), n. Returns LayerTotal."""
    return LayerTotal(*(n * value for value in total[:4]), Cost(*(n * value for value in total.cost)))


def by_layer(events):
    """Sums of one run of a program. Parameters: events (of `schedule.timetable`). Returns a dict of str to LayerTotal."""
    totals, ends = {}, {}
    for event in events:
        layer, busy = event.instruction.layer, event.cost.cycles
        load = busy if event.instruction.engine == "load" else 0
        totals[layer] = added(totals.get(layer, NOTHING), LayerTotal(0, 0, load, busy - load, event.cost))
        ends[layer] = max(ends.get(layer, 0), event.end)
    before = 0
    for layer, total in totals.items():
        totals[layer] = total._replace(runs=1, cycles=max(0, ends[layer] - before))
        before = max(before, ends[layer])
    return totals


def layer_totals(chip, programs, runs=None):
    """Sums over all runs.

    Parameters
    ----------
    chip : Chip
    programs : dict of str to Program
    runs : dict of (str, tuple) to int, or None    How often each program ran, by its choices; None: as the chip counted.

    Returns
    -------
    dict of str to LayerTotal
    """
    totals = {}
    for (name, choices), n in (chip.runs if runs is None else runs).items():
        for layer, total in by_layer(timetable(programs[name], chip, choices)).items():
            totals[layer] = added(totals.get(layer, NOTHING), times(total, n))
    return totals


def report(processor, totals, audio_seconds, sram_peak_bytes):
    """A report as JSON would have it.

    Parameters
    ----------
    processor : Processor
    totals : dict of str to LayerTotal
    audio_seconds : float, > 0            How long the sound was, for the real-time factor.
    sram_peak_bytes : int

    Returns
    -------
    dict                                  modelled (true), preset, seconds, rtf, sram_peak_bytes, total, layers ...

    Raises
    ------
    RangeError
    """
    if not audio_seconds > 0:
        raise RangeError(f"audio_seconds: got {audio_seconds}, expected more than 0")
    total = NOTHING
    for part in totals.values():
        total = added(total, part)
    seconds = total.cycles / processor.clock_hz
    return {"modelled": True, "preset": processor.name, "clock_hz": processor.clock_hz, "audio_seconds": audio_seconds,
            "seconds": seconds, "rtf": seconds / audio_seconds, "sram_peak_bytes": sram_peak_bytes,
            "energy_by_part_uj": {name: MICRO * value for name, value in joules(total.cost, processor.energies).items()},
            "total": row("total", total, processor), "layers": [row(name, part, processor) for name, part in totals.items()]}


def row(layer, total, processor):
    """A layer as a row. Parameters: layer (name), total (LayerTotal), processor. Returns a dict with the keys COLUMNS."""
    cost = total.cost
    energy = MICRO * sum(joules(cost, processor.energies).values())
    return dict(zip(COLUMNS, (layer, total.runs, total.cycles, total.load_cycles, total.work_cycles, cost.external_bytes,
                              cost.on_chip_bytes, cost.done, cost.skipped, energy)))


def as_table(found):
    """For reading. Parameters: found (of `report`). Returns text."""
    rows = [*found["layers"], found["total"]]
    head = "modelled, not measured: {} at {:g} MHz, {:.2f} s of sound".format(found["preset"], found["clock_hz"] / 1e6,
                                                                              found["audio_seconds"])
    lines = [head, table_of(COLUMNS, [[item[column] for column in COLUMNS] for item in rows])]
    lines.append("{:.2f} ms, real-time factor {:.5f}, {:,} bytes on the chip".format(1e3 * found["seconds"], found["rtf"],
                                                                                     found["sram_peak_bytes"]))
    parts = ", ".join(f"{name.replace('_', ' ')} {value:,.1f}" for name, value in found["energy_by_part_uj"].items())
    return "\n".join([*lines, f"microjoules: {parts}"])


def table_of(names, rows):
    """Align columns. Parameters: names, rows (lists of values). Returns text."""
    cells = [[name.replace("_", " ") for name in names], *([shown(value) for value in values] for values in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in cells)


def shown(value):
    """A value for reading. Parameters: value. Returns str."""
    if isinstance(value, float):
        return f"{value:,.1f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def as_csv(rows):
    """As comma-separated values with a head. Parameters: rows (list of dict with the same keys). Returns text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
