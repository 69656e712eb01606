"""Instructions of the vector unit: requantisation and tables, the clauses A12 to A25 of `docs/arithmetic.md`.

The unit takes `vector_lanes` elements a cycle through one step of a clause. The number of steps, multiplications, additions
and table entries of an element is that of the clause, and stands beside it.
"""

import dataclasses

from refasr.compress import integer_ops as ops
from refasr.hw.isa import Cost, Instruction
from refasr.hw.memory import Region

NORM_CYCLES = 32  # for the reciprocal root of one number, while all lanes wait


def worked(chip, instruction, steps, multiplies, additions, lookups=0, wait=0):
    """Cost of an instruction of the vector unit.

    Parameters
    ----------
    chip : Chip
    instruction : Instruction
    steps : int                            Elements times steps of each.
    multiplies, additions, lookups : int
    wait : int                             Cycles in which no element moves.

    Returns
    -------
    Cost
    """
    n_bytes = 0
    for field in instruction.sources + instruction.targets:
        value = getattr(instruction, field)
        n_bytes += sum(region.n_bytes for region in ((value,) if isinstance(value, Region) else value))
    cycles = chip.processor.issue_cycles + -(-steps // chip.processor.vector_lanes) + wait
    return Cost(cycles, multiplies=multiplies, additions=additions, lookups=lookups, on_chip_bytes=n_bytes)


@dataclasses.dataclass(frozen=True)
class Rescale(Instruction):
    """The end of a Linear (A11, A12)."""

    sums: Region
    values: tuple
    target: Region
    sources, targets = ("sums", "values"), ("target",)

    def read(self, chip, partition):
        """READ: sums [N]; values: bias, multiplier, shift. Parameters: chip, partition."""
        return partition.view(self.sums)[None], ops.Rescale(*map(partition.view, self.values))

    def cycles(self, chip):
        """CYCLES: issue + ceil(N / lanes). Parameters: chip."""
        n = self.sums.length
        return worked(chip, self, n, n, 2 * n)

    def operation(self, chip, operands):
        """OPERATION: saturate(requantise_half_up(sum + bias, multiplier, shift), 127). Parameters: chip, operands."""
        return chip.backend(ops.rescale_rows)(*operands)[0]


@dataclasses.dataclass(frozen=True)
class Logits(Rescale):
    """The end of the output layer (A11, A13)."""

    def operation(self, chip, operands):
        """OPERATION: requantise_half_up(sum + bias, multiplier, shift). Parameters: chip, operands."""
        return chip.backend(ops.logit_rows)(*operands)[0]


@dataclasses.dataclass(frozen=True)
class Cell(Instruction):
    """The elementwise part of an LSTM step (A15 to A19)."""

    input_sums: Region
    recurrent_sums: Region
    values: tuple
    bits: int
    c: Region
    h: Region
    sources, targets = ("input_sums", "recurrent_sums", "values", "c"), ("h", "c")

    def read(self, chip, partition):
        """READ: both sums [4N]; c [N]; values: bias, two multipliers, shift, hidden multiplier and shift; bits.

        Parameters: chip, partition.
        """
        view = partition.view
        bias, by_input, by_state, shift, multiplier, hidden_shift = map(view, self.values)
        cell = ops.Cell(bias, by_input, by_state, shift, self.bits, multiplier, hidden_shift)
        return view(self.input_sums)[None], view(self.recurrent_sums)[None], view(self.c)[None], cell

    def cycles(self, chip):
        """CYCLES: issue + ceil(11 N / lanes): 4 sums, 5 tables, the cell and the hidden value. Parameters: chip."""
        n = self.c.length
        return worked(chip, self, 11 * n, 17 * n, 21 * n, 10 * n)

    def operation(self, chip, operands):
        """OPERATION: A15 to A19. Parameters: chip, operands."""
        return chip.backend(ops.lstm_cell)(*operands)

    def write(self, chip, partition, result):
        """WRITE: h, int8 [N], and c, int16 [N]. Parameters: chip, partition, result."""
        h, c = result
        partition.view(self.h)[:], partition.view(self.c)[:] = h[0], c[0]


@dataclasses.dataclass(frozen=True)
class Norm(Instruction):
    """Layer normalisation (A21 to A23)."""

    source: Region
    values: tuple
    bits: int
    epsilon: int
    target: Region
    sources, targets = ("source", "values"), ("target",)

    def read(self, chip, partition):
        """READ: source [N]; values: gain, bias; bits, epsilon. Parameters: chip, partition."""
        gain, bias = map(partition.view, self.values)
        return partition.view(self.source)[None], ops.Norm(gain, bias, self.bits, self.epsilon)

    def cycles(self, chip):
        """CYCLES: issue + ceil(2 N / lanes) + 32 for the reciprocal root. Parameters: chip."""
        n = self.source.length
        return worked(chip, self, 2 * n, 4 * n, 5 * n, 2, NORM_CYCLES)

    def operation(self, chip, operands):
        """OPERATION: A21 to A23. Parameters: chip, operands."""
        return chip.backend(ops.layer_norm)(*operands)[0]


@dataclasses.dataclass(frozen=True)
class Join(Instruction):
    """The joint hidden layer (A24, A25)."""

    audio: Region
    text: Region
    values: tuple
    target: Region
    sources, targets = ("audio", "text", "values"), ("target",)

    def read(self, chip, partition):
        """READ: audio, text [J]; values: three multipliers, two shifts. Parameters: chip, partition."""
        return partition.view(self.audio)[None], partition.view(self.text)[None], ops.Joint(*map(partition.view, self.values))

    def cycles(self, chip):
        """CYCLES: issue + ceil(3 J / lanes): the sum, the table, the requantisation. Parameters: chip."""
        n = self.audio.length
        return worked(chip, self, 3 * n, 4 * n, 5 * n, 2 * n)

    def operation(self, chip, operands):
        """OPERATION: A24, A25. Parameters: chip, operands."""
        return chip.backend(ops.join)(*operands)[0]
