"""What `endpoint_data.py` wrote, as cases; thresholds and rules tried on them, with the decisions of `refasr.endpoint.pair`."""

import json
from typing import NamedTuple

import endpoint_grid as grid
import numpy as np

from refasr.endpoint import features, model, pair
from refasr.endpoint.follow import Completeness, Observation
from refasr.endpoint.trail import Heard
from refasr.transducer.units import CHARACTERS, decode_labels
from refasr.twins import select

GUESS_PAUSES_S = np.arange(0.08, 0.33, 0.04)
GOALS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.13, 0.2)    # of the curves
BACKEND, FRAME_S, REACH_S = select("fast"), 0.04, 0.055
LEAD_S, LEAD_SLACK_MS = 0.2, 20      # of the speculative over the final


class Case(NamedTuple):
    """One utterance: features of every frame, when each was complete, and the truth."""

    source: str
    reference: str
    end: float
    pauses: list
    times: np.ndarray
    sound: np.ndarray
    decoder: np.ndarray
    texts: list          # best text after each frame
    pause_s: np.ndarray
    cost: np.ndarray
    snr_db: float | None = None


def read(path, text_weights, wide):
    """Cases of a file. Parameters: path, text_weights, wide (with the encoder's output). Yields Case."""
    with np.load(path, allow_pickle=False) as archive:
        about = json.loads(str(archive["about"]))
        mel, encoding, rows, text = (archive[f"frame_{name}"] for name in ("mel", "encoding", "rows", "text"))
    begin = 0
    for number, n in enumerate(about["frames"]):
        part = slice(begin, begin + n)
        begin += n
        labels = [tuple(known) for known in about["labels"][number]]
        known = Completeness(text_weights, BACKEND)
        complete = [known.of(one) for one in labels]
        spelled = [decode_labels(one) for one in labels]
        score, decoder = 0.0, np.zeros((n, features.N_DECODER), np.float32)
        for t, ((last, now, margin), which) in enumerate(zip(rows[part].tolist(), text[part].tolist())):
            heard = Heard(labels[which], 0, int(last), now, margin)
            decoder[t] = features.decoder_features(heard, score, t, complete[which], CHARACTERS, FRAME_S)
            score = now
        sound = np.stack([features.sound_features(frame) for frame in mel[part].astype(np.float32)])
        if wide:
            sound = np.concatenate([sound, encoding[part].astype(np.float32)], axis=1)
        cost = np.log1p(np.exp(-np.maximum(np.array(complete), -50)))[text[part]]
        yield Case(about["source"][number], about["text"][number], about["end"][number], about["pauses"][number],
                   REACH_S + FRAME_S * np.arange(n), sound, decoder, [spelled[which] for which in text[part]],
                   (np.arange(n) - rows[part, 0]) * FRAME_S, cost, about["snr_db"][number] if "snr_db" in about else None)


def tracks(cases, sound_weights):
    """Posterior of every frame, as in a session. Parameters: cases, sound_weights. Returns (Case, list of Observation) pairs."""
    step, found = BACKEND(model.finished), []
    for case in cases:
        state, seen = model.zero_state(sound_weights.recurrent), []
        for t, (sound, decoder) in enumerate(zip(case.sound, case.decoder)):
            p, state = step(sound, decoder, state, sound_weights)
            seen.append(Observation(float(p[0]), case.texts[t], "", float(case.pause_s[t]), (t + 1) * FRAME_S,
                                    float(case.cost[t])))
        found.append((case, seen))
    return found


class Outcome(NamedTuple):
    """What an end-pointer did with one utterance; times in seconds, None where nothing happened."""

    case: Case
    final_s: float
    first_guess_s: float | None
    last_guess_s: float | None
    agreed: bool         # the first guess was right, and nothing was taken back
    kept: bool           # the last guess was right
    n_guesses: int
    text: str
    rule: str


def outcome(case, seen, settings):
    """Run the pair over an utterance, to its first final. Parameters: case, seen, settings. Returns an Outcome."""
    guess, guesses, resets = None, [], 0
    for t, observation in enumerate(seen):
        decisions, guess = pair.decide(observation, guess, settings)
        for kind, rule in decisions:
            if kind == pair.SPECULATIVE:
                guesses.append((case.times[t], observation.text))
            resets += kind == pair.RESET
            if kind == pair.FINAL and (observation.text or rule == "longest"):
                agreed = bool(guesses) and guesses[0][1] == observation.text and resets == 0
                times = [time for time, _ in guesses] or [None]
                kept = resets < len(guesses)
                return Outcome(case, case.times[t], times[0], times[-1], agreed, kept, len(guesses), observation.text, rule)
    return Outcome(case, case.times[-1], None, None, False, False, len(guesses), seen[-1].text, "never")


