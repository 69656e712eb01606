"""Measure the search on speech: beam widths, boosted names, lattices, confidences. Needs the speech of `data/README.md`.

    python data/training/search_report.py data/models/float.npz [curve] [names] [lattice] [confidence] > report.json

Settings (boost weight, calibration) are chosen on dev voices, or on all sets but barista; the figures are of the others.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

from refasr import corpus
from refasr.lattice import confidence, oracle
from refasr.lattice.forward_backward import arc_posteriors
from refasr.lattice.nbest import nbest
from refasr.metrics import bootstrap, wer
from refasr.recognise import Recogniser
from refasr.search.boost import Phrase
from refasr.search.hypotheses import SearchSettings
from refasr.transducer.units import encode_text

SPEECH = pathlib.Path(__file__).parents[3] / "shared" / "speech"
SETS = {"barista": ("recorded.tsv", "source=barista"), "gsc dev": ("recorded.tsv", "source=gsc", "split=dev"),
        "fsdd dev": ("recorded.tsv", "source=fsdd", "split=dev"), "kokoro dev": ("synthetic.tsv", "source=kokoro", "split=dev"),
        "kokoro test": ("synthetic.tsv", "source=kokoro", "split=test"),
        "personal dev": ("synthetic.tsv", "source=kokoro-personal", "split=dev"),
        "personal test": ("synthetic.tsv", "source=kokoro-personal", "split=test")}
ORDINARY = ("barista", "gsc dev", "fsdd dev", "kokoro dev", "kokoro test")
PREFIXES = {"contact": ("call", "text", "tell", "ask", "phone", "did", "to", "from", "on", "is", "message"),
            "device": ("on", "off", "start", "stop", "set", "is", "the")}
FITTED_ON, SCALES = ("gsc dev", "fsdd dev", "kokoro dev", "kokoro test", "personal dev"), (0.25, 0.35, 0.5, 0.7, 1.0)
OPUS_BYTES_A_SECOND = 3000
NAMES_FILE = pathlib.Path(__file__).parents[1] / "synthesis" / "names.txt"


class Report:
    """Recordings read once; results as a dictionary. Parameters: path (of the model)."""

    def __init__(self, path):
        self.path, self.loaded, self.recognised = path, {}, {}

    def items(self, name):
        """Samples and transcripts of a set. Parameters: name. Returns a list of (float32 [S], text, Utterance)."""
        if name not in self.loaded:
            manifest, *where = SETS[name]
            chosen = corpus.select(corpus.read_manifest(SPEECH / manifest), where)
            self.loaded[name] = [(corpus.read_samples(item), corpus.transcript(item), item) for item in chosen]
        return self.loaded[name]

    def results(self, name, search, **decoder):
        """Recognise a set. Parameters: name, search, **decoder. Returns a list of Result."""
        recogniser = Recogniser.load(self.path, search=search, **decoder)
        return [recogniser.transcribe_samples(samples) for samples, _, _ in self.items(name)]

    def error(self, name, results):
        """Word error rate. Parameters: name, results. Returns a dict."""
        score = wer.score([text for _, text, _ in self.items(name)], [result.text for result in results])
        low, high = bootstrap.interval(score.errors, score.words)
        return {"wer": round(score.wer, 4), "ci95": [round(low, 4), round(high, 4)], "words": int(score.words.sum())}

    def curve(self):
        """Word error rate by beam width. Returns a dict."""
        found = {}
        for name in ("barista", "kokoro test"):
            found[name] = {"greedy": self.error(name, self.results(name, None))}
            for width in (1, 2, 4, 8, 16):
                found[name][f"beam {width}"] = self.error(name, self.results(name, SearchSettings(beam=width)))
        return found

    def names(self):
        """Errors in rare names, with and without an address book that holds them and 50 others. Returns a dict.

        The weight is the best on dev voices of those that cost ordinary sentences (kokoro dev) at most 0.2 points.
        """
        found, best = {}, (np.inf, 0.0)
        plain = self.error("kokoro dev", self.results("kokoro dev", SearchSettings()))["wer"]
        for weight in (0.0, 1.0, 1.5, 2.0, 2.5, 3.0):
            phrases = self.phrases("personal dev", weight)
            rate = name_errors(self.items("personal dev"), self.results("personal dev", SearchSettings(), phrases=phrases))
            cost = self.error("kokoro dev", self.results("kokoro dev", SearchSettings(), phrases=phrases))["wer"] - plain
            found[f"dev, weight {weight}"] = {"name errors": rate, "ordinary sentences": round(cost, 4)}
            best = min(best, (rate, weight)) if cost <= 0.002 else best
        for weight in (0.0, best[1]):
            phrases = self.phrases("personal test", weight)
            results = self.results("personal test", SearchSettings(), phrases=phrases)
            found[f"test, weight {weight}"] = {"name errors": name_errors(self.items("personal test"), results),
                                               "words": self.error("personal test", results)}
            ordinary = [self.error(name, self.results(name, SearchSettings(), phrases=phrases)) for name in ORDINARY]
            found[f"ordinary, weight {weight}"] = dict(zip(ORDINARY, ordinary))
        return found

    def phrases(self, name, weight):
        """An address book: names of a set after verbs, and 50 distractors. Parameters: name, weight. Returns a list of Phrase."""
        others = [name for name in NAMES_FILE.read_text().split() if name.isascii() and name.isalpha()]
        distractors = [others[i] for i in np.random.default_rng(1).choice(len(others), 50, replace=False)]
        wanted = {word: item.extra for _, text, item in self.items(name) for word in rare_words(text)}
        kinds = {name: tuple(map(encode_text, prefixes)) for name, prefixes in PREFIXES.items()}
        book = sorted(wanted.items()) + [(distractor, "contact") for distractor in distractors]
        return [Phrase(encode_text(text), weight, kinds[kind], text) for text, kind in book] if weight else []

    def lattice(self):
        """Oracle error, size and bytes of lattices. Returns a dict."""
        found = {}
        for name in ("barista", "kokoro test"):
            results, counts = self.kept(name), []
            for (samples, text, _), result in zip(self.items(name), results):
                best = oracle.oracle_path(result.lattice, oracle.word_numbers(result.lattice, text.split()))
                from refasr.lattice import wire
                data, pcm = len(wire.encode(result.lattice)), 2 * len(samples)
                counts.append((best.errors, len(text.split()), result.lattice.n_arcs, data, data / pcm,
                               OPUS_BYTES_A_SECOND * len(samples) / 16000 / data))
            table = np.array(counts)
            found[name] = self.error(name, results) | {
                "oracle": round(table[:, 0].sum() / table[:, 1].sum(), 4), "median arcs": float(np.median(table[:, 2])),
                "median bytes": float(np.median(table[:, 3])), "median share of PCM": round(float(np.median(table[:, 4])), 5),
                "median Opus / lattice": round(float(np.median(table[:, 5])), 1)}
        return found

    def calibration(self):
        """Fit the confidences on all sets but barista. Returns a dict for the card: scale, slope, offset."""
        fits = {}
        for scale in SCALES:
            raw, right = self.judged(FITTED_ON, scale)
            fitted = confidence.fit_calibration(raw, right)
            sure = confidence.calibrate(raw, fitted.a, fitted.b)
            loss = -np.mean(np.where(right, np.log(sure), np.log1p(-sure)))
            fits[loss] = {"scale": scale, "slope": round(fitted.a, 4), "offset": round(fitted.b, 4)}
        return fits[min(fits)]

    def confidence(self):
        """The calibration, judged on barista. Returns a dict."""
        fitted = self.calibration()
        raw, right = self.judged(("barista",), fitted["scale"])
        sure = confidence.calibrate(raw, fitted["slope"], fitted["offset"])
        return fitted | {"calibration error": round(confidence.expected_calibration_error(sure, right), 4),
                         "uncalibrated": round(confidence.expected_calibration_error(raw, right), 4),
                         "area": round(confidence.area_under_roc(sure, right), 4), "words": int(right.size)}

    def judged(self, names, scale):
        """Raw confidence of every recognised word, and whether it is right. Parameters: names, scale. Returns two arrays."""
        raw, right = [], []
        for name in names:
            for (_, text, _), result in zip(self.items(name), self.kept(name)):
                best = nbest(result.lattice, 1)[0]
                raw.append(confidence.word_confidences(result.lattice, best.arcs, arc_posteriors(result.lattice, scale)))
                right += [said == heard for said, heard in wer.alignment(text, " ".join(best.words)) if heard]
        return np.concatenate(raw), np.array(right)

    def kept(self, name):
        """Results at the default settings, recognised once. Parameters: name. Returns a list of Result."""
        if name not in self.recognised:
            self.recognised[name] = self.results(name, SearchSettings())
        return self.recognised[name]


def rare_words(text):
    """The rare names in a sentence of the personal sets. Parameters: text. Returns a list of str."""
    sys.path.insert(0, str(SPEECH.parent / "tools"))
    from grammar import DEVICES_UNSEEN, NAMES_UNSEEN
    return [word for word in text.split() if word in NAMES_UNSEEN + DEVICES_UNSEEN]


def name_errors(items, results):
    """Share of rare names that are not in the recognised text. Parameters: items, results. Returns a float."""
    pairs = [(name, result.text.split()) for (_, text, _), result in zip(items, results) for name in rare_words(text)]
    return round(sum(name not in heard for name, heard in pairs) / len(pairs), 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("parts", nargs="*", default=["curve", "names", "lattice", "confidence"])
    options = parser.parse_args()
    report = Report(options.model)
    print(json.dumps({part: getattr(report, part)() for part in options.parts}, indent=1))


if __name__ == "__main__":
    main()
