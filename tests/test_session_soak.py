"""A session over a day of audio: as fast as it runs, about forty minutes of a processor. `pytest -m slow -s` shows each hour."""

import ctypes
import gc
import mmap
import pathlib
import statistics

import pytest
from test_session import SEARCH, SETTINGS, talk, tiny_endpoint
from tiny_model import TALKERS, tiny_model

from refasr.recognise import Recogniser
from refasr.session import Session

HOURS, HOUR_S = 24, 3600


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="resident memory is read from Linux' /proc")
def test_a_day_of_audio_keeps_memory_flat_and_events_equal():
    """Twenty-four hours through one session: an hour of talk and silence again and again, in two kinds of pieces.

    What the C library holds goes up and down by a megabyte, as the sessions stand at other places of an utterance each hour; so
    the last eight hours are compared with the first eight, the very first left out.
    """
    recogniser, hour = Recogniser(tiny_model(*TALKERS[0]), search=SEARCH), talk(HOUR_S, 11)
    sessions = [Session(recogniser, tiny_endpoint(), SETTINGS) for _ in range(2)]
    resident, n_events = [], 0
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
        resident.append(resident_bytes())
        print(f"{len(resident)} h: {n_events} events, {resident[-1] / 1e6:.2f} MB", flush=True)
    grown = statistics.median(resident[-8:]) - statistics.median(resident[1:9])
    assert grown < 1_000_000 and n_events > HOURS * HOUR_S / 9


def resident_bytes():
    """Memory of this process once the C library has returned what is free. Returns int."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
