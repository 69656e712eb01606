"""Work in several processes and on a cluster: order, a bounded window, dead workers, interruption."""

import concurrent.futures.process
import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from tiny_model import tiny_model

from refasr import corpus, evaluate
from refasr.errors import FormatError, MissingExtra, RangeError
from refasr.recogniser_spec import RecogniserSpec, recogniser_of
from refasr.transcribe import transcribe_files
from refasr.transducer.model_file import save_model
from refasr.workers import ONE_THREAD, Processes, WorkerLost, cluster, in_order, is_loss

SLOW_SCRIPT = """
import sys
from refasr.workers import Processes, in_order
from test_workers import tell_and_sleep
if __name__ == "__main__":
    with Processes(2) as executor:
        for _ in in_order(executor, tell_and_sleep, [sys.argv[1]] * 8):
            pass
"""


def square(number):
    """Parameters: number. Returns its square, the later the smaller the number."""
    time.sleep(0.02 * (number % 3 == 0))
    return number * number


def settings(_):
    """Parameters: _. Returns a worker's thread settings and process number; takes an interrupt from the keyboard."""
    signal.raise_signal(signal.SIGINT)
    return [os.environ.get(name) for name in ONE_THREAD], os.getpid()


def die(folder, often, item):
    """Kill this worker `often` times if the item is odd. Parameters: folder, often, item. Returns the item."""
    for attempt in range(often * (item % 2)):
        try:
            (folder / f"{item}-{attempt}").touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def tell_and_sleep(folder):
    """Leave this worker's number as a file's name and sleep. Parameters: folder."""
    pathlib.Path(folder, str(os.getpid())).touch()
    time.sleep(60)


def fail(item):
    """Parameters: item. Raises an error for 3."""
    if item == 3:
        raise RangeError("item: got 3, expected another")
    return item


class Counting(concurrent.futures.Executor):
    """Does the work at once and counts the results that nobody has fetched."""

    def __init__(self):
        self.waiting = self.most = 0

    def submit(self, function, /, *args):
        """Parameters: function, *args. Returns a Future."""
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        future = concurrent.futures.Future()
        future.set_result(function(*args))
        return future


def test_order_is_that_of_the_items():
    expected = [(number, number * number) for number in range(40)]
    assert list(in_order(None, square, range(40))) == expected
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        for window in (1, 2, 100):
            assert list(in_order(threads, square, range(40), window)) == expected
    with Processes(2) as processes:
        assert list(in_order(processes, square, range(40))) == expected
        assert list(in_order(processes, square, [])) == []
    with pytest.raises(RuntimeError, match="after shutdown"):
        processes.submit(square, 1)


def test_window_is_bounded_and_items_are_taken_when_needed():
    executor, taken = Counting(), []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number
    for number, _ in in_order(executor, str, items(), window=5):
        executor.waiting -= 1
        assert len(taken) <= number + 5
    assert executor.most == 5


def test_an_error_of_the_work_is_raised_and_not_repeated():
    with Processes(1) as executor:
        with pytest.raises(RangeError, match="got 3"):
            list(in_order(executor, fail, range(100)))
        assert executor.submit(square, 5).result() == 25  # it can go on


def test_workers_have_one_thread_and_the_caller_keeps_its_settings(monkeypatch):
    monkeypatch.setenv(ONE_THREAD[0], "3")
    monkeypatch.delenv(ONE_THREAD[-1], raising=False)
    with Processes(2) as executor:
        found = [result for _, result in in_order(executor, settings, range(20))]
    assert all(values == ["1"] * len(ONE_THREAD) for values, _ in found) and os.getpid() not in {pid for _, pid in found}
    assert os.environ[ONE_THREAD[0]] == "3" and ONE_THREAD[-1] not in os.environ


def test_lost_worker_is_replaced_and_its_work_done_again(tmp_path):
    with Processes(2) as executor:
        assert [result for _, result in in_order(executor, functools.partial(die, tmp_path, 1), range(4))] == [0, 1, 2, 3]


def test_item_that_kills_is_named_and_the_others_done(tmp_path):
    with Processes(2) as executor:
        results = [result for _, result in in_order(executor, functools.partial(die, tmp_path, 99), [0, 1, 2, 4])]
    assert [results[0], *results[2:]] == [0, 2, 4]
    assert isinstance(results[1], WorkerLost) and str(results[1]).startswith("1: got no result, 3 times")


def test_workers_that_always_die_end_the_run(tmp_path):
    with Processes(1) as executor, pytest.raises(WorkerLost, match="^3: "):
        list(in_order(executor, functools.partial(die, tmp_path, 99), [7, 5, 3, 1]))


class Deadly(concurrent.futures.Executor):
    """Loses every worker."""

    def submit(self, function, /, *args):
        """Parameters: function, *args. Returns a Future."""
        future = concurrent.futures.Future()
        future.set_exception(concurrent.futures.process.BrokenProcessPool())
        return future


