"""Instructions of the loader: between external memory, or the host, and the chip. `isa.py` says how to read them."""

import dataclasses

from refasr.hw.decoder import transfer_cycles
from refasr.hw.external import is_coded
from refasr.hw.isa import Cost, Instruction
from refasr.hw.memory import Region


def moved(chip, n_bytes, on_chip_bytes):
    """Cost of a plain transfer. Parameters: chip, n_bytes, on_chip_bytes. Returns Cost."""
    busy = transfer_cycles(n_bytes, chip.processor)
    return Cost(chip.processor.external_latency_cycles + busy, busy, external_bytes=n_bytes, on_chip_bytes=on_chip_bytes)


@dataclasses.dataclass(frozen=True)
class Receive(Instruction):
    """Take an array from the host."""

    name: str
    target: Region
    engine, unit, targets = "load", "bus", ("target",)

    def read(self, chip, partition):
        """READ: the host's array `name`, in external memory. Parameters: chip, partition."""
        return partition.mail[self.name]

    def cycles(self, chip):
        """CYCLES: latency + ceil(bytes / bytes a cycle). Parameters: chip."""
        return moved(chip, self.target.n_bytes, self.target.n_bytes)

    def operation(self, chip, operands):
        """OPERATION: none. Parameters: chip, operands."""
        return operands


@dataclasses.dataclass(frozen=True)
class Send(Instruction):
    """Give an array to the host."""

    source: Region
    name: str
    engine, unit, sources = "load", "bus", ("source",)

    def read(self, chip, partition):
        """READ: source. Parameters: chip, partition."""
        return partition.view(self.source)

    def cycles(self, chip):
        """CYCLES: latency + ceil(bytes / bytes a cycle). Parameters: chip."""
        return moved(chip, self.source.n_bytes, self.source.n_bytes)

    def operation(self, chip, operands):
        """OPERATION: none. Parameters: chip, operands."""
        return operands.copy()

    def write(self, chip, partition, result):
        """WRITE: the host's array `name`, in external memory. Parameters: chip, partition, result."""
        partition.mail[self.name] = result


@dataclasses.dataclass(frozen=True)
class Fetch(Instruction):
    """Fetch values that are not weights: biases, multipliers, shifts, gains."""

    names: tuple
    target: tuple
    engine, unit, targets = "load", "bus", ("target",)

    def read(self, chip, partition):
        """READ: the arrays `names`, in external memory. Parameters: chip, partition."""
        return [chip.external.values[name] for name in self.names]

    def cycles(self, chip):
        """CYCLES: latency + ceil(bytes / bytes a cycle). Parameters: chip."""
        n_bytes = sum(region.n_bytes for region in self.target)
        return moved(chip, n_bytes, n_bytes)

    def operation(self, chip, operands):
        """OPERATION: none. Parameters: chip, operands."""
        return operands

    def write(self, chip, partition, result):
        """WRITE: target, a region for each. Parameters: chip, partition, result."""
        for region, values in zip(self.target, result):
            partition.view(region)[:] = values


@dataclasses.dataclass(frozen=True)
class FetchRow(Instruction):
    """Fetch one row of a table: the embedding of a unit."""

    name: str
    number: Region
    target: Region
    engine, unit, sources, targets = "load", "bus", ("number",), ("target",)

    def read(self, chip, partition):
        """READ: the number r in `number`; row r of the array `name`, in external memory. Parameters: chip, partition."""
        return chip.external.values[self.name][int(partition.view(self.number)[0])]

    def cycles(self, chip):
        """CYCLES: latency + ceil(bytes of a row / bytes a cycle). Parameters: chip."""
        return moved(chip, self.target.n_bytes, self.target.n_bytes + self.number.n_bytes)

    def operation(self, chip, operands):
        """OPERATION: none. Parameters: chip, operands."""
        return operands


@dataclasses.dataclass(frozen=True)
class Table(Instruction):
    """Prepare the decoder for the tiles of a tensor."""

    tensor: str
    engine, unit = "load", "decoder"

    def read(self, chip, partition):
        """READ: header, frequency table and tile index of the tensor's stream. Parameters: chip, partition."""
        return chip.external.tensors[self.tensor].layout

    def cycles(self, chip):
        """CYCLES: latency + ceil(bytes / bytes a cycle) + ceil(4096 / table slots a cycle). Parameters: chip."""
        tensor = chip.external.tensors[self.tensor]
        plain, built = moved(chip, tensor.head_bytes, 0), chip.decoder.table_cycles(tensor)
        return plain._replace(cycles=plain.cycles + built, decode_cycles=built)

    def operation(self, chip, operands):
        """OPERATION: the decoding table of `docs/weight-codec.md`. Parameters: chip, operands."""
        return operands

    def write(self, chip, partition, result):
        """WRITE: the decoder's table. Parameters: chip, partition, result."""


@dataclasses.dataclass(frozen=True)
class Load(Instruction):
    """Fetch and decode a tile."""

    tensor: str
    tile: int
    target: Region
    engine, unit, targets = "load", "decoder", ("target",)

    def read(self, chip, partition):
        """READ: tile `tile` of the tensor, in external memory. Parameters: chip, partition."""
        return chip.external.tensors[self.tensor]

    def cycles(self, chip):
        """CYCLES: latency + max(ceil(bytes / bytes a cycle), ceil(codes / codes a cycle)). Parameters: chip."""
        tensor = chip.external.tensors[self.tensor]
        tile, coded = tensor.tiles[self.tile], is_coded(tensor, self.tile)
        transfer, decode = transfer_cycles(tile.n_bytes, chip.processor), chip.decoder.decode_cycles(tile)
        placed = tile.n_outputs * tile.n_inputs * chip.processor.weight_bits // 8
        return Cost(chip.processor.external_latency_cycles + max(transfer, decode), transfer, decode, tile.n_bytes,
                    tile.n_codes if coded else 0, on_chip_bytes=placed)

    def operation(self, chip, operands):
        """OPERATION: decode: every weight gets its place, zeros too. Parameters: chip, operands."""
        return chip.decoder.codes(operands, self.tile).ravel()

    def write(self, chip, partition, result):
        """WRITE: target, a tile buffer. Parameters: chip, partition, result."""
        partition.view(self.target)[:result.size] = result
