"""Services that are killed, hang, lie and flood, and clients that do, each in a process of its own."""

import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from test_second_pass import FIRST, LIES, LM, LONG_SECONDS, NGRAM, NONSENSE, PATIENCE_SECONDS, ROOT, asked, message, told

from refasr.lattice import wire
from refasr.rescoring import arpa, lm_file, protocol
from refasr.rescoring.client import Client
from refasr.rescoring.service import MESSAGE_SECONDS

MOST_BYTES = 64 << 20            # that a service may grow by, whatever comes
IMPOSTOR = """
import socket, sys
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    connection = listening.accept()[0]
    try:
        connection.recv(1 << 20)
        data = bytes.fromhex(sys.argv[1])
        for _ in range(int(sys.argv[2])):
            connection.sendall(data)
    except OSError:
        pass
"""


class Running:
    """A service in a process, with its log. Parameters: options (list of str), log (Path)."""

    def __init__(self, options, log):
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen([sys.executable, "-m", "refasr", "second-pass", "serve", "--port", "0", *options],
                                            cwd=ROOT, stdout=subprocess.PIPE, stderr=file, text=True)
        self.port = int(self.process.stdout.readline().rpartition(":")[2])

    def lines(self):
        """What it has said about clients. Returns a list of str."""
        return [line for line in self.log.read_text().splitlines() if "127.0.0.1:" in line or "refused" in line]

    def peak_bytes(self):
        """The most memory it ever had. Returns an int."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))

    def kill(self):
        """End it at once."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        self.process.stdout.close()


@pytest.fixture
def running(tmp_path):
    """A compiled service with small models. Gives a Running."""
    arpa.write_arpa(tmp_path / "lm.arpa", NGRAM)
    lm_file.save_lm(tmp_path / "lm.npz", LM)
    made = Running(["--ngram", str(tmp_path / "lm.arpa"), "--neural", str(tmp_path / "lm.npz")], tmp_path / "log")
    yield made
    made.kill()


def test_killed_and_hung_services_give_the_first_pass_and_a_hung_one_may_come_back(running):
    lines = []
    client = Client("127.0.0.1", running.port, LONG_SECONDS, lines.append)
    assert client.improve(FIRST).rescored == "second" and not lines      # and keeps the connection
    running.process.send_signal(signal.SIGSTOP)
    client.timeout_seconds, begin = 0.3, time.monotonic()
    assert client.improve(FIRST).rescored == "first" and time.monotonic() - begin < PATIENCE_SECONDS
    running.process.send_signal(signal.SIGCONT)
    client.timeout_seconds = LONG_SECONDS
    assert client.improve(FIRST).rescored == "second"
    running.process.kill()
    running.process.wait(PATIENCE_SECONDS)
    begin = time.monotonic()
    assert [client.improve(FIRST).rescored for _ in range(4)] == ["first"] * 4
    assert time.monotonic() - begin < PATIENCE_SECONDS and len(lines) == 4 and "not asked again" in lines[-1]
    client.close()


def drip(port, seconds):
    """Send a message a byte every now and then, in minutes. Parameters: port, seconds (a byte). Returns how long it was let."""
    begin, data = time.monotonic(), message(payload=bytes(1000))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for byte in data:
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(seconds)
    return time.monotonic() - begin


def test_hostile_clients_cost_a_service_a_line_each_and_nothing_else(running):
    assert asked(running.port, LONG_SECONDS)[0].rescored == "second"
    before, let = running.peak_bytes(), []
    slow = [threading.Thread(target=lambda: let.append(drip(running.port, 0.3))) for _ in range(3)]
    for thread in slow:
        thread.start()
    hostile = [*NONSENSE.values(), message(payload=wire.encode(FIRST.lattice))[:-2], message()[:3],
               message(payload=bytes(protocol.LARGEST_PAYLOAD)), message(length=protocol.LARGEST_PAYLOAD) + bytes(1 << 20)]
    for data in hostile:
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(PATIENCE_SECONDS)
                while connection.recv(1 << 16):
                    pass
            except OSError:
                pass
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", running.port)) as flood:
            try:
                for _ in range(400):
                    flood.sendall(b"x" * 65536)
            except OSError:
                pass
        assert asked(running.port, LONG_SECONDS)[0].rescored == "second"
    for thread in slow:
        thread.join(MESSAGE_SECONDS + 2 * PATIENCE_SECONDS)
    assert len(let) == 3 and max(let) < MESSAGE_SECONDS + PATIENCE_SECONDS
    assert asked(running.port, LONG_SECONDS)[0].rescored == "second"
    assert running.peak_bytes() - before < MOST_BYTES
    lines = told(running.lines, len(hostile) + 3 + 3)
    assert len(lines) == len(hostile) + 3 + 3, lines
    assert all(len(line) < 300 for line in lines)


FLOODS = {"lies": (LIES["other sound"], 1), "garbage for ever": (b"\xff" * 65536, 1 << 20),
          "a message and then more": (LIES["refusal"] + bytes(65536), 1 << 20),
          "an answer that never ends": (message(kind=protocol.ANSWER, length=protocol.LARGEST_PAYLOAD)[:-4], 1),
          "refusals for ever": (LIES["refusal"], 1 << 30)}


@pytest.mark.parametrize("name", FLOODS)
def test_lying_and_flooding_services_give_the_first_pass(name):
    data, times = FLOODS[name]
    command = [sys.executable, "-c", IMPOSTOR, data[:30000].hex(), str(times)]
    hostile = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(hostile.stdout.readline())
        for _ in range(2):
            result, lines = asked(port, 1.0)
            assert result.rescored == "first" and result.text == FIRST.text and len(lines) == 1 and len(lines[0]) < 400
    finally:
        hostile.kill()
        hostile.wait(PATIENCE_SECONDS)
        hostile.stdout.close()
