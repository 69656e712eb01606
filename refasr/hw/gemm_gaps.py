"""Layouts of int8 weights that leave zeros out: see `refasr.hw.gemm`, which cuts the weights and chooses.

    blocks, squares    only parts (16 or 4 outputs by 4 inputs) with a code other than 0, row by row, each with its column;
                       squares four by four, so that loops over them have no rest
    bitmap             every block as 64 bits that say where codes are not 0, and those codes, then 64 zeros: kernels look ahead
"""

import numpy as np

BLOCK = 64
TAIL = np.zeros(BLOCK, np.int8)


def pack_parts(parts, together):
    """Parts that are not all 0, row by row.

    Parameters: parts (int8 [R, K/4, codes]), together (each row is filled up to a multiple of so many parts, 0 at column 0).
    Returns (codes int8, starts int64, places int32).
    """
    used = parts.any(axis=2)
    counts = used.sum(axis=1)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(-(-counts // together) * together)])
    rows, columns = np.nonzero(used)
    at = starts[rows] + np.arange(rows.size) - (np.cumsum(counts) - counts)[rows]
    codes, places = np.zeros((starts[-1], parts.shape[2]), np.int8), np.zeros(starts[-1], np.int32)
    codes[at], places[at] = parts[used], columns
    return codes.reshape(-1), starts, places


def unpack_parts(codes, starts, places, shape):
    """The parts again. Parameters: codes, starts, places, shape (of all parts). Returns int8 of that shape."""
    parts = np.zeros(shape, np.int8)
    np.add.at(parts, (np.repeat(np.arange(shape[0]), np.diff(starts)), places), codes.reshape(-1, shape[2]))
    return parts


def pack_bitmap(parts):
    """Codes that are not 0. Parameters: parts (int8 [R, K/4, 64]). Returns (codes int8, starts int64, masks uint64)."""
    bits = parts != 0
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(bits.sum(axis=(1, 2)))])
    masks = np.packbits(bits, axis=2, bitorder="little").view("<u8").astype(np.uint64).reshape(-1)
    return np.concatenate([parts[bits], TAIL]), starts, masks


def unpack_bitmap(codes, masks, shape):
    """The parts again. Parameters: codes, masks, shape (of all parts). Returns int8 of that shape."""
    bits = np.unpackbits(masks.astype("<u8").view(np.uint8), bitorder="little").astype(bool)
    parts = np.zeros(bits.size, np.int8)
    parts[bits] = codes[:-BLOCK]
    return parts.reshape(shape)
