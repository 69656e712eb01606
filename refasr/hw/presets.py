"""Parts to compare, alike but for what is compared: clock, bus, memory and number of units are the same in all.

Energies are those of M. Horowitz 2014, Computing's energy problem (ISSCC 2014, pages 10 to 14), figure 1.1.9: 45 nm, 0.9 V.
In picojoules:

    integers    add 8 bits 0.03, 32 bits 0.1;  multiply 8 bits 0.2, 32 bits 3.1
    floats      add 16 bits 0.4, 32 bits 0.9;  multiply 16 bits 1.1, 32 bits 3.7
    memory      64 bits from a cache of 8 KB 10, of 32 KB 20, of 1 MB 100;  64 bits from DRAM 1300 to 2600

A byte on the chip is an eighth of the 32 KB access, a byte outside an eighth of the lower DRAM figure, an entry of a table
32 bits of the 8 KB access. For the decoder nobody publishes a figure; one weight takes a 32-bit entry of a 16 KB table
(between 8 and 32 KB: 7.5), a multiplication that is no larger than 32 bits (3.1) and two additions (0.2): 10.8 at most.
"""

import dataclasses

from refasr.errors import RangeError
from refasr.hw.processor import Energies, Processor

INTEGER = Energies(multiply=0.2, add=0.1, vector_multiply=3.1, vector_add=0.1, lookup=5.0, decode=10.8, on_chip_byte=2.5,
                   external_byte=162.5)
HALF = dataclasses.replace(INTEGER, multiply=1.1, add=0.9)    # products of 16 bits are added in 32
SINGLE = dataclasses.replace(INTEGER, multiply=3.7, add=0.9)

REFASR = Processor("refasr", clock_hz=200e6, rows=4, columns=4, most_units=256, words_a_cycle=4, skip_zeros=True, weight_bits=8,
                   storage="coded", external_bytes_a_cycle=8, external_latency_cycles=50, decoder_codes_a_cycle=64,
                   table_slots_a_cycle=64, sram_bytes=262144, tile_codes=16384, buffers=2, vector_lanes=16, issue_cycles=4,
                   energies=INTEGER)
DENSE = dataclasses.replace(REFASR, name="int8", words_a_cycle=1, skip_zeros=False, storage="plain")
PRESETS = {part.name: part for part in (
    dataclasses.replace(DENSE, name="float32", weight_bits=32, energies=SINGLE),
    dataclasses.replace(DENSE, name="float16", weight_bits=16, energies=HALF),
    DENSE, REFASR)}


def preset(name):
    """A part by its name. Parameters: name. Returns a Processor; raises RangeError."""
    if name not in PRESETS:
        raise RangeError(f"preset: got {name!r:.40}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
