"""Captions: words in groups that can be read while they are said, as SRT or WebVTT.

A caption has at most two lines of 42 characters and six seconds; a longer pause ends it. A word longer than a line is
left whole on its own. Times are whole milliseconds; each caption ends after it starts and before the next one starts.
"""

from typing import NamedTuple

LINE_CHARACTERS, MOST_LINES = 42, 2
PAUSE_SECONDS = 0.7
MOST_SECONDS = 6.0
LEAST_MS = 1000  # shown at least so long, if nothing follows earlier


class Caption(NamedTuple):
    """One group of words. start_ms, end_ms : int, end exclusive; lines : tuple of str."""

    start_ms: int
    end_ms: int
    lines: tuple


def captions(words, seconds):
    """Group words.

    Parameters
    ----------
    words : sequence of Word    In order.
    seconds : float             Length of the recording; a short last caption is shown no longer than that.

    Returns
    -------
    list of Caption
    """
    groups = grouped(words)
    starts = [milliseconds(group[0].start) for group in groups]
    found, before = [], 0
    for group, following in zip(groups, [*starts[1:], None]):
        start, end = max(before, milliseconds(group[0].start)), milliseconds(group[-1].end)
        limit = max(end, milliseconds(seconds)) if following is None else following
        before = max(start + 1, min(max(end, start + LEAST_MS), limit))
        found.append(Caption(start, before, broken([word.word for word in group])))
    return found


def grouped(words):
    """Divide words among captions. Parameters: words. Returns a list of lists of Word."""
    groups = []
    for word in words:
        if groups:
            group = groups[-1]
            texts = [item.word for item in group] + [word.word]
            if (word.start - group[-1].end < PAUSE_SECONDS and word.end - group[0].start <= MOST_SECONDS
                    and broken(texts) is not None):
                group.append(word)
                continue
        groups.append([word])
    return groups


def broken(texts):
    """Break a text into lines as equal as can be.

    Parameters
    ----------
    texts : list of str          Words.

    Returns
    -------
    tuple of str, or None        One or two lines; None if they do not fit. A single word always does.
    """
    whole = " ".join(texts)
    if len(whole) <= LINE_CHARACTERS or len(texts) == 1:
        return (whole,)
    choices = [(" ".join(texts[:i]), " ".join(texts[i:])) for i in range(1, len(texts))]
    best = min(choices, key=lambda lines: max(map(len, lines)))
    return best if max(map(len, best)) <= LINE_CHARACTERS else None


def milliseconds(seconds):
    """Parameters: seconds. Returns int."""
    return round(1000 * seconds)


def clock(milliseconds_, mark):
    """Parameters: milliseconds_ (int), mark (before the fraction). Returns hours:minutes:seconds and three digits."""
    seconds, fraction = divmod(milliseconds_, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{fraction:03d}"


def as_srt(words, seconds):
    """SubRip: number, times with a comma, lines, an empty line.

    Parameters
    ----------
    words : sequence of Word
    seconds : float             Length of the recording.

    Returns
    -------
    str                         Empty without words.
    """
    return "".join(f"{number}\n{clock(start, ',')} --> {clock(end, ',')}\n" + "\n".join(lines) + "\n\n"
                   for number, (start, end, lines) in enumerate(captions(words, seconds), 1))


def as_vtt(words, seconds):
    """WebVTT: a header, then times with a full stop, lines, an empty line; &, < and > are escaped.

    Parameters
    ----------
    words : sequence of Word
    seconds : float             Length of the recording.

    Returns
    -------
    str                         Only the header without words.

    Notes
    -----
    Source: W3C, "WebVTT: The Web Video Text Tracks Format", section 4.
    """
    return "WEBVTT\n\n" + "".join(f"{clock(start, '.')} --> {clock(end, '.')}\n{escaped(chr(10).join(lines))}\n\n"
                                  for start, end, lines in captions(words, seconds))


def escaped(text):
    """Parameters: text. Returns it as WebVTT cue text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
