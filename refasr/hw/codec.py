"""Weight codec: whole-number weights to as few bytes as their frequencies allow, and back, without loss.

Range asymmetric numeral systems (rANS) with several states that take turns, so that a processor decodes as many weights at
a time. Every symbol s has a frequency f[s], the frequencies add up to 4096, and start[s] = f[0] + ... + f[s-1]. Writing s
takes the state x to

    x' = 4096 (x div f[s]) + start[s] + (x mod f[s])

which makes it larger by log2(4096 / f[s]) bits, as information theory asks for. Reading is the inverse:

    slot = x' mod 4096;  s: start[s] <= slot < start[s] + f[s];  x = f[s] (x' div 4096) + slot - start[s]

States stay in [2^16, 2^32): the writer first moves 16 bits of x to the stream if x' would be too large, and the reader
fetches 16 bits when x has become too small. What is written last is read first, so the writer runs backwards.

The codes are cut into tiles that can be read alone. A tile is one constant, or packed bits, or coded as above, whichever is
shortest. The bytes are specified in `docs/weight-codec.md`; what stands around the tiles is in `codec_layout.py`.

Source: J. Duda 2013, Asymmetric numeral systems (arXiv 1311.2540), section 3; F. Giesen 2014, Interleaved entropy coders
(arXiv 1402.3392), section 3.
"""

import zlib

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.hw.codec_layout import (CODED, CONSTANT, FIRST_STATE, LARGEST_TILE, MOST_CODES, MOST_LANES, PACKED, PRECISION, TOTAL,
                                    misfit, pack, read_layout, read_table, require_whole, unpack, write_frequencies, write_stream)

TILE_CODES, LANES = 1 << 16, 64
GOOD, SHORT, LONG, ASTRAY = range(4)
PROBLEMS = ("", "words that run out", "words that are left over", "states that do not end where they began")
LOG2 = np.rint((1 << 24) * np.log2(np.maximum(1, np.arange(TOTAL + 1)))).astype(np.int64)


