"""Sets for the end-point model and its latency suite, made from ../shared/speech and heard by the recogniser.

    python data/training/endpoint_data.py SET OUT.npz [--part I/N] [--model NAME]

SET is train, hard, dev, people or test. What is written is what the model sees of every frame (`refasr.endpoint.features`), the
best text after every frame, the true end of each utterance and its pauses: thresholds and rules can then be compared without
hearing everything again. No speaker, noise or text source of one set is in another: noise recordings are split by name, and of
the prompts and the read sentences, which have no test part, the test takes those of speakers kept for development. Coffee orders
of real people (barista) are in the test alone.

    train, hard    to learn from; `hard` has more of real people, at other speeds, in rooms and through poor microphones, so that
                   the recogniser errs about as often as with people whom it never heard
    dev, people    to tune on; `people` is of real people who are not in training
"""

import argparse
import dataclasses
import json
import pathlib
from typing import NamedTuple

import numpy as np

from refasr import corpus, forced
from refasr.audio import SAMPLE_RATE_HZ, augment
from refasr.audio.speed import change_speed
from refasr.audio.wav import read_audio
from refasr.endpoint import compose, trail
from refasr.errors import RefasrError
from refasr.features.online import OnlineFeatures
from refasr.recognise import Recogniser
from refasr.search.hypotheses import SearchSettings
from refasr.twins import select
from refasr.whole_file import whole_file

SPEECH = pathlib.Path(__file__).resolve().parents[3] / "shared" / "speech"
TEST_NOISE = ("doing_the_dishes", "f_rain", "f_music", "noise3", "f_air_conditioner")
DEV_NOISE = ("exercise_bike", "f_wind", "noise4")
SEED = {"train": 1, "dev": 2, "test": 3, "hard": 4, "people": 5}
SIDE = {"train": "train", "hard": "train", "dev": "dev", "people": "dev", "test": "test"}    # whose noises and talk
NEVER = {"af_kore", "am_eric", "af_sarah", "am_puck", "bf_lily", "bm_daniel"}
# manifest, where, the most utterances (spread evenly), share: which half of them
PARTS = {
    "train": [("synthetic", ["source=kokoro", "split=train"], 2400, None),
              ("recorded", ["source=libri", "split=train"], 251, None),
              ("recorded", ["source=prompts", "split=train"], 521, None), ("recorded", ["source=gsc", "split=train"], 120, None),
              ("recorded", ["source=fsdd", "split=train"], 80, None), ("synthetic", ["source=hibari", "split=train"], 120, None),
              ("synthetic", ["source=piper", "split=train"], 120, None)],
    "dev": [("synthetic", ["source=kokoro", "split=dev"], 220, None),
            ("synthetic", ["source=kokoro-personal", "split=dev"], 160, None),
            ("recorded", ["source=libri", "split=dev"], 60, 0)],
    "hard": [("recorded", ["source=prompts", "split=train"], 170, None),
             ("recorded", ["source=libri", "split=train"], 70, None),
             ("synthetic", ["source=kokoro", "split=train"], 260, None)],
    "people": [],
    "test": [("synthetic", ["source=kokoro", "split=test"], 215, None),
             ("synthetic", ["source=kokoro-personal", "split=test"], 156, None),
             ("recorded", ["source=libri", "split=dev"], 60, 1),
             ("recorded", ["source=barista"], 318, None)]}
STRUNG = {"hard": (("gsc", "train", 180), ("fsdd", "train", 60)), "people": (("gsc", "dev", 90), ("fsdd", "dev", 40))}
TRAIN = compose.Ranges(pause_chance=0.5, trail_s=(1.6, 2.6), snr_db=(None, 30.0, 20.0, 14.0, 8.0), talk_chance=0.25)
RANGES = {"train": TRAIN, "hard": TRAIN._replace(snr_db=(None, 20.0, 12.0, 6.0)), "dev": compose.Ranges(),
          "people": compose.Ranges(), "test": compose.Ranges()}
ROOMS = augment.AugmentSettings(speed_chance=0.6, room_chance=0.6, noise_chance=0.0, equaliser_chance=0.7, band_limit_chance=0.25,
                                level_dbfs=(-38.0, -14.0), floor_dbfs=(-75.0, -48.0))
