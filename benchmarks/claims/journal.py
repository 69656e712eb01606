"""The results file: JSON lines, appended to. Line 1 is what all arms share; each other line is a finished arm.

Errors by utterance are bytes, packed by zlib and base64, so that the file stays small enough to be committed.
"""

import base64
import json
import os
import pathlib
import zlib

import numpy as np

from refasr.errors import FormatError
from refasr.train.settings_file import changes
from refasr.whole_file import whole_file


def pack(counts):
    """Small counts as text. Parameters: counts (int64 [N], each below 256). Returns a str."""
    return base64.b64encode(zlib.compress(np.minimum(counts, 255).astype(np.uint8).tobytes(), 9)).decode()


def unpack(text):
    """What `pack` packed. Parameters: text. Returns int64 [N]."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).astype(np.int64)


class Journal:
    """Finished arms.

    Parameters
    ----------
    path : str or Path    Need not exist.

    Raises
    ------
    FormatError           For a damaged line, except the last, which a killed run may leave unfinished: it is dropped.
    """

    def __init__(self, path):
        self.path, self.shared, self.lines = pathlib.Path(path), None, []
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        whole, _, self.torn = text.rpartition("\n")
        for number, line in enumerate(whole.split("\n") if whole else [], 1):
            try:
                entry = json.loads(line)
                entry["test"] = unpack(entry["test"])
            except (ValueError, KeyError, TypeError, zlib.error) as error:
                raise FormatError(f"{self.path} line {number}: got a damaged line ({error!r:.60}), expected a result; delete it"
                                  ) from error
            if number == 1:
                self.shared = entry
            else:
                self.lines.append(entry)

    def open(self, settings, words):
        """Begin the file, or see to it that it is about the same experiment.

        Parameters
        ----------
        settings : dict        What all arms share.
        words : int64 [N]      In each utterance of the test.

        Raises
        ------
        FormatError            If it was made with other settings, naming them.
        """
        settings = json.loads(json.dumps(settings))
        if self.shared is None:
            self.shared = {"settings": settings, "test": words}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.rewrite()
            return
        found = changes(self.shared["settings"], settings)
        if found:
            raise FormatError(f"{self.path}: got a changed configuration ({'; '.join(found[:3])}), expected the one of the "
                              "results in it; change it back or use another --out")
        if self.torn:
            self.rewrite()

    def rewrite(self):
        """Write all whole lines again."""
        with whole_file(self.path, "w", encoding="utf-8") as file:
            for entry in (self.shared, *self.lines):
                file.write(json.dumps(entry | {"test": pack(entry["test"])}) + "\n")
        self.torn = ""

    def add(self, entry):
        """Append a finished arm. Parameters: entry (dict with arm, seed, key, and test: int64 [N], errors by utterance)."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry | {"test": pack(entry["test"])}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.lines.append(entry)

    def by_key(self):
        """Finished arms. Returns a dict from key to entry."""
        return {entry["key"]: entry for entry in self.lines}
