"""What is heard in an epoch: a pure function of the seed and the epoch's number."""

from typing import NamedTuple

import numpy as np

from refasr import corpus
from refasr.transducer.units import encode_text

SAMPLE_RATE_HZ = 16000


class Example(NamedTuple):
    """Recordings said in a row, what is said, and the number that seeds their augmentation."""

    pieces: tuple       # indices into the store
    labels: np.ndarray  # int32 (U,)
    seconds: float      # before augmentation
    serial: int         # unique within the epoch


class Piece(NamedTuple):
    """One recording of the training data."""

    index: int
    speaker: str
    text: str
    seconds: float


def confidence(utterance):
    """Confidence of a machine-made transcript, or 0. Parameters: utterance. Returns a float."""
    kind, _, value = utterance.extra.partition(":")
    return float(value) if kind == "pseudo" else 0.0


def training_files(config):
    """All utterances that the configuration trains on.

    Parameters
    ----------
    config : TrainConfig

    Returns
    -------
    list of list of Utterance    One list for each [[data]] table.
    """
    shares = []
    for share in config.data:
        chosen = corpus.select(corpus.read_manifest(config.path(share.manifest)), list(share.where))
        shares.append([utterance for utterance in chosen if confidence(utterance) >= share.least_confidence])
    return shares


def pieces_of(shares, store):
    """Pair every utterance with its recording in the store.

    Parameters
    ----------
    shares : list of list of Utterance    In the order in which the store was filled.
    store : Store

    Returns
    -------
    list of list of Piece
    """
    result, index = [], 0
    for share in shares:
        pieces = []
        for utterance in share:
            seconds = store.length(index) / SAMPLE_RATE_HZ
            pieces.append(Piece(index, utterance.speaker, corpus.transcript(utterance), seconds))
            index += 1
        result.append(pieces)
    return result


def group_by_speaker(pieces, largest, rng):
    """Random rows of up to `largest` recordings of one speaker; recordings without a speaker stay alone.

    Parameters
    ----------
    pieces : list of Piece
    largest : int
    rng : numpy.random.Generator

    Returns
    -------
    list of list of Piece
    """
    if largest == 1:
        return [[piece] for piece in pieces]
    order = [pieces[i] for i in rng.permutation(len(pieces))]
    speakers, groups = {}, []
    for piece in order:
        speakers.setdefault(piece.speaker or f"unknown {piece.index}", []).append(piece)
    for rows in speakers.values():
        while rows:
            size = int(rng.integers(1, largest + 1))
            groups.append(rows[:size])
            rows = rows[size:]
    return groups


def epoch_examples(shares, settings, seed, epoch):
    """Everything heard in one epoch.

    Parameters
    ----------
    shares : list of list of Piece
    settings : tuple of DataSettings    One for each share.
    seed, epoch : int

    Returns
    -------
    list of Example
    """
    rng = np.random.default_rng([seed, epoch])
    examples = []
    for pieces, share in zip(shares, settings):
        for _ in range(share.copies):
            for group in group_by_speaker(pieces, share.join, rng):
                text = " ".join(piece.text for piece in group)
                seconds = sum(piece.seconds for piece in group)
                examples.append(Example(tuple(piece.index for piece in group), encode_text(text), seconds, len(examples)))
    return examples


def epoch_batches(examples, settings, seed, epoch):
    """Batches of similar lengths, in random order.

    Parameters
    ----------
    examples : list of Example
    settings : BatchSettings
    seed, epoch : int

    Returns
    -------
    list of list of Example
    """
    rng = np.random.default_rng([seed, epoch, 1])
    keys = [example.seconds * rng.uniform(0.85, 1.15) for example in examples]
    batches, batch, longest = [], [], 0.0
    for i in np.argsort(keys, kind="stable"):
        longest = max(longest, examples[i].seconds)
        if batch and (longest * (len(batch) + 1) > settings.seconds or len(batch) == settings.utterances):
            batches.append(batch)
            batch, longest = [], examples[i].seconds
        batch.append(examples[i])
    batches.append(batch)
    return [batches[i] for i in rng.permutation(len(batches))]
