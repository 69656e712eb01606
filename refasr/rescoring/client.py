"""The recogniser's side of the second pass: ask, check what comes back, and fall back to the first pass.

    client = Client("127.0.0.1", 7700, tell=print)
    result = client.improve(result)       # result.rescored says which pass it is
"""

import contextlib
import dataclasses
import socket
import time

from refasr.errors import FormatError, RangeError, RefasrError
from refasr.lattice import confidence, forward_backward, nbest, prune, wire
from refasr.lattice.lattice import NO_WORD, to_nats
from refasr.rescoring import protocol, second_pass
from refasr.result import Hypothesis, Word
from refasr.twins import select

TIMEOUT_SECONDS = 3.0
MOST_FAILURES = 3       # in a row; then the service is not asked again
SHORTEST_SECONDS, LONGEST_SECONDS = 0.001, 3600.0


class Client:
    """A connection, opened when it is needed, kept, and dropped at the first thing that is wrong.

    Parameters
    ----------
    host : str
    port : int
    timeout_seconds : float     For a whole question and its answer.
    tell : function of str      Told why a result is of the first pass, a line each.
    """

    def __init__(self, host, port, timeout_seconds=TIMEOUT_SECONDS, tell=lambda line: None):
        self.address, self.timeout_seconds, self.tell = (host, port), timeout_seconds, tell
        self.connection, self.failures = None, 0

    def close(self):
        """Drop the connection, if there is one."""
        if self.connection is not None:
            with contextlib.suppress(OSError):
                self.connection.close()
        self.connection = None

    def improve(self, result):
        """The result of the second pass, or the same one where there is none.

        Parameters
        ----------
        result : Result      Of the first pass, with its lattice.

        Returns
        -------
        Result               `rescored` is "second" or "first".
        """
        first = dataclasses.replace(result, rescored="first")
        if self.failures >= MOST_FAILURES or result.lattice is None:
            return first
        try:
            found = improved(result, *self.ask(result.lattice))
            self.failures = 0
            return found
        except (RefasrError, protocol.Late, protocol.Gone, OSError) as error:
            self.close()
            self.failures += 1
            host, port = self.address
            last = "; it is not asked again" if self.failures == MOST_FAILURES else ""
            reason = " ".join(str(error).split())[:200] or "it closed the connection"
            self.tell(f"second pass {host}:{port}: {reason}; this is the first pass's result{last}")
            return first

    def ask(self, lattice):
        """One question.

        Parameters
        ----------
        lattice : Lattice

        Returns
        -------
        (Lattice, Calibration)

        Raises
        ------
        FormatError             For an answer that does not answer: other bytes, or arcs and words that were not in the question.
        RangeError              If the service refuses, or the lattice is too large.
        Late, Gone, OSError     If there is no answer.
        """
        deadline = time.monotonic() + self.timeout_seconds
        question, kept = protocol.pack(protocol.REQUEST, self.encoded(lattice)), self.connection is not None
        try:
            kind, payload = self.exchange(question, deadline)
        except (protocol.Gone, ConnectionError):
            if not kept:
                raise
            self.close()             # the service lets go of clients that were idle for long; a new connection is another try
            kind, payload = self.exchange(question, deadline)
        if kind == protocol.REFUSAL:
            raise RangeError(f"refused: {payload.decode('utf-8', 'replace')!r}")
        if kind != protocol.ANSWER:
            raise FormatError(f"message: got kind {kind}, expected an answer, kind {protocol.ANSWER}", 4)
        answer, calibration = protocol.unpack_answer(payload)
        if answer.frame_seconds != lattice.frame_seconds or not second_pass.same_sound(answer, lattice):
            raise FormatError("answer: got arcs that were not in the question, expected the same lattice with other scores")
        return answer, calibration

    def encoded(self, lattice):
        """Wire bytes; of a lattice too large for the wire, only what is closest to its best path.

        Parameters: lattice. Returns bytes; raises as `wire.encode` does of the best path alone.
        """
        found, most, data = lattice, lattice.n_arcs, None
        while data is None:
            try:
                data = wire.encode(found)
            except RangeError:
                if most <= 1:
                    raise
                most //= 2
                found = select("fast")(prune.prune)(found, max_arcs=most)
        if found.n_arcs < lattice.n_arcs:
            self.tell(f"second pass: pruned a lattice from {lattice.n_arcs} arcs to {found.n_arcs}, to fit into a message")
        return data

    def exchange(self, question, deadline):
        """Send, and wait for the answer. Parameters: question (bytes), deadline. Returns (kind, payload); raises as `ask`."""
        if self.connection is None:
            self.connection = socket.create_connection(self.address, self.timeout_seconds)
        protocol.send(self.connection, question, deadline)
        return protocol.receive(self.connection, deadline)


def improved(result, lattice, calibration):
    """The result that a rescored lattice holds.

    Parameters
    ----------
    result : Result             Of the first pass.
    lattice : Lattice           From the second.
    calibration : Calibration

    Returns
    -------
    Result

    Raises
    ------
    FormatError                 If the lattice has no path, or its best one is none of the first pass.
    """
    fast = select("fast")
    readings = fast(nbest.nbest)(lattice, max(1, len(result.nbest)))
    if not readings or not second_pass.holds(result.lattice, readings[0].words):
        raise FormatError("answer: got a lattice without a path of the question, expected the same words with other scores")
    posteriors = fast(forward_backward.arc_posteriors)(lattice, calibration.scale)
    raw = confidence.word_confidences(lattice, readings[0].arcs, posteriors)
    sure = confidence.calibrate(raw, calibration.slope, calibration.offset).tolist()
    hypotheses = tuple(Hypothesis(" ".join(reading.words), *map(to_nats, (reading.acoustic, reading.lm, reading.bias)))
                       for reading in readings)
    text = hypotheses[0].text
    words = result.words if text == result.text else spoken(lattice, readings[0], result.duration)
    words = tuple(dataclasses.replace(word, conf=conf) for word, conf in zip(words, sure))
    return dataclasses.replace(result, text=text, words=words, conf=min(sure, default=0.0), nbest=hypotheses, lattice=lattice,
                               rescored="second")


def spoken(lattice, reading, duration):
    """Words of a path with their times. Parameters: lattice, reading, duration (seconds). Returns a list of Word."""
    found, latest, frame = [], 0.0, lattice.frame_seconds
    arcs = reading.arcs[lattice.word[reading.arcs] != NO_WORD]
    for word, start, end in zip(reading.words, lattice.start[arcs].tolist(), lattice.end[arcs].tolist()):
        start = max(latest, start * frame)        # arcs of one path may overlap by a little
        latest = max(start + frame, min(end * frame, duration))
        found.append(Word(word, start, latest, 0.0))
    return found