def test_lost_workers_are_told_of_the_file(tmp_path):
    save_model(tmp_path / "tiny.npz", tiny_model())
    spec = RecogniserSpec(str(tmp_path / "tiny.npz"))
    found = list(transcribe_files(spec, ["a.wav", "b.wav"], Deadly()))
    assert [item.file for item in found] == ["a.wav", "b.wav"]
    assert str(found[1].result).startswith("b.wav: got no result, 3 times")
    (tmp_path / "list.tsv").write_text("file\ttext\na.wav\tgo\n")
    ((_, lost, _),) = evaluate.hear_corpus(spec, corpus.read_manifest(tmp_path / "list.tsv"), Deadly())
    assert str(lost).startswith(f"{tmp_path / 'list.tsv'} line 2: {tmp_path / 'a.wav'}: got no result")
    with pytest.raises(WorkerLost, match="^c.wav"):
        list(transcribe_files(spec, ["a.wav", "b.wav", "c.wav", "d.wav"], Deadly()))


def alive(pid):
    """Whether a process runs. Parameters: pid. Returns bool."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="needs /proc to see which processes run")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_caller(tmp_path, how):
    script = tmp_path / "script.py"
    script.write_text(SLOW_SCRIPT)
    (tmp_path / "pids").mkdir()
    here = pathlib.Path(__file__).resolve().parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(here.parent), str(here)))}
    with subprocess.Popen([sys.executable, str(script), str(tmp_path / "pids")], env=environment, stderr=subprocess.PIPE,
                          start_new_session=True, text=True) as process:
        wait_for(lambda: len(os.listdir(tmp_path / "pids")) == 2)
        pids = os.listdir(tmp_path / "pids")
        os.killpg(process.pid, how) if how == signal.SIGINT else process.kill()
        process.wait(120)
        assert wait_for(lambda: not any(map(alive, pids)))
        errors = process.stderr.read()
    assert len(pids) == 2
    assert how == signal.SIGKILL or errors.count("Traceback") == 1 and "KeyboardInterrupt" in errors  # the caller's own


def wait_for(condition, seconds=60):
    """Parameters: condition (function), seconds. Returns what it gives when that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    return condition()


def test_description_has_an_identity(tmp_path):
    save_model(tmp_path / "a.npz", tiny_model())
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes())
    a, b = RecogniserSpec(str(tmp_path / "a.npz")), RecogniserSpec(str(tmp_path / "b.npz"))
    assert a.identity() == b.identity() != RecogniserSpec(a.model, "reference").identity()
    save_model(tmp_path / "b.npz", tiny_model(seed=3))
    assert a.identity() != b.identity()
    assert recogniser_of(a, a.identity()) is recogniser_of(a, a.identity())
    with pytest.raises(FormatError, match="another model or version"):
        recogniser_of(b, a.identity())
    with pytest.raises(FormatError, match="no such model file"):
        RecogniserSpec(str(tmp_path / "c.npz")).identity()
    assert RecogniserSpec("default").absolute() == RecogniserSpec("default")
    assert RecogniserSpec("x.npz").absolute().model == os.path.abspath("x.npz")


def test_cluster_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"refasr\[dist\]"), cluster("tcp://localhost:1"):
        pass


@pytest.fixture(scope="module")
def local_cluster():
    """A dask cluster of two processes on this machine."""
    distributed = pytest.importorskip("distributed", reason="needs the dist extra: pip install 'refasr[dist]'")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as running:
        yield running


@pytest.mark.filterwarnings("ignore")  # distributed's own
def test_cluster_gives_the_same_and_survives_a_dead_worker(local_cluster, tmp_path):
    with cluster(local_cluster.scheduler_address) as executor:
        assert executor.window == 16
        assert list(in_order(executor, square, range(40))) == [(number, number * number) for number in range(40)]
        assert [result for _, result in in_order(executor, functools.partial(die, tmp_path, 1), range(4))] == [0, 1, 2, 3]
        with pytest.raises(RangeError, match="got 3"):
            list(in_order(executor, fail, range(10)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x"])
def test_no_cluster_is_explained(address):
    pytest.importorskip("distributed", reason="needs the dist extra: pip install 'refasr[dist]'")
    with pytest.raises(RangeError, match="where none answers"), cluster(address, seconds=1):
        pass


@pytest.mark.filterwarnings("ignore")
def test_command_on_a_cluster(local_cluster, tmp_path, capsys, monkeypatch):
    from test_transcribe import write_recordings

    from refasr import cli
    monkeypatch.chdir(tmp_path)  # the cluster's workers are elsewhere
    names = write_recordings(tmp_path)
    outputs = []
    for where in ([], ["--scheduler", local_cluster.scheduler_address]):
        assert cli.main(["transcribe", *names, "--format", "jsonl", "--model", "tiny.npz", *where]) == 1
        outputs.append(capsys.readouterr())
    assert outputs[0] == outputs[1] and outputs[0].out.count("\n") == len(names)


def test_what_counts_as_a_loss():
    assert is_loss(concurrent.futures.CancelledError()) and is_loss(concurrent.futures.BrokenExecutor())
    assert is_loss(type("KilledWorker", (Exception,), {"__module__": "distributed.scheduler"})())
    assert not is_loss(RangeError("n: got 1, expected 2")) and not is_loss(MemoryError())
