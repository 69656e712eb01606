"""Two thresholds on one posterior: guess early, then be sure.

    posterior >= speculative    the lattice goes out, and work downstream may begin
    text changes, or posterior < retract    the guess was wrong: reset, and a revised lattice when the time comes
    posterior >= final, or a rule fires     the end

Each has a least pause beside its threshold, as what a short pause says is not yet worth the risk, and a lower threshold for
after a longer pause, when less has to speak for the end. The final ones are tuned first, for few early cut-offs and short waits;
then the speculative ones, to lead them by 200 ms in the median.
Source: Chang et al. 2020, "Low latency speech recognition using end-to-end prefetching".
"""

from typing import NamedTuple

from refasr import checks
from refasr.endpoint import rules
from refasr.errors import RangeError

SPECULATIVE, RESET, FINAL = "speculative", "reset", "final"
OFF = 2.0                       # a threshold that no probability reaches
TUNED = ("final", "speculative", "retract", "least_pause_s", "final_pause_s",    # in a model's card
         "late_final", "late_speculative", "late_least_pause_s", "late_final_pause_s")


class PairSettings(NamedTuple):
    """How to decide.

    final, speculative : thresholds of the posterior, 0 to 1; OFF never fires, so that rules alone decide.
    retract : a guess is taken back below it.
    least_pause_s, final_pause_s : no guess and no end sooner after the last unit; units come up to 0.1 s late.
    rules : tuple of Rule    One of them ends an utterance by its length.
    late_final, late_speculative, late_least_pause_s, late_final_pause_s : the same again, for after a longer pause.
    """

    final: float = OFF
    speculative: float = OFF
    retract: float = 0.0
    least_pause_s: float = 0.08
    final_pause_s: float = 0.08
    rules: tuple = rules.BESIDE_MODEL
    late_final: float = OFF
    late_speculative: float = OFF
    late_least_pause_s: float = 0.0
    late_final_pause_s: float = 0.0


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
    for name in ("final", "speculative", "retract", "late_final", "late_speculative"):
        checks.between(name, getattr(settings, name), 0, OFF)
    for name in ("least_pause_s", "final_pause_s", "late_least_pause_s", "late_final_pause_s"):
        checks.between(name, getattr(settings, name), 0, 10)
    for late, speculative, final in (("", settings.speculative, settings.final),
                                     ("late_", settings.late_speculative, settings.late_final)):
        if speculative > final or settings.retract > speculative:
            raise RangeError(f"{late}speculative: got retract {settings.retract}, speculative {speculative}, final {final}, "
                             "expected them to rise; guess no later than you are sure")
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
    end = reached(seen, settings.final, settings.final_pause_s, settings.late_final, settings.late_final_pause_s)
    end = end or rules.fired(settings.rules, seen)
    decisions = []
    if guess is not None and seen.text != guess:
        decisions.append(Decision(RESET, "text-changed"))
    elif guess is not None and end is None and seen.posterior < settings.retract:
        decisions.append(Decision(RESET, "speech-went-on"))
    if decisions:
        guess = None
    if end is not None:
        return [*decisions, Decision(FINAL, end)], None
    begin = reached(seen, settings.speculative, settings.least_pause_s, settings.late_speculative, settings.late_least_pause_s)
    if guess is None and begin:
        return [*decisions, Decision(SPECULATIVE, begin)], seen.text
    return decisions, guess


def reached(seen, threshold, pause_s, late_threshold, late_pause_s):
    """Which of two bars was passed: its name, or None. Parameters: seen, threshold, pause_s, late_threshold, late_pause_s."""
    for name, bar, least_s in (("model", threshold, pause_s), ("model-late", late_threshold, late_pause_s)):
        if seen.text and seen.posterior >= bar and seen.pause_s >= least_s - 1e-9:
            return name
    return None
