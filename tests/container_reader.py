"""A reader of `.refasr` files written from docs/model-container.md alone, byte by byte: the oracle of the container."""

import hashlib
import json
import math
import struct
import zlib

from weight_stream_reader import number, read_stream

FORMS = {1: "b", 2: "h", 3: "i", 4: "q", 5: "f", 6: "d"}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def depth(value):
    """Levels of objects and lists. Parameters: value. Returns int."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def object_of(pairs):
    """An object without a name twice. Parameters: pairs. Returns a dict."""
    names = [name for name, _ in pairs]
    assert sorted(names) == sorted(set(names))
    return dict(pairs)


def fraction(text):
    """A number that is not whole. Parameters: text. Returns float."""
    assert text[-1] not in "yN" and abs(float(text)) < math.inf  # Infinity, NaN
    return float(text)


def read_header(content):
    """The JSON section. Parameters: content (bytes). Returns a dict."""
    assert len(content) <= 2**20
    value = json.loads(str(content, "utf-8"), object_pairs_hook=object_of, parse_float=fraction, parse_constant=fraction)
    assert type(value) is dict and depth(value) <= 64
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            assert not any("\ud800" <= sign <= "\udfff" for sign in item)
        elif type(item) is int:
            assert -(2**63) <= item < 2**63
        elif isinstance(item, dict):
            waiting += [*item, *item.values()]
        elif isinstance(item, list):
            waiting += item
    return value


def read_packed(content, kind, n):
    """Packed numbers. Parameters: content (bytes), kind (7 to 10), n. Returns a list of int."""
    base, shift, width = int.from_bytes(content[:8], "little", signed=True), number(content, 8, 1), number(content, 9, 1)
    assert shift <= 63 and width <= 64 and content[10:16] == bytes(6) and len(content) == 16 + (n * width + 7) // 8
    stream, half = int.from_bytes(content[16:], "little"), 1 << 8 * 2 ** (kind - 7) - 1
    assert stream >> n * width == 0
    found = [base] * n
    if width:
        each = f"{stream:0{n * width}b}"  # the last number first
        found = [base + (int(each[(n - 1 - i) * width:(n - i) * width], 2) << shift) for i in range(n)]
    assert all(-half <= value < half for value in found)
    return found


def read_tensor(content):
    """A TENS section. Parameters: content (bytes). Returns name, type, shape, and values: a list, or a weight stream."""
    m, kind, d = number(content, 0, 2), number(content, 2, 1), number(content, 3, 1)
    assert 1 <= m <= 200 and kind <= 10 and d <= 4 and (kind > 0 or d == 2) and number(content, 4, 4) == 0
    shape = [number(content, 8 + 8 * i, 8) for i in range(d)]
    assert all(1 <= n < 2**31 for n in shape)
    begin = 8 + 8 * d + m
    name, end = content[begin - m:begin].decode("ascii"), begin
    assert name[0] in LETTERS and set(name) <= set(LETTERS + "_.-")
    while end % 8 and kind < 7:
        assert number(content, end, 1) == 0
        end += 1
    n, values = math.prod(shape), content[end:]
    if kind == 0:
        return name, kind, shape, values
    if kind > 6:
        assert n <= 2**20 and len(content) >= end
        return name, kind, shape, read_packed(values, kind, n)
    size = struct.calcsize(FORMS[kind])
    assert len(content) >= end and n * size == len(values)
    found = [struct.unpack(f"<{FORMS[kind]}", values[i:i + size])[0] for i in range(0, len(values), size)]
    assert kind < 5 or all(map(math.isfinite, found))
    return name, kind, shape, found


def read_sections(file):
    """The required sections. Parameters: file (bytes). Returns a list of (type, bytes)."""
    assert len(file) <= 2**28 and file[:8] == b"\x89RFASR\r\n" and number(file, 40, 4) == 2
    n, length = number(file, 44, 4), number(file, 48, 8)
    assert n <= 4096 and length == len(file) and number(file, 56, 8) == 0
    assert hashlib.sha256(file[40:]).digest() == file[8:40]
    end, sections = 64 + 24 * n, []
    for entry in range(64, end, 24):
        kind, flags, size = file[entry:entry + 4], number(file, entry + 4, 4), number(file, entry + 8, 8)
        assert set(kind.decode("ascii")) <= set(LETTERS) and flags <= 1 and number(file, entry + 20, 4) == 0
        while end % 8:
            assert number(file, end, 1) == 0
            end += 1
        content = file[end:end + size]
        assert len(content) == size and zlib.crc32(content) == number(file, entry + 16, 4)
        assert kind in (b"JSON", b"TENS") if flags else kind not in (b"JSON", b"TENS")
        sections += [(kind, content)] if flags else []
        end += size
    assert end == len(file)
    return sections


def read_container(file):
    """A whole file.

    Parameters
    ----------
    file : bytes

    Returns
    -------
    header, {name: (shape, codes)}, {name: (type, shape, values)}    That of the same array not packed. AssertionError
                                                                     and others if it is damaged.
    """
    sections = read_sections(file)
    assert [kind for kind, _ in sections] == [b"JSON"] + [b"TENS"] * (len(sections) - 1)
    header, coded, plain, n_codes, n_packed = read_header(sections[0][1]), {}, {}, 0, 0
    for _, content in sections[1:]:
        name, kind, shape, values = read_tensor(content)
        assert name not in coded and name not in plain
        if kind == 0:
            n_codes += math.prod(shape)
            assert n_codes <= 2**27 and not plain and name > max(coded, default="") and number(values, 12, 4) <= 65536
            coded[name] = shape, read_stream(values, math.prod(shape))
        else:
            assert name > max(plain, default="")
            n_packed += math.prod(shape) * (kind > 6)
            assert n_packed <= 2**20
            plain[name] = kind - 6 if kind > 6 else kind, shape, values
    return header, coded, plain
