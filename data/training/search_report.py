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
from refasr.decoders import LatticeSettings
from refasr.lattice import confidence, oracle, wire
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
OPUS_BYTES_A_SECOND = 3000
NAMES_FILE = pathlib.Path(__file__).parents[1] / "synthesis" / "names.txt"


class Report:
    """Recordings read once; results as a dictionary. Parameters: path (of the model)."""

    def __init__(self, path):
        self.path, self.loaded = path, {}

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
        """Errors in rare names, with and without a phrase list that holds them and 50 others. Returns a dict."""
        found, best = {}, (np.inf, 0.0)
        for weight in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5):
            rate = name_errors(self.items("personal dev"), self.results("personal dev", SearchSettings(),
                                                                        phrases=self.phrases("personal dev", weight)))
            found[f"dev, weight {weight}"] = rate
            best = min(best, (rate, weight))
        for weight in (0.0, best[1]):
            phrases = self.phrases("personal test", weight)
            found[f"test, weight {weight}"] = name_errors(
                self.items("personal test"), self.results("personal test", SearchSettings(), phrases=phrases))
            for name in ("barista", "kokoro dev", "kokoro test"):
                found[f"{name}, weight {weight}"] = self.error(name, self.results(name, SearchSettings(), phrases=phrases))
        return found

    def phrases(self, name, weight):
        """Names of a set and 50 distractors. Parameters: name, weight. Returns a list of Phrase; none for weight 0."""
        others = [name for name in NAMES_FILE.read_text().split() if name.isascii() and name.isalpha()]
        distractors = [others[i] for i in np.random.default_rng(1).choice(len(others), 50, replace=False)]
        wanted = sorted({word for _, text, _ in self.items(name) for word in rare_words(text)})
        return [Phrase(encode_text(text), weight, text=text) for text in wanted + distractors] if weight else []

    def lattice(self):
        """Oracle error, size and bytes of lattices. Returns a dict."""
        found = {}
        for name in ("barista", "kokoro test"):
            results, counts = self.results(name, SearchSettings()), []
            for (samples, text, _), result in zip(self.items(name), results):
                best = oracle.oracle_path(result.lattice, oracle.word_numbers(result.lattice, text.split()))
                data, pcm = len(wire.encode(result.lattice)), 2 * len(samples)
                counts.append((best.errors, len(text.split()), result.lattice.n_arcs, data, data / pcm,
                               OPUS_BYTES_A_SECOND * len(samples) / 16000 / data))
            table = np.array(counts)
            found[name] = self.error(name, results) | {
                "oracle": round(table[:, 0].sum() / table[:, 1].sum(), 4), "median arcs": float(np.median(table[:, 2])),
                "median bytes": float(np.median(table[:, 3])), "median share of PCM": round(float(np.median(table[:, 4])), 5),
                "median Opus / lattice": round(float(np.median(table[:, 5])), 1)}
        return found

    def confidence(self):
        """Calibration on all sets but barista, judged there. Returns a dict."""
        found = {}
        for scale in (0.25, 0.5, 0.75, 1.0):
            raw, right = self.judged(("gsc dev", "fsdd dev", "kokoro dev", "kokoro test", "personal dev"), scale)
            fitted = confidence.fit_calibration(raw, right)
            raw, right = self.judged(("barista",), scale)
            sure = confidence.calibrate(raw, fitted.a, fitted.b)
            found[f"scale {scale}"] = {"slope": fitted.a, "offset": fitted.b,
                                       "calibration error": confidence.expected_calibration_error(sure, right),
                                       "area": confidence.area_under_roc(sure, right), "words": int(right.size)}
        return found

    def judged(self, names, scale):
        """Raw confidence of every recognised word, and whether it is right. Parameters: names, scale. Returns two arrays."""
        raw, right = [], []
        for name in names:
            results = self.results(name, SearchSettings(), lattice=LatticeSettings(nbest=1))
            for (_, text, _), result in zip(self.items(name), results):
                best = nbest(result.lattice, 1)[0]
                raw.append(confidence.word_confidences(result.lattice, best.arcs, arc_posteriors(result.lattice, scale)))
                right += [said == heard for said, heard in wer.alignment(text, " ".join(best.words)) if heard]
        return np.concatenate(raw), np.array(right)


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
