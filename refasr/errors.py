"""The exceptions refasr raises on purpose. Every message says: name, what came, what was expected, what to do."""


class RefasrError(Exception):
    """Base of all deliberate errors; the command line prints it as one line."""


class ShapeError(RefasrError, ValueError):
    """An array has the wrong number of axes or a wrong length."""


class DTypeError(RefasrError, TypeError):
    """An array has the wrong element type, or is not contiguous."""


class RangeError(RefasrError, ValueError):
    """A value lies outside its domain (NaN, negative, past the end)."""


class FormatError(RefasrError, ValueError):
    """A file or byte stream is not what it claims to be.

    Parameters
    ----------
    message : str          What is wrong, and where.
    offset : int or None   Byte (or, in codecs, bit) offset of the first offence.
    """

    def __init__(self, message, offset=None):
        super().__init__(message if offset is None else f"{message} (at offset {offset})")
        self.offset = offset


class MissingExtra(RefasrError, ImportError):
    """An optional package is needed; the message names the extra that installs it."""
