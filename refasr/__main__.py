"""`python -m refasr` and the command `refasr`."""

import sys

from refasr.cli import main

if __name__ == "__main__":
    sys.exit(main())