def summary(outcomes):
    """Figures. Parameters: outcomes. Returns a dict; latencies over the utterances that were not cut off, in ms."""
    late = np.array([one.final_s - one.case.end for one in outcomes])
    kept = late[late >= 0]
    lead = np.array([0.0 if one.last_guess_s is None else one.final_s - one.last_guess_s for one in outcomes])
    guessed = np.array([one.last_guess_s - one.case.end for one in outcomes
                        if one.last_guess_s is not None and one.final_s >= one.case.end])
    ms = lambda values, q: round(float(np.percentile(values, q)) * 1000) if values.size else None
    n_guesses, used = sum(one.n_guesses for one in outcomes), sum(one.kept for one in outcomes)
    return {"n": len(outcomes), "early": round(float((late < 0).mean()), 4), "ep50": ms(kept, 50), "ep90": ms(kept, 90),
            "ep99": ms(kept, 99), "lead": ms(lead, 50), "spec50": ms(guessed, 50), "spec90": ms(guessed, 90),
            "agreement": round(sum(one.agreed for one in outcomes) / len(outcomes), 4),
            "wasted": round((n_guesses - used) / max(1, n_guesses), 4)}


def tune(tracked, goal, retract=0.3):
    """Thresholds and least pauses.

    Parameters
    ----------
    tracked : list of (Case, list of Observation)    Of dev.
    goal : float                                     Early cut-offs allowed.
    retract : float                                  Share of the speculative threshold.

    Returns
    -------
    (dict of str to float, list of dict)             The fields `pair.TUNED` of PairSettings; and, for the curves, the final's
                                                     fields at other goals, of which each is in `goal`.
    """
    tried = grid.everything(grid.grid_of(tracked))
    final, guesses = grid.best(tried, goal, grid.WANTED_S), []
    for least in (one for one in GUESS_PAUSES_S if one <= final.final_pause_s):
        for lower in np.arange(0, 4.01, 0.5):
            settings = guess_before(final, least, lower, retract)
            outcomes = [outcome(case, seen, settings) for case, seen in tracked]
            leads = [summary(some)["lead"] for some in (outcomes, *by_people(outcomes)) if some]
            far = sum(max(0, abs(lead - 1000 * LEAD_S) - LEAD_SLACK_MS) for lead in leads)
            guesses.append((far, -summary(outcomes)["agreement"], settings))
    chosen = min(guesses, key=lambda one: one[:2])[2]
    fields = ("final", "final_pause_s", "late_final", "late_final_pause_s")
    points = [(one, grid.best(tried, one)) for one in GOALS]
    return ({name: float(getattr(chosen, name)) for name in pair.TUNED},
            [{"goal": one} | {name: float(getattr(point, name)) for name in fields} for one, point in points if point])


def by_people(outcomes):
    """Those of synthetic voices and of people: each lead is to be right. Parameters: outcomes. Returns two lists."""
    people = [one.case.source.endswith("+") for one in outcomes]
    return [[one for one, real in zip(outcomes, people) if real == which] for which in (False, True)]


def guess_before(final, least_s, lower, retract):
    """Add a speculative pair that is less patient than the final.

    Parameters
    ----------
    final : PairSettings
    least_s : float         The speculative's least pause; after a longer one it guesses 200 ms before the final may fire.
    lower : float           How much lower its threshold is, in log-odds.
    retract : float         Share of its threshold.

    Returns
    -------
    PairSettings
    """
    early, late = (sigmoid(np.log(one / (1 - one)) - lower) for one in (final.final, final.late_final))
    return final._replace(speculative=early, retract=retract * min(early, late), least_pause_s=float(least_s),
                          late_speculative=late, late_least_pause_s=max(float(least_s), final.late_final_pause_s - LEAD_S))


def sigmoid(z):
    """Parameters: z. Returns float, 0 to 1."""
    return float(1 / (1 + np.exp(-z)))
