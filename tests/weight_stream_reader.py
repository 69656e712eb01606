"""A reader of weight streams written from docs/weight-codec.md alone, one bit and one code at a time: the oracle of the codec."""

import zlib

FIRST = 65536


def number(stream, place, n_bytes):
    """A little-endian number. Parameters: stream (bytes), place, n_bytes. Returns int."""
    assert place + n_bytes <= len(stream)
    return sum(stream[place + i] << 8 * i for i in range(n_bytes))


def read_bits(content):
    """Bits of bytes, the lowest of each first. Parameters: content. Yields 0 or 1."""
    for byte in content:
        for i in range(8):
            yield byte >> i & 1


def read_frequencies(content, b):
    """The frequency table. Parameters: content, b. Returns a list of 2^b int."""
    bits, frequencies, n = read_bits(content), [], 0
    for _ in range(2**b):
        z = 0
        while next(bits):
            z += 1
        n += (z + 1) // 2 if z % 2 == 1 else -z // 2
        f = 2 ** (n - 1) if n else 0
        for i in range(n - 1):
            f += next(bits) << i
        assert 0 <= f <= 4095
        frequencies.append(f)
    rest = list(bits)
    assert sum(frequencies) == 4096 and len(rest) < 8 and not any(rest)
    return frequencies


def read_coded(content, n, lanes, b, frequencies):
    """A tile of kind 2. Parameters: content, n, lanes, b, frequencies. Returns a list of n codes."""
    x, w, codes = [number(content, 4 * l, 4) for l in range(lanes)], 4 * lanes, []
    for i in range(n):
        slot, start, s = x[i % lanes] % 4096, 0, 0
        while slot >= start + frequencies[s]:
            start += frequencies[s]
            s += 1
        codes.append(s - 2 ** (b - 1))
        x[i % lanes] = frequencies[s] * (x[i % lanes] >> 12) + slot - start
        if x[i % lanes] < FIRST:
            x[i % lanes] = (x[i % lanes] << 16) + number(content, w, 2)
            w += 2
    assert w == len(content) and x == [FIRST] * lanes
    return codes


def read_packed(content, n, b):
    """A tile of kind 1. Parameters: content, n, b. Returns a list of n codes."""
    bits = list(read_bits(content))
    assert len(content) == (n * b + 7) // 8
    return [sum(bits[b * i + j] << j for j in range(b)) - 2 ** (b - 1) for i in range(n)]


def read_stream(stream, n_expected):
    """The whole stream. Parameters: stream (bytes), n_expected. Returns a list of codes; AssertionError if it is damaged."""
    assert stream[:5] == b"RFWC\1" and number(stream, 16, 4) == len(stream) and number(stream, 22, 2) == 0
    b, lanes, n_codes = stream[5], number(stream, 6, 2), number(stream, 8, 4)
    tile_codes, table_bytes = number(stream, 12, 4), number(stream, 20, 2)
    assert 2 <= b <= 8 and 1 <= lanes <= 256 and n_codes == n_expected and 1 <= tile_codes <= 2**28
    index = 28 + table_bytes
    tile = index + 8 * ((n_codes + tile_codes - 1) // tile_codes)
    assert tile <= len(stream) and zlib.crc32(stream[:24] + stream[28:tile]) == number(stream, 24, 4)
    frequencies = read_frequencies(stream[28:index], b) if table_bytes else None
    codes = []
    while len(codes) < n_codes:
        n, length = min(tile_codes, n_codes - len(codes)), number(stream, index, 4)
        kind, content = length % 4, stream[tile:tile + length // 4]
        assert len(content) == length // 4 and kind < 3
        if kind == 0:
            assert len(content) == 1
            found = [(content[0] ^ 128) - 128] * n
        else:
            found = read_packed(content, n, b) if kind == 1 else read_coded(content, n, lanes, b, frequencies)
        assert zlib.crc32(bytes(code & 255 for code in found)) == number(stream, index + 4, 4)
        assert all(-(2 ** (b - 1)) <= code < 2 ** (b - 1) for code in found)
        codes, tile, index = codes + found, tile + len(content), index + 8
    assert tile == len(stream)
    return codes
