"""The instruction set: how an instruction is written, and the two that multiply and choose; the others are in `isa_load.py` and
`isa_vector.py`.

Every instruction is described, and written, under the same four headings:

    READ         what it takes, and from where             read(chip, partition)
    CYCLES       how long it takes, and what that costs    cycles(chip)
    OPERATION    what it makes of it                       operation(chip, operands)
    WRITE        where the result goes                     write(chip, partition, result)

Instructions of the loader (`engine` "load") and those of array and vector unit ("work") form two queues, each in the order of the
program; `schedule.py` says when one begins. Cycles depend on weights, never on activations.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from refasr.hw import mac
from refasr.hw.memory import Region


class Cost(NamedTuple):
    """What an instruction takes.

    cycles : that its engine is busy.
    transfer_cycles, decode_cycles : of these, with the bus and with the decoder, which work at the same time.
    external_bytes : over the bus.
    codes : decoded by the frequency table.
    done, skipped : multiplications of the array, and those it was spared.
    multiplies, additions, lookups : of the vector unit.
    on_chip_bytes : read and written.
    """

    cycles: int
    transfer_cycles: int = 0
    decode_cycles: int = 0
    external_bytes: int = 0
    codes: int = 0
    done: int = 0
    skipped: int = 0
    multiplies: int = 0
    additions: int = 0
    lookups: int = 0
    on_chip_bytes: int = 0


@dataclasses.dataclass(frozen=True)
class Instruction:
    """What all have in common.

    layer : which part of the network it belongs to, for reports.
    """

    layer: str
    engine = "work"
    unit = "vector"
    sources = ()      # fields that hold what is read, a Region or several
    targets = ()      # and what is written

    def slots(self, fields):
        """Slots of some fields. Parameters: fields (names). Returns a set."""
        values = [getattr(self, field) for field in fields]
        return {region.slot for value in values for region in ((value,) if isinstance(value, Region) else value)}

    def write(self, chip, partition, result):
        """WRITE: the result to the one target. Parameters: chip, partition, result."""
        partition.view(getattr(self, self.targets[0]))[:] = result


@dataclasses.dataclass(frozen=True)
class Multiply(Instruction):
    """Multiply a tile with its inputs, and add to its sums (A11, A15)."""

    tensor: str
    tile: int
    buffer: Region
    input: Region
    sums: Region
    unit, sources, targets = "array", ("buffer", "input", "sums"), ("sums",)

    def place(self, chip):
        """The tile. Parameters: chip. Returns a Tile."""
        return chip.external.tensors[self.tensor].tiles[self.tile]

    def read(self, chip, partition):
        """READ: the tile in `buffer`; its inputs; its sums, but 0 for a tile of the first inputs. Parameters: chip, partition."""
        first_output, n_outputs, first_input, n_inputs, _, _ = self.place(chip)
        codes = partition.view(self.buffer)[:n_outputs * n_inputs].reshape(n_outputs, n_inputs)
        sums = partition.view(self.sums)[first_output:first_output + n_outputs] if first_input else np.int32(0)
        return codes, partition.view(self.input)[first_input:first_input + n_inputs], sums

    def cycles(self, chip):
        """CYCLES: issue + those of the slowest unit (`mac.py`). Parameters: chip."""
        tile, tensor = self.place(chip), chip.external.tensors[self.tensor]
        codes = chip.decoder.codes(tensor, self.tile)
        done = int(np.count_nonzero(codes)) if chip.processor.skip_zeros else codes.size
        sums = 4 * tile.n_outputs * (2 if tile.first_input else 1)  # read and written, or written only
        n_bytes = codes.size * chip.processor.weight_bits // 8 + tile.n_inputs + sums
        return Cost(chip.processor.issue_cycles + mac.tile_cycles(codes, chip.processor), done=done, skipped=codes.size - done,
                    on_chip_bytes=n_bytes)

    def operation(self, chip, operands):
        """OPERATION: sum[n] + sum_k w[n, k] x[k], int32. Parameters: chip, operands."""
        codes, x, sums = operands
        return sums + mac.product(codes, x)

    def write(self, chip, partition, result):
        """WRITE: sums. Parameters: chip, partition, result."""
        first = self.place(chip).first_output
        partition.view(self.sums)[first:first + result.size] = result


@dataclasses.dataclass(frozen=True)
class Select(Instruction):
    """Choose between two bodies at run time."""

    flag: Region
    bodies: tuple
    sources = ("flag",)

    def read(self, chip, partition):
        """READ: the number in `flag`. Parameters: chip, partition."""
        return int(partition.view(self.flag)[0])

    def cycles(self, chip):
        """CYCLES: 1; the loader waits for it. Parameters: chip."""
        return Cost(1, on_chip_bytes=self.flag.n_bytes)

    def operation(self, chip, operands):
        """OPERATION: bodies[0] if the number is 0, else bodies[1]. Parameters: chip, operands."""
        return int(operands != 0)

    def write(self, chip, partition, result):
        """WRITE: none; the instructions of the chosen body come next. Parameters: chip, partition, result."""


class Program(NamedTuple):
    """Instructions that are run as one job.

    name : for reports; body : tuple of Instruction.
    """

    name: str
    body: tuple
