"""`refasr listen`: text while somebody talks, and when they have finished."""

import argparse

HELP = "follow a microphone or a recording: text while it is said, and when it has ended"
EPILOG = """examples:
  refasr listen
  refasr listen --realtime recording.wav
  refasr listen --json recording.wav | consumer
  arecord -f S16_LE -r 16000 | refasr listen -
  refasr listen --endpointer sherpa --phrases contacts.txt

On a terminal the line is rewritten in place: what stays, and in faint letters what may still change. ~ marks a guess that the
utterance has ended, ! a guess taken back, . the end. Beside ~ and . stand the seconds since the text last changed.

--json prints an object for each event: event (partial, speculative, reset, final), time in seconds of sound, rule (which
one fired), utterance, revision; of partial: stable, volatile; of speculative and final: begin, text, lattice (wire form in
base64, see docs/lattice-wire.md). docs/sessions.md explains them.

A microphone needs the package sounddevice: pip install 'refasr[mic]'. Sound that it loses is declared as a gap.
"""
RATE_HZ, CHUNK_SAMPLES, BUFFERED = 16000, 640, 500    # chunks that wait while the recogniser is busy: 20 s


def chunk_length(text):
    """Parameters: text. Returns seconds as a float, 0.001 to 10."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 10:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected seconds from 0.001 to 10")
    return value


def add_arguments(parser):
    from refasr.cli import recogniser
    parser.add_argument("file", metavar="FILE", nargs="?", help="recording, or - for standard input; without it, the microphone")
    recogniser.add_options(parser)
    parser.add_argument("--endpointer", choices=("model", "sherpa", "kaldi", "length"), default="model",
                        help="what ends an utterance: the end-point model (default), rules, or its length of 20 s alone")
    parser.add_argument("--endpoint-model", metavar="PATH", help="an end-point model; default: the shipped one")
    parser.add_argument("--keep-encoder", action="store_true", help="keep what is known of speaker and room between utterances")
    parser.add_argument("--realtime", action="store_true", help="take a recording as fast as it was said")
    parser.add_argument("--chunk", type=chunk_length, default=CHUNK_SAMPLES / RATE_HZ, metavar="S",
                        help="seconds a chunk; default 0.04")
    parser.add_argument("--device", metavar="NAME|N", help="microphone; default: the system's")
    parser.add_argument("--json", action="store_true", help="print events, an object a line")


def run(options):
    import sys

    from refasr.cli import complain
    from refasr.cli.recogniser import spec_of
    from refasr.endpoint.model_file import load_endpoint
    from refasr.session import Session, SessionSettings, pair_settings
    if options.realtime and options.file is None:
        options.refuse("--realtime: got it without a FILE, expected one; a microphone has no other speed")
    if options.device is not None and options.file is not None:
        options.refuse("--device: got it with a FILE, expected one of them")
    recogniser = spec_of(options, complain).load()
    endpoint = load_endpoint(options.endpoint_model) if options.endpointer in ("model", "kaldi") else None
    session = Session(recogniser, endpoint, SessionSettings(pair_settings(options.endpointer, endpoint), options.keep_encoder))
    show = shown_as_json if options.json else Line(sys.stdout).show
    with source_of(options, complain) as chunks:
        try:
            for chunk, n_lost in chunks:
                if n_lost:
                    complain(f"{n_lost / RATE_HZ:.2f} s of sound lost; the utterance ends there")
                    session.gap(n_lost)
                session.accept(chunk)
                tell(session, show)
        except KeyboardInterrupt:      # how one leaves a microphone
            if options.file is not None:
                raise
        session.finish()
        tell(session, show)
    return 0


def tell(session, show):
    """Show what happened. Parameters: session, show (function of an Event)."""
    for event in session.events():
        show(event)


def shown_as_json(event):
    """Print an event. Parameters: event."""
    import json
    print(json.dumps(event.as_json(), ensure_ascii=False), flush=True)


class Line:
    """Events for people: on a terminal one line, rewritten in place; elsewhere a line for each end.

    Parameters
    ----------
    out : text file
    """

    def __init__(self, out):
        self.out, self.in_place = out, out.isatty()
        self.text, self.marks, self.written_s = "", "", 0.0

    def show(self, event):
        """Show one event. Parameters: event."""
        kind = event.kind
        if kind == "partial":
            self.written_s = event.time
            faint = f" \x1b[2m{event.volatile}\x1b[0m" if event.volatile else ""
            self.text = (event.stable + faint).strip()
        elif kind == "reset":
            self.marks += "!"
        elif kind == "speculative":
            self.marks += f"~{event.time - self.written_s:.2f}"
        else:
            self.end(event)
            return
        if self.in_place:
            print(f"\r\x1b[K{self.text} {self.marks}", end="", file=self.out, flush=True)

    def end(self, event):
        """Show the end of an utterance. Parameters: event (Final)."""
        head = "\r\x1b[K" if self.in_place else ""
        marks = f"{self.marks} .{event.time - self.written_s:.2f}".strip()
        print(f"{head}{event.begin:8.2f} {event.time:8.2f}  {event.text}  [{marks} {event.rule}]", file=self.out, flush=True)
        self.text, self.marks = "", ""


def source_of(options, notice):
    """Where sound comes from. Parameters: options, notice. Returns a context manager that gives (chunk, samples lost) pairs."""
    import contextlib
    n = max(1, round(options.chunk * RATE_HZ))
    if options.file is None:
        return microphone(options.device, n)
    return contextlib.closing(recording(options.file, n, options.realtime, notice))


def recording(path, chunk_samples, realtime, notice):
    """A recording, paced if wanted. Parameters: path, chunk_samples, realtime, notice. Yields (float32 [S], 0)."""
    import time

    from refasr.audio.wav import stream_audio
    began, n_samples = time.monotonic(), 0
    for chunk in stream_audio(path, chunk_samples, notice=notice):
        n_samples += chunk.size
        if realtime:
            time.sleep(max(0.0, began + n_samples / RATE_HZ - time.monotonic()))
        yield chunk, 0


def microphone(device, chunk_samples):
    """The microphone, until interrupted. Parameters: device, chunk_samples. Returns a context manager as `source_of`."""
    import contextlib
    import queue

    import numpy as np

    from refasr import checks
    sounddevice = checks.extra("sounddevice", "mic")
    waiting, lost = queue.Queue(BUFFERED), [0]

    def take(data, n_frames, _, status):
        dropped = lost[0] + (n_frames if status.input_overflow else 0)    # how much was lost is not said: a chunk or so
        try:
            waiting.put_nowait((np.array(data[:, 0], np.float32), dropped))
            lost[0] = 0
        except queue.Full:
            lost[0] = dropped + n_frames

    @contextlib.contextmanager
    def opened():
        name = int(device) if device is not None and device.isdigit() else device
        with sounddevice.InputStream(samplerate=RATE_HZ, channels=1, dtype="float32", blocksize=chunk_samples, device=name,
                                     callback=take):
            yield iter(lambda: next_block(waiting), None)
    return opened()


def next_block(waiting):
    """What the microphone gave. Parameters: waiting (Queue). Returns (float32 [S], samples lost before it)."""
    return waiting.get()