MOST_WORDS, MARGIN_S, APART_S = 5, 0.06, (0.0, 0.15)      # of single words strung together


class Strung(NamedTuple):
    """Single words of one speaker, one after the other. items : tuple of Utterance."""

    items: tuple

    @property
    def source(self):
        """Of the words. Returns text, with a plus that tells them from single ones."""
        return self.items[0].source + "+"

    @property
    def file(self):
        """The first word's. Returns a Path."""
        return self.items[0].file


def utterances(name):
    """The set's recordings. Parameters: name. Returns a list of Utterance."""
    chosen = []
    for manifest, where, most, half in PARTS[name]:
        found = corpus.select(corpus.read_manifest(SPEECH / f"{manifest}.tsv"), where)
        if name == "train":
            found = [item for item in found if not set(str(item.speaker).replace("+", " ").replace("_x_", " ").split()) & NEVER]
        if half is not None:
            speakers = sorted({item.speaker for item in found})
            found = [item for item in found if speakers.index(item.speaker) % 2 == half]
        keep = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
        chosen += [found[i] for i in keep]
    for source, split, n in STRUNG.get(name, ()):
        words = corpus.select(corpus.read_manifest(SPEECH / "recorded.tsv"), [f"source={source}", f"split={split}"])
        chosen += strung(np.random.default_rng([SEED[name], n]), words, n)
    return chosen


def strung(rng, words, n):
    """Rows of one to five words, each of one speaker. Parameters: rng, words (list of Utterance), n. Returns a list of Strung."""
    by_speaker = {}
    for word in words:
        by_speaker.setdefault(word.speaker, []).append(word)
    speakers, rows = sorted(name for name, said in by_speaker.items() if len(said) > 1), []
    for _ in range(n):
        said = by_speaker[speakers[rng.integers(len(speakers))]]
        rows.append(Strung(tuple(said[i] for i in rng.permutation(len(said))[:rng.integers(1, MOST_WORDS + 1)])))
    return rows


def spoken(rng, item, aligner, hard):
    """Samples, text and where the words are.

    Parameters
    ----------
    rng : numpy.random.Generator
    item : Utterance or Strung
    aligner : Recogniser
    hard : bool                   At another speed.

    Returns
    -------
    (float32 [S], text, Placed)
    """
    plan = augment.draw(rng, ROOMS, 0, 0)
    faster = lambda samples: select("fast")(change_speed)(samples, plan.speed) if hard and plan.speed else samples
    if isinstance(item, Strung):
        words = [faster(corpus.read_samples(word)) for word in item.items]
        return string(rng, words, " ".join(map(corpus.transcript, item.items)))
    samples, text = faster(corpus.read_samples(item)), corpus.transcript(item)
    words = forced.align_samples(aligner, samples, text).result.words
    return samples, text, compose.place(samples, [(word.start, word.end) for word in words])


