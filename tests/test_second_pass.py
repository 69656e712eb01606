"""The second pass as a service: a real process, and clients and services that lie, wait and talk nonsense."""

import contextlib
import dataclasses
import json
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from test_neural_lm import random_lm

from refasr.lattice import wire
from refasr.lattice.lattice import make_lattice
from refasr.rescoring import arpa, kneser_ney, lm_file, protocol
from refasr.rescoring.client import Client, improved
from refasr.rescoring.neural_lm import LmSizes
from refasr.rescoring.second_pass import Calibration, SecondPass
from refasr.rescoring.service import Service
from refasr.result import Hypothesis, Result, Word

NGRAM = kneser_ney.estimate([["turn", "on", "the", "light"], ["turn", "off", "the", "light"], ["the", "light"]], 3)
LM = random_lm(LmSizes(embedded=2, width=3))
LATTICE = make_lattice(["", "turn", "on", "own", "the", "light"], 5, [
    (0, 1, 1, 0, 5, -900, 0, 0), (1, 2, 2, 5, 9, -1500, 0, 0), (1, 2, 3, 5, 9, -1000, 0, 64), (2, 3, 4, 9, 12, -100, 0, 0),
    (3, 4, 5, 12, 20, -300, 0, 0)])
SAID = tuple(Word(word, s, s + 0.1, 0.5) for word, s in (("turn", 0.0), ("own", 0.2), ("the", 0.4), ("light", 0.5)))
READ = (Hypothesis("turn own the light", -2300 / 1024, 0.0, 64 / 1024), Hypothesis("turn on the light", -2800 / 1024))
FIRST = Result("turn own the light", SAID, 0.8, 0.5, READ, LATTICE)
ROOT = pathlib.Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 20.0          # for what comes at once, if the machine has time for it
LONG_SECONDS = 300.0             # for an answer that must come


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Files of small models. Returns a list of options."""
    folder = tmp_path_factory.mktemp("lm")
    arpa.write_arpa(folder / "lm.arpa", NGRAM)
    lm_file.save_lm(folder / "lm.npz", LM)
    return ["--ngram", str(folder / "lm.arpa"), "--neural", str(folder / "lm.npz")]


@pytest.fixture(scope="module")
def process(models):
    """A service in a process of its own. Gives (process, port)."""
    running = subprocess.Popen([sys.executable, "-m", "refasr", "second-pass", "serve", "--port", "0", *models], cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = running.stdout.readline()
    assert line.startswith("second pass listens at 127.0.0.1:")
    yield running, int(line.rpartition(":")[2])
    running.send_signal(signal.SIGINT)
    assert running.wait(3 * PATIENCE_SECONDS) == 130
    running.stdout.close()
    running.stderr.close()


@contextlib.contextmanager
def serving():
    """A service in this process. Gives (Service, its log: read it through `told`)."""
    log = []
    made = Service(SecondPass(NGRAM, LM, backend="reference"), tell=log.append, message_seconds=PATIENCE_SECONDS, most_clients=8)
    thread = threading.Thread(target=made.serve)
    thread.start()
    yield made, log
    made.close()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


@pytest.fixture
def service():
    """As `serving`."""
    with serving() as made:
        yield made


def told(lines, n):
    """Lines of another thread or process, which may write them after it has answered: wait until there are so many.

    Parameters: lines (function that returns a list of str), n. Returns the list.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(lines()) < n and time.monotonic() < deadline:
        time.sleep(0.01)
    return list(lines())


