"""Pseudo-labels: what a teacher hears in recordings that no one has transcribed, written as a manifest to train on.

A row's `extra` is `pseudo:X` with X the teacher's confidence, 0 to 1; `least_confidence` of a [[data]] table chooses by it.
"""

import os
import pathlib
from typing import NamedTuple

from refasr import corpus
from refasr.errors import RangeError, RefasrError
from refasr.manifests import COLUMNS
from refasr.whole_file import whole_file


class Label(NamedTuple):
    """What was heard in an utterance, how surely, and how long it was."""

    utterance: corpus.Utterance
    text: str
    confidence: float   # 0 to 1
    seconds: float


def label(utterances, recogniser):
    """Recognise recordings; their own texts are not looked at.

    Parameters
    ----------
    utterances : list of Utterance
    recogniser : Recogniser           The teacher.

    Yields
    ------
    Label or RefasrError              In order; an error for a recording that cannot be read.
    """
    for utterance in utterances:
        try:
            result = recogniser.transcribe_samples(corpus.read_samples(utterance))
        except RefasrError as error:
            yield error
        else:
            yield Label(utterance, result.text, result.conf, result.duration)


def write_manifest(path, labels):
    """Write the rows that have a text.

    Parameters
    ----------
    path : str or Path         A TSV file; paths in it are relative to its folder.
    labels : list of Label

    Returns
    -------
    int                        Rows written.

    Raises
    ------
    RangeError                 If there is none to write.
    """
    folder, lines = pathlib.Path(path).resolve().parent, []
    for item, text, confidence, duration in labels:
        if text:
            file = os.path.relpath(item.file.resolve(), folder)
            lines.append("\t".join([file, item.split, item.source, item.speaker, text, f"pseudo:{confidence:.4f}",
                                    f"{item.start:.4f}", f"{duration:.4f}"]))
    if not lines:
        raise RangeError(f"{path}: got no recording with a label to write, expected at least one; use a better teacher, or ask "
                         "for less confidence")
    with whole_file(path, "w", encoding="utf-8") as file:
        file.write("\n".join(["\t".join(COLUMNS), *lines]) + "\n")
    return len(lines)