def string(rng, words, text):
    """Put words in a row, with the room that they were recorded in about them. Parameters: rng, words, text. As `spoken`."""
    margin, pieces, begin, gaps, at = round(MARGIN_S * SAMPLE_RATE_HZ), [], None, [], 0
    for samples in words:
        own = compose.place(samples, [(0.0, samples.size / SAMPLE_RATE_HZ)])
        first, last = max(0, own.begin - margin), min(samples.size, own.end + margin)
        apart = round(float(rng.uniform(*APART_S)) * SAMPLE_RATE_HZ) if pieces else 0
        if pieces:
            gaps.append(at + apart // 2)
        pieces += [np.zeros(apart, np.float32), compose.faded(samples[first:last])]
        begin = own.begin - first if begin is None else begin
        end, at = at + apart + own.end - first, at + apart + last - first
    return np.concatenate(pieces), text, compose.Placed(begin, end, tuple(gaps))


def background(name):
    """Noises and talk of a set. Parameters: name. Returns (list, list) of float32 [N]."""
    noises, kept = sorted((SPEECH / "noise").glob("*.ogg")), {"test": TEST_NOISE, "dev": DEV_NOISE}
    side = SIDE[name]
    if side == "train":
        noises = [path for path in noises if path.stem not in TEST_NOISE + DEV_NOISE]
    else:
        noises = [path for path in noises if path.stem in kept[side]]
    where = ["source=libri", "split=train" if side == "train" else "split=dev"]
    talk = corpus.select(corpus.read_manifest(SPEECH / "recorded.tsv"), where)
    speakers = sorted({item.speaker for item in talk})
    if side != "train":
        talk = [item for item in talk if speakers.index(item.speaker) % 2 == (side == "test")]
    return [read_audio(path) for path in noises], [corpus.read_samples(item) for item in talk[:40]]


def composed(name, items, aligner):
    """Compose a set. Parameters: name, items (of (number, Utterance)), aligner. Yields (Utterance, text, Plan, Composed)."""
    noises, talks = background(name)
    rooms = [read_audio(path) for path in sorted((SPEECH / "rir").glob("*.flac"))]
    for number, item in items:
        rng = np.random.default_rng([SEED[name], number])
        try:
            samples, text, placed = spoken(np.random.default_rng([SEED[name], number, 1]), item, aligner, name == "hard")
        except RefasrError as error:
            print(f"left out: {error}")
            continue
        plan = compose.draw(rng, RANGES[name], len(placed.gaps))
        made = compose.compose(samples, placed, plan, noises, talks)
        if name == "hard":
            heard = dataclasses.replace(augment.draw(rng, ROOMS, 0, len(rooms)), speed=None)    # it has been changed
            made = made._replace(samples=augment.apply(made.samples, heard, [], rooms, select("fast")))
        yield item, text, plan, made


def hear(recogniser, features, samples):
    """What passes in each encoder frame. Parameters: recogniser, features, samples. Returns a dict of arrays, and the texts."""
    state, own, walk = recogniser.start(), features.start(), trail.trail_of(recogniser.start().search)
    mels, encodings, rows, texts, known = [], [], [], [], {}
    for begin in range(0, samples.size, recogniser.frame_samples):
        chunk = samples[begin:begin + recogniser.frame_samples]
        output, state = recogniser.step(chunk, state)
        frames, own = features.step(chunk, own)
        mels.append(frames)
        for h in output.encodings:
            encodings.append(h)
            heard = walk.take(output.written, state.search)
            number = known.setdefault(heard.labels, len(known))
            texts.append(number)
            rows.append((heard.last_frame, heard.score, heard.margin))
    n = len(encodings)
    mel = np.concatenate(mels)[:4 * n].reshape(n, 4, -1)
    return dict(mel=mel.astype(np.float16), encoding=np.array(encodings, np.float16), rows=np.array(rows, np.float64),
                text=np.array(texts, np.int32)), list(known)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SEED)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--part", default="0/1", metavar="I/N")
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    recogniser, aligner = Recogniser.load(options.model, search=SearchSettings()), Recogniser.load(options.model)
    features = OnlineFeatures("refasr", select("fast"))
    items = list(enumerate(utterances(options.set)))[part::parts]
    kept = dict(source=[], text=[], end=[], pauses=[], labels=[], frames=[], file=[], snr_db=[], talk=[])
    columns = dict(mel=[], encoding=[], rows=[], text=[])
    for item, text, plan, made in composed(options.set, items, aligner):
        arrays, labels = hear(recogniser, features, made.samples)
        for name, array in arrays.items():
            columns[name].append(array)
        for name, value in dict(source=item.source, text=text, end=made.end_s, pauses=made.pauses, labels=labels,
                                frames=len(arrays["text"]), file=item.file.name, snr_db=plan.snr_db,
                                talk=plan.talk_db is not None).items():
            kept[name].append(value)
        if len(kept["file"]) % 50 == 0:
            print(f"{options.set}: {len(kept['file'])} of {len(items)}", flush=True)
    with whole_file(options.out) as file:
        np.savez(file, about=np.array(json.dumps(kept)),
                 **{f"frame_{name}": np.concatenate(value) for name, value in columns.items()})


if __name__ == "__main__":
    main()
