"""Where work is done: in this process, in several, or on a cluster. Not a sub-command."""

import argparse
import contextlib


def positive(text):
    """Parameters: text. Returns a whole number >= 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number >= 1")
    return int(text)


def add_options(parser):
    """Declare the options. Parameters: parser."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--workers", type=positive, metavar="N", help="use N processes (default: this one)")
    group.add_argument("--scheduler", metavar="ADDRESS", help="use the dask.distributed cluster of tcp://HOST:PORT")


@contextlib.contextmanager
def executor_of(options, n_items):
    """The executor that the options ask for.

    Parameters
    ----------
    options : argparse.Namespace
    n_items : int                   How much there is to do; nothing is started for nothing.

    Returns
    -------
    context manager                 Gives an Executor, or None for this process.
    """
    from refasr import workers
    if n_items and options.scheduler is not None:
        with workers.cluster(options.scheduler) as executor:
            yield executor
    elif n_items and options.workers is not None:
        with workers.Processes(min(options.workers, n_items)) as executor:
            yield executor
    else:
        yield None
