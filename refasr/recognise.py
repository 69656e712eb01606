"""The recogniser: samples in, words out, one encoder frame at a time.

    recogniser = Recogniser.load()
    result = recogniser.transcribe_samples(samples)

    stream = recogniser.stream()
    for chunk in chunks:
        stream.accept(chunk)
        print(stream.text)          # what is certain to stay
    result = stream.finish()

A whole recording runs through the same loop as a stream, so no result depends on how the samples were cut. Greedy search
never takes back what it wrote; beam search revises, and ends in a lattice.
"""

from typing import NamedTuple

import numpy as np

from refasr import models, stages, words
from refasr.audio import SAMPLE_RATE_HZ
from refasr.audio.chunks import split
from refasr.decoders import BeamDecoder, GreedyDecoder, GreedyUtterance, LatticeSettings
from refasr.errors import RangeError
from refasr.features import framing
from refasr.features.profiles import PROFILES
from refasr.result import Result
from refasr.shipped import model_path
from refasr.twins import select

F32 = np.float32
FLUSH_FRAMES = 6          # if the model card does not say
STEP_SAMPLES = 16000      # longer chunks are cut, so that memory does not grow with them


class StreamState(NamedTuple):
    """All that a stream remembers; its size does not grow.

    samples : int                       Samples so far.
    features : OnlineState              Samples that wait for a window.
    stack : float32 [<stack, F]         Normalised frames that wait for a stack.
    encoder : tuple of LstmState        One a layer; IntegerState of an integer model.
    search : SearchState or BeamState   Of `refasr.stages`.
    """

    samples: int
    features: object
    stack: np.ndarray
    encoder: tuple
    search: object


class Output(NamedTuple):
    """What one chunk gave.

    written : list of Emission or Stretch    What the search wrote: units, or arcs of the graph (see `refasr.stages`).
    encodings : float32 or int8 [T, D]       The encoder's output for its frames.
    """

    written: object
    encodings: np.ndarray


