"""Words with times as files for other programs."""

import re

from refasr import timed_text
from refasr.transducer.align import Word

WORDS = [Word("turn", 0.4, 0.68), Word("it", 0.68, 0.8), Word("o'er", 1.0, 1.2)]


def test_text():
    assert timed_text.as_text(WORDS[:1]) == "0.40\t0.68\tturn\n"
    assert timed_text.as_text([]) == ""


def test_ctm():
    assert timed_text.as_ctm(WORDS, "a b").splitlines() == ["a_b 1 0.40 0.28 turn", "a_b 1 0.68 0.12 it", "a_b 1 1.00 0.20 o'er"]
    assert timed_text.as_ctm(WORDS[:1], "").startswith("- 1 ")


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
