"""How soon, how rarely too soon, how well guessed: the end-pointers on a set that `endpoint_data.py` wrote.

    python data/training/endpoint_report.py MODEL.npz SET*.npz [--json OUT.json]

Latency is counted from the true end of speech to the sound that a decision needed (computation comes on top, see
`python -m benchmarks endpoint`), over utterances that were not cut off. The curves move the final threshold and its least
pause, or the pause of a rule, and give the latency at each rate of early cut-offs.
"""

import argparse
import json
import pathlib

import endpoint_sets as sets
import numpy as np

from refasr.endpoint import pair, rules
from refasr.endpoint.model_file import load_endpoint
from refasr.metrics import wer
from refasr.twins import select

RATES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1)


def with_errors(outcomes):
    """Figures, and the word error rate of the text at the final. Parameters: outcomes. Returns a dict."""
    scored = wer.score([one.case.reference for one in outcomes], [one.text for one in outcomes], select("fast"))
    return sets.summary(outcomes) | {"wer": round(float(scored.wer), 4)}


def run(tracked, settings):
    """Parameters: tracked, settings (PairSettings). Returns a list of Outcome."""
    return [sets.outcome(case, seen, settings) for case, seen in tracked]


def model_settings(threshold, final_pause_s=0.08):
    """The model alone, at one threshold. Parameters: threshold, final_pause_s. Returns PairSettings."""
    return pair.PairSettings(threshold, final_pause_s=final_pause_s)


def sherpa_settings(pause_s):
    """Its rules, with another pause after words. Parameters: pause_s. Returns PairSettings."""
    first, second, third = rules.SHERPA
    return pair.PairSettings(rules=(first._replace(pause_s=max(first.pause_s, pause_s)), second._replace(pause_s=pause_s), third))


def kaldi_settings(scale):
    """Its rules, with the pauses of rules 2 to 4 scaled, as Vosk does. Parameters: scale. Returns PairSettings."""
    return pair.PairSettings(rules=tuple(rule._replace(pause_s=rule.pause_s * scale) if rule.name[-1] in "234" else rule
                                         for rule in rules.KALDI))


POINTS = [(sets.sigmoid(z), pause_s) for z in np.arange(-2, 7, 0.5) for pause_s in (0.08, 0.24, 0.4, 0.56)]
CURVES = {"model": (model_settings, POINTS),
          "sherpa": (sherpa_settings, np.arange(0.08, 2.05, 0.08)), "kaldi": (kaldi_settings, np.arange(0.1, 3.0, 0.15))}


def curve(tracked, name):
    """Points of a curve. Parameters: tracked, name. Returns a list of (early, median s, 90 % s), rising early."""
    make, values = CURVES[name]
    points = []
    for settings in (make(*value) if isinstance(value, tuple) else make(value) for value in values):
        late = np.array([one.final_s - one.case.end for one in run(tracked, settings)])
        if (late >= 0).any():
            points.append((float((late < 0).mean()), *np.percentile(late[late >= 0], [50, 90]).tolist()))
    return sorted(points)


def at_rate(points, rate):
    """The best latencies with at most so many early cut-offs. Parameters: points, rate. Returns (ms, ms) or (None, None)."""
    good = [point for point in points if point[0] <= rate]
    return tuple(round(1000 * min(point[i] for point in good)) for i in (1, 2)) if good else (None, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("sets", type=pathlib.Path, nargs="+")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    endpoint = load_endpoint(options.model)
    cases = [case for path in options.sets for case in sets.read(path, endpoint.text, bool(endpoint.sizes.encoder))]
    tracked, report = sets.tracks(cases, endpoint.sound), {}
    groups = {"all": tracked} | {source: [one for one in tracked if one[0].source == source]
                                 for source in sorted({case.source for case in cases})}
    for name, some in groups.items():
        for ending, settings in (("model", pair.settings_of(endpoint)), ("sherpa", pair.SHERPA), ("kaldi", pair.KALDI)):
            report[f"{name} {ending}"] = with_errors(run(some, settings))
            print(name, ending, report[f"{name} {ending}"])
    for group, name in ((group, name) for group in groups for name in CURVES):
        points = curve(groups[group], name)
        report[f"curve {group} {name}"] = points
        print(group, name, *(f"early<={rate:.0%}: EP50, EP90 {at_rate(points, rate)};" for rate in RATES))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
