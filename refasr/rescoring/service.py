"""The second pass as a service: lattices come over a socket, rescored ones go back; nothing else is understood.

A thread a client, up to a limit; rescoring is done one lattice at a time. Whatever a client sends, or does not send, costs it its
connection and nobody else anything: messages have a largest size and a deadline, lattices a largest cost.
"""

import contextlib
import socket
import threading
import time

from refasr.errors import FormatError, RangeError, RefasrError
from refasr.lattice import wire
from refasr.rescoring import protocol

MOST_CLIENTS = 16
IDLE_SECONDS = 30.0        # between messages; a client that took longer connects again
ACCEPT_AGAIN_SECONDS = 0.05
MESSAGE_SECONDS = 10.0     # for all bytes of a message, once the first is there
PATIENCE_SECONDS, MOST_PIECES = 0.5, 32      # with what a dropped client still sends


class Service:
    """A bound socket; `serve` runs until `close`.

    Parameters
    ----------
    second_pass : SecondPass
    host : str                   Address to bind; the default takes connections of this machine only.
    port : int                   0: any free one, see `address`.
    tell : function of str       Told of each client that misbehaves, a line each.
    message_seconds : float
    most_clients : int
    """

    def __init__(self, second_pass, host="127.0.0.1", port=0, tell=lambda line: None, message_seconds=MESSAGE_SECONDS,
                 most_clients=MOST_CLIENTS):
        self.second_pass, self.tell, self.message_seconds = second_pass, tell, message_seconds
        self.slots, self.one_at_a_time = threading.BoundedSemaphore(most_clients), threading.Lock()
        try:
            self.socket = socket.create_server((host, port), backlog=most_clients)
        except OSError as error:
            reason = error.strerror or error
            raise RangeError(f"second pass: cannot listen at {host}:{port} ({reason}); choose another port") from error
        self.closing = False

    @property
    def address(self):
        """Where it listens. Returns (host, port)."""
        return self.socket.getsockname()[:2]

    def serve(self):
        """Take clients until `close` is called, from another thread."""
        while not self.closing:
            try:
                connection, peer = self.socket.accept()
            except OSError:          # closed, a client that left before it was taken, or no file descriptors left
                time.sleep(ACCEPT_AGAIN_SECONDS)
                continue
            if not self.slots.acquire(blocking=False):
                self.turn_away(connection, peer)
                continue
            try:
                threading.Thread(target=self.attend, args=(connection, peer), daemon=True).start()
            except RuntimeError:     # no more threads
                self.slots.release()
                self.turn_away(connection, peer)

    def close(self):
        """Take no more clients."""
        self.closing = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)    # wakes `serve`
        self.socket.close()

    def turn_away(self, connection, peer):
        """One too many. Parameters: connection, peer."""
        self.tell(f"{named(peer)}: turned away, too many clients")
        with contextlib.suppress(OSError, protocol.Late), connection:
            protocol.send(connection, protocol.refusal("too many clients; try again"), time.monotonic() + 0.1)

    def attend(self, connection, peer):
        """All messages of one client. Parameters: connection, peer."""
        try:
            with connection:
                while self.answer(connection):
                    pass
        except protocol.Gone:
            pass
        except (protocol.Late, FormatError, OSError) as error:
            self.tell(f"{named(peer)}: dropped: {error}")
        except Exception as error:      # a fault of ours must not end the service
            self.tell(f"{named(peer)}: internal error: {type(error).__name__}: {error}")
        finally:
            self.slots.release()

    def answer(self, connection):
        """One message. Parameters: connection. Returns whether the client may go on; raises as `protocol.receive`."""
        connection.settimeout(IDLE_SECONDS)
        try:
            connection.recv(1, socket.MSG_PEEK)     # the deadline begins with the first byte
        except TimeoutError:
            return False
        try:
            kind, payload = protocol.receive(connection, time.monotonic() + self.message_seconds)
            if kind != protocol.REQUEST:
                raise FormatError(f"message: got kind {kind}, expected a request, kind {protocol.REQUEST}", 4)
        except FormatError as error:
            with contextlib.suppress(OSError, protocol.Late):
                protocol.send(connection, protocol.refusal(str(error)), time.monotonic() + self.message_seconds)
                hear_out(connection)
            raise
        try:
            lattice = wire.decode(payload)
            with self.one_at_a_time:
                data = protocol.pack_answer(self.second_pass.rescore(lattice, self.tell), self.second_pass.calibration)
        except RefasrError as error:
            self.tell(f"refused a lattice: {error}")
            data = protocol.refusal(str(error))
        protocol.send(connection, data, time.monotonic() + self.message_seconds)
        return True


def hear_out(connection):
    """Let a client that is still sending read why it is dropped: closing with bytes unread would take the refusal from it.

    Parameters: connection.
    """
    connection.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + PATIENCE_SECONDS
    for _ in range(MOST_PIECES):
        protocol.wait_until(connection, deadline)
        if not connection.recv(protocol.PIECE):
            return


def named(peer):
    """An address as text. Parameters: peer. Returns str."""
    return f"{peer[0]}:{peer[1]}"
