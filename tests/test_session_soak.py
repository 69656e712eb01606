"""A session over a day of audio: as fast as it runs, about forty minutes of a processor. `pytest -m slow -s` shows each hour."""

import ctypes
import gc
import sys

import pytest
from test_session import SEARCH, SETTINGS, talk, tiny_endpoint
from tiny_model import TALKERS, tiny_model

from refasr.recognise import Recogniser
from refasr.session import Session

HOURS, HOUR_S = 24, 3600
C_LIBRARY = ctypes.CDLL(None)


class Mallinfo2(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks",
                                                     "uordblks", "fordblks", "keepcost")]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(C_LIBRARY, "mallinfo2"), reason="memory in use is read from glibc 2.33 or newer")
def test_a_day_of_audio_keeps_memory_flat_and_events_equal():
    """Twenty-four hours through one session: an hour of talk and silence again and again, in two kinds of pieces."""
    recogniser, hour = Recogniser(tiny_model(*TALKERS[0]), search=SEARCH), talk(HOUR_S, 11)
    sessions = [Session(recogniser, tiny_endpoint(), SETTINGS) for _ in range(2)]
    in_use, objects, n_events = [], [], 0
    for _ in range(HOURS):
        told = []
        for session, size in zip(sessions, (16000, 48000)):
            events = []
            for begin in range(0, hour.size, size):
                session.accept(hour[begin:begin + size])
                events += session.events()
            told.append([(event, event.as_json()) for event in events])
        assert told[0] == told[1]
        n_events += len(told[0])
        del told, events
        gc.collect()
        in_use.append(bytes_in_use())
        objects.append(sys.getallocatedblocks())
        print(f"{len(in_use)} h: {n_events} events, {in_use[-1]} bytes in use, {objects[-1]} small blocks", flush=True)
    assert max(in_use[1:]) - min(in_use[1:]) < 1_000_000 and max(objects[1:]) - min(objects[1:]) < 10_000
    assert n_events > HOURS * HOUR_S / 9


def bytes_in_use():
    """What the C library has given out and not got back: arrays, and whatever Python does not keep in blocks. Returns int.

    Resident memory would also hold what is free; it goes up and down by the megabytes in which Python and the library ask for it.
    """
    C_LIBRARY.mallinfo2.restype = Mallinfo2
    found = C_LIBRARY.mallinfo2()
    return found.hblkhd + found.uordblks    # mapped by themselves, and from the heap
