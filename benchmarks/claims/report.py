"""Claims as rows: method, effect with its interval, verdict."""

import math

import numpy as np

from benchmarks.claims import compare
from benchmarks.claims.plan import arms_of

WAITING = "not finished"


def rows(plan, journal, names, n_seeds):
    """One row for each arm of each claim.

    Parameters
    ----------
    plan : Plan
    journal : Journal
    names : list of str    Claims.
    n_seeds : int

    Returns
    -------
    list of dict           claim, says, arm, against, wer, wer_against, effect, ci95, unit, verdict, decides, seeds, n_words, ...
    """
    done = journal.by_key()
    common = journal.shared["settings"] if journal.shared else {}
    found = lambda name: [done.get(plan.arm(name, seed, common["sets"]).key) if common else None
                          for seed in range(1, n_seeds + 1)]
    result = []
    for name in names:
        claim = plan.claims[name]
        entries = {arm: found(arm) for arm in arms_of(claim)}
        made = [row_of(claim, arm, entries, journal) for arm in claim["arms"]]
        least = min((row["choice_errors"] for row in made if "choice_errors" in row), default=None)
        for row in made:  # where one of several methods may be used, people of the choice set say which
            row["decides"] = claim.get("decides") != "chosen" or row.get("choice_errors") == least
        result += made
    return result


def row_of(claim, arm, entries, journal):
    """One arm of a claim. Parameters: claim, arm (name), entries (of all its arms), journal. Returns a dict."""
    row = {"claim": claim["name"], "says": claim["says"], "arm": arm, "against": claim["against"]}
    needed = [arm, claim["against"], *([claim["dense"]] if "dense" in claim else [])]
    missing = sum(entry is None for name in needed for entry in entries[name])
    if missing:
        return row | {"verdict": f"{WAITING}: {missing} of {sum(len(entries[name]) for name in needed)} arms to come"}
    errors, words = {name: np.stack([entry["test"] for entry in entries[name]]) for name in needed}, journal.shared["test"]
    effect, verdict = getattr(compare, claim["bar"])(*(errors[name] for name in needed), words)
    finite = [None if math.isnan(value) else round(value, 5) for value in effect]
    value, drawn = compare.rates([errors[name] for name in needed], words)
    own = compare.estimate(value[1], drawn[:, 1])
    return row | {
        "wer": round(float(value[0]), 5), "wer_against": round(float(value[1]), 5),
        "ci95_against": [round(own.low, 5), round(own.high, 5)],
        "relative": round(float(value[0] / value[1] - 1), 4) if value[1] else None,
        **({"wer_dense": round(float(value[2]), 5)} if len(needed) == 3 else {}),
        "effect": finite[0], "ci95": finite[1:], "unit": "share recovered" if claim["bar"] == "recovers" else "wer difference",
        "verdict": verdict, "seeds": len(entries[arm]), "n_words": int(words.sum()), "zeros": entries[arm][0]["zeros"],
        "choice_errors": sum(entry["choice"][0] for entry in entries[arm]),
        "s": round(float(np.mean([entry["s"] for entry in entries[arm]])), 1)}


def table(rows_made):
    """Rows as lines of text. Parameters: rows_made. Yields str."""
    claim = None
    for row in rows_made:
        if row["claim"] != claim:
            claim = row["claim"]
            yield f"\n{claim}: {row['says']}"
            yield f"  {'arm':<34}{'WER':>8}{'against':>9}{'effect':>9}   {'95 % interval':<20}verdict"
        if "effect" not in row:
            yield f"  {row['arm']:<34}{row['verdict']}"
            continue
        shown = "" if row["effect"] is None else f"{row['effect']:+.4f}"
        interval = "" if row["effect"] is None else f"[{row['ci95'][0]:+.4f}, {row['ci95'][1]:+.4f}]"
        verdict = row["verdict"] if row["decides"] else f"({row['verdict']})"
        yield f"  {row['arm']:<34}{row['wer']:>8.4f}{row['wer_against']:>9.4f}{shown:>9}   {interval:<20}{verdict}"
    yield "\nEffects are differences of word error rates, or shares of a loss; intervals are paired over utterances and seeds."
    yield "Where several methods serve one claim, the people of the choice set say which decides; others are in brackets."
