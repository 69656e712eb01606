"""The bits of the wire form: plain numbers, Rice codes, and a fixed code for the letters of English.

Written as text of 0 and 1, which is easy to follow and, for a few hundred bytes, quick enough.
"""

import numpy as np

from refasr.errors import FormatError, RangeError

LONGEST_WORD = 1000         # bytes
ESCAPE, ESCAPED = 24, 32    # so many ones, then so many bits of a plain number
END, OTHER = "end", "other"
LETTERS = {3: (END, "e"), 4: tuple("taoinsr"), 5: tuple("hld"), 6: tuple("cumfpgwybvk"), 7: (*"'xjqz", OTHER)}


def prefix_code(lengths):
    """Codes in order: each the one before plus one, with zeros appended where codes become longer.

    Parameters
    ----------
    lengths : dict    From the length in bits to the signs that have it.

    Returns
    -------
    dict              From signs to text of 0 and 1.

    Examples
    --------
    >>> prefix_code({1: ("a",), 2: ("b", "c")})
    {'a': '0', 'b': '10', 'c': '11'}
    """
    codes, code, before = {}, 0, min(lengths)
    for length, signs in lengths.items():
        code, before = code << length - before, length
        for sign in signs:
            codes[sign] = plain(code, length)
            code += 1
    return codes


def plain(value, n_bits):
    """A number in so many bits, the highest first. Parameters: value, n_bits. Returns text of 0 and 1."""
    return f"{value:0{n_bits}b}" if n_bits else ""


CODES = prefix_code(LETTERS)
SIGNS = {code: sign for sign, code in CODES.items()}


def long_number(value):
    """Its length in five bits, then itself. Parameters: value (below 2^31). Returns text of 0 and 1."""
    return plain(value.bit_length(), 5) + plain(value, value.bit_length())


def spelled(word):
    """A word, letter by letter. Parameters: word. Returns text of 0 and 1."""
    try:
        data = word.encode()
    except UnicodeEncodeError:
        raise RangeError(f"words: got {ascii(word)[:40]}, expected what UTF-8 can hold; repair the table") from None
    if not 0 < len(data) <= LONGEST_WORD:
        raise RangeError(f"words: got one of {len(data)} bytes, expected 1 to {LONGEST_WORD}; only word 0 is empty")
    return "".join([CODES.get(chr(byte)) or CODES[OTHER] + plain(byte, 8) for byte in data] + [CODES[END]])


def rice(values):
    """A column: five bits of k, then each number as its value / 2^k in ones, a zero, and its k lowest bits.

    Parameters
    ----------
    values : int64 [N], 0 to 2^32 - 1

    Returns
    -------
    str                 Of 0 and 1, with the k that makes it shortest.
    """
    sizes = [np.where(values >> k < ESCAPE, (values >> k) + 1 + k, ESCAPE + ESCAPED).sum() for k in range(32)]
    k = int(np.argmin(sizes))
    return plain(k, 5) + "".join(["1" * (value >> k) + "0" + plain(value & (1 << k) - 1, k) if value >> k < ESCAPE
                                  else "1" * ESCAPE + plain(value, ESCAPED) for value in values.tolist()])


class Reader:
    """Takes bits from the front of a body. Parameters: body (bytes), first (its offset in the file, for errors)."""

    def __init__(self, body, first):
        self.bits, self.at, self.first = bin(int.from_bytes(b"\1" + body, "big"))[3:], 0, first

    def wrong(self, got, expected):
        """An error here. Parameters: got, expected. Returns FormatError."""
        return FormatError(f"lattice: got {got}, expected {expected}", self.first + self.at // 8)

    def left(self):
        """How many bits are left. Returns an int."""
        return len(self.bits) - self.at

    def plain(self, n_bits):
        """A number of so many bits. Parameters: n_bits. Returns an int."""
        if n_bits > self.left():
            raise self.wrong(f"{self.left()} bits", f"{n_bits} more; it is cut off")
        self.at += n_bits
        return int(self.bits[self.at - n_bits : self.at] or "0", 2)

    def size(self, what, low, high):
        """A long number within limits. Parameters: what (for the error), low, high. Returns an int."""
        value = self.plain(self.plain(5))
        if not low <= value <= high:
            raise self.wrong(f"{value} {what}", f"{low} to {high}")
        return value

    def word(self):
        """Letters until the end of a word. Returns text."""
        found = bytearray()
        while len(found) <= LONGEST_WORD:
            n_bits = next((n for n in LETTERS if self.bits[self.at : self.at + n] in SIGNS), 1 + max(LETTERS))
            if n_bits > min(self.left(), max(LETTERS)):
                raise self.wrong(f"{self.left()} bits", "a letter; it is cut off")
            sign = SIGNS[self.bits[self.at : self.at + n_bits]]
            self.at += n_bits
            if sign == END:
                break
            found.append(self.plain(8) if sign == OTHER else ord(sign))
        if not 0 < len(found) <= LONGEST_WORD:
            raise self.wrong(f"a word of {len(found)} bytes", f"1 to {LONGEST_WORD}")
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise self.wrong(f"{bytes(found[:20])} for a word", "UTF-8") from None

    def column(self, count):
        """Numbers in Rice code. Parameters: count. Returns a list of int."""
        k, found = self.plain(5), []
        for _ in range(count):
            zero = self.bits.find("0", self.at, self.at + ESCAPE)
            ones = ESCAPE if zero < 0 else zero - self.at
            if zero < 0 and self.left() < ESCAPE:
                raise self.wrong(f"{self.left()} bits", "a number; it is cut off")
            self.at += ones
            found.append(self.plain(ESCAPED) if ones == ESCAPE else (ones << k) + self.plain(1 + k))    # the zero is the top bit
        return found
