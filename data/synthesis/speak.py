"""Synthesise training speech: many invented speakers, sentences that no grammar would produce.

Every utterance is a function of (seed, index) alone, so any share of the work can be done anywhere:

    KOKORO_DIR=... python data/synthesis/speak.py OUT --first 0 --count 2500 --tools DIR --speech DIR

OUT receives `wav/kokoro2-NNNNN.ogg` (16 kHz mono Opus) and `part-FIRST.tsv` in refasr's manifest format.
Voices: Kokoro-82M (Apache-2.0), the English ones except those reserved for dev and test, each mixed with
one or two others; one in four mixtures takes a voice of another language for its accent.
"""
import argparse
import csv
import os
import pathlib
import random
import sys

import numpy as np
import soundfile
from scipy.signal import resample_poly

RESERVED = {"af_kore", "am_eric", "af_sarah", "am_puck", "bf_lily", "bm_daniel"}
SEED = 20261123
CARRIERS = ["call {}", "text {}", "phone {} at home", "message {} that i'm late", "turn on {}", "is {} there", "ask {} about {}",
            "remind {} to call {}", "play {} by {}", "add {} to the list", "{} and {}", "tell {} good night", "when did {} call",
            "send this to {}", "how do you spell {}", "directions to {}", "set {} to fifty percent", "turn off {} in the kitchen"]


def vocabulary(speech_dir, forbidden):
    """Words of the training transcripts, without the names reserved for the personalisation test."""
    words = set()
    for name in ("recorded.tsv", "synthetic.tsv"):
        with open(pathlib.Path(speech_dir) / name, newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                if row["split"] == "train":
                    words.update(row["text"].split())
    return sorted(word for word in words - forbidden if word.strip("'"))


def sentence(rng, grammar, words, names):
    """One sentence: coffee orders, random words, names in carrier phrases, or any other rule."""
    kind = rng.choices(["barista", "words", "name", "digits", "grammar"], [30, 25, 20, 5, 20])[0]
    grammar.R.seed(rng.getrandbits(40))
    if kind == "words":
        return kind, " ".join(rng.choice(words) for _ in range(rng.randint(2, 8)))
    if kind == "name":
        carrier = rng.choice(CARRIERS)
        fill = lambda: " ".join(rng.sample(names, rng.randint(1, 2)))
        return kind, carrier.format(*[fill() for _ in range(carrier.count("{}"))])
    if kind == "grammar":
        rules, weights = zip(*[(rule, weight) for rule, weight in grammar.KINDS2 if rule.__name__ != "barista"])
        rule = grammar.R.choices(rules, weights)[0]
        return rule.__name__, " ".join(rule().split())
    return kind, " ".join(getattr(grammar, kind)().split())


def style(engine, rng, n_tokens, english, foreign):
    """A new speaker: a random mixture of two or three voices. Returns (name, style row, language)."""
    first = rng.choice(english)
    others = [rng.choice(foreign if rng.random() < 0.25 else english) for _ in range(rng.randint(1, 2))]
    weights = np.array([1.0] + [rng.uniform(0.2, 1.0) for _ in others])
    weights /= weights.sum()
    name = "+".join(f"{voice}:{weight:.2f}" for voice, weight in zip([first, *others], weights))
    row = sum(weight * engine.voice(voice)[n_tokens] for voice, weight in zip([first, *others], weights))
    return name, row.astype(np.float32), "en-gb" if first[0] == "b" else "en-us"


def speak(engine, text, rng, english, foreign):
    """Return (24 kHz samples, speaker name)."""
    language = "en-gb" if rng.random() < 0.3 else "en-us"
    phonemes = engine.phon(text, language)
    tokens = [engine.vocab[c] for c in phonemes if c in engine.vocab][:508]
    name, row, _ = style(engine, rng, len(tokens), english, foreign)
    feed = {"tokens": np.array([[0, *tokens, 0]], np.int64), "style": row.reshape(1, 256),
            "speed": np.array([rng.uniform(0.8, 1.3)], np.float32)}
    return engine.s.run(None, feed)[0].ravel(), name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2500)
    parser.add_argument("--tools", required=True, help="folder with grammar.py and kokoro.py")
    parser.add_argument("--speech", required=True, help="folder with recorded.tsv and synthetic.tsv")
    parser.add_argument("--names", type=pathlib.Path, required=True, help="text file, one name a line")
    options = parser.parse_args()
    sys.path.insert(0, options.tools)
    import grammar
    import kokoro
    forbidden = {word for phrase in grammar.NAMES_UNSEEN + grammar.DEVICES_UNSEEN for word in phrase.split()}
    words = vocabulary(options.speech, forbidden)
    names = [name for name in options.names.read_text().split() if name not in forbidden]
    voices = sorted(path.stem for path in pathlib.Path(os.environ["KOKORO_DIR"], "package/voices").glob("*.bin"))
    english = [voice for voice in voices if voice[0] in "ab" and voice not in RESERVED]
    foreign = [voice for voice in voices if voice[0] not in "ab"]
    engine = kokoro.Kokoro()
    (options.out / "wav").mkdir(parents=True, exist_ok=True)
    with open(options.out / f"part-{options.first}.tsv", "w") as manifest:
        manifest.write("file\tsplit\tsource\tspeaker\ttext\textra\n")
        for index in range(options.first, options.first + options.count):
            rng = random.Random(SEED * 1_000_003 + index)
            kind, text = sentence(rng, grammar, words, names)
            samples, speaker = speak(engine, text, rng, english, foreign)
            samples = resample_poly(samples, 2, 3)
            file = f"wav/kokoro2-{index:05d}.ogg"
            soundfile.write(options.out / file, samples / max(1.0, np.abs(samples).max()), 16000, format="OGG", subtype="OPUS")
            manifest.write(f"{file}\ttrain\tkokoro2\t{speaker}\t{text}\t{kind}\n")
            manifest.flush()


if __name__ == "__main__":
    main()
