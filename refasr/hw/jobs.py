"""A queue of jobs for one chip: priorities, deadlines, and a partition of the memory for each.

The chip changes jobs at tile boundaries only, that is after an instruction of the array or the vector unit. There it goes on with
the job of the highest priority that has come; of equals with that of the earliest deadline, then with the one that came first.
What a job had in its partition stays, a tile that was loaded ahead too, so it goes on where it stopped. Jobs that share a
partition wait for each other.
"""

import dataclasses
import math
from typing import NamedTuple

from refasr.errors import RangeError
from refasr.hw.isa import Program
from refasr.hw.memory import Partition
from refasr.hw.schedule import Board


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """Something to run.

    name : for reports.
    program : Program
    partition : Partition
    priority : higher goes first.
    arrival : cycle at which it comes.
    deadline : cycle by which it should have ended.
    """

    name: str
    program: Program
    partition: Partition
    priority: int = 0
    arrival: int = 0
    deadline: float = math.inf

    def __post_init__(self):
        if not (isinstance(self.arrival, int) and self.arrival >= 0 and self.deadline > self.arrival):
            raise RangeError(f"job {self.name}: got arrival {self.arrival!r} and deadline {self.deadline!r}, expected a "
                             "cycle from 0 and a later one")


class Finished(NamedTuple):
    """A job that ended. start, end : cycles; in_time : whether before its deadline; events : of its instructions."""

    job: Job
    start: int
    end: int
    in_time: bool
    events: tuple


class Running:
    """A job that has come. Parameters: chip, job, engines (shared)."""

    def __init__(self, chip, job, engines):
        self.chip, self.job, self.board, self.events = chip, job, Board(engines, job.arrival), []
        self.steps = chip.steps(job.program, job.partition)

    def advance(self):
        """Run to the next tile boundary. Returns the cycle there, or None when the program had ended."""
        for instruction in self.steps:
            self.events.append(self.board.book(instruction, self.chip.cost(instruction)))
            if instruction.engine == "work":
                return self.events[-1].end
        return None

    def finished(self):
        """The account. Returns Finished."""
        end = max((event.end for event in self.events), default=self.job.arrival)
        start = min((event.start for event in self.events), default=end)
        return Finished(self.job, start, end, end <= self.job.deadline, tuple(self.events))


def run_jobs(chip, jobs):
    """Run jobs until all have ended.

    Parameters
    ----------
    chip : Chip
    jobs : sequence of Job

    Returns
    -------
    list of Finished    In the order in which they ended.
    """
    engines, now, done = {"load": 0, "work": 0}, 0, []
    waiting = [Running(chip, job, engines) for job in jobs]
    while waiting:
        now = max(now, min(running.job.arrival for running in waiting))
        holders = {id(running.job.partition): running for running in reversed(waiting) if running.events}
        ready = [running for running in waiting if running.job.arrival <= now
                 and holders.get(id(running.job.partition), running) is running]
        chosen = min(ready, key=lambda running: (-running.job.priority, running.job.deadline, running.job.arrival))
        boundary = chosen.advance()
        if boundary is None:
            waiting.remove(chosen)
            done.append(chosen.finished())
        else:
            now = boundary
    return done
