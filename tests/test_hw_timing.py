"""The timing law, against a machine that is stepped cycle by cycle and knows no formula."""

import collections

import numpy as np
import pytest
from house import ROOT
from hypothesis import given
from hypothesis import strategies as st
from test_hw_values import random_model

from refasr.hw import mac
from refasr.hw.compiler import may_pass
from refasr.hw.external import tile_shape
from refasr.hw.isa import Cost, Instruction, Multiply, Program, Select
from refasr.hw.isa_load import Load
from refasr.hw.memory import Region
from refasr.hw.network import ProcessorNetwork
from refasr.hw.presets import PRESETS
from refasr.hw.processor import changed
from refasr.hw.schedule import cycles, timetable
from refasr.twins import select

PART = PRESETS["refasr"]


def unit_cycles(weights, words):
    """One unit, cycle by cycle. Parameters: weights (rows, lists), words. Returns cycles."""
    n_cycles = 0
    for row in weights:
        waiting = collections.deque(row)
        while waiting:
            n_cycles += 1
            for _ in range(min(words, len(waiting))):
                if waiting.popleft():
                    break
    return n_cycles


@given(st.integers(0, 2**32 - 1), st.integers(1, 13), st.integers(1, 40), st.integers(1, 5), st.integers(1, 5), st.integers(1, 6),
       st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]))
def test_zero_skipping_takes_the_cycles_of_a_stepped_array(seed, n, k, rows, columns, words, density):
    rng = np.random.default_rng(seed)
    codes = (rng.integers(1, 128, (n, k)) * (rng.random((n, k)) < density)).astype(np.int8)
    part = changed(PART, [f"rows={rows}", f"columns={columns}", f"words_a_cycle={words}"])
    units = [unit_cycles([row[c::columns].tolist() for row in codes[r::rows]], words) for r in range(rows)
             for c in range(columns)]
    assert mac.tile_cycles(codes, part) == max(units)
    dense = changed(part, ["words_a_cycle=1", "skip_zeros=false"])
    assert mac.tile_cycles(codes, dense) == max(len(range(r, n, rows)) * len(range(c, k, columns)) for r in range(rows)
                                                for c in range(columns))
    assert mac.tile_cycles(codes, part) <= mac.tile_cycles(codes, dense)


def test_zero_skipping_by_hand():
    part = changed(PART, ["rows=1", "columns=1", "words_a_cycle=4"])
    row = lambda *weights: mac.tile_cycles(np.array([weights], np.int8), part)
    assert row(5) == 1 and row(5, 5, 5) == 3 and row(0, 0, 0, 5) == 1 and row(0, 0, 0, 0, 5) == 2
    assert row(0, 0, 0, 0) == 1 and row(0, 0, 0, 0, 0) == 2 and row(5, 0, 0, 0, 0, 5, 0) == 4


def stepped(instructions, costs):
    """A chip that is stepped cycle by cycle; each engine looks at its next instruction only.

    Parameters
    ----------
    instructions : list of Instruction    In the order of the program, without SELECT.
    costs : list of int                   Cycles.

    Returns
    -------
    list of (start, end)
    """
    needs = [conflicts(instructions, i) for i in range(len(instructions))]
    queues = {engine: collections.deque(i for i, item in enumerate(instructions) if item.engine == engine)
              for engine in ("load", "work")}
    busy, spans, ended = dict.fromkeys(queues, 0), {}, set()
    for now in range(10**6):
        if now in busy.values():
            ended |= {i for i, (_, end) in spans.items() if end <= now}
        for engine, queue in queues.items():
            while queue and busy[engine] <= now and needs[queue[0]] <= ended:
                i = queue.popleft()
                spans[i] = now, now + costs[i]
                busy[engine] = now + costs[i]
                ended |= {i} if costs[i] == 0 else set()
        if not any(queues.values()):
            return [spans[i] for i in range(len(instructions))]
    raise AssertionError("the program does not end")


def conflicts(instructions, i):
    """What i waits for: all before it that wrote a slot it uses, or read a slot it writes. Returns a set."""
    own = instructions[i]
    reads, writes = own.slots(own.sources), own.slots(own.targets)
    return {j for j, other in enumerate(instructions[:i])
            if other.slots(other.targets) & (reads | writes) or other.slots(other.sources) & writes}


@pytest.mark.parametrize("settings", [[], ["tile_codes=128"], ["tile_codes=64", "buffers=1"], ["external_latency_cycles=0"],
                                      ["tile_codes=200", "external_bytes_a_cycle=64", "rows=1", "columns=1", "words_a_cycle=2"]])