def impostor(answer):
    """A service that does as it likes with its only client. Parameters: answer (function of the connection). Returns the port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run():
        with listening, listening.accept()[0] as connection, contextlib.suppress(OSError):     # the client may leave
            answer(connection)
    threading.Thread(target=run, daemon=True).start()
    return listening.getsockname()[1]


def asked(port, timeout=PATIENCE_SECONDS, first=FIRST):
    """What a client makes of it. Parameters: port, timeout, first (Result). Returns (Result, lines)."""
    lines = []
    client = Client("127.0.0.1", port, timeout, lines.append)
    improved(FIRST, LATTICE, Calibration())      # compiles what the client runs, which is not waiting
    begin = time.monotonic()
    result = client.improve(first)
    client.close()
    assert time.monotonic() - begin < timeout + PATIENCE_SECONDS
    return result, lines


def test_a_process_answers(process):
    result, lines = asked(process[1], LONG_SECONDS)
    assert (result.text, result.rescored, lines) == ("turn on the light", "second", [])
    assert [word.word for word in result.words] == ["turn", "on", "the", "light"]
    assert all(0 <= word.conf <= 1 and word.start < word.end for word in result.words)
    assert {hypothesis.text for hypothesis in result.nbest} == {"turn on the light", "turn own the light"}
    for hypothesis in result.nbest:
        assert hypothesis.total == hypothesis.acoustic + hypothesis.lm + hypothesis.bias
    assert result.as_json()["pass"] == "second" and "pass" not in FIRST.as_json()


def test_one_connection_serves_many_and_many_clients_at_once(process):
    found = []

    def work():
        client = Client("127.0.0.1", process[1], LONG_SECONDS)
        found.extend(client.improve(FIRST).rescored for _ in range(3))
        client.close()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["second"] * 12


def test_transcribe_asks_it_and_falls_back(process):
    command = [sys.executable, "-m", "refasr", "transcribe", "--format", "jsonl", "data/samples/timer.flac", "--second-pass"]
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        ports = {"second": process[1], "first": deaf.getsockname()[1]}
        for wanted, port in ports.items():
            timeout = ["--second-pass-timeout", "300" if wanted == "second" else "0.2"]
            done = subprocess.run([*command, f"127.0.0.1:{port}", *timeout], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0 and json.loads(done.stdout)["pass"] == wanted
            assert ("this is the first pass's result" in done.stderr) == (wanted == "first")


def message(kind=protocol.REQUEST, payload=b"", version=1, magic=b"RSP", length=None, crc=None):
    """Any message, also a wrong one. Parameters: kind, payload, version, magic, length, crc. Returns bytes."""
    data = magic + struct.pack("<BBI", version, kind, len(payload) if length is None else length) + payload
    return data + struct.pack("<I", zlib.crc32(data) if crc is None else crc)


NONSENSE = {
    "http": b"GET / HTTP/1.1\r\n\r\n", "zeros": bytes(100), "version": message(version=2), "kind": message(kind=9),
    "answer": message(kind=protocol.ANSWER), "too large": message(length=protocol.LARGEST_PAYLOAD + 1),
    "4 GB": message(length=2**32 - 1), "checksum": message(payload=b"abc", crc=1), "pickle": b"\x80\x04\x95" + bytes(40)}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused_and_the_service_lives_on(service, name):
    made, log = service
    with socket.create_connection(made.address) as connection:
        connection.sendall(NONSENSE[name])
        kind, text = protocol.receive(connection, time.monotonic() + PATIENCE_SECONDS)
        assert kind == protocol.REFUSAL and len(text) <= protocol.LONGEST_REFUSAL
        connection.settimeout(PATIENCE_SECONDS)
        try:
            assert connection.recv(1) == b""      # and the connection is closed
        except ConnectionResetError:
            pass                                  # with bytes unread
    assert asked(made.address[1])[0].rescored == "second"
    line, = told(lambda: log, 1)
    assert "\n" not in line and "dropped" in line


def test_damaged_lattices_are_refused_on_a_connection_that_goes_on(service):
    made, log = service
    data = wire.encode(LATTICE)
    with socket.create_connection(made.address) as connection:
        for payload in (b"", b"RFL", data[:-1], data[:9] + bytes([data[9] ^ 1]) + data[10:],
                        wire.encode(make_lattice(["", "a" * 300], 2, [(0, 1, 1, 0, 1, 0, 0, 0)]))):
            connection.sendall(message(payload=payload))
            assert protocol.receive(connection, time.monotonic() + PATIENCE_SECONDS)[0] == protocol.REFUSAL
        connection.sendall(message(payload=data))
        assert protocol.receive(connection, time.monotonic() + PATIENCE_SECONDS)[0] == protocol.ANSWER
    assert len(told(lambda: log, 5)) == 5


def test_slow_drip_cut_off_and_floods_cost_only_themselves(service):
    made, log = service
    made.message_seconds = 2.0
    with socket.create_connection(made.address) as slow:
        dripping = iter(message(payload=bytes(2000)))
        slow.sendall(bytes([next(dripping)]))
        assert asked(made.address[1])[0].rescored == "second"
        with contextlib.suppress(OSError):          # when it is dropped
            while not log:
                slow.sendall(bytes([next(dripping)]))
                time.sleep(0.05)
        line, = told(lambda: log, 1)
        assert "time" in line, line
    made.message_seconds = PATIENCE_SECONDS
    with socket.create_connection(made.address) as cut:
        cut.sendall(message(payload=wire.encode(LATTICE))[:-2])
    with socket.create_connection(made.address) as flood, contextlib.suppress(OSError):
        for _ in range(200):
            flood.sendall(b"x" * 65536)
    assert len(told(lambda: log, 3)) == 3
    assert asked(made.address[1])[0].rescored == "second"
    assert len(log) == 3, log


def test_a_client_that_was_silent_for_long_connects_again(service, monkeypatch):
    monkeypatch.setattr("refasr.rescoring.service.IDLE_SECONDS", 1.0)
    lines = []
    client = Client(*service[0].address, PATIENCE_SECONDS, lines.append)
    for _ in range(2):
        assert client.improve(FIRST).rescored == "second"
        client.connection.settimeout(PATIENCE_SECONDS)
        assert client.connection.recv(1, socket.MSG_PEEK) == b""      # the service has let go
    assert client.improve(FIRST).rescored == "second"
    client.close()
    assert (lines, service[1]) == ([], [])


def test_one_client_too_many_is_turned_away(service):
    made, log = service
    held = [socket.create_connection(made.address) for _ in range(8)]       # taken in this order
    result, lines = asked(made.address[1])
    assert result.rescored == "first" and len(lines) == 1
    for connection in held:
        connection.close()
    deadline = time.monotonic() + PATIENCE_SECONDS                          # for their threads to end
    while (found := asked(made.address[1])[0].rescored) == "first" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == "second" and "too many" in log[0]


def lies(**changes):
    """An answer that is well formed and false. Parameters: **changes (of the lattice). Returns bytes."""
    return protocol.pack_answer(dataclasses.replace(LATTICE, **changes), Calibration())


LIES = {
    "garbage": b"\xff" * 4000, "empty": b"", "half": lies()[:-3], "another kind": message(kind=protocol.REQUEST),
    "refusal": protocol.refusal("no\nway"), "short": message(kind=protocol.ANSWER, payload=b"abc"),
    "not a number": message(kind=protocol.ANSWER, payload=struct.pack("<3f", np.nan, 1, 0) + wire.encode(LATTICE)),
    "other words": lies(words=("", "burn", "on", "own", "the", "light")), "other times": lies(start=LATTICE.start + np.int32(1)),
    "other sound": lies(acoustic=LATTICE.acoustic + np.int32(5)), "other frames": lies(frame_seconds=0.01),
    "no path": protocol.pack_answer(make_lattice(LATTICE.words, 3, [(0, 1, 1, 0, 5, -900, 0, 0)]), Calibration()),
    "other order": protocol.pack_answer(make_lattice(
        LATTICE.words, 3, [(0, 1, 5, 12, 20, -300, 0, 0), (1, 2, 1, 0, 5, -900, 0, 0)]), Calibration()),
    "too large": message(kind=protocol.ANSWER, length=2**31)}


@pytest.mark.parametrize("name", LIES)
def test_lies_give_the_first_pass(name):
    def answer(connection):
        protocol.receive(connection, time.monotonic() + PATIENCE_SECONDS)
        connection.sendall(LIES[name])
    result, lines = asked(impostor(answer))
    assert result == dataclasses.replace(FIRST, rescored="first")
    assert len(lines) == 1 and "\n" not in lines[0] and "first pass" in lines[0]


def test_absent_slow_and_dripping_services_give_the_first_pass():
    def drip(connection):
        for byte in lies():
            time.sleep(1.0)
            connection.sendall(bytes([byte]))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        free = deaf.getsockname()[1]
        assert asked(free, 0.3)[0].rescored == "first"
    assert asked(free, 0.3)[0].rescored == "first"           # closed now
    assert len(lies()) > 3 * PATIENCE_SECONDS                # seconds that the whole answer takes
    assert asked(impostor(drip), 1.5)[0].rescored == "first"


def test_a_dead_service_is_not_asked_for_ever():
    lines = []
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = Client(*deaf.getsockname()[:2], 0.1, lines.append)
        results = [client.improve(FIRST) for _ in range(6)]
    assert [result.rescored for result in results] == ["first"] * 6
    assert len(lines) == 3 and "not asked again" in lines[2]
