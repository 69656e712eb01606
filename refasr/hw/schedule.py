"""When each instruction begins and ends: the timing law of the processor.

There are two engines, which work at the same time: the loader (bus and decoder) and the worker (array and vector unit). Each
takes its instructions in the order of the program. An instruction begins when

    its engine is free,
    what it reads has been written,
    and what it writes over has been read,

and lasts as long as its CYCLES say. With two tile buffers the loader is at most one tile ahead, so that

    a tile takes the maximum of loading it and multiplying it,

and with one buffer their sum. After a SELECT, loading goes on when the choice has been made.
"""

from typing import NamedTuple

from refasr.hw.isa import Cost, Instruction, Select


class Event(NamedTuple):
    """An instruction in time. start, end : cycles; the end is exclusive."""

    instruction: Instruction
    cost: Cost
    start: int
    end: int


class Board:
    """When each slot of one job was last written, and last read.

    Parameters
    ----------
    engines : dict of str to int    When each engine is free; jobs share it.
    arrival : int                   When the job came.
    """

    def __init__(self, engines, arrival=0):
        self.engines, self.earliest = engines, {"load": arrival, "work": arrival}
        self.written, self.used = {}, {}

    def book(self, instruction, cost):
        """Give an instruction its time. Parameters: instruction, cost. Returns an Event."""
        engine = instruction.engine
        sources, targets = instruction.slots(instruction.sources), instruction.slots(instruction.targets)
        start = max(self.engines[engine], self.earliest[engine], *(self.written.get(slot, 0) for slot in sources | targets),
                    *(self.used.get(slot, 0) for slot in targets), 0)
        end = start + cost.cycles
        self.engines[engine] = end
        self.written.update(dict.fromkeys(targets, end))
        self.used.update(dict.fromkeys(sources, end))
        if isinstance(instruction, Select):
            self.earliest["load"] = end
        return Event(instruction, cost, start, end)


def walk(body, choose):
    """Instructions in the order in which they are run.

    Parameters
    ----------
    body : tuple of Instruction
    choose : function (Select) -> 0 or 1    Asked when all that stands before has been run.

    Yields
    ------
    Instruction
    """
    for instruction in body:
        yield instruction
        if isinstance(instruction, Select):
            yield from walk(instruction.bodies[choose(instruction)], choose)


def timetable(program, chip, choices=None):
    """The course of a program that has the chip to itself.

    Parameters
    ----------
    program : Program
    chip : Chip
    choices : iterable of 0 or 1, or None    What each SELECT chooses; None is 0 always.

    Returns
    -------
    list of Event    In the order of the program.
    """
    board, choices = Board({"load": 0, "work": 0}), iter(choices if choices is not None else ())
    return [board.book(instruction, chip.cost(instruction)) for instruction in walk(program.body, lambda _: next(choices, 0))]


def cycles(events):
    """When all is done. Parameters: events. Returns int."""
    return max((event.end for event in events), default=0)
