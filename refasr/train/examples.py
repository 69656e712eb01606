"""What is heard in an epoch: a pure function of the seed and the epoch's number."""

from typing import NamedTuple

import numpy as np

from refasr import corpus
from refasr.errors import FormatError, RangeError
from refasr.transducer.units import encode_text

SAMPLE_RATE_HZ = 16000
KEEP = -1.0  # final_fraction where the fraction stays


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
    try:
        return float(value) if kind == "pseudo" else 0.0
    except ValueError:
        raise FormatError(f"{utterance.origin()}: got extra {utterance.extra!r:.40}, expected pseudo:NUMBER") from None


def selected(config, settings):
    """Utterances that a table of the configuration names.

    Parameters
    ----------
    config : TrainConfig
    settings : DataSettings or EvaluationSettings

    Returns
    -------
    list of Utterance

    Raises
    ------
    FormatError, RangeError    For the manifest or the terms, or if nothing matches.
    """
    path = config.path(settings.manifest)
    chosen = corpus.select(corpus.read_manifest(path), list(settings.where))
    if not chosen:
        terms = " and ".join(settings.where) or "a text"
        raise FormatError(f"{path}: got no utterance with {terms}, expected some; correct where")
    return chosen


def training_files(config):
    """All utterances that the configuration trains on.

    Parameters
    ----------
    config : TrainConfig

    Returns
    -------
    list of list of Utterance    One list for each [[data]] table.

    Raises
    ------
    FormatError                  If there is no such table, or one that names nothing.
    """
    if not config.data:
        raise FormatError(f"{config.folder}: got a configuration without [[data]], expected at least one such table; add it")
    shares = []
    for share in config.data:
        sure = [utterance for utterance in selected(config, share) if confidence(utterance) >= share.least_confidence]
        if not sure:
            raise FormatError(f"{share.manifest}: got no utterance as sure as {share.least_confidence}; lower it")
        shares.append(sure)
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


def cross_join(groups, settings, rng):
    """Let strangers meet: some short rows are continued by a row from anywhere else.

    A source has its own sound and its own words. A network soon takes the sound for a hint at the words; where digits in a
    kitchen are followed by an order from a studio, it has to listen.

    Parameters
    ----------
    groups : list of list of Piece
    settings : BatchSettings         `cross_join`, the chance, and `cross_join_s`, the longest row that takes part.
    rng : numpy.random.Generator

    Returns
    -------
    list of list of Piece
    """
    short = [i for i in range(len(groups)) if sum(piece.seconds for piece in groups[i]) <= settings.cross_join_s]
    chosen = [short[i] for i in rng.permutation(len(short)) if rng.random() < settings.cross_join]
    half = len(chosen) // 2
    joined = [groups[first] + groups[second] for first, second in zip(chosen[:half], chosen[half:])]
    taken = set(chosen[: 2 * half])
    return [group for i, group in enumerate(groups) if i not in taken] + joined


def fraction_at(share, step):
    """Chance that a recording is heard. Parameters: share (DataSettings), step (the epoch's first). Returns 0.0 to 1.0."""
    if share.final_fraction == KEEP:
        return share.fraction
    done = min(max((step - share.from_step) / max(1, share.to_step - share.from_step), 0), 1)
    return share.fraction + (share.final_fraction - share.fraction) * done


def epoch_examples(shares, settings, batch, seed, epoch, step=0):
    """Everything heard in one epoch.

    Parameters
    ----------
    shares : list of list of Piece
    settings : tuple of DataSettings    One for each share.
    batch : BatchSettings
    seed, epoch : int
    step : int                          First of the epoch: the mix of the shares may depend on it.

    Returns
    -------
    list of Example

    Raises
    ------
    RangeError                          If nothing is heard.
    """
    rng = np.random.default_rng([seed, epoch])
    groups = []
    for pieces, share in zip(shares, settings):
        fraction = fraction_at(share, step)
        for _ in range(share.copies):
            heard = [piece for piece in pieces if fraction == 1 or rng.random() < fraction]
            groups += group_by_speaker(heard, share.join, rng)
    examples = []
    for group in cross_join(groups, batch, rng):
        text, seconds = " ".join(piece.text for piece in group), sum(piece.seconds for piece in group)
        examples.append(Example(tuple(piece.index for piece in group), encode_text(text), seconds, len(examples)))
    if not examples:
        raise RangeError(f"[[data]] fraction: got an epoch {epoch} without recordings, expected some; raise a fraction")
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
