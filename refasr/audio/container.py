"""What a sound file declares about its own length, read from its bytes: libsndfile forgives truncation, we do not.

WAV: the size of the `data` chunk must lie within the file; one written to a pipe declares none (a size near 2^31 or
2^32) and is read to its end. Ogg: the last page must be complete and marked as the last. FLAC: the decoder notices
truncation, but a stream that declares no length cannot be told from a truncated one, and is refused.
"""

import os
import struct

from refasr.errors import FormatError

MAGIC = {b"RIFF": "WAV", b"RIFX": "WAV", b"RF64": "WAV", b"fLaC": "FLAC", b"OggS": "Ogg"}
UNKNOWN_BYTES = 0x7FFFF000  # sizes from here on mean "not known when the header was written"
WHOLE_FRAME_TAGS = (1, 3, 6, 7, 0xFFFE)  # PCM, float, A-law, mu-law, extensible: one block is one frame
OGG_HEADER_BYTES, OGG_LONGEST_PAGE = 27, 65307
OGG_LAST = 0x04


def check_container(file, name):
    """Refuse a file that is empty, not a sound file, or cut short.

    Parameters
    ----------
    file : binary file, seekable    Left at position 0.
    name : str                      Used in errors.

    Returns
    -------
    int or None                     Frames that the header declares, where it is easily told.

    Raises
    ------
    FormatError
    """
    n_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    if n_bytes == 0:
        raise FormatError(f"{name}: got an empty file, expected WAV, FLAC or Ogg; record it again")
    head = file.read(12)
    kind = MAGIC.get(head[:4])
    if kind is None or kind == "WAV" and len(head) == 12 and head[8:] != b"WAVE":
        raise FormatError(f"{name}: got a file that is not WAV, FLAC or Ogg; convert it: ffmpeg -i INPUT OUTPUT.wav")
    frames = None
    if kind == "WAV":
        frames = declared_wav_frames(file, name, n_bytes)
    elif kind == "FLAC":
        frames = declared_flac_frames(file, name, n_bytes)
    else:
        check_last_page(file, name, n_bytes)
    file.seek(0)
    return frames


def declared_wav_frames(file, name, n_bytes):
    """Walk the chunks of a WAV to its data, which must lie within the file. Parameters: file, name, n_bytes. Returns frames."""
    file.seek(0)
    order = ">" if file.read(4) == b"RIFX" else "<"
    position, tag, block, long_size = 12, None, 0, None
    while position + 8 <= n_bytes:
        file.seek(position)
        label, size = struct.unpack(order + "4sI", file.read(8))
        if label == b"data":
            size = long_size if size == 0xFFFFFFFF and long_size is not None else size
            present = n_bytes - position - 8
            if UNKNOWN_BYTES <= size != long_size:
                size = present
            _require_whole(name, size, present, file.read(8), order)
            return size // block if tag in WHOLE_FRAME_TAGS and block else None
        head = file.read(16)
        if label == b"fmt " and len(head) == 16:
            tag, _, _, _, block, _ = struct.unpack(order + "HHIIHH", head)
        if label == b"ds64" and len(head) == 16:
            long_size = struct.unpack(order + "QQ", head)[1]
        position += 8 + size + size % 2
    raise FormatError(f"{name}: got a WAV without a whole data chunk, expected one; it is truncated, copy it again")


def _require_whole(name, declared, present, head, order):
    """The samples must be there; after none, only another chunk may follow. Parameters: name, declared, present, head, order."""
    unclosed = declared == 0 and present > 0 and (len(head) < 8 or struct.unpack(order + "I", head[4:])[0] > present - 8)
    if present < declared or unclosed:
        raise FormatError(f"{name}: got {present} bytes of samples, expected the {declared} its header declares; "
                          "it is truncated or was never closed, copy or record it again")


def declared_flac_frames(file, name, n_bytes):
    """The count in the stream's first block; 0 must mean an empty stream. Parameters: file, name, n_bytes. Returns frames."""
    file.seek(8)
    head = file.read(34)
    if len(head) < 34:
        raise FormatError(f"{name}: got {n_bytes} bytes of FLAC, expected a whole header; it is truncated, copy it again")
    frames = int.from_bytes(head[13:18], "big") % (1 << 36)
    position, last = 4, 0
    while not last and position + 4 <= n_bytes:
        file.seek(position)
        block = file.read(4)
        last, position = block[0] >> 7, position + 4 + int.from_bytes(block[1:], "big")
    if frames == 0 and position < n_bytes:
        raise FormatError(f"{name}: got a FLAC of undeclared length, expected a count of samples; write it again, not to a pipe")
    return frames


def check_last_page(file, name, n_bytes):
    """Require the last Ogg page to be complete and marked as the last. Parameters: file, name, n_bytes."""
    begin = max(0, n_bytes - OGG_LONGEST_PAGE)
    file.seek(begin)
    tail = file.read()
    at = tail.rfind(b"OggS")
    while at >= 0:
        header = tail[at:at + OGG_HEADER_BYTES]
        sizes = tail[at + OGG_HEADER_BYTES:at + OGG_HEADER_BYTES + header[26]] if len(header) == OGG_HEADER_BYTES else b""
        end = at + OGG_HEADER_BYTES + len(sizes) + sum(sizes)
        if len(header) == OGG_HEADER_BYTES and len(sizes) == header[26] and end == len(tail) and header[5] & OGG_LAST:
            return
        at = tail.rfind(b"OggS", 0, at)
    raise FormatError(f"{name}: got an Ogg file without its last page, expected a complete one; it is truncated, copy it again")
