"""What a session tells: four kinds of event, each with its time in the audio and the rule that fired.

    Partial       what is heard so far: a part that stays, and a part that may change
    Speculative   probably the end: a lattice to begin work with
    Reset         that revision was wrong: throw the work away
    Final         the end

Utterances are numbered from 0. Within an utterance the revision grows by one with each Reset, which names the revision that it
ends. A right guess is followed by Final of the same revision; whoever began work at Speculative may then use it.
"""

import base64
import dataclasses

from refasr.lattice import wire

PLACES_SECONDS = 4


@dataclasses.dataclass(frozen=True)
class Event:
    """What all events have.

    time : seconds of audio given to the session when it was decided; padding of `finish` does not count.
    rule : why: "text" changed; "model"; a rule of `refasr.endpoint.rules`; "finish", "gap" or "reset", as the session was told;
    of a Reset also "text-changed", "speech-went-on", "stable-changed".
    utterance, revision : which this belongs to.
    """

    time: float
    rule: str
    utterance: int
    revision: int

    @property
    def kind(self):
        """Its name in JSON. Returns "partial", "speculative", "reset" or "final"."""
        return type(self).__name__.lower()

    def as_json(self):
        """Keys event, time, rule, utterance, revision, and those of the kind; a lattice in its wire form, as base64.

        Returns a dict.
        """
        fields = {"event": self.kind} | {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in {"time", "begin"} & set(fields):
            fields[name] = round(fields[name], PLACES_SECONDS)
        if fields.get("lattice") is not None:
            fields["lattice"] = base64.b64encode(wire.encode(fields["lattice"])).decode()
        return fields


@dataclasses.dataclass(frozen=True)
class Partial(Event):
    """The text so far: stable and volatile, joined by a space.

    stable : words that are never taken back within the revision; volatile : words that may be.
    """

    stable: str
    volatile: str


@dataclasses.dataclass(frozen=True)
class Speculative(Event):
    """Probably the end.

    begin : where the utterance began, seconds; the lattice's times count from there.
    text : the lattice's best path; lattice : Lattice, or None after greedy search.
    """

    begin: float
    text: str
    lattice: object = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True)
class Reset(Event):
    """The revision is void; the next one has the next number."""


@dataclasses.dataclass(frozen=True)
class Final(Event):
    """The end of the utterance; begin, text and lattice as in Speculative."""

    begin: float
    text: str
    lattice: object = dataclasses.field(compare=False)
