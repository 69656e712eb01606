"""The journal: what survives an interruption, and what is refused."""

import pytest

from refasr.errors import FormatError
from refasr.journal import Journal, fcntl

HEADER = {"work": "test", "model": "a"}


def written(path):
    """A journal of two entries. Parameters: path. Returns its bytes."""
    with Journal(path, HEADER) as journal:
        journal.append({"n": 1})
        journal.append({"n": 2})
    return path.read_bytes()


def test_entries_come_back(tmp_path):
    written(tmp_path / "j")
    with Journal(tmp_path / "j", HEADER, lambda entry: entry["n"]) as journal:
        assert journal.entries == [1, 2]
        journal.append({"n": 3})
        with journal.lines() as lines:
            assert lines.read() == b'{"n": 1}\n{"n": 2}\n{"n": 3}\n'
        journal.discard()
    assert list(tmp_path.iterdir()) == []


def test_cut_anywhere(tmp_path):
    """Whatever part of the file reached the disk, the whole entries in it are kept and the rest can be written again."""
    whole = written(tmp_path / "j")
    for size in range(len(whole) + 1):
        (tmp_path / "j").write_bytes(whole[:size])
        with Journal(tmp_path / "j", HEADER) as journal:
            n_whole = max(0, whole[:size].count(b"\n") - 1)
            assert journal.entries == [{"n": 1}, {"n": 2}][:n_whole]
            for n in range(n_whole, 2):
                journal.append({"n": n + 1})
        assert (tmp_path / "j").read_bytes() == whole


@pytest.mark.parametrize("content, words", [
    (b"my diary", "no journal"), (b"my diary\n", "journal's line"), (b'{"work": "test"}\n', "journal's line"),
    (b"[]\n", "journal's line"),
    (b'{"refasr_journal": 1, "work": "test", "model": "b"}\n', "model is 'b'"),
    (b'{"refasr_journal": 1, "work": "test"}\n', "model is None"),
    (b'{"refasr_journal": 2, "work": "test", "model": "a"}\n', "refasr_journal is 2"),
    (b'{"refasr_journal": 1, "work": "test", "model": "a", "beam": 3}\n', "beam is 3"),
    (b'{"refasr_journal": 1, "work": "test", "model": "a"}\n\xff\n{}\n', "line 2"),
    (b'{"refasr_journal": 1, "work": "test", "model": "a"}\n{}\n7\n', "line 3")])
def test_other_files_are_refused_and_left_alone(tmp_path, content, words):
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(FormatError, match=words):
        Journal(tmp_path / "j", HEADER)
    assert (tmp_path / "j").read_bytes() == content


def test_place_that_cannot_be_written(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere" / "j"):
        with pytest.raises(FormatError, match="cannot be written"):
            Journal(path, HEADER)


@pytest.mark.skipif(fcntl is None, reason="this system has no file locks")
def test_one_run_at_a_time(tmp_path):
    with Journal(tmp_path / "j", HEADER):
        with pytest.raises(FormatError, match="another run"):
            Journal(tmp_path / "j", HEADER)
    Journal(tmp_path / "j", HEADER).discard()
