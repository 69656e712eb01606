"""Words as files that other programs read: plain text, CTM and trn (NIST), TextGrid (Praat). Captions: `refasr.captions`."""


def as_text(words):
    """A line a word. Parameters: words (list of Word). Returns text: start, end, word, separated by tabs."""
    return "".join(f"{word.start:.2f}\t{word.end:.2f}\t{word.word}\n" for word in words)


def as_ctm(words, recording, channel=1, confidences=False):
    """NIST CTM: recording, channel, start, duration, word, and if wanted confidence.

    Parameters
    ----------
    words : list of Word
    recording : str       Name of the recording; see `field`.
    channel : int         From 1.
    confidences : bool    Whether each line ends with one, 0 to 1.

    Returns
    -------
    str                   A line a word; start and duration add up to the end, rounded.
    """
    name, lines = field(recording), []
    for word in words:
        start = round(word.start, 2)
        sure = f" {word.conf:.3f}" if confidences else ""
        lines.append(f"{name} {channel} {start:.2f} {round(word.end, 2) - start:.2f} {word.word}{sure}\n")
    return "".join(lines)


def as_trn(text, utterance):
    """NIST trn: the text, then the utterance's name in parentheses. Parameters: text, utterance. Returns a line."""
    return f"{text} ({field(utterance)})\n".lstrip()


def field(name):
    """A recording's name as NIST tools take it: white space and parentheses, which divide fields, become underscores.

    Parameters
    ----------
    name : str

    Returns
    -------
    str           "-" for an empty name.

    Examples
    --------
    >>> field("call 3 (kitchen)") == "call_3__kitchen_"
    True
    """
    return "_".join(name.split()).translate(str.maketrans("()", "__")) or "-"


def as_textgrid(words, seconds, tier="words"):
    """Praat TextGrid, long form, with one interval tier; pauses are intervals without text.

    Parameters
    ----------
    words : list of Word    In order, not overlapping.
    seconds : float         Length of the recording; a word that ends after it makes the grid longer.
    tier : str              Name of the tier.

    Returns
    -------
    str

    Notes
    -----
    Source: the Praat manual, "TextGrid file formats". A quotation mark within a text is doubled.
    """
    intervals, end = [], 0.0
    for word in words:
        if word.start > end:
            intervals.append((end, word.start, ""))
        intervals.append((word.start, word.end, word.word))
        end = word.end
    if seconds > end or not intervals:
        intervals.append((end, seconds, ""))
    last = intervals[-1][1]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {last:.6g}", "tiers? <exists>",
             "size = 1", "item []:", "    item [1]:", '        class = "IntervalTier"', f"        name = {quoted(tier)}",
             "        xmin = 0", f"        xmax = {last:.6g}", f"        intervals: size = {len(intervals)}"]
    for number, (start, stop, text) in enumerate(intervals, 1):
        lines += [f"        intervals [{number}]:", f"            xmin = {start:.6g}", f"            xmax = {stop:.6g}",
                  f"            text = {quoted(text)}"]
    return "\n".join(lines) + "\n"


def quoted(text):
    """A TextGrid string. Parameters: text. Returns text."""
    return '"' + text.replace('"', '""') + '"'
