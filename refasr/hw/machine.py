"""The processor at work: programs run on the bytes of its memory, tile by tile, with the results of `docs/arithmetic.md`.

    chip = Chip(processor, external, backend)
    partition = chip.memory.partition("recogniser", compiled.n_bytes)
    chip.run(compiled.programs["frame"], partition)

Values do not depend on time, nor time on values but through SELECT: so running and timing (`schedule.py`) are apart, and
`jobs.py` does both.
"""

from collections import Counter

from refasr.hw.decoder import Decoder
from refasr.hw.isa import Select
from refasr.hw.memory import OnChipMemory
from refasr.hw.schedule import walk


class Chip:
    """A part with its memories.

    Parameters
    ----------
    processor : Processor
    external : ExternalMemory    Filled by `compiler.compile_model`.
    backend : Backend            Of requantisation, tables and the decoder.
    """

    def __init__(self, processor, external, backend):
        self.processor, self.external, self.backend = processor, external, backend
        self.decoder, self.memory = Decoder(processor, backend), OnChipMemory(processor.sram_bytes)
        self.runs, self.costs = Counter(), {}

    def cost(self, instruction):
        """What an instruction takes; found once. Parameters: instruction. Returns Cost."""
        if instruction not in self.costs:
            self.costs[instruction] = instruction.cycles(self)
        return self.costs[instruction]

    def execute(self, instruction, partition):
        """Run one instruction. Parameters: instruction, partition. Returns what OPERATION gave."""
        result = instruction.operation(self, instruction.read(self, partition))
        instruction.write(self, partition, result)
        return result

    def steps(self, program, partition):
        """Run a program step by step.

        Parameters
        ----------
        program : Program
        partition : Partition

        Yields
        ------
        Instruction              Each after it was run.
        """
        chosen = []
        for instruction in walk(program.body, lambda _: chosen[-1]):
            result = self.execute(instruction, partition)
            if isinstance(instruction, Select):
                chosen.append(result)
            yield instruction
        self.runs[program.name, tuple(chosen)] += 1

    def run(self, program, partition):
        """Run a whole program. Parameters: program, partition."""
        for _ in self.steps(program, partition):
            pass