def fit_frequencies(counts):
    """Frequencies that add up to 4096 and make the code short: the cost is sum_s counts[s] log2(4096 / f[s]).

    Each next unit goes where it saves most; log2 is a table of whole numbers, so all machines choose alike.

    Parameters
    ----------
    counts : int64 [2^width]    How often each symbol occurs; at least two do.

    Returns
    -------
    int64 [2^width]             At least 1 where counts are, 0 elsewhere.
    """
    present = counts > 0
    frequencies = np.where(present, np.maximum(1, counts * (TOTAL - 256) // counts.sum()), 0)
    for _ in range(TOTAL - int(frequencies.sum())):
        gain = np.where(present, counts * (LOG2[np.minimum(frequencies + 1, TOTAL)] - LOG2[frequencies]), -1)
        frequencies[np.argmax(gain)] += 1
    return frequencies


def code_lanes(symbols, frequencies, lanes):
    """Write symbols: symbol i belongs to state i mod lanes.

    Parameters
    ----------
    symbols : uint8 [n], n > 0
    frequencies : int64 [2^width]
    lanes : int

    Returns
    -------
    uint32 [lanes], uint16 [words]    The states, and the words in the order in which they are read.
    """
    starts = np.cumsum(frequencies) - frequencies
    x, words = np.full(lanes, FIRST_STATE, np.int64), []
    for first in reversed(range(0, symbols.size, lanes)):
        s = symbols[first:first + lanes]
        f, state = frequencies[s], x[:s.size]  # a view
        full = state >= f << (32 - PRECISION)
        words.append((state[full] & 0xFFFF).astype(np.uint16))
        state[full] >>= 16
        state[:] = (state // f << PRECISION) + starts[s] + state % f
    return x.astype(np.uint32), np.concatenate(words[::-1])


def read_lanes(content, table, lanes, out):
    """Inverse of `code_lanes`.

    Parameters
    ----------
    content : uint8 [4 lanes + 2 words]    States, then words, little-endian.
    table : uint32 [4096]                  Of `codec_layout.decoding_table`.
    lanes : int
    out : int8 [n]                         Is filled.

    Returns
    -------
    int                                    Index into PROBLEMS; 0 is good.
    """
    x = content[:4 * lanes].copy().view("<u4").astype(np.int64)
    words = content[4 * lanes:].copy().view("<u2")
    place = 0
    for first in range(0, out.size, lanes):
        state = x[:out.size - first]  # a view
        entry = table[state & (TOTAL - 1)].astype(np.int64)
        state[:] = (entry >> 20) * (state >> PRECISION) + (entry >> 8 & (TOTAL - 1))
        out[first:first + lanes] = (entry & 255).astype(np.uint8).view(np.int8)
        small = np.flatnonzero(state < FIRST_STATE)
        if place + small.size > words.size:
            return SHORT
        state[small] = state[small] << 16 | words[place:place + small.size]
        place += small.size
    if place < words.size:
        return LONG
    return GOOD if (x == FIRST_STATE).all() else ASTRAY


def assemble(codes, width, tile_codes, lanes, coder):
    """`encode` with a given `code_lanes`. Parameters: codes, width, tile_codes, lanes, coder. Returns uint8 [B]."""
    checks.array("codes", codes, np.int8, (None,))
    require_whole("number of codes", codes.size, 0, MOST_CODES)
    require_whole("width", width, 2, 8)
    require_whole("tile_codes", tile_codes, 1, LARGEST_TILE)
    require_whole("lanes", lanes, 1, MOST_LANES)
    half = 1 << width - 1
    if codes.size and not (-half <= codes.min() and codes.max() < half):
        raise RangeError(f"codes: got {codes.min()}..{codes.max()}, expected {-half}..{half - 1} in {width} bits")
    symbols = (codes.view(np.uint8) + np.uint8(half)) & np.uint8(2 * half - 1)
    tiles = [symbols[first:first + tile_codes] for first in range(0, codes.size, tile_codes)]
    constant = [bool((tile == tile[0]).all()) for tile in tiles]
    counts = sum((np.bincount(tile, minlength=2 * half) for tile, same in zip(tiles, constant) if not same),
                 np.zeros(2 * half, np.int64))
    frequencies = fit_frequencies(counts) if counts.any() else counts
    table = write_frequencies(frequencies) if counts.any() else b""
    coded, saved = [], -len(table)
    for tile, same in zip(tiles, constant):
        packed_bytes = (tile.size * width + 7) // 8
        states, words = coder(tile, frequencies, int(lanes)) if not same else (tile[:0], tile[:0])
        shorter = packed_bytes - 4 * states.size - 2 * words.size
        coded.append((states, words) if not same and shorter > 0 else None)
        saved += shorter if coded[-1] else 0
    parts = [tile_content(tile, same, pair if saved > 0 else None, width) for tile, same, pair in zip(tiles, constant, coded)]
    table = table if any(kind == CODED for kind, _, _ in parts) else b""
    return write_stream(width, lanes, codes.size, tile_codes, table, parts)


def tile_content(symbols, same, coded, width):
    """A tile as it is stored.

    Parameters
    ----------
    symbols : uint8 [n]
    same : bool                        All are equal.
    coded : (states, words) or None    What the coder made of it, if that is shortest.
    width : int

    Returns
    -------
    kind, bytes, CRC-32 of the codes
    """
    codes = symbols - np.uint8(1 << width - 1)
    if same:
        content = CONSTANT, codes[:1].tobytes()
    elif coded:
        content = CODED, coded[0].astype("<u4").tobytes() + coded[1].astype("<u2").tobytes()
    else:
        content = PACKED, pack(symbols, width)
    return *content, zlib.crc32(codes)


def take_apart(stream, layout, tile, reader, out):
    """Decode a tile with a given implementation of `read_lanes`.

    Parameters
    ----------
    stream : uint8 [B]
    layout : Layout      Of this stream.
    tile : int
    reader : function    `read_lanes` or its fast twin.
    out : int8 [n]       Is filled.

    Raises
    ------
    FormatError          With the offset of the tile.
    """
    offset = int(layout.offsets[tile])
    content, kind = stream[offset:int(layout.offsets[tile + 1])], layout.kinds[tile]
    if kind == CODED:
        problem = reader(content, layout.table, layout.lanes, out)
        if problem:
            raise misfit(f"tile {tile} with", PROBLEMS[problem], "a whole tile", offset)
    elif kind == PACKED:
        out.view(np.uint8)[:] = unpack(content, layout.width, out.size) - np.uint8(1 << layout.width - 1)
    else:
        code, half = int(content.view(np.int8)[0]), 1 << layout.width - 1
        if not -half <= code < half:
            raise misfit(f"tile {tile} of code", code, f"{-half} to {half - 1}", offset)
        out[:] = code
    if zlib.crc32(out) != layout.crc[tile]:
        raise misfit(f"tile {tile} with", "other codes", "those of its check sum", offset)


def encode(codes, width, tile_codes=TILE_CODES, lanes=LANES):
    """Compress codes of `width` bits.

    Parameters
    ----------
    codes : int8 [N]      Each in -2^(width-1) ... 2^(width-1) - 1.
    width : int           2 to 8.
    tile_codes : int      Codes in a tile: the unit of random access.
    lanes : int           States that take turns, 1 to 256.

    Returns
    -------
    uint8 [B]             The stream.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: a few nanoseconds a code.
    """
    return assemble(codes, width, tile_codes, lanes, code_lanes)


def decode(stream, n_codes):
    """Inverse of `encode`.

    Parameters
    ----------
    stream : uint8 [B]
    n_codes : int         How many codes there must be: a stream cannot ask for more memory than that.

    Returns
    -------
    int8 [n_codes]

    Raises
    ------
    FormatError           With the offset of what is wrong.
    """
    return decode_all(stream, n_codes, read_table, read_lanes)


def decode_all(stream, n_codes, tabulate, reader):
    """`decode` with given implementations of both. Parameters: stream, n_codes, tabulate, reader. Returns int8 [n_codes]."""
    require_whole("n_codes", n_codes, 0, MOST_CODES)
    layout = read_layout(stream, n_codes, tabulate)
    codes = np.empty(layout.n_codes, np.int8)
    for tile in range(layout.n_tiles):
        take_apart(stream, layout, tile, reader, codes[layout.span(tile)])
    return codes


def decode_tile(stream, layout, tile):
    """One tile alone.

    Parameters
    ----------
    stream : uint8 [B]
    layout : Layout       Of `read_layout`, once for all tiles.
    tile : int            From 0.

    Returns
    -------
    int8 [n]              codes[layout.span(tile)]

    Raises
    ------
    FormatError           With the offset of the tile.
    RangeError            If there is no such tile.
    """
    return decode_one(stream, layout, tile, read_lanes)


def decode_one(stream, layout, tile, reader):
    """`decode_tile` with a given `read_lanes`. Parameters: stream, layout, tile, reader. Returns int8 [n]."""
    checks.array("stream", stream, np.uint8, (int(layout.offsets[-1]),))
    require_whole("tile", tile, 0, layout.n_tiles - 1)
    codes = np.empty(len(range(layout.n_codes)[layout.span(tile)]), np.int8)
    take_apart(stream, layout, tile, reader, codes)
    return codes
