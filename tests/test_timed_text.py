"""Words as files for other programs. SRT and WebVTT are read back by parsers written from their grammars."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refasr import captions, timed_text
from refasr.result import Word

WORDS = [Word("turn", 0.4, 0.68, 0.5), Word("it", 0.68, 0.8, 1.0), Word("o'er", 1.0, 1.2, 0.25)]
SHORT, LONG = st.text("abc'&<>é", min_size=1, max_size=12), st.text("xyz", min_size=30, max_size=60)
TIMES = st.lists(st.tuples(st.one_of(st.floats(0, 2), st.floats(0, 1e-3)), st.floats(0.0001, 3)), max_size=60)


@st.composite
def spoken(draw):
    """Words in order without overlap. Parameters: draw. Returns a list of Word."""
    words, end = [], draw(st.sampled_from([0.0, 3599.9, 359_999.5]))
    for gap, length in draw(TIMES):
        start = end + gap
        end = start + length
        words.append(Word(draw(st.one_of(SHORT, SHORT, LONG)), start, end, draw(st.floats(0, 1))))
    return words


def test_text():
    assert timed_text.as_text(WORDS[:1]) == "0.40\t0.68\tturn\n"
    assert timed_text.as_text([]) == ""


def test_ctm():
    assert timed_text.as_ctm(WORDS, "a b").splitlines() == ["a_b 1 0.40 0.28 turn", "a_b 1 0.68 0.12 it", "a_b 1 1.00 0.20 o'er"]
    assert timed_text.as_ctm(WORDS[:1], "").startswith("- 1 ")
    assert timed_text.as_ctm(WORDS[:1], "a(1)", 2, confidences=True) == "a_1_ 2 0.40 0.28 turn 0.500\n"
    assert timed_text.as_ctm([], "a") == ""


@given(spoken())
def test_ctm_does_not_overlap(words):
    end = 0
    for line, word in zip(timed_text.as_ctm(words, "a").splitlines(), words, strict=True):
        _, _, start, seconds, text = line.split()
        assert round(100 * float(start)) >= end and text == word.word
        end = round(100 * float(start)) + round(100 * float(seconds))
        assert end == round(100 * round(word.end, 2))


def test_trn():
    assert timed_text.as_trn("turn it on", "a (1)") == "turn it on (a__1_)\n"
    assert timed_text.as_trn("", "a") == "(a)\n"


def intervals(grid):
    """Read the intervals back. Parameters: grid. Returns a list of (start, end, text)."""
    found = re.findall(r'xmin = (\S+)\n\s+xmax = (\S+)\n\s+text = "(.*)"', grid)
    return [(float(start), float(end), text) for start, end, text in found]


def test_textgrid_has_no_holes():
    grid = timed_text.as_textgrid(WORDS, 2.0)
    spans = intervals(grid)
    assert [text for *_, text in spans] == ["", "turn", "it", "", "o'er", ""]
    assert spans[0][0] == 0 and spans[-1][1] == 2
    assert all(before[1] == after[0] for before, after in zip(spans, spans[1:]))
    assert f"intervals: size = {len(spans)}" in grid and grid.count("xmax = 2\n") == 3


def test_textgrid_without_words_and_past_the_end():
    assert intervals(timed_text.as_textgrid([], 1.5)) == [(0, 1.5, "")]
    assert intervals(timed_text.as_textgrid(WORDS, 1.1))[-1] == (1.0, 1.2, "o'er")
    assert timed_text.quoted('say "a"') == '"say ""a"""'


STAMP = r"(\d{2,}):([0-5]\d):([0-5]\d)%s(\d{3})"


def stamp(fields):
    """Parameters: fields (hours, minutes, seconds, milliseconds). Returns milliseconds."""
    hours, minutes, seconds, fraction = map(int, fields)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction


def timing(line, mark):
    """Parameters: line, mark. Returns (start, end) in milliseconds."""
    match = re.fullmatch((STAMP + " --> " + STAMP) % (mark, mark), line)
    assert match, line
    return stamp(match.groups()[:4]), stamp(match.groups()[4:])


def parse_srt(text):
    """Blocks of a counter from 1, a time line and lines of text, each ended by an empty line. Parameters: text. Returns cues."""
    cues, lines = [], text.split("\n")
    assert lines.pop() == ""
    while lines:
        assert lines.pop(0) == str(len(cues) + 1)
        times, payload = timing(lines.pop(0), ","), []
        while lines[0] != "":
            payload.append(lines.pop(0))
        assert payload and lines.pop(0) == ""
        cues.append((*times, payload))
    return cues


def parse_vtt(text):
    """Signature, empty line, cue blocks between empty lines; cue text without raw & < or -->. Parameters: text. Returns cues."""
    assert text.startswith("WEBVTT\n\n") and text.endswith("\n") and "\0" not in text
    cues = []
    for block in filter(None, text[len("WEBVTT\n\n"):].split("\n\n")):
        first, *payload = block.split("\n")
        assert payload and not any("<" in line or "-->" in line or re.search("&(?!(amp|lt|gt);)", line) for line in payload)
        plain = [line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for line in payload]
        cues.append((*timing(first, "."), plain))
    return cues


@given(spoken(), st.floats(0, 10))
@example([], 0.0)
@example([Word("x" * 50, i * 1e-4, (i + 1) * 1e-4, 1.0) for i in range(5)], 5e-4)
@example([Word("a", 0.0, 1e-4, 1.0), Word("b", 1e-4, 2e-4, 1.0)], 2e-4)
def test_captions_read_back(words, rest):
    seconds = rest if not words else words[-1].end + rest
    cues = parse_srt(captions.as_srt(words, seconds))
    assert parse_vtt(captions.as_vtt(words, seconds)) == cues
    assert [text for *_, lines in cues for line in lines for text in line.split(" ")] == [word.word for word in words]
    end = 0
    for start, stop, lines in cues:
        assert end <= start < stop and len(lines) <= captions.MOST_LINES
        assert all(len(line) <= captions.LINE_CHARACTERS or (" " not in line and len(lines) == 1) for line in lines)
        end = stop
    words = list(words)
    for start, stop, lines in cues:
        group = [words.pop(0) for _ in " ".join(lines).split(" ")]
        drift = len(cues) + 1  # words within one millisecond push each other on
        assert abs(start - 1000 * group[0].start) <= drift and stop >= 1000 * group[-1].end - drift
        assert group[-1].end - group[0].start <= captions.MOST_SECONDS or len(group) == 1
        assert all(after.start - before.end < captions.PAUSE_SECONDS for before, after in zip(group, group[1:]))


def test_captions_by_example():
    words = [*WORDS, Word("stop", 3.0, 3.2, 1.0)]
    assert captions.as_srt(words, 3.5) == ("1\n00:00:00,400 --> 00:00:01,400\nturn it o'er\n\n"
                                           "2\n00:00:03,000 --> 00:00:03,500\nstop\n\n")
    assert captions.as_srt([], 1.0) == "" and captions.as_vtt([], 1.0) == "WEBVTT\n\n"
    assert captions.clock(100 * 3_600_000 + 61_001, ".") == "100:01:01.001"


@pytest.mark.parametrize("n_words, expected", [(10, 1), (11, 2), (20, 2), (22, None)])
def test_lines_are_even(n_words, expected):
    lines = captions.broken(["four"[:3]] * n_words)
    assert (lines and len(lines)) == expected
    assert not lines or max(map(len, lines)) - min(map(len, lines)) <= 4
