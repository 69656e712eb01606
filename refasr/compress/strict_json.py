"""JSON that every program reads alike: what is ambiguous or hostile in it is refused."""

import json
import math

from refasr.errors import RangeError

MOST_LEVELS, LARGEST_WHOLE, LARGEST_HEADER_BYTES = 64, 1 << 63, 1 << 20


def parse_json(content):
    """Read a model header.

    Parameters
    ----------
    content : bytes    UTF-8.

    Returns
    -------
    dict

    Raises
    ------
    ValueError, RecursionError    If it is no JSON object, or one that no other program need understand: a name twice, a number
                                  that is not finite or has more than 64 bits, too many levels, half a surrogate pair.
    """
    def unique(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a name twice")
        return dict(pairs)

    def finite(text):
        if not math.isfinite(float(text)):
            raise ValueError("a number out of range")
        return float(text)

    def whole(text):
        if not -LARGEST_WHOLE <= int(text) < LARGEST_WHOLE:
            raise ValueError("a whole number of more than 64 bits")
        return int(text)

    value = json.loads(content.decode(), object_pairs_hook=unique, parse_float=finite, parse_int=whole, parse_constant=finite)
    if not isinstance(value, dict):
        raise ValueError("no object")
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)
                 if isinstance(inner, (dict, list))]
    if level:
        raise ValueError("too many levels")
    as_json(value)
    return value


def as_json(header):
    """The one text of a model header. Parameters: header (dict). Returns bytes."""
    return json.dumps(header, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def write_json(header):
    """The content of a JSON section.

    Parameters
    ----------
    header : dict    Of str, int, float, bool, None, lists and dicts; a tuple would come back as a list, so it is refused.

    Returns
    -------
    bytes

    Raises
    ------
    RangeError       If it is anything else, or too long.
    """
    try:
        content = as_json(header)
        same = parse_json(content) == header
    except (TypeError, ValueError, RecursionError) as error:
        raise RangeError(f"header: got {' '.join(str(error).split())[:80]}, expected an object that JSON can hold; "
                         "convert it") from error
    if not same:
        raise RangeError("header: got tuples or keys that are not texts, expected what JSON gives back as it was; convert it")
    if len(content) > LARGEST_HEADER_BYTES:
        raise RangeError(f"header: got {len(content)} bytes of JSON, expected at most {LARGEST_HEADER_BYTES}; shorten the card")
    return content
