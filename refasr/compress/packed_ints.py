"""Whole numbers of an array in as few bits as their range needs; "Packed numbers" in `docs/model-container.md` specifies it.

    value = base + (u << shift),    0 <= u < 2^width

Base is the least value and shift the number of low bits that are zero in every value - base: multipliers are rounded to few
significant bits, so that many are.
"""

import struct

import numpy as np

from refasr.errors import FormatError

HEAD = struct.Struct("<qBB6s")  # base, shift, width, reserved
MOST_SHIFT, MOST_WIDTH = 63, 64
WRAP = 1 << 64                  # differences are taken modulo it: two of int64 may be further apart than int64 reaches


def pack(values):
    """Whole numbers as bytes.

    Parameters
    ----------
    values : int8 ... int64 array    Not empty.

    Returns
    -------
    bytes                            The shortest of this form; they do not say how many values there are, nor their type.
    """
    base = int(values.min())
    above = values.ravel().astype(np.int64).view(np.uint64) - np.uint64(base % WRAP)
    union = int(np.bitwise_or.reduce(above))
    shift = (union & -union).bit_length() - 1 if union else 0
    width = (union >> shift).bit_length()
    octets = (above >> np.uint64(shift)).astype("<u8").view(np.uint8).reshape(-1, 8)
    bits = np.unpackbits(octets, axis=1, count=width, bitorder="little")  # (n, width)
    return HEAD.pack(base, shift, width, bytes(6)) + np.packbits(bits, bitorder="little").tobytes()


def unpack(content, n, kind):
    """Inverse of `pack`, for bytes from anywhere.

    Parameters
    ----------
    content : uint8 [B]    All of it.
    n : int                How many values there must be, at least 1; the caller bounds it, for few bytes may ask for many.
    kind : str             Name of their type, "int8" to "int64".

    Returns
    -------
    array [n] of kind

    Raises
    ------
    FormatError            With the offset from the first byte.

    Notes
    -----
    Memory: about 60 bytes a value.
    """
    if content.size < HEAD.size:
        raise misfit(f"{content.size} bytes", f"at least {HEAD.size}", 0)
    base, shift, width, reserved = HEAD.unpack(content[:HEAD.size])
    if shift > MOST_SHIFT or width > MOST_WIDTH:
        raise misfit(f"a shift of {shift} and a width of {width}", f"at most {MOST_SHIFT} and {MOST_WIDTH}", 8)
    if any(reserved):
        raise misfit(f"reserved bytes {reserved.hex()}", "zeros", 10)
    stream, n_bits = content[HEAD.size:], n * width
    if stream.size != -(-n_bits // 8):
        raise misfit(f"{stream.size} bytes of bits", f"{-(-n_bits // 8)} for {n} numbers of {width} bits", HEAD.size)
    if n_bits % 8 and stream[-1] >> n_bits % 8:
        raise misfit("bits after the last number", "zeros", content.size - 1)
    above, limits = read_bits(stream, n, width), np.iinfo(kind)
    largest = base + (int(above.max()) << shift)
    if base < limits.min or largest > limits.max:
        raise misfit(f"numbers from {base} to {largest}", f"{limits.min} to {limits.max} for {kind}", 0)
    return ((above << np.uint64(shift)) + np.uint64(base % WRAP)).view(np.int64).astype(kind)


def read_bits(stream, n, width):
    """Numbers of so many bits each, the least significant bit first.

    Parameters
    ----------
    stream : uint8 [B]    B = n * width / 8, rounded up.
    n, width : int        width from 0 to 64.

    Returns
    -------
    uint64 [n]
    """
    words = np.zeros(n * width // 64 + 2, "<u8")
    words.view(np.uint8)[:stream.size] = stream
    first = np.arange(n, dtype=np.uint64) * np.uint64(width)  # bit at which a number begins
    word, bit = first >> np.uint64(6), first & np.uint64(63)
    low = words[word] >> bit
    high = words[word + np.uint64(1)] << np.uint64(1) << (np.uint64(63) - bit)  # in two steps: a shift by 64 is not defined
    return (low | high) & np.uint64((1 << width) - 1)


def misfit(got, expected, offset):
    """The error for damaged bytes. Parameters: got, expected, offset. Returns FormatError."""
    return FormatError(f"packed numbers: got {got}, expected {expected}; fetch them again", int(offset))
