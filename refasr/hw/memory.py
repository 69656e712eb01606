"""Memory on the chip: bytes with addresses, divided among jobs.

A compiler places everything that a program needs in a `MemoryMap`; the map's size is the partition that the program must be
given. The machine works on these very bytes, so that two things in one place would be noticed in the results.
"""

from typing import NamedTuple

import numpy as np

from refasr.errors import RangeError

ALIGNMENT = 8  # bytes, so that every type can be viewed in place


class Region(NamedTuple):
    """A part of a partition. Regions of the same slot may lie over one another: they are never in use together.

    slot : what is waited for, such as "tile.0".
    address : of the first byte, from the partition's beginning.
    kind : type of the elements, such as "int8".
    length : elements.
    """

    slot: str
    address: int
    kind: str
    length: int

    @property
    def n_bytes(self):
        """Its size."""
        return self.length * np.dtype(self.kind).itemsize


class MemoryMap:
    """Places for named things, one after another."""

    def __init__(self):
        self.regions, self.n_bytes = {}, 0

    def place(self, name, kind, length):
        """Give something a place and a slot of its own. Parameters: name, kind, length. Returns a Region."""
        self.regions[name] = Region(name, self.reserve(length * np.dtype(kind).itemsize), kind, length)
        return self.regions[name]

    def reserve(self, n_bytes):
        """Take bytes. Parameters: n_bytes. Returns the address."""
        address = self.n_bytes
        self.n_bytes += aligned(n_bytes)
        return address


def aligned(n_bytes):
    """Bytes that something takes with the gap after it. Parameters: n_bytes. Returns int."""
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


def inside(slot, address, specs):
    """Places of arrays that share a slot. Parameters: slot, address, specs (dict of pairs). Returns (dict of Region, bytes)."""
    regions, used = {}, 0
    for name, (kind, length) in specs.items():
        regions[name] = Region(slot, address + used, kind, length)
        used += aligned(regions[name].n_bytes)
    return regions, used


class OnChipMemory:
    """The bytes of a part.

    Parameters
    ----------
    n_bytes : int
    """

    def __init__(self, n_bytes):
        self.contents = np.zeros(-(-n_bytes // ALIGNMENT) * ALIGNMENT, np.uint8)
        self.n_bytes, self.used = n_bytes, 0

    def partition(self, owner, n_bytes):
        """Give a job its part of the memory; it keeps it.

        Parameters
        ----------
        owner : str        For the error.
        n_bytes : int

        Returns
        -------
        Partition

        Raises
        ------
        RangeError         If there is not enough left.
        """
        if self.used + n_bytes > self.n_bytes:
            raise RangeError(f"sram_bytes: got {self.n_bytes}, of which {self.used} are taken, expected {n_bytes} more for "
                             f"{owner}; take smaller tiles, a smaller model or more memory")
        part = self.contents[self.used:self.used + n_bytes]
        self.used += aligned(n_bytes)
        return Partition(part)


class Partition:
    """The memory of one job, and the arrays that it exchanges with the host: `mail`, by name.

    Parameters
    ----------
    contents : uint8 [B]    A view of the chip's memory.
    """

    def __init__(self, contents):
        self.contents, self.views, self.mail = contents, {}, {}

    def view(self, region):
        """The elements of a region, in place. Parameters: region. Returns an array."""
        if region not in self.views:
            part = self.contents[region.address:region.address + region.n_bytes]
            self.views[region] = part.view(region.kind)
        return self.views[region]
