"""A journal of finished work: JSON lines, written as the work is done, so that an interrupted run can go on.

The first line says what the work is; a journal of other work is refused. A line that was being written when the run was
stopped is dropped and done again. One process at a time holds a journal.
"""

import json
import os
import pathlib

from refasr.errors import FormatError

try:
    import fcntl
except ImportError:  # Windows: two runs at once are then not noticed
    fcntl = None

FORMAT = 1


class Journal:
    """A context manager: opens or makes the file, checks its first line and takes in the entries that are there.

    Parameters
    ----------
    path : str or Path
    header : dict                What the work is: keys and values for JSON. `refasr_journal`, a format number, is added.
    keep : function of a dict    What `entries` holds of each entry.
    """

    def __init__(self, path, header, keep=dict):
        self.path, self.header, self.entries, self._keep = pathlib.Path(path), {"refasr_journal": FORMAT} | header, [], keep
        try:
            self._file = open(self.path, "a+b")
        except OSError as error:
            raise FormatError(f"{self.path}: cannot be written ({error.strerror}); check the folder and its rights") from error
        try:
            self._lock()
            self._recover()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self._file.close()

    def append(self, entry):
        """Add a finished entry; it is with the operating system when this returns. Parameters: entry (a dict)."""
        self._write(entry)

    def lines(self):
        """The entries as they stand in the file. Returns an open binary file, past the first line."""
        file = open(self.path, "rb")
        file.readline()
        return file

    def discard(self):
        """Close and delete the file: its work has been put elsewhere."""
        self._file.close()
        os.unlink(self.path)

    def _write(self, value):
        self._file.write(json.dumps(value, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def _lock(self):
        try:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FormatError(f"{self.path}: got a journal that another run writes, expected a free one; wait for it") from error

    def _recover(self):
        self._file.seek(0)
        first = self._file.readline()
        if not first.endswith(b"\n"):
            if not json.dumps(self.header).encode().startswith(first):
                raise FormatError(f"{self.path}: got a file that is no journal, expected one or none; name another file")
            self._file.truncate(0)
            self._write(self.header)
            return
        self._check(self._parse(1, first))
        size = len(first)
        for number, line in enumerate(self._file, 2):
            if not line.endswith(b"\n"):
                break
            self.entries.append(self._keep(self._parse(number, line)))
            size += len(line)
        self._file.truncate(size)

    def _parse(self, number, line):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict) or (number == 1 and "refasr_journal" not in value):
            raise FormatError(f"{self.path}: line {number}: got {line[:40]!r}, expected a journal's line; delete the file to "
                              "begin again")
        return value

    def _check(self, found):
        for name in self.header | found:
            if found.get(name) != self.header.get(name):
                raise FormatError(f"{self.path}: got a journal of other work ({name} is {found.get(name)!r:.60}), expected "
                                  f"{self.header.get(name)!r:.60}; use the same model and options, or delete it to begin again")
