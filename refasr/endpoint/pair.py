"""Two thresholds on one posterior: guess early, then be sure.

    posterior >= speculative    the lattice goes out, and work downstream may begin
    text changes, or posterior < retract    the guess was wrong: reset, and a revised lattice when the time comes
    posterior >= final, or a rule fires     the end

The final threshold is tuned first, for few early cut-offs; then the speculative one to lead it by 200 ms in the median.
Source: Chang et al. 2020, "Low latency speech recognition using end-to-end prefetching".
"""

from typing import NamedTuple

from refasr import checks
from refasr.endpoint import rules
from refasr.errors import RangeError

SPECULATIVE, RESET, FINAL = "speculative", "reset", "final"
OFF = 2.0                       # a threshold that no probability reaches


class PairSettings(NamedTuple):
    """How to decide.

    final, speculative : thresholds of the posterior, 0 to 1; OFF never fires, so that rules alone decide.
    retract : a guess is taken back below it.
    least_pause_s : no end sooner after the last unit; units come up to 0.1 s late.
    rules : tuple of Rule    One of them ends an utterance by its length.
    """

    final: float = OFF
    speculative: float = OFF
    retract: float = 0.0
    least_pause_s: float = 0.08
    rules: tuple = rules.BESIDE_MODEL


SHERPA, KALDI = PairSettings(rules=rules.SHERPA), PairSettings(rules=rules.KALDI)


class Decision(NamedTuple):
    """What to do: kind SPECULATIVE, RESET or FINAL; rule : why."""

    kind: str
    rule: str


def settings_of(model, **changes):
    """Settings with a model's thresholds. Parameters: model (EndpointModel), **changes. Returns PairSettings."""
    tuned = model.card["thresholds"]
    return PairSettings(**{name: tuned.get(name, 0.0) for name in ("final", "speculative", "retract")} | changes)


def check_settings(settings):
    """Validate. Parameters: settings (PairSettings)."""
    for name in ("final", "speculative", "retract"):
        checks.between(name, getattr(settings, name), 0, OFF)
    checks.between("least_pause_s", settings.least_pause_s, 0, 10)
    if settings.speculative > settings.final or settings.retract > settings.speculative:
        raise RangeError(f"speculative: got retract {settings.retract}, speculative {settings.speculative}, final "
                         f"{settings.final}, expected them to rise; guess no later than you are sure")
    rules.check_rules(settings.rules)


def decide(seen, guess, settings):
    """One frame: a pure function.

    Parameters
    ----------
    seen : Observation         From `refasr.endpoint.follow`.
    guess : str or None        Text of the guess that stands.
    settings : PairSettings

    Returns
    -------
    (list of Decision, str or None)    What to do, in order; and the guess that stands now. After a FINAL none does.
    """
    paused = bool(seen.text) and seen.pause_s >= settings.least_pause_s - 1e-9
    end = "model" if paused and seen.posterior >= settings.final else rules.fired(settings.rules, seen)
    decisions = []
    if guess is not None and seen.text != guess:
        decisions.append(Decision(RESET, "text-changed"))
    elif guess is not None and end is None and seen.posterior < settings.retract:
        decisions.append(Decision(RESET, "speech-went-on"))
    if decisions:
        guess = None
    if end is not None:
        return [*decisions, Decision(FINAL, end)], None
    if guess is None and paused and seen.posterior >= settings.speculative:
        return [*decisions, Decision(SPECULATIVE, "model")], seen.text
    return decisions, guess
