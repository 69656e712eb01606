"""What end-pointing costs: a frame of the model, and what is left to compute when somebody has finished speaking.

`frame` is one step of the network, in both twins. `left` is measured in a session over a shipped recording followed by
silence: the seconds from handing over the samples that complete a frame to holding the event, for frames that end in
Speculative or Final, and for all others. Latencies of decisions are another matter: `data/training/endpoint_report.py`.
"""

import statistics
import time

import numpy as np

from refasr.audio.wav import read_audio
from refasr.endpoint import model
from refasr.endpoint.model_file import load_endpoint
from refasr.events import Final, Speculative
from refasr.recognise import Recogniser
from refasr.search.hypotheses import SearchSettings
from refasr.session import Session
from refasr.shipped import data_path
from refasr.twins import select

ROUNDS = 5
SAMPLES = ("coffee", "lights", "timer", "weather")


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable}, cost)."""
    endpoint, rng = load_endpoint(), np.random.default_rng(1)
    sizes = endpoint.sizes
    sound = rng.standard_normal(sizes.mel + sizes.encoder).astype(np.float32)
    decoder = rng.standard_normal(len(endpoint.sound.joint) - sizes.acoustic).astype(np.float32)
    state = model.zero_state(endpoint.sound.recurrent)
    arguments = sound, decoder, state, endpoint.sound
    yield (f"step=frame I={sound.size} N={sizes.acoustic}",
           {name: lambda step=select(name)(model.finished): step(*arguments)[0] for name in ("fast", "reference")})


def measure():
    """Computation left at the end of speech. Yields (case, contestant, seconds, unit)."""
    recogniser, endpoint = Recogniser.load(search=SearchSettings()), load_endpoint()
    silence = 0.001 * np.random.default_rng(0).standard_normal(32000).astype(np.float32)
    taken = {Speculative: [], Final: [], None: []}
    for name in SAMPLES * ROUNDS:
        samples = np.concatenate([read_audio(data_path("samples", f"{name}.flac")), silence])
        session = Session(recogniser, endpoint)
        for begin in range(0, samples.size, recogniser.frame_samples):
            began = time.perf_counter()
            session.accept(samples[begin:begin + recogniser.frame_samples])
            events = session.events()
            passed = time.perf_counter() - began
            taken[next((type(event) for event in events if type(event) in taken), None)].append(passed)
    for kind, seconds in taken.items():
        if seconds:
            case = f"left={kind.__name__.lower() if kind else 'frame'}"
            yield case, "fast", statistics.median(seconds), "s"
            yield f"{case} quantile=0.99", "fast", float(np.percentile(seconds, 99)), "s"
