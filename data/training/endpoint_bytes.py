"""Bytes that go up for an utterance: the lattices of guesses and final, against the sound as PCM, FLAC and Opus."""

import io

import numpy as np
import soundfile

from refasr.audio import SAMPLE_RATE_HZ
from refasr.events import Final, Speculative
from refasr.lattice import wire
from refasr.session import Session

WAYS = {"pcm": ("RAW", "PCM_16"), "flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}


def sound_bytes(samples):
    """Parameters: samples (float32 [S]). Returns a dict of name to bytes, each codec with the defaults of libsndfile."""
    found = {}
    for name, (container, subtype) in WAYS.items():
        file = io.BytesIO()
        soundfile.write(file, samples, SAMPLE_RATE_HZ, format=container, subtype=subtype)
        found[name] = file.getbuffer().nbytes
    return found


def first_utterance(recogniser, endpoint, samples):
    """Events up to the first final. Parameters: recogniser, endpoint, samples. Returns a list of Event; the last is a Final."""
    session, events = Session(recogniser, endpoint), []
    for begin in range(0, samples.size, recogniser.frame_samples):
        session.accept(samples[begin:begin + recogniser.frame_samples])
        events += session.events()
        if any(isinstance(event, Final) for event in events):
            return events
    session.finish()
    return events + session.events()


def bytes_up(recogniser, endpoint, utterances):
    """Parameters: recogniser, endpoint, utterances (iterable of float32 [S]).

    Returns
    -------
    dict    Means an utterance: seconds up to the first final; bytes of its sound, of all lattices (`lattices`), of the final's
            alone (`final`), and of all but a final whose text was guessed, which need not go up again (`lattices_kept`).
    """
    rows = []
    for samples in utterances:
        events = first_utterance(recogniser, endpoint, samples)
        sent = [(event, len(wire.encode(event.lattice))) for event in events if isinstance(event, (Speculative, Final))]
        if not sent or not isinstance(sent[-1][0], Final):
            continue
        final, size = sent[-1]
        kept = len(sent) > 1 and sent[-2][0].revision == final.revision
        total = sum(n for _, n in sent)
        sound = sound_bytes(samples[round(final.begin * SAMPLE_RATE_HZ):round(final.time * SAMPLE_RATE_HZ)])
        rows.append(sound | {"seconds": final.time - final.begin, "lattices": total, "final": size, "guesses": len(sent) - 1,
                             "lattices_kept": total - size if kept else total})
    return {"n": len(rows)} | {name: round(float(np.mean([row[name] for row in rows])), 2) for name in rows[0]}
