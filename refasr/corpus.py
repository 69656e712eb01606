"""What to train or evaluate on: utterances of a manifest, selected by `column=value`, their transcripts and samples.

The manifests themselves are read by `refasr.manifests`.
"""

import numpy as np

from refasr.audio import SAMPLE_RATE_HZ
from refasr.audio.wav import stream_audio
from refasr.errors import FormatError, RangeError, RefasrError
from refasr.manifests import COLUMNS, Utterance, read_manifest
from refasr.metrics import text as scoring_text

__all__ = ("Utterance", "read_manifest", "select", "transcript", "check_files", "read_samples")

SLACK_SECONDS = 0.05  # manifests round durations; a part may end this much after its file


def select(utterances, where):
    """Keep the utterances that satisfy every term.

    Parameters
    ----------
    utterances : list of Utterance
    where : list of str    Terms `column=value`; `file` also takes a pattern matched from the right, such as `*.ogg`.

    Returns
    -------
    list of Utterance      In the given order; empty if nothing matches.

    Raises
    ------
    RangeError             For a term without `=` or with an unknown column.
    """
    for term in where:
        column, equals, value = term.partition("=")
        if column not in COLUMNS[:6] or not equals:
            raise RangeError(f"where: got {term!r}, expected column=value with one of the columns {', '.join(COLUMNS[:6])}")
        if column == "file":
            utterances = [item for item in utterances if str(item.file) == value or (value and item.file.match(value))]
        else:
            utterances = [item for item in utterances if getattr(item, column) == value]
    return list(utterances)


def transcript(utterance):
    """The utterance's text in the alphabet of the units (see `refasr.metrics.text`).

    Parameters
    ----------
    utterance : Utterance

    Returns
    -------
    str            Normalised: lower-case words of a-z and apostrophe, single spaces.

    Raises
    ------
    FormatError    Naming the manifest's line and the first character outside the alphabet.
    """
    return scoring_text.require_alphabet(scoring_text.normalise(utterance.text), utterance.origin())


def check_files(utterances):
    """Require that every audio file exists.

    Parameters
    ----------
    utterances : list of Utterance

    Raises
    ------
    FormatError    Naming the first missing file and its line in the manifest.
    """
    for utterance in utterances:
        if not utterance.file.is_file():
            raise FormatError(f"{utterance.origin()}: got {utterance.file}, expected an audio file; there is none")


def read_samples(utterance, notice=None):
    """The utterance's samples: of the whole file, or from `start` for `duration`.

    Parameters
    ----------
    utterance : Utterance
    notice : function of one str, or None    Told in one line of any conversion to 16 kHz mono.

    Returns
    -------
    float32 [S]    16 kHz mono.

    Raises
    ------
    FormatError    Naming the manifest's line and the file: missing, not sound, or shorter than the part asked for.

    Notes
    -----
    A part costs decoding the file up to its end, and the memory of the part.
    """
    check_files([utterance])
    first = round(utterance.start * SAMPLE_RATE_HZ)
    last = None if utterance.duration is None else round((utterance.start + utterance.duration) * SAMPLE_RATE_HZ)
    pieces, position = [], 0
    try:
        for chunk in stream_audio(utterance.file, notice=notice):
            pieces.append(chunk[max(0, first - position):None if last is None else max(0, last - position)])
            position += chunk.size
            if last is not None and position >= last:
                break
    except (RefasrError, OSError) as error:
        raise FormatError(f"{utterance.origin()}: {error}") from error
    if position + SLACK_SECONDS * SAMPLE_RATE_HZ < (first if last is None else last):
        raise FormatError(f"{utterance.origin()}: {utterance.file}: got {position / SAMPLE_RATE_HZ:.3f} s of sound, expected "
                          f"{(last or first) / SAMPLE_RATE_HZ:.3f} s; correct start and duration")
    return np.concatenate([np.zeros(0, np.float32), *pieces])
