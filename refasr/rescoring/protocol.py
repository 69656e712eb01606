"""Messages between a recogniser and the second pass: `docs/second-pass.md` is the specification.

    "RSP", version | kind | length | payload | CRC-32

A message is received against one deadline, however it trickles in, and memory grows only with bytes that have come.
"""

import struct
import time
import zlib

from refasr.errors import FormatError, RangeError
from refasr.lattice import wire
from refasr.rescoring.second_pass import Calibration

MAGIC, VERSION = b"RSP", 1
REQUEST, ANSWER, REFUSAL = 1, 2, 3
LARGEST_PAYLOAD = wire.LARGEST_BODY + 64
LONGEST_REFUSAL = 500                  # bytes
HEAD, TAIL, CALIBRATION = struct.Struct("<3sBBI"), struct.Struct("<I"), struct.Struct("<3f")
PIECE = 1 << 16
LARGEST_CALIBRATION = 1000.0


class Late(Exception):
    """The other side did not send or take a message in time."""


class Gone(Exception):
    """The other side closed the connection between messages."""


def pack(kind, payload):
    """A message. Parameters: kind (int), payload (bytes). Returns bytes; raises RangeError for a payload too large."""
    if len(payload) > LARGEST_PAYLOAD:
        raise RangeError(f"message: got {len(payload)} bytes, expected up to {LARGEST_PAYLOAD}; prune the lattice")
    data = HEAD.pack(MAGIC, VERSION, kind, len(payload)) + payload
    return data + TAIL.pack(zlib.crc32(data))


def pack_answer(lattice, calibration):
    """The message that answers. Parameters: lattice, calibration (Calibration). Returns bytes."""
    return pack(ANSWER, CALIBRATION.pack(*calibration) + wire.encode(lattice))


def unpack_answer(payload):
    """What `pack_answer` wrote. Parameters: payload (bytes). Returns (Lattice, Calibration); raises FormatError."""
    if len(payload) < CALIBRATION.size:
        raise FormatError(f"answer: got {len(payload)} bytes, expected a calibration of {CALIBRATION.size} and a lattice", 0)
    calibration = Calibration(*CALIBRATION.unpack(payload[: CALIBRATION.size]))
    if not (all(abs(value) <= LARGEST_CALIBRATION for value in calibration) and calibration.scale >= 0):
        raise FormatError(f"answer: got the calibration {tuple(calibration)}, expected numbers up to {LARGEST_CALIBRATION}", 0)
    return wire.decode(payload[CALIBRATION.size :]), calibration


def refusal(message):
    """The message that says why not. Parameters: message (str). Returns bytes."""
    return pack(REFUSAL, " ".join(message.split()).encode("utf-8", "replace")[:LONGEST_REFUSAL])


def send(connection, data, deadline):
    """Send all of a message. Parameters: connection (socket), data, deadline (of time.monotonic). Raises Late, OSError."""
    view = memoryview(data)
    while view:
        wait_until(connection, deadline)
        try:
            view = view[connection.send(view[:PIECE]) :]
        except TimeoutError as error:
            raise Late("the other side takes nothing") from error


def receive(connection, deadline):
    """The next message.

    Parameters
    ----------
    connection : socket
    deadline : float        Of time.monotonic, for all of it.

    Returns
    -------
    (int, bytes)            Kind and payload.

    Raises
    ------
    Gone                    If the other side has closed, between messages.
    Late                    If it is not complete in time.
    FormatError             For anything that is not a message; what follows on this connection cannot be understood.
    OSError                 If the connection broke.
    """
    head = take(connection, HEAD.size, deadline, may_end=True)
    magic, version, kind, length = HEAD.unpack(head)
    if magic != MAGIC:
        raise FormatError(f"message: got the bytes {head[:3].hex()}, expected RSP; this is another protocol", 0)
    if version != VERSION:
        raise FormatError(f"message: got version {version}, expected {VERSION}; install the same refasr on both sides", 3)
    if kind not in (REQUEST, ANSWER, REFUSAL):
        raise FormatError(f"message: got kind {kind}, expected {REQUEST}, {ANSWER} or {REFUSAL}", 4)
    if length > LARGEST_PAYLOAD:
        raise FormatError(f"message: got {length} bytes announced, expected up to {LARGEST_PAYLOAD}; prune the lattice", 5)
    payload = take(connection, length, deadline)
    if TAIL.unpack(take(connection, TAIL.size, deadline))[0] != zlib.crc32(head + payload):
        raise FormatError("message: got another checksum than its bytes have, expected the same; it was damaged",
                          HEAD.size + length)
    return kind, payload


def take(connection, size, deadline, may_end=False):
    """So many bytes. Parameters: connection, size, deadline, may_end (closed before the first byte is Gone). Returns bytes."""
    found = bytearray()
    while len(found) < size:
        wait_until(connection, deadline)
        try:
            piece = connection.recv(min(PIECE, size - len(found)))
        except TimeoutError as error:
            raise Late(f"{len(found)} of {size} bytes came in time") from error
        if not piece:
            if may_end and not found:
                raise Gone
            raise FormatError(f"message: got {len(found)} bytes and the end of the connection, expected {size}", len(found))
        found += piece
    return bytes(found)


def wait_until(connection, deadline):
    """Let the next operation take no longer. Parameters: connection, deadline. Raises Late when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise Late("time is up")
    connection.settimeout(left)
