"""Two thresholds on one posterior: guess early, then be sure.

    posterior >= speculative    the lattice goes out, and work downstream may begin
    text changes, or posterior < retract    the guess was wrong: reset, and a revised lattice when the time comes
    posterior >= final, or a rule fires     the end

Each has a least pause beside its threshold: what a short pause says is not yet worth the risk. The final ones are tuned first,
for few early cut-offs and short waits; then the speculative ones, to lead them by 200 ms in the median.
Source: Chang et al. 2020, "Low latency speech recognition using end-to-end prefetching".
"""

from typing import NamedTuple

from refasr import checks
from refasr.endpoint import rules
from refasr.errors import RangeError

SPECULATIVE, RESET, FINAL = "speculative", "reset", "final"
OFF = 2.0                       # a threshold that no probability reaches
TUNED = ("final", "speculative", "retract", "least_pause_s", "final_pause_s")    # in a model's card


class PairSettings(NamedTuple):
    """How to decide.

    final, speculative : thresholds of the posterior, 0 to 1; OFF never fires, so that rules alone decide.
    retract : a guess is taken back below it.
    least_pause_s, final_pause_s : no guess and no end sooner after the last unit; units come up to 0.1 s late.
    rules : tuple of Rule    One of them ends an utterance by its length.
    """

    final: float = OFF
    speculative: float = OFF
    retract: float = 0.0
    least_pause_s: float = 0.08
    final_pause_s: float = 0.08
    rules: tuple = rules.BESIDE_MODEL


SHERPA, KALDI = PairSettings(rules=rules.SHERPA), PairSettings(rules=rules.KALDI)


class Decision(NamedTuple):
    """What to do: kind SPECULATIVE, RESET or FINAL; rule : why."""

    kind: str
    rule: str


def settings_of(model, **changes):
    """Settings with a model's thresholds. Parameters: model (EndpointModel), **changes. Returns PairSettings."""
    return PairSettings(**{name: value for name, value in model.card["thresholds"].items() if name in TUNED} | changes)


def check_settings(settings):
    """Validate. Parameters: settings (PairSettings)."""
    for name in ("final", "speculative", "retract"):
        checks.between(name, getattr(settings, name), 0, OFF)
    for name in ("least_pause_s", "final_pause_s"):
        checks.between(name, getattr(settings, name), 0, 10)
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
    paused = lambda least_s: bool(seen.text) and seen.pause_s >= least_s - 1e-9
    sure = seen.posterior >= settings.final and paused(settings.final_pause_s)
    end = "model" if sure else rules.fired(settings.rules, seen)
    decisions = []
    if guess is not None and seen.text != guess:
        decisions.append(Decision(RESET, "text-changed"))
    elif guess is not None and end is None and seen.posterior < settings.retract:
        decisions.append(Decision(RESET, "speech-went-on"))
    if decisions:
        guess = None
    if end is not None:
        return [*decisions, Decision(FINAL, end)], None
    if guess is None and seen.posterior >= settings.speculative and paused(settings.least_pause_s):
        return [*decisions, Decision(SPECULATIVE, "model")], seen.text
    return decisions, guess