class Recogniser:
    """A model made ready to run. Holds no audio: one recogniser serves many streams, also from several threads.

    Parameters
    ----------
    model : Model or IntegerModel                            From `models.load`.
    backend : "fast" or "reference"
    record : function of (key, inputs, outputs), or None     Told what passes each stage (see `refasr.stages`).
    search : SearchSettings or None                          Beam search; None is greedy.
    phrases : sequence or Automaton                          Spelled phrases to boost (see `refasr.search.boost`), for all
                                                             streams that bring none of their own.
    lattice : LatticeSettings                                What is kept of a beam search.
    lm : LmSettings or None                                  Language model of a beam search (see `refasr.search.fusion`).
    """

    def __init__(self, model, backend="fast", record=None, search=None, phrases=(), lattice=LatticeSettings(), lm=None):
        self.model, self.backend = model, select(backend)
        self.network = models.assemble(model, self.backend)
        self.frame_seconds = model.architecture.stack * PROFILES[model.architecture.profile].hop_samples / SAMPLE_RATE_HZ
        if search is None and lm is not None:
            raise RangeError("lm: got one with greedy search, expected none; give the recogniser search=SearchSettings()")
        self.decoder = GreedyDecoder(model, self.network, phrases) if search is None else BeamDecoder(
            model, self.network, self.backend, search, lattice, phrases, self.frame_seconds, lm)
        self.stages = stages.stages_of(model, self.network, self.backend, self.decoder.stage())
        if record is not None:
            self.stages = stages.traced(self.stages, record)
        self.layers = [stage for key, stage in self.stages.items() if key.startswith("K3.")]
        profile = PROFILES[model.architecture.profile]
        self.frame_samples = model.architecture.stack * profile.hop_samples
        self.reach_samples = (model.architecture.stack - 1) * profile.hop_samples + profile.window_samples
        self.window_samples = profile.window_samples
        self.flush_frames = model.card.get("flush_frames", FLUSH_FRAMES)

    @classmethod
    def load(cls, name_or_path="default", backend="fast", **decoder):
        """Read a model.

        Parameters
        ----------
        name_or_path : str or Path         A shipped model ("default", "float") or a model file.
        backend : "fast" or "reference"
        **decoder : object                 search, phrases, lattice, lm, as above.

        Returns
        -------
        Recogniser

        Raises
        ------
        FormatError                        No such model, or not a model.
        """
        return cls(models.load(model_path(name_or_path)), backend, **decoder)

    def start(self):
        """State before the first sample. Returns a StreamState."""
        first = {key: stage.start() for key, stage in self.stages.items()}
        return StreamState(first["K0"], first["K1"], first["K2"], tuple(layer.start() for layer in self.layers), first["K6"])

    def step(self, samples, state):
        """Recognise a chunk: a pure function.

        Parameters
        ----------
        samples : float32 [S], about -1..1    The next samples at 16 kHz; may be empty.
        state : StreamState                   From `start` or the last step; not modified.

        Returns
        -------
        (Output, StreamState)

        Raises
        ------
        DTypeError, ShapeError, RangeError    For samples of another type, or not finite.
        """
        samples, n_samples = self.stages["K0"].step(samples, state.samples)
        frames, features = self.stages["K1"].step(samples, state.features)
        h, stack = self.stages["K2"].step(frames, state.stack)
        encoder = []
        for layer, before in zip(self.layers, state.encoder):
            h, after = layer.step(h, before)
            encoder.append(after)
        written, search = self.stages["K6"].step(h, state.search)
        return Output(written, h), StreamState(n_samples, features, stack, tuple(encoder), search)

    def frames_of(self, n_samples):
        """Encoder frames that hold some of the samples, 0 for less than a window. Parameters: n_samples. Returns int."""
        if n_samples < self.window_samples:
            return 0
        return 1 + max(0, -(-(n_samples - self.reach_samples) // self.frame_samples))

    def padding(self, n_samples):
        """Zeros after the last sample: to fill its frame, then `flush_frames`. Parameters: n_samples. Returns int."""
        n_frames = self.frames_of(n_samples)
        if n_frames == 0:
            return 0
        return (n_frames - 1 + self.flush_frames) * self.frame_samples + self.reach_samples - n_samples

    def stream(self, phrases=None):
        """A new stream. Parameters: phrases (as in `Stream`). Returns a Stream."""
        return Stream(self, phrases)

    def transcribe_samples(self, samples, phrases=None):
        """Recognise a whole recording.

        Parameters
        ----------
        samples : float32 [S], about -1..1    At 16 kHz.
        phrases : sequence, Automaton or None    As in `Stream`.

        Returns
        -------
        Result

        Raises
        ------
        DTypeError, ShapeError, RangeError    For samples of another type, or not finite.
        """
        stream = self.stream(phrases)
        stream.accept(samples)
        return stream.finish()


class Stream:
    """One utterance while it is being said. Keeps the units written, which are its result, and little else.

    Parameters
    ----------
    recogniser : Recogniser
    phrases : sequence of Phrase, Automaton or None    To boost in this stream alone; None: those of the recogniser.
    """

    def __init__(self, recogniser, phrases=None):
        self.recogniser, self.automaton = recogniser, None
        self.reset(phrases=phrases)

    def reset(self, keep_encoder=False, phrases=None):
        """Forget the utterance and begin another.

        Parameters
        ----------
        keep_encoder : bool                              Keep what the encoder remembers of the speaker and the room.
        phrases : sequence of Phrase, Automaton or None    Boost these from now on, instead of any before; None changes nothing.

        Raises
        ------
        DTypeError, ShapeError, RangeError               For phrases that do not fit; the stream stays as it is.
        """
        if phrases is not None:
            self.automaton = self.recogniser.decoder.automaton_of(phrases)
        encoder = self.state.encoder if keep_encoder else None
        self.state = self.recogniser.start()
        if self.automaton is not None:
            self.state = self.state._replace(search=self.state.search._replace(automaton=self.automaton))
        if keep_encoder:
            self.state = self.state._replace(encoder=encoder)
        self.utterance, self.encodings, self.finished = self.recogniser.decoder.utterance(), [], False

    def accept(self, samples):
        """Take the next samples.

        Parameters
        ----------
        samples : float32 [S], about -1..1    At 16 kHz; any number, also none.

        Raises
        ------
        DTypeError, ShapeError, RangeError    For samples of another type, or not finite, or after `finish`; the stream can go on.
        """
        if self.finished:
            raise RangeError("samples: got some after finish(), expected none; call reset() first")
        if np.size(samples) > STEP_SAMPLES:
            framing.check_samples(samples)  # all of them before any is used; a shorter chunk is used whole or not at all
        self._advance(samples)

    def _advance(self, samples):
        for chunk in split(samples, STEP_SAMPLES):
            output, self.state = self.recogniser.step(chunk, self.state)
            self.utterance.take(output.written, self.state.search)
            if self.encodings is not None:
                self.encodings.append(output.encodings)
                if self.state.search.frame > words.MOST_FRAMES:
                    self.encodings = None

    @property
    def text(self):
        """What was recognised so far; the last word may be unfinished, and beam search may still revise all of it."""
        return self.utterance.text(self.state.search)

    @property
    def emissions(self):
        """Units that greedy search wrote so far. Returns a list of Emission; RangeError for beam search, which may revise."""
        if not isinstance(self.utterance, GreedyUtterance):
            raise RangeError("emissions: got a beam search, expected greedy search; take text, or the result of finish()")
        return self.utterance.emissions

    def finish(self):
        """End the utterance: silence follows, so that the last word is written.

        Returns
        -------
        Result

        Raises
        ------
        RangeError    If called twice without `reset`.
        """
        if self.finished:
            raise RangeError("finish: got a second call, expected one; call reset() first")
        n_samples = self.state.samples
        self._advance(np.zeros(self.recogniser.padding(n_samples), F32))
        self.finished = True
        return self._result(n_samples)

    def _result(self, n_samples):
        recogniser, ranked = self.recogniser, self.utterance.ranked(self.state.search)
        encodings = np.concatenate(self.encodings) if self.encodings else None
        frames = words.unit_frames(ranked.emissions, encodings, recogniser.frames_of(n_samples), recogniser.network,
                                   recogniser.backend)
        spoken = words.spoken_words(ranked.emissions, frames, recogniser.model.units, recogniser.frame_seconds)
        return Result(ranked.nbest[0].text, spoken, n_samples / SAMPLE_RATE_HZ, ranked.conf if spoken else 0.0, ranked.nbest,
                      ranked.lattice)
