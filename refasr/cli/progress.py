"""A progress bar on stderr, and lines that do not break it. Not a sub-command."""

import sys

from refasr import checks
from refasr.errors import MissingExtra


class Progress:
    """Counts items while they are iterated: with tqdm where it is installed, else as `12/318`; silent off a terminal.

    Parameters
    ----------
    items : list     What to iterate over.
    unit : str       What one item is called.
    """

    def __init__(self, items, unit="file"):
        self.items, self.unit = items, unit
        self.shown = sys.stderr.isatty() and len(items) > 1
        self.bar = self._tqdm() if self.shown else None

    def _tqdm(self):
        try:
            tqdm = checks.extra("tqdm", "cli")
        except MissingExtra:
            return None
        return tqdm.tqdm(total=len(self.items), unit=self.unit, file=sys.stderr, dynamic_ncols=True, leave=False)

    def __iter__(self):
        for number, item in enumerate(self.items, 1):
            yield item
            if self.bar is not None:
                self.bar.update()
            elif self.shown:
                print(f"\r{number}/{len(self.items)} {self.unit}s", end="", file=sys.stderr, flush=True)
        self.clear()
        if self.bar is not None:
            self.bar.close()

    def clear(self):
        """Wipe the counter's line, so that a message can be printed."""
        if self.bar is not None:
            self.bar.clear()
        elif self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
