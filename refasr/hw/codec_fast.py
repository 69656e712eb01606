"""Numba twins of `refasr.hw.codec`.

A state takes some twenty cycles a symbol, most of them waiting; many states at once hide that. With 512-bit vectors, four
vectors of 16 states do 64 symbols in about the time of one. Elsewhere, and for other numbers of lanes, the states go one
after the other, without branches as long as no word can be missing; the last few symbols are read with care.
"""

import numpy as np

from refasr.hw import codec as reference
from refasr.hw.codec import ASTRAY, GOOD, LANES, LONG, SHORT, TILE_CODES
from refasr.hw.codec_layout import FIRST_STATE, TOTAL, read_table
from refasr.jit import kernel, scalar
from refasr.simd import load_lanes, read_symbols, store_lanes, wide_lanes
from refasr.twins import BITS, twin_of

U8, U16, U32 = np.uint8, np.uint16, np.uint32
SLOTS, FIRST = np.uint32(4095), np.uint32(FIRST_STATE)
ONE, FOUR, BYTE, TWELVE, SIXTEEN, TWENTY = (np.uint32(bits) for bits in (1, 4, 8, 12, 16, 20))


@kernel
def _code(symbols, frequencies, x, words):
    """Fill `words` from its end, and the states x. Returns where the words begin."""
    starts = np.cumsum(frequencies) - frequencies
    place, lanes = words.size, x.size
    lane = symbols.size % lanes
    for i in range(symbols.size - 1, -1, -1):
        lane = lane - 1 if lane > 0 else lanes - 1
        f, start, state = U32(frequencies[symbols[i]]), U32(starts[symbols[i]]), x[lane]
        if U32(state >> TWENTY) >= f:
            place -= 1
            words[place] = U16(state & U32(0xFFFF))
            state = U32(state >> SIXTEEN)
        quotient = U32(state // f)
        x[lane] = U32(U32(quotient << TWELVE) + start) + U32(state - U32(quotient * f))
    return place


@scalar
def _bit(content, place):
    return int(content[place >> 3]) >> (place & 7) & 1


@kernel
def _tabulate(content, width, table):
    """Decoding table of a serialised frequency table. Returns whether it is one."""
    place, n_bits, length, slot = 0, 8 * content.size, 0, 0
    for symbol in range(1 << width):
        zigzag = 0
        while place < n_bits and _bit(content, place):
            zigzag, place = zigzag + 1, place + 1
        length += (zigzag + 1) >> 1 if zigzag & 1 else -(zigzag >> 1)
        place += 1
        if length < 0 or length > 12 or place + max(0, length - 1) > n_bits:
            return False
        frequency = 1 << (length - 1) if length else 0
        for i in range(length - 1):
            frequency |= _bit(content, place) << i
            place += 1
        if slot + frequency > table.size:
            return False
        code = U32(symbol - (1 << (width - 1)) & 255)
        for i in range(frequency):
            table[slot + i] = U32(U32(U32(frequency) << TWENTY) | U32(U32(i) << BYTE)) | code
        slot += frequency
    if n_bits - place >= 8:
        return False
    while place < n_bits:
        if _bit(content, place):
            return False
        place += 1
    return slot == table.size


@scalar
def _step(state, entry):
    return U32(U32(entry >> TWENTY) * U32(state >> TWELVE) + U32(U32(entry >> BYTE) & SLOTS))


@kernel
def _read_quickly(content, place, table, x, out, first):
    """Whole turns of all states, while words for each of them are there. Returns the place, and how many symbols are read."""
    lanes = x.size
    while first + lanes <= out.size and place + 2 * lanes <= content.size:
        for lane in range(lanes):
            entry = table[x[lane] & SLOTS]
            state = _step(x[lane], entry)
            out[first + lane] = U8(entry & U32(255))
            small = U32(state < FIRST)  # 0 or 1: a branch here would be guessed wrong too often
            word = U32(content[place]) | U32(U32(content[place + 1]) << BYTE)
            x[lane] = U32(state << U32(small << FOUR)) | U32(word * small)
            place += int(U32(small << ONE))
        first += lanes
    return place, first


@kernel
def _read_carefully(content, place, table, x, out, first):
    """The rest, one symbol at a time. Returns the place, or -1 if words run out."""
    for i in range(first, out.size):
        lane = i % x.size
        entry = table[x[lane] & SLOTS]
        state = _step(x[lane], entry)
        out[i] = U8(entry & U32(255))
        if state < FIRST:
            if place + 2 > content.size:
                return -1
            word = U32(content[place]) | U32(U32(content[place + 1]) << BYTE)
            state = U32(U32(state << SIXTEEN) | word)
            place += 2
        x[lane] = state
    return place


@kernel
def _read_widely(content, place, table, x, out):
    """Like `_read_quickly`, for 64 states in four vectors."""
    a, b, c, d = load_lanes(x, 0), load_lanes(x, 16), load_lanes(x, 32), load_lanes(x, 48)
    first = 0
    while first + 64 <= out.size and place + 128 <= content.size:
        a, place = read_symbols(a, table, content, place, out, first)
        b, place = read_symbols(b, table, content, place, out, first + 16)
        c, place = read_symbols(c, table, content, place, out, first + 32)
        d, place = read_symbols(d, table, content, place, out, first + 48)
        first += 64
    store_lanes(a, x, 0)
    store_lanes(b, x, 16)
    store_lanes(c, x, 32)
    store_lanes(d, x, 48)
    return place, first


@kernel
def _read(content, table, lanes, out, wide):
    """Fill `out` (its bytes). Returns an index into PROBLEMS."""
    x = np.empty(lanes, np.uint32)
    for lane in range(lanes):
        state = U32(0)
        for i in range(4):
            state = U32(state | U32(U32(content[4 * lane + i]) << U32(8 * i)))
        x[lane] = state
    place, first = 4 * lanes, 0
    if wide and lanes == 64 and wide_lanes():
        place, first = _read_widely(content, place, table, x, out)
    else:
        place, first = _read_quickly(content, place, table, x, out, first)
    place = _read_carefully(content, place, table, x, out, first)
    if place < 0:
        return SHORT
    if place < content.size:
        return LONG
    for lane in range(lanes):
        if x[lane] != FIRST:
            return ASTRAY
    return GOOD


def _read_table(content, width, offset):
    table = np.empty(TOTAL, np.uint32)
    return table if _tabulate(content, width, table) else read_table(content, width, offset)  # the latter says what is wrong


def _read_lanes(content, table, lanes, out):
    return _read(content, table, lanes, out.view(np.uint8), True)


def _code_lanes(symbols, frequencies, lanes):
    x, words = np.full(lanes, FIRST, np.uint32), np.empty(symbols.size, np.uint16)
    begin = _code(symbols, frequencies, x, words)
    return x, words[begin:]


@twin_of(reference.encode, agree=BITS)
def encode(codes, width, tile_codes=TILE_CODES, lanes=LANES):
    return reference.assemble(codes, width, tile_codes, lanes, _code_lanes)


@twin_of(reference.decode, agree=BITS)
def decode(stream, n_codes):
    return reference.decode_all(stream, n_codes, _read_table, _read_lanes)


@twin_of(reference.decode_tile, agree=BITS)
def decode_tile(stream, layout, tile):
    return reference.decode_one(stream, layout, tile, _read_lanes)
