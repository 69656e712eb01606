"""External memory: a model's weights cut into tiles, each stored so that it can be fetched alone, and its other values.

A tile is a rectangle of a matrix [N, K], stored row by row. Edges that do not fill a tile are padded with zeros in a coded
stream, whose tiles are of one size; the padding is never multiplied.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from refasr.hw import codec
from refasr.hw.codec_layout import CODED, pack, read_layout


class Tile(NamedTuple):
    """A rectangle of a matrix.

    first_output, n_outputs, first_input, n_inputs : where it is.
    n_bytes : as stored.
    n_codes : that are stored, with the padding.
    """

    first_output: int
    n_outputs: int
    first_input: int
    n_inputs: int
    n_bytes: int
    n_codes: int


@dataclasses.dataclass(frozen=True, eq=False)
class StoredTensor:
    """A matrix of codes in external memory.

    bits : width of a code.
    tiles : tuple of Tile      Outputs outermost.
    contents : tuple of uint8 arrays, one a tile; for storage "coded", the stream alone.
    layout : Layout of the stream, or None.
    head_bytes : header, frequency table and index of the stream.
    """

    bits: int
    tiles: tuple
    contents: tuple
    layout: object
    head_bytes: int


class ExternalMemory:
    """What a chip can fetch.

    Parameters
    ----------
    processor : Processor
    backend : Backend        Codes tensors.
    """

    def __init__(self, processor, backend):
        self.processor, self.backend = processor, backend
        self.tensors, self.values = {}, {}

    def store(self, name, codes, bits):
        """Add a matrix. Parameters: name, codes (int8 [N, K]), bits. Returns the StoredTensor."""
        self.tensors[name] = stored(codes, bits, self.processor, self.backend)
        return self.tensors[name]

    @property
    def n_bytes(self):
        """Bytes of all weights and values."""
        tensors = sum(tensor.head_bytes + sum(tile.n_bytes for tile in tensor.tiles) for tensor in self.tensors.values())
        return tensors + sum(value.nbytes for value in self.values.values())


def tile_shape(n_outputs, n_inputs, processor):
    """Outputs and inputs of a matrix's tiles: all inputs if they fit, then as many outputs as do, in tiles of about one size.

    Parameters
    ----------
    n_outputs, n_inputs : int    Of the matrix.
    processor : Processor

    Returns
    -------
    (int, int)                   Outputs are a multiple of the array's rows.
    """
    rows = processor.rows
    most_inputs = processor.tile_codes // rows
    inputs = -(-n_inputs // -(-n_inputs // most_inputs))
    most_outputs = processor.tile_codes // inputs // rows * rows
    outputs = -(-n_outputs // -(-n_outputs // most_outputs))
    return -(-outputs // rows) * rows, inputs


def stored(codes, bits, processor, backend):
    """Cut a matrix and store it as the processor reads it.

    Parameters
    ----------
    codes : int8 [N, K]
    bits : int
    processor : Processor
    backend : Backend

    Returns
    -------
    StoredTensor
    """
    n, k = codes.shape
    outputs, inputs = tile_shape(n, k, processor)
    corners = [(first, start) for first in range(0, n, outputs) for start in range(0, k, inputs)]
    parts = [codes[first:first + outputs, start:start + inputs] for first, start in corners]
    tile = lambda corner, part, n_bytes, n_codes: Tile(corner[0], len(part), corner[1], part.shape[1], n_bytes, n_codes)
    if processor.storage != "coded":
        contents = tuple(as_bytes(part, bits, processor) for part in parts)
        tiles = [tile(corner, part, content.size, part.size) for corner, part, content in zip(corners, parts, contents)]
        return StoredTensor(bits, tuple(tiles), contents, None, 0)
    padded = np.zeros((len(parts), outputs, inputs), np.int8)
    for target, part in zip(padded, parts):
        target[:len(part), :part.shape[1]] = part
    size = outputs * inputs
    stream = backend(codec.encode)(padded.ravel(), bits, size, processor.decoder_codes_a_cycle)
    layout = read_layout(stream, padded.size)
    lengths = np.diff(layout.offsets).tolist()
    tiles = [tile(corner, part, length, size) for corner, part, length in zip(corners, parts, lengths)]
    return StoredTensor(bits, tuple(tiles), (stream,), layout, int(layout.offsets[0]))


def as_bytes(part, bits, processor):
    """A tile without compression. Parameters: part (int8 [N, K]), bits, processor. Returns uint8 [B]."""
    if processor.storage == "plain":
        return np.ascontiguousarray(part, f"<i{processor.weight_bits // 8}").view(np.uint8).ravel()
    half = 1 << bits - 1
    symbols = np.ascontiguousarray(part).view(np.uint8).ravel() + np.uint8(half) & np.uint8(2 * half - 1)
    return np.frombuffer(pack(symbols, bits), np.uint8)


def needs_table(tensor):
    """Whether some tile of a tensor is decoded by its frequency table. Parameters: tensor. Returns bool."""
    return any(is_coded(tensor, tile) for tile in range(len(tensor.tiles)))


def is_coded(tensor, tile):
    """Whether a tile is decoded by the frequency table, and not merely unpacked. Parameters: tensor, tile. Returns bool."""
    return tensor.layout is not None and bool(tensor.layout.kinds[tile] == CODED)
