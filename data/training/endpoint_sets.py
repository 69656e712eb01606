"""What `endpoint_data.py` wrote, as cases; thresholds and rules tried on them, with the decisions of `refasr.endpoint.pair`."""

import json
from typing import NamedTuple

import numpy as np

from refasr.endpoint import features, model, pair
from refasr.endpoint.follow import Completeness, Observation
from refasr.endpoint.trail import Heard
from refasr.transducer.units import CHARACTERS, decode_labels
from refasr.twins import select

FINAL_PAUSES_S, GUESS_PAUSES_S = np.arange(0.08, 0.61, 0.04), np.arange(0.08, 0.41, 0.04)
BACKEND, FRAME_S, REACH_S = select("fast"), 0.04, 0.055
LEAD_S, LEAD_SLACK_MS = 0.2, 20      # of the speculative over the final
WANTED_MS = 400                      # the final's median latency: a guess that leads it still has heard the end


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
                   (np.arange(n) - rows[part, 0]) * FRAME_S, cost)


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
    dict of str to float                             The fields `pair.TUNED` of PairSettings.
    """
    def run(settings):
        return summary([outcome(case, seen, settings) for case, seen in tracked])
    finals = []
    for pause in FINAL_PAUSES_S:
        for z in np.arange(-1, 6, 0.25):
            found = run(pair.PairSettings(sigmoid(z), final_pause_s=pause))
            if found["early"] <= goal:
                finals.append((max(0, abs(found["ep50"] - WANTED_MS) - 2 * LEAD_SLACK_MS), found["ep90"], z, pause))
                break
    _, _, z, pause = min(finals)
    final, guesses = pair.PairSettings(sigmoid(z), final_pause_s=pause), []
    for least in (one for one in GUESS_PAUSES_S if one <= pause):
        for lower in np.arange(0, 4.01, 0.25):
            speculative = sigmoid(z - lower)
            settings = final._replace(speculative=speculative, retract=retract * speculative, least_pause_s=least)
            found = run(settings)
            far = max(0, abs(found["lead"] - 1000 * LEAD_S) - LEAD_SLACK_MS)
            guesses.append((far, -found["agreement"], settings))
    best = min(guesses, key=lambda one: one[:2])[2]
    return {name: float(getattr(best, name)) for name in pair.TUNED}


def sigmoid(z):
    """Parameters: z. Returns float, 0 to 1."""
    return float(1 / (1 + np.exp(-z)))
