"""Work on more than one core and more than one machine: a function over many items, in any `concurrent.futures` executor.

    with Processes(4) as executor:
        for item, result in in_order(executor, function, items):
            ...

Results come in the order of the items, whoever was quicker. A worker that dies (killed, out of memory) is replaced and
what it had is done again; an item that kills its worker each time is given up. The function, the items and the results
travel between processes, so they must be picklable.
"""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading

from refasr import checks
from refasr.errors import RangeError, RefasrError

WINDOW = 32              # items submitted and not yet fetched, if the executor does not say
WINDOW_A_WORKER = 8      # enough that short items go on behind a long one
ATTEMPTS = 3             # the first, one that may still meet a stranger's death, and one alone
MOST_LOST_IN_A_ROW = 3   # then it is not the items
CONNECT_SECONDS = 15
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS")


class WorkerLost(RefasrError, RuntimeError):
    """Each worker that was given this item died."""


class Processes(concurrent.futures.Executor):
    """An executor of processes of this machine, each with one thread of arithmetic, that replaces the dead.

    As a context manager it waits for its work when the block ends well, and ends the workers when it does not. Workers
    ignore the keyboard's interrupt, which is the caller's to handle, and do not outlive the caller, however it ends.
    Scripts that make one need the guard `if __name__ == "__main__":`, since each worker imports the script.

    Parameters
    ----------
    n_workers : int, >= 1
    """

    def __init__(self, n_workers):
        checks.between("n_workers", n_workers, 1, 4096)
        self.n_workers, self.window = n_workers, n_workers * WINDOW_A_WORKER
        self._pool = self._end = self._leash = None
        self._closed = False

    def submit(self, function, /, *args, **kwargs):
        """As `Executor.submit`. Parameters: function, *args, **kwargs. Returns a Future."""
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        with one_thread():  # a submission may start a worker, whose libraries read these settings when they are imported
            try:
                return self._present().submit(function, *args, **kwargs)
            except concurrent.futures.BrokenExecutor:
                self.abandon()
                return self._present().submit(function, *args, **kwargs)

    def _present(self):
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
            self._end, self._leash = context.Pipe(duplex=False)  # nobody writes: the end is read when the leash is closed
            self._pool = concurrent.futures.ProcessPoolExecutor(self.n_workers, context, _begin, (self._end,))
        return self._pool

    def abandon(self):
        """End the workers now, whatever they do; the next submission starts others. Do not cancel their futures before."""
        if self._pool is not None:
            self._leash.close()
            self.shutdown(cancel_futures=True)
            self._closed = False

    def shutdown(self, wait=True, *, cancel_futures=False):
        """As `Executor.shutdown`. Parameters: wait, cancel_futures."""
        self._closed = True
        if self._pool is not None:
            self._pool.shutdown(wait, cancel_futures=cancel_futures)
        if self._pool is not None and wait:
            self._leash.close()
            self._end.close()
            self._pool = None

    def __exit__(self, kind, error, traceback):
        if kind is not None:
            self.abandon()
        self.shutdown()


def _begin(end):
    """What a worker does first. Parameters: end (of a pipe; closed with the caller's leash)."""
    def wait():
        with contextlib.suppress(EOFError, OSError):
            end.recv_bytes()
        os._exit(1)  # at once: there is nobody to tell
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def one_thread():
    """Ask the processes that are started in this block to do arithmetic in one thread. Returns a context manager."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def cluster(address, seconds=CONNECT_SECONDS):
    """A dask.distributed cluster as an executor.

    Parameters
    ----------
    address : str       Of its scheduler, such as "tcp://10.0.0.1:8786".
    seconds : number    How long to wait for the scheduler and a first worker.

    Returns
    -------
    context manager     Gives an executor. Workers need refasr of the same version, and the files under the same paths; give
                        each one thread (`dask worker --nthreads 1`).

    Raises
    ------
    MissingExtra        If dask.distributed is not installed.
    RangeError          If there is no scheduler, or it has no workers.
    """
    distributed = checks.extra("distributed", "dist")
    try:
        client = distributed.Client(address, timeout=seconds, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:80]
        raise RangeError(f"scheduler: got {address}, where none answers ({reason}), expected one such as tcp://HOST:8786; start "
                         "it with: dask scheduler") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=seconds)
        except TimeoutError as error:
            raise RangeError(f"scheduler: got {address}, which has no workers, expected one; start it with: "
                             f"dask worker {address} --nthreads 1") from error
        executor = client.get_executor(pure=False)  # pure work that failed would not be done again
        executor.window = WINDOW_A_WORKER * sum(client.nthreads().values())
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)


def in_order(executor, function, items, window=None, attempts=ATTEMPTS, name=str):
    """Apply a function to many items.

    Parameters
    ----------
    executor : Executor or None    None applies it here and now.
    function : function            Of one item.
    items : iterable               Taken as they are needed.
    window : int or None           Items submitted and not yet fetched; None takes the executor's `window` if it has one.
    attempts : int, >= 1           How often an item is tried whose worker dies. The third time it certainly runs alone.
    name : function                Of an item: how errors call it.

    Returns
    -------
    iterator of (item, result)     In the order of the items. The result is a WorkerLost if each attempt cost a worker.

    Raises
    ------
    WorkerLost                     If that happens to several items in a row.
    Exception                      What the function raises. What was not begun is then cancelled; `Processes` end.
    """
    if executor is None:
        yield from ((item, function(item)) for item in items)
        return
    window = window or getattr(executor, "window", WINDOW)
    waiting, items, n_lost = collections.deque(), iter(items), 0
    try:
        while True:
            for item in items:
                waiting.append((item, executor.submit(function, item)))
                if len(waiting) >= window:
                    break
            if not waiting:
                return
            item, future = waiting[0]
            result = _result(executor, function, item, future, attempts, name)
            waiting.popleft()
            n_lost = n_lost + 1 if isinstance(result, WorkerLost) else 0
            if n_lost >= MOST_LOST_IN_A_ROW:
                raise result
            yield item, result
    finally:
        if waiting and hasattr(executor, "abandon"):
            executor.abandon()
        for _, future in waiting:
            future.cancel()


def _result(executor, function, item, future, attempts, name):
    """Wait for a result; when its worker dies, do the work again. Nothing else is submitted meanwhile, so that from the
    second repetition the item is alone and its worker's death its own doing.
    """
    for _ in range(attempts):
        try:
            future = executor.submit(function, item) if future is None else future
            return future.result()
        except Exception as error:
            if not is_loss(error):
                raise
            cause, future = error, None
    lost = WorkerLost(f"{name(item)}: got no result, {attempts} times the worker died of it, expected one; see whether memory "
                      "suffices")
    lost.__cause__ = cause
    return lost


def is_loss(error):
    """Whether an exception means that a worker died, not that the work failed. Parameters: error. Returns bool."""
    lost = (concurrent.futures.BrokenExecutor, concurrent.futures.CancelledError)
    return isinstance(error, lost) or type(error).__module__.startswith("distributed.")
