"""A session: samples in, events out, utterance after utterance, for as long as somebody talks.

    session = Session(Recogniser.load(search=SearchSettings()), load_endpoint())
    for chunk in microphone:
        session.accept(chunk)
        for event in session.events():
            ...                          # Partial, Speculative, Reset, Final: see refasr.events
    session.finish()

Everything is decided once per encoder frame: a chunk is cut where a frame is complete, so that no event and no bit depends on how
the samples came. `docs/sessions.md` says what is kept and what is forgotten between utterances.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.audio import SAMPLE_RATE_HZ
from refasr.audio.chunks import split
from refasr.endpoint import pair, rules
from refasr.endpoint.follow import Follower
from refasr.errors import RangeError
from refasr.events import Final, Partial, Reset, Speculative
from refasr.features import framing
from refasr.features.online import OnlineFeatures

F32 = np.float32
MOST_LOOKBACK_S = 1.0


class SessionSettings(NamedTuple):
    """How a session ends utterances and begins others.

    ending : PairSettings        When an utterance has ended.
    keep_encoder : bool          What the encoder remembers of speaker and room goes on to the next utterance.
    lookback_s : float           After a long time without words the utterance is begun again from so long ago: a word that just
                                 began is not lost.
    """

    ending: pair.PairSettings = pair.SHERPA
    keep_encoder: bool = False
    lookback_s: float = 0.4


class Session:
    """One speaker's stream. Sessions share a recogniser, also across threads; one session belongs to one thread at a time.

    Parameters
    ----------
    recogniser : Recogniser
    endpoint : EndpointModel or None        From `model_file.load_endpoint`; None: rules alone.
    settings : SessionSettings or None      None: the model's own thresholds, or sherpa's rules without a model.
    phrases : sequence, Automaton or None   To boost, as in `Stream`.

    Raises
    ------
    DTypeError, ShapeError, RangeError      For settings, phrases or a model that do not fit.
    """

    def __init__(self, recogniser, endpoint=None, settings=None, phrases=None):
        if settings is None:
            settings = SessionSettings() if endpoint is None else SessionSettings(pair.settings_of(endpoint))
        check_settings(settings)
        self.recogniser, self.endpoint, self.settings = recogniser, endpoint, settings
        self.automaton = None if phrases is None else recogniser.decoder.automaton_of(phrases)
        self.features = OnlineFeatures(recogniser.model.architecture.profile, recogniser.backend)
        self.position, self.utterance, self.told, self.waiting, self.finished = 0, -1, True, [], False
        self.lookback = np.zeros(0, F32)
        self._begin()
        self.graph.ranked(self.state.search)    # of nothing: the kernels are loaded now, not after the first utterance's end

    def _begin(self, encoder=None):
        """Start an utterance. Parameters: encoder (its state, or None for a new one)."""
        recogniser = self.recogniser
        self.state, self.mel_state, self.mels = recogniser.start(), self.features.start(), []
        if self.automaton is not None:
            self.state = self.state._replace(search=self.state.search._replace(automaton=self.automaton))
        if encoder is not None:
            self.state = self.state._replace(encoder=encoder)
        self.graph, self.follower = recogniser.decoder.utterance(), Follower(recogniser, self.endpoint)
        self.began, self.used, self.frames = self.position, 0, 0
        self.guess, self.guessed, self.stable, self.shown, self.revision = None, None, "", ("", ""), 0
        self.utterance, self.told = self.utterance + self.told, False    # one that told nothing has no number

    def accept(self, samples, at=None):
        """Take the next samples.

        Parameters
        ----------
        samples : float32 [S], about -1..1    At 16 kHz; any number, also none.
        at : int or None                      Which sample of the source the first one is, if the source counts: something that
                                              is missing is then an error, not joined in silence.

        Raises
        ------
        DTypeError, ShapeError, RangeError    For samples of another type, or not finite; after `finish`; for another `at` than
                                              `position`. Nothing of them was used, and the session can go on.
        """
        self._require_open()
        framing.check_samples(samples)
        if at is not None and at != self.position:
            raise RangeError(f"at: got sample {at}, expected {self.position}; declare what is missing with gap()")
        while samples.size:
            wanted = self.recogniser.reach_samples + self.frames * self.recogniser.frame_samples - self.used
            piece, samples = samples[:wanted], samples[wanted:]
            self.position += piece.size
            self._remember(piece)
            self._advance(piece)

    def _remember(self, piece):
        n = round(self.settings.lookback_s * SAMPLE_RATE_HZ)
        kept = np.concatenate([self.lookback, piece])
        self.lookback = kept[max(0, kept.size - n):].copy()

    def _advance(self, piece, deciding=True):
        """Recognise samples that complete one frame at most. Parameters: piece, deciding (False: no end is looked for)."""
        mels, self.mel_state = self.features.step(piece, self.mel_state)
        output, self.state = self.recogniser.step(piece, self.state)
        self.used += piece.size
        self.mels += list(mels)
        if len(output.encodings):
            self.graph.take(output.written, self.state.search)
            seen = self.follower.step(np.array(self.mels), output.encodings[0], output.written, self.state.search)
            self.mels, self.frames = [], self.frames + 1
            self._decide(seen, deciding)

    def _decide(self, seen, deciding):
        """Tell what a frame gave. Parameters: seen (Observation), deciding."""
        if not begins_with(seen.text, self.stable):
            self._reset("stable-changed")
        decisions, self.guess = pair.decide(seen, self.guess, self.settings.ending) if deciding else ([], self.guess)
        kinds = {kind: rule for kind, rule in decisions}
        if pair.RESET in kinds:
            self._reset(kinds[pair.RESET])
        if pair.FINAL in kinds:
            self._end(kinds[pair.FINAL])
            return
        self._show(seen)
        if pair.SPECULATIVE in kinds:
            ranked = self.graph.ranked(self.state.search)
            self.guess, self.guessed = seen.text, ranked.nbest[0].text
            self._tell(Speculative, kinds[pair.SPECULATIVE], self._began_s(), self.guessed, ranked.lattice)

    def _show(self, seen):
        """Tell the text, if it is another. Parameters: seen."""
        if begins_with(seen.stable, self.stable):
            self.stable = seen.stable
        shown = (self.stable, seen.text[len(self.stable):].strip())
        if shown != self.shown:
            self.shown = shown
            self._tell(Partial, "text", *shown)

    def _tell(self, kind, rule, *fields):
        self.told = True
        self.waiting.append(kind(self.position / SAMPLE_RATE_HZ, rule, self.utterance, self.revision, *fields))

    def _began_s(self):
        return self.began / SAMPLE_RATE_HZ

    def _reset(self, rule):
        """Declare the revision void. Parameters: rule."""
        self._tell(Reset, rule)
        self.revision, self.stable, self.guess, self.guessed, self.shown = self.revision + 1, "", None, None, ("", "")

    def _end(self, rule):
        """End the utterance; one without words is begun again from a moment ago. Parameters: rule."""
        ranked = self.graph.ranked(self.state.search)
        text, encoder = ranked.nbest[0].text, self.state.encoder if self.settings.keep_encoder else None
        if not text and self.guessed is None and not self.stable:
            self._restart(encoder)
            return
        if self.guessed not in (None, text):
            self._reset("text-changed")
        elif not begins_with(text, self.stable):
            self._reset("stable-changed")
        if text:
            self._tell(Final, rule, self._began_s(), text, ranked.lattice)
        self._begin(encoder)

    def _restart(self, encoder):
        """Begin again where nothing was said. Parameters: encoder."""
        if self.shown != ("", ""):
            self._tell(Partial, "text", "", "")
        again = self.lookback if self.used > self.lookback.size else np.zeros(0, F32)
        self._begin(encoder)
        self.began -= again.size
        while again.size:
            wanted = self.recogniser.reach_samples + self.frames * self.recogniser.frame_samples - self.used
            self._advance(again[:wanted])
            again = again[wanted:]

    def events(self):
        """What has happened since the last call. Returns a list of Event."""
        told, self.waiting = self.waiting, []
        return told

    def finish(self):
        """The stream has ended: silence follows, so that the last word is written, and the utterance ends.

        Raises
        ------
        RangeError    If called twice without `reset`.
        """
        self._require_open()
        self._close("finish")
        self.finished = True

    def gap(self, n_samples):
        """Declare that samples were lost: the utterance ends before them, and another begins after them.

        Parameters
        ----------
        n_samples : int, >= 1    How many, so that times stay right.

        Raises
        ------
        RangeError               For another number, or after `finish`.
        """
        self._require_open()
        if not isinstance(n_samples, int) or n_samples < 1:
            raise RangeError(f"n_samples: got {n_samples!r}, expected a whole number >= 1")
        self._close("gap")
        self.position += n_samples
        self.lookback = np.zeros(0, F32)
        self._begin()

    def _close(self, rule):
        """End the utterance with its exact tail. Parameters: rule."""
        for piece in split(np.zeros(self.recogniser.padding(self.used), F32), 1 + self.recogniser.frame_samples // 2):
            self._advance(piece, deciding=False)
        self.lookback = np.zeros(0, F32)
        self._end(rule)

    def reset(self, keep_encoder=False):
        """Forget the utterance, without an end, and begin another; also after `finish`. The clock goes on.

        Parameters
        ----------
        keep_encoder : bool    Keep what the encoder remembers of the speaker and the room.
        """
        if self.guessed is not None or self.shown != ("", ""):
            self._reset("reset")
        self.finished = False
        self._begin(self.state.encoder if keep_encoder else None)

    def _require_open(self):
        if self.finished:
            raise RangeError("session: got a call after finish(), expected none; call reset() first")


def begins_with(text, words):
    """Whether a text begins with these whole words. Parameters: text, words. Returns bool."""
    return not words or text == words or text.startswith(words + " ")


def check_settings(settings):
    """Validate. Parameters: settings (SessionSettings)."""
    pair.check_settings(settings.ending)
    checks.between("lookback_s", settings.lookback_s, 0, MOST_LOOKBACK_S)
    for rule in settings.ending.rules:
        if not rule.words and max(rule.pause_s, rule.length_s) <= settings.lookback_s:
            raise RangeError(f"rules: got {rule.name} after {max(rule.pause_s, rule.length_s)} s, expected more than lookback_s, "
                             f"{settings.lookback_s}; a restart would begin with the next")


def pair_settings(endpointer, endpoint):
    """Settings by name, as `refasr listen --endpointer` takes them.

    Parameters
    ----------
    endpointer : "model", "sherpa", "kaldi" or "length"    "length": only a length of 20 s ends an utterance.
    endpoint : EndpointModel or None

    Returns
    -------
    PairSettings

    Raises
    ------
    RangeError               For another name, or "model" without one.
    """
    if endpointer == "model":
        if endpoint is None:
            raise RangeError("endpointer: got 'model' without a model, expected one; load it, or name a set of rules")
        return pair.settings_of(endpoint)
    named = {"sherpa": pair.SHERPA, "kaldi": pair.KALDI, "length": pair.PairSettings(rules=(rules.IDLE, rules.LONGEST))}
    if endpointer not in named:
        raise RangeError(f"endpointer: got {endpointer!r}, expected model, {', '.join(named)}")
    return named[endpointer]
