"""How soon, how rarely too soon, how well guessed, at how many bytes: the end-pointers on sets that `endpoint_data.py` wrote.

    python data/training/endpoint_report.py MODEL.npz SET*.npz --json OUT.json [--bytes 60]
    refasr plot endpoint OUT.json -o OUT.png

Latency is counted from the true end of speech to the sound that a decision needed (computation comes on top, see
`python -m benchmarks endpoint`), over utterances that were not cut off. The curves give the latency at each rate of early
cut-offs: of the model at the settings that dev chose for different goals (`points` of its card), of the rules at different
pauses. The bytes are of sessions over N test utterances, composed anew. A read passage (libri) has many ends of sentences, and
stands apart.
"""

import argparse
import json
import pathlib

import endpoint_bytes
import endpoint_data
import endpoint_grid as grid
import endpoint_sets as sets
import numpy as np

from refasr.endpoint import pair, rules
from refasr.endpoint.model_file import load_endpoint
from refasr.metrics import wer
from refasr.recognise import Recogniser
from refasr.search.hypotheses import SearchSettings
from refasr.twins import select

RATES = tuple(percent / 100 for percent in range(1, 11))


def with_errors(outcomes):
    """Figures, and the word error rate of the text at the final. Parameters: outcomes. Returns a dict."""
    scored = wer.score([one.case.reference for one in outcomes], [one.text for one in outcomes], select("fast"))
    return sets.summary(outcomes) | {"wer": round(float(scored.wer), 4)}


def run(tracked, settings):
    """Parameters: tracked, settings (PairSettings). Returns a list of Outcome."""
    return [sets.outcome(case, seen, settings) for case, seen in tracked]


def sherpa_settings(pause_s):
    """Its rules, with another pause after words. Parameters: pause_s. Returns PairSettings."""
    first, second, third = rules.SHERPA
    return pair.PairSettings(rules=(first._replace(pause_s=max(first.pause_s, pause_s)), second._replace(pause_s=pause_s), third))


def kaldi_settings(scale):
    """Its rules, with the pauses of rules 2 to 4 scaled, as Vosk does. Parameters: scale. Returns PairSettings."""
    return pair.PairSettings(rules=tuple(rule._replace(pause_s=rule.pause_s * scale) if rule.name[-1] in "234" else rule
                                         for rule in rules.KALDI))


def families(endpoint):
    """Settings from hasty to patient. Parameters: endpoint. Returns a dict of name to list of PairSettings."""
    points = [{name: value for name, value in point.items() if name != "goal"} for point in endpoint.card.get("points", [])]
    return {"model": [pair.PairSettings(**point) for point in points],
            "sherpa": [sherpa_settings(pause_s) for pause_s in np.arange(0.08, 2.41, 0.08)],
            "kaldi": [kaldi_settings(scale) for scale in np.arange(0.1, 4.0, 0.1)]}


def groups_of(tracked):
    """Which utterances are looked at together. Parameters: tracked. Returns a dict of name to bool [N]."""
    cases = [case for case, _ in tracked]
    read = np.array([case.source == "libri" for case in cases])
    real = np.array([case.source == "barista" for case in cases])
    paused = np.array([bool(case.pauses) for case in cases])
    snr = np.array([case.snr_db or 0.0 for case in cases])
    found = {"requests": ~read, "real people": real, "synthetic": ~real & ~read}
    found |= {source: np.array([case.source == source for case in cases]) for source in sorted({case.source for case in cases})}
    for name in ("requests", "real people", "synthetic"):
        found |= {f"{name}, clean": found[name] & (snr == 0), f"{name}, 20 dB": found[name] & (snr == 20),
                  f"{name}, 10 dB": found[name] & (snr == 10), f"{name}, pauses": found[name] & paused,
                  f"{name}, no pauses": found[name] & ~paused}
    return {name: chosen for name, chosen in found.items() if chosen.any()}


def at_rate(points, rate):
    """The best latencies with at most so many early cut-offs. Parameters: points, rate. Returns (ms, ms) or (None, None)."""
    good = [point for point in points if point[0] <= rate]
    return tuple(round(1000 * min(point[i] for point in good)) for i in (1, 2)) if good else (None, None)


def report_on(tracked, endpoint):
    """Parameters: tracked, endpoint. Returns a dict: `table`, a row for each group and end-pointer, and `curves`."""
    groups, table, curves = groups_of(tracked), [], []
    for ending, settings in (("model", pair.settings_of(endpoint)), ("sherpa", pair.SHERPA), ("kaldi", pair.KALDI)):
        outcomes = run(tracked, settings)
        table += [{"set": name, "ended_by": ending} | with_errors([outcomes[i] for i in np.flatnonzero(chosen)])
                  for name, chosen in groups.items()]
    everything = grid.grid_of(tracked)
    for ending, family in families(endpoint).items():
        late = [grid.latency(everything, settings) for settings in family]
        for name, chosen in groups.items():
            points = sorted(grid.figures(one[chosen]) for one in late)
            curves.append({"set": name, "ended_by": ending, "points": points,
                           "at": [[rate, *at_rate(points, rate)] for rate in RATES]})
    return {"table": table, "curves": curves}


def measured_bytes(endpoint, n, model):
    """Sessions over utterances composed anew. Parameters: endpoint, n, model (name). Returns a dict of source to figures."""
    recogniser, aligner = Recogniser.load(model, search=SearchSettings()), Recogniser.load(model)
    items = [item for item in enumerate(endpoint_data.utterances("test")) if item[1].source != "libri"]
    chosen = [items[i] for i in np.linspace(0, len(items) - 1, n).round().astype(int)]
    sounds = {}
    for item, _, _, made in endpoint_data.composed("test", chosen, aligner):
        sounds.setdefault("real people" if item.source == "barista" else "synthetic", []).append(made.samples)
    return {name: endpoint_bytes.bytes_up(recogniser, endpoint, some) for name, some in sounds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("sets", type=pathlib.Path, nargs="+")
    parser.add_argument("--json", type=pathlib.Path, required=True)
    parser.add_argument("--bytes", type=int, default=60, help="utterances to send; 0 for none")
    parser.add_argument("--recogniser", default="default", help="for the bytes; as endpoint_data.py --model")
    options = parser.parse_args()
    endpoint = load_endpoint(options.model)
    cases = [case for path in options.sets for case in sets.read(path, endpoint.text, bool(endpoint.sizes.encoder))]
    report = report_on(sets.tracks(cases, endpoint.sound), endpoint)
    if options.bytes:
        report["bytes"] = measured_bytes(endpoint, options.bytes, options.recogniser)
    for row in report["table"]:
        print(*row.values())
    for one in report["curves"]:
        print(one["set"], one["ended_by"], *(f"{rate:.0%}: {median} {long};" for rate, median, long in one["at"]))
    print(report.get("bytes"))
    options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
