"""What to train or evaluate on: utterances of a manifest, selected by `column=value`, their transcripts checked.

The manifests themselves are read by `refasr.manifests`.
"""

from refasr.errors import FormatError, RangeError
from refasr.manifests import COLUMNS, Utterance, read_manifest
from refasr.metrics import text as scoring_text

__all__ = ("Utterance", "read_manifest", "select", "transcript", "check_files")


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
            raise FormatError(f"{utterance.origin()}: got {utterance.file}, which does not exist; expected an audio file")
