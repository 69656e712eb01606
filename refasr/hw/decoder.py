"""The weight decoder: from a tile's bytes in external memory to one weight in each place of a tile buffer.

It works while the bytes arrive, so that a tile takes

    latency + max(ceil(bytes / bytes a cycle), ceil(codes / codes a cycle))

cycles; plain words pass through it without a limit of their own. Coded streams have as many lanes as the decoder gives
weights in a cycle. Before a tensor's first tile its frequency table is turned into the decoder's own, of 4096 entries.
"""

import numpy as np

from refasr.hw import codec
from refasr.hw.codec_layout import TOTAL, unpack
from refasr.hw.external import needs_table


class Decoder:
    """Decodes tiles, and remembers them: equal bytes give equal codes, and a simulated decoder need not prove it each frame.

    Parameters
    ----------
    processor : Processor
    backend : Backend        Decodes coded tiles.
    """

    def __init__(self, processor, backend):
        self.processor, self.decode_tile = processor, backend(codec.decode_tile)
        self.known = {}

    def codes(self, tensor, index):
        """Weights of a tile. Parameters: tensor (StoredTensor), index. Returns int8 [N, K], without padding."""
        key = id(tensor), index
        if key not in self.known:
            self.known[key] = tensor, self.decode(tensor, index)  # the tensor too, so that its id stays its own
        return self.known[key][1]

    def decode(self, tensor, index):
        """The same from the bytes. Parameters: tensor, index. Returns int8 [N, K]."""
        tile = tensor.tiles[index]
        if tensor.layout is not None:
            wide = self.decode_tile(tensor.contents[0], tensor.layout, index).reshape(-1, tensor_inputs(tensor))
            return np.ascontiguousarray(wide[:tile.n_outputs, :tile.n_inputs])
        content = tensor.contents[index]
        if self.processor.storage == "plain":
            flat = content.view(f"<i{self.processor.weight_bits // 8}").astype(np.int8)
        else:
            flat = (unpack(content, tensor.bits, tile.n_codes) - np.uint8(1 << tensor.bits - 1)).view(np.int8)
        return flat.reshape(tile.n_outputs, tile.n_inputs)

    def decode_cycles(self, tile):
        """Cycles for a tile, were all its bytes there. Parameters: tile. Returns int."""
        return 0 if self.processor.storage == "plain" else -(-tile.n_codes // self.processor.decoder_codes_a_cycle)

    def table_cycles(self, tensor):
        """Cycles to build a tensor's table. Parameters: tensor. Returns int."""
        return -(-TOTAL // self.processor.table_slots_a_cycle) if needs_table(tensor) else 0


def tensor_inputs(tensor):
    """Inputs of a whole tile. Parameters: tensor. Returns int."""
    return max(tile.n_inputs for tile in tensor.tiles)


def transfer_cycles(n_bytes, processor):
    """Cycles that the bus is busy with some bytes, without the latency. Parameters: n_bytes, processor. Returns int."""
    return -(-n_bytes // processor.external_bytes_a_cycle)
