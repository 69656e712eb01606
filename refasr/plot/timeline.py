"""What the parts of the neural processor do at each moment of a program: where it waits, and for what."""

from refasr.hw.schedule import cycles

UNITS = ("bus", "decoder", "array", "vector")
TITLES = ("external memory", "weight decoder", "array", "requantisation,\ntables")
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999999")  # P. Tol's bright set: told apart by all
HEIGHT = 0.8


def draw(events, latency_cycles, ax):
    """Draw the course of a program.

    Parameters
    ----------
    events : list of Event    Of `refasr.hw.schedule.timetable`.
    latency_cycles : int      Of a transfer, during which neither bus nor decoder is busy.
    ax : matplotlib Axes      Cycles run right; colours are layers.

    Returns
    -------
    matplotlib Axes
    """
    layers = list(dict.fromkeys(event.instruction.layer for event in events))
    end = cycles(events)
    for index, layer in enumerate(layers):
        spans = {unit: [] for unit in UNITS}
        for event in events:
            if event.instruction.layer == layer:
                for unit, start, length in busy(event, latency_cycles):
                    spans[unit].append((start, length))
        for row, unit in enumerate(UNITS):
            if spans[unit]:
                colour = COLOURS[index % len(COLOURS)]
                ax.broken_barh(spans[unit], (row - HEIGHT / 2, HEIGHT), facecolors=colour, linewidth=0, antialiased=False,
                               label=layer if row == first_row(spans) else None)
    shares = [sum(length for event in events for name, _, length in busy(event, latency_cycles) if name == unit) / max(end, 1)
              for unit in UNITS]
    ax.set_yticks(range(len(UNITS)), [f"{title}\n{100 * share:.0f} % busy" for title, share in zip(TITLES, shares)])
    ax.set_ylim(len(UNITS) - 0.5, -0.5)
    ax.set_xlim(0, max(end, 1))
    ax.set_xlabel(f"cycles ({end:,} in all; modelled)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=len(layers), frameon=False)
    return ax


def first_row(spans):
    """The first row with something in it. Parameters: spans (dict of lists). Returns int."""
    return next(row for row, unit in enumerate(UNITS) if spans[unit])


def busy(event, latency_cycles):
    """When the units work for an instruction; the decoder, which works while bytes arrive, as if in one go at the end.

    Parameters: event, latency_cycles. Returns a list of (unit, start, length).
    """
    instruction, cost = event.instruction, event.cost
    if instruction.engine == "work":
        return [(instruction.unit, event.start, cost.cycles)]
    parts = [("bus", event.start + latency_cycles, cost.transfer_cycles),
             ("decoder", event.end - cost.decode_cycles, cost.decode_cycles)]
    return [part for part in parts if part[2]]
