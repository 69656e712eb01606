"""The neural processor as numbers: what a chip can do in a cycle, what it holds, and what each operation costs in energy.

    external memory -> weight decoder -> tile memory -> multiply-accumulate array -> sums -> requantisation and tables

`docs/processor.md` explains each field; `presets.py` has the parts that are compared.
"""

import dataclasses
import math

from refasr.errors import RangeError
from refasr.hw.codec_layout import MOST_LANES

STORAGES = ("plain", "packed", "coded")
WEIGHT_BITS = (8, 16, 32)
LARGEST_MEMORY = 1 << 26  # bytes on a chip; a simulated one is allocated
MOST = 1 << 20


@dataclasses.dataclass(frozen=True)
class Energies:
    """Picojoules of one operation; `presets.py` names the public source of each figure.

    multiply, add : of a unit of the array, for one weight.
    vector_multiply, vector_add : of the vector unit: 32-bit integers.
    lookup : of one entry of a table.
    decode : of one weight that is decoded by the frequency table; unpacking bits is free.
    on_chip_byte : read from or written to memory on the chip.
    external_byte : read from or written to external memory.
    """

    multiply: float
    add: float
    vector_multiply: float
    vector_add: float
    lookup: float
    decode: float
    on_chip_byte: float
    external_byte: float

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not is_number(value) or not 0 <= value <= 1e9:
                raise RangeError(f"energies.{field.name}: got {value!r:.40}, expected picojoules from 0 to 1e9")


@dataclasses.dataclass(frozen=True)
class Processor:
    """A part. Everything is checked when it is made, so that no program starts on a part that cannot be.

    name : of the part, for reports.
    clock_hz : cycles a second.
    rows, columns : units of the array; rows work on different outputs, columns on different inputs of one output.
    most_units : the largest array that the part has room for.
    words_a_cycle : weights that a unit can look at in a cycle; it multiplies at most one of them.
    skip_zeros : units pass over zeros.
    weight_bits : width of a weight in tile memory, and in external memory where storage is "plain".
    storage : of weights in external memory: "plain" words, "packed" codes of b bits, or "coded" by `refasr.hw.codec`.
    external_bytes_a_cycle : of the bus.
    external_latency_cycles : before the first byte of a transfer arrives.
    decoder_codes_a_cycle : weights that leave the decoder; also the number of lanes of coded streams.
    table_slots_a_cycle : entries of the decoder's table that are written while a tensor's table is built.
    sram_bytes : memory on the chip.
    tile_codes : weights in one tile buffer.
    buffers : tile buffers, 2 for double buffering, or 1.
    vector_lanes : elements a cycle of the unit for requantisation and tables.
    issue_cycles : spent on each instruction of the array or the vector unit before it works.
    energies : Energies
    """

    name: str
    clock_hz: float
    rows: int
    columns: int
    most_units: int
    words_a_cycle: int
    skip_zeros: bool
    weight_bits: int
    storage: str
    external_bytes_a_cycle: int
    external_latency_cycles: int
    decoder_codes_a_cycle: int
    table_slots_a_cycle: int
    sram_bytes: int
    tile_codes: int
    buffers: int
    vector_lanes: int
    issue_cycles: int
    energies: Energies

    def __post_init__(self):
        self.check_ranges()
        units, buffer_bytes = self.rows * self.columns, self.tile_codes * self.weight_bits // 8
        if units > self.most_units:
            raise RangeError(f"rows, columns: got an array of {self.rows} x {self.columns} units, expected at most "
                             f"{self.most_units} on {self.name}; take fewer, or another preset")
        if units > self.tile_codes:
            raise RangeError(f"tile_codes: got {self.tile_codes}, expected at least {units}, one for each unit of the array of "
                             f"{self.rows} x {self.columns}; take a larger tile or a smaller array")
        if self.buffers * buffer_bytes > self.sram_bytes:
            raise RangeError(f"sram_bytes: got {self.sram_bytes}, expected at least {self.buffers * buffer_bytes} for "
                             f"{self.buffers} tiles of {self.tile_codes} weights of {self.weight_bits} bits; take smaller "
                             "tiles or more memory")
        if self.words_a_cycle > 1 and not self.skip_zeros:
            raise RangeError(f"words_a_cycle: got {self.words_a_cycle} without skip_zeros, expected 1; a unit that cannot skip "
                             "looks at one weight a cycle")

    def check_ranges(self):
        """Each field alone. Raises RangeError."""
        ranges = {"rows": MOST, "columns": MOST, "most_units": MOST, "words_a_cycle": MOST, "external_bytes_a_cycle": MOST,
                  "decoder_codes_a_cycle": MOST_LANES, "table_slots_a_cycle": MOST, "sram_bytes": LARGEST_MEMORY,
                  "tile_codes": LARGEST_MEMORY, "buffers": 2, "vector_lanes": MOST}
        for name, most in {**ranges, "external_latency_cycles": MOST, "issue_cycles": MOST}.items():
            value, least = getattr(self, name), 1 if name in ranges else 0
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise RangeError(f"{name}: got {value!r:.40}, expected a whole number from {least} to {most}")
        if not is_number(self.clock_hz) or not 1e3 <= self.clock_hz <= 1e11:
            raise RangeError(f"clock_hz: got {self.clock_hz!r:.40}, expected 1e3 to 1e11")
        for name, values in (("storage", STORAGES), ("weight_bits", WEIGHT_BITS), ("skip_zeros", (False, True))):
            if getattr(self, name) not in values:
                raise RangeError(f"{name}: got {getattr(self, name)!r:.40}, expected one of {', '.join(map(str, values))}")
        if not isinstance(self.energies, Energies):
            raise RangeError(f"energies: got {type(self.energies).__name__}, expected Energies")


def is_number(value):
    """Whether it is a finite number. Parameters: value. Returns bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def changed(processor, settings):
    """A part with other settings.

    Parameters
    ----------
    processor : Processor
    settings : list of str    Each "field=value"; a field of the energies is written "energies.external_byte=100".

    Returns
    -------
    Processor

    Raises
    ------
    RangeError                For fields that do not exist, and values that the part cannot have.
    """
    fields, energies = {}, {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        short = name.removeprefix("energies.")
        owner, target = (processor.energies, energies) if name != short else (processor, fields)
        known = [field.name for field in dataclasses.fields(owner) if field.name != "energies"]
        if not equals or short not in known:
            raise RangeError(f"setting: got {setting!r:.60}, expected field=value with a field out of {', '.join(known)}")
        target[short] = read_value(name, text, getattr(owner, short))
    if energies:
        fields["energies"] = dataclasses.replace(processor.energies, **energies)
    return dataclasses.replace(processor, **fields)


def read_value(name, text, present):
    """A value of the same type as the present one. Parameters: name, text, present. Returns it; raises RangeError."""
    if isinstance(present, bool):
        if text not in ("true", "false"):
            raise RangeError(f"{name}: got {text!r:.40}, expected true or false")
        return text == "true"
    try:
        return type(present)(text)
    except ValueError:
        raise RangeError(f"{name}: got {text!r:.40}, expected a {'whole ' * isinstance(present, int)}number") from None
