"""Who is trained on, who chooses settings, who is the test: by speaker, so that no person is on two sides.

Written as manifests into the work folder:

    train       words of the people to train on
    digits      the synthetic digits of data/smoke
    choice      people by whom settings are chosen
    test        people who decide about the claims
    labelled    the share of `train` and of continuous read speech whose texts the teacher-student claim may use
    hidden      the rest of both; their texts are not looked at
"""

import hashlib
import os
import pathlib

from refasr import corpus
from refasr.errors import RangeError
from refasr.manifests import COLUMNS
from refasr.shipped import data_path
from refasr.train.examples import confidence
from refasr.whole_file import whole_file

SPEECH = pathlib.Path(__file__).parents[3] / "shared" / "speech"
NAMES = ("train", "digits", "choice", "test", "labelled", "hidden")


def mixed(text):
    """A number that looks random, the same in every run. Parameters: text. Returns a float in [0, 1)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def by_people(utterances, sizes):
    """Deal people out until each part has enough words; the last part gets the rest.

    Parameters
    ----------
    utterances : list of Utterance
    sizes : list of int               Words of each part but the last.

    Returns
    -------
    list of list of Utterance
    """
    people = {}
    for item in utterances:
        people.setdefault(item.speaker, []).append(item)
    parts, wanted = [[]], list(sizes)
    for name in sorted(people, key=mixed):
        if wanted and n_words(parts[-1]) >= wanted[0]:
            wanted.pop(0)
            parts.append([])
        parts[-1] += people[name]
    if len(parts) <= len(sizes):
        raise RangeError(f"[sets]: got {n_words(utterances)} words, expected more than {sum(sizes)}; ask for fewer")
    return parts


def n_words(utterances):
    """Words in their texts. Parameters: utterances. Returns an int."""
    return sum(len(item.text.split()) for item in utterances)


def deal(settings, speech=SPEECH):
    """All sets.

    Parameters
    ----------
    settings : dict    Table [sets] of claims.toml.
    speech : Path      Folder with recorded.tsv.

    Returns
    -------
    dict of str to list of Utterance
    """
    recorded = corpus.read_manifest(speech / "recorded.tsv")
    of = lambda source: corpus.select(recorded, [f"source={source}"])
    test, choice, train = by_people(of("gsc"), [settings["test_words"], settings["choice_words"]])
    strangers = set(settings["test_speakers"])
    test += [item for item in of("fsdd") if item.speaker in strangers]
    digits = [item for item in of("fsdd") if item.speaker not in strangers]
    read = [item for item in of("libri") if item.split == "train" and confidence(item) >= settings["least_confidence"]]
    told = [item for item in train + read if mixed(item.file.name) < settings["labelled_share"]]
    hidden = [item for item in train + read if mixed(item.file.name) >= settings["labelled_share"]]
    synthetic = corpus.select(corpus.read_manifest(data_path("smoke", "manifest.tsv")), ["split=train"])
    return {"train": train + digits, "digits": synthetic, "choice": choice, "test": test, "labelled": told + digits,
            "hidden": hidden}


def write(folder, sets):
    """Write the manifests. Parameters: folder, sets (dict of lists of Utterance)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, items in sets.items():
        lines = ["\t".join(COLUMNS)]
        for item in items:
            part = [f"{item.start:.4f}", "" if item.duration is None else f"{item.duration:.4f}"]
            file = os.path.relpath(item.file.resolve(), folder.resolve())
            lines.append("\t".join([file, item.split, item.source, item.speaker, item.text, item.extra, *part]))
        with whole_file(folder / f"{name}.tsv", "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def fingerprint(utterances):
    """Tells one set from another: names of files and texts. Parameters: utterances. Returns 16 hexadecimal digits."""
    lines = [f"{item.file.name}\t{item.text}\t{item.start}" for item in utterances]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