@pytest.mark.parametrize("name", ["frame", "unit", "node"])
def test_the_law_gives_the_times_of_a_stepped_chip(settings, name):
    network = ProcessorNetwork(random_model(7), changed(PART, settings), select("reference"))
    events = timetable(network.compiled.programs[name], network.chip)
    spans = stepped([event.instruction for event in events], [event.cost.cycles for event in events])
    assert [(event.start, event.end) for event in events] == spans


class FakeChip:
    """A chip that takes as long as it is told."""

    def __init__(self, loads, works):
        self.loads, self.works = loads, works

    def cost(self, instruction):
        """Cycles by the number of the tile."""
        if isinstance(instruction, Select):
            return Cost(1)
        return Cost((self.loads if isinstance(instruction, Load) else self.works)[instruction.tile])


def tiles(n, buffers):
    """A program of n tiles."""
    home = [Region(f"tile.{i}", 0, "int8", 1) for i in range(buffers)]
    x, y = Region("x", 0, "int8", 1), Region("y", 0, "int32", 1)
    pair = lambda i, buffer: (Load("l", "w", i, buffer), Multiply("l", "w", i, buffer, x, y))
    return [item for i in range(n) for item in pair(i, home[i % buffers])]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12), st.sampled_from([1, 2]))
def test_a_tile_takes_the_maximum_of_loading_and_multiplying(pairs, buffers):
    loads, works = zip(*pairs)
    end = cycles(timetable(Program("p", tuple(tiles(len(pairs), buffers))), FakeChip(loads, works)))
    if buffers == 1:
        assert end == sum(loads) + sum(works)
    else:  # the first load, then the slower of this tile's work and the next one's load, then the last work
        assert end == loads[0] + sum(map(max, works[:-1], loads[1:])) + works[-1]


def test_double_buffering_by_hand():
    chip = FakeChip([10, 10, 10], [4, 4, 4])
    assert cycles(timetable(Program("p", tuple(tiles(3, 2))), chip)) == 34
    assert cycles(timetable(Program("p", tuple(tiles(3, 1))), chip)) == 42


def test_loading_waits_for_the_choice():
    pair = tiles(2, 2)
    body = (*pair[:2], Select("l", Region("flag", 0, "int8", 1), (tuple(pair[2:]), ())))
    assert cycles(timetable(Program("p", body), FakeChip([10, 10], [4, 4]))) == 10 + 4 + 1 + 10 + 4
    assert cycles(timetable(Program("p", body), FakeChip([10, 10], [4, 4]), [1])) == 15


def test_loads_are_moved_up_one_tile_and_no_further():
    network = ProcessorNetwork(random_model(2), changed(PART, ["tile_codes=256"]), select("reference"))
    body = network.compiled.programs["frame"].body
    moved = [i for i, (one, two) in enumerate(zip(body, body[1:])) if isinstance(one, Load) and isinstance(two, Multiply)
             and one.target != two.buffer]
    assert len(moved) > 10, "most tiles are loaded before the tile before them is multiplied"
    for before, after in zip(body, body[1:]):
        assert not (after.engine == "load" and before.engine == "work" and may_pass(after, before))


def test_tile_shapes():
    for n, k, size in ((1024, 256, 16384), (24, 160, 100), (1, 1, 16), (37, 33, 64), (5, 100000, 16384)):
        part = changed(PART, [f"tile_codes={size}"])
        outputs, inputs = tile_shape(n, k, part)
        assert outputs % part.rows == 0 and outputs * inputs <= size and inputs <= k and outputs < n + part.rows


def test_each_instruction_is_written_under_four_headings():
    kinds = every(Instruction)
    assert len(kinds) == 13
    for kind in kinds:
        for method, heading in (("read", "READ"), ("cycles", "CYCLES"), ("operation", "OPERATION"), ("write", "WRITE")):
            assert getattr(kind, method).__doc__.startswith(f"{heading}: "), (kind.__name__, heading)


def test_each_instruction_is_in_the_document():
    text = (ROOT / "docs" / "processor.md").read_text(encoding="utf-8")
    for kind in every(Instruction):
        section = text.split(f"### {kind.__name__}\n")[1].split("###")[0]
        places = [section.index(f"**{heading}**") for heading in ("READ", "CYCLES", "OPERATION", "WRITE")]
        assert places == sorted(places)


def every(kind):
    """All instructions. Parameters: kind (class). Returns a list of classes."""
    return [found for child in kind.__subclasses__() for found in (child, *every(child))]
