"""Files of phrases: both forms, what is refused and where, and how phrases are spelt."""

import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refasr.errors import FormatError, RangeError
from refasr.search import boost, phrases
from refasr.transducer.units import CHARACTERS, decode_labels, encode_text

CONTACTS = {"contacts": ["anna kowalski", {"name": "Jon Smith", "weight": 3.0}], "devices": ["kitchen light"],
            "rooms": ["attic"], "prefixes": {"contacts": ["call", "text"], "devices": ["turn on"]}}


@pytest.fixture
def read(tmp_path):
    """Write some content (text, bytes or what becomes JSON) to a file and read it."""

    def write_and_read(content, name="names.txt"):
        if not isinstance(content, (str, bytes)):
            content, name = json.dumps(content), "names.json"
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return phrases.read_phrases(path)

    return write_and_read


def test_list_of_sherpa(read, tmp_path):
    text = "\ufeff# names\r\nANNA KOWALSKI\r\n\r\n  jon \t smith  :3.0\r\n#off\nneg :-1e-1\nplain :2"
    path = tmp_path / "names.txt"
    assert read(text).entries == (("ANNA KOWALSKI", None, (), f"{path}:2"), ("jon smith", 3.0, (), f"{path}:4"),
                                  ("neg", -0.1, (), f"{path}:6"), ("plain", 2.0, (), f"{path}:7"))
    assert read("").entries == read("# nothing\n\n").entries == ()


def test_json_of_contacts(read, tmp_path):
    where = f"{tmp_path / 'names.json'}: "
    assert read(CONTACTS).entries == (
        ("anna kowalski", None, ("call", "text"), where + "contacts[0]"),
        ("Jon Smith", 3.0, ("call", "text"), where + "contacts[1]"),
        ("kitchen light", None, ("turn on",), where + "devices[0]"), ("attic", None, (), where + "rooms[0]"))
    assert read(json.dumps(CONTACTS), "names.txt").entries[0].text == "anna kowalski"    # by its brace
    assert read({}).entries == ()


def test_file_to_automaton(read):
    spelled, warnings = phrases.spell(read(CONTACTS), default_weight=0.5, unpaid=0.0)
    automaton = boost.build(spelled, len(CHARACTERS))
    total = lambda text: boost.score_units(automaton, encode_text(text))[-1]
    assert not warnings
    assert [total(text) for text in ("anna kowalski", "call anna kowalski")] == [0, 7]
    assert [total(text) for text in ("text jon smith", "turn on jon smith")] == [30, 0]
    assert [total(text) for text in ("turn on kitchen light", "kitchen light", "in the attic")] == [7, 0, 3]


@pytest.mark.parametrize("content, line, text", [
    ("ok\n:2.0", 2, "1 to 200 characters"), ("ok\njon :2 smith", 2, "score at the end"), ("jon :2 :3", 1, "score at the end"),
    ("jon : 2", 1, "score at the end"), ("jon :", 1, "no space"), ("jon :two", 1, "got score 'two'"), ("jon :1_0", 1, "score"),
    ("jon :\u0662", 1, "score"), ("\n\njon #0.35", 3, "keyword spotter"), ("jon @JON", 1, "keyword spotter"),
    ("a" * 201, 1, "1 to 200"), (b"ok\nok\nj\xff", 3, "UTF-8"), (b"\x00\xd8", 1, "UTF-8"),
    ('{"contacts": [\n"anna",\n]}', 3, "not JSON"), ("{", 1, "not JSON"), ("{}\n{}", 2, "not JSON")])
def test_malformed_lines_are_named(read, content, line, text):
    with pytest.raises(FormatError, match=f":{line}: .*{text}"):
        read(content)


@pytest.mark.parametrize("content, text", [
    ([], "got list, expected an object"), ({"contacts": "anna"}, "contacts: got str"),
    ({"contacts": {"a": 1}}, "contacts: got dict"),
    ({"contacts": ["a", ""]}, r"contacts\[1\]: got ''"), ({"contacts": [" \n"]}, r"contacts\[0\]"), ({"contacts": [3]}, "got 3"),
    ({"contacts": [None]}, "got None"), ({"contacts": [{"weight": 1}]}, "expected a text or"),
    ({"contacts": [{"name": "a", "wieght": 1}]}, "wieght"), ({"contacts": [{"name": 3}]}, "got '3'"),
    ({"contacts": [], "prefixes": ["call"]}, "prefixes: got list"),
    ({"prefixes": {"contacts": ["call"]}}, "group that is not there"),
    ({"c": [], "prefixes": {"c": "call"}}, "list of 1 to 64"), ({"c": [], "prefixes": {"c": []}}, "list of 1 to 64"),
    ({"c": [], "prefixes": {"c": [""]}}, "prefixes: c: got ''"), ({"c": [], "prefixes": {"c": [1]}}, "prefixes: c: got '1'"),
    ({"c\n": 1}, r"'c\\n': got int")])
def test_malformed_json_is_named(read, content, text):
    with pytest.raises(FormatError, match=text) as raised:
        read(content)
    assert "names.json" in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("content, text", [
    ('{"c": [], "c": []}', "twice"), ('{"c": ' + "[" * 100_000, "nested too deep"),
    ('{"c": [{"name": "a", "weight": ' + "9" * 5000 + "}]}", "huge"),
])
def test_json_bombs_are_refused(read, content, text):
    with pytest.raises(FormatError, match=text):
        read(content)


@pytest.mark.parametrize("weight", ["nan", "inf", "-Infinity", "1e999", "101", "-100.1"])
def test_absurd_weights_are_named(read, weight):
    with pytest.raises(RangeError, match=":2: phrase 'jon smith': got weight"):
        read(f"anna :2\njon smith :{weight}")


@pytest.mark.parametrize("weight", ["NaN", "Infinity", "1e3", '"2"', "true", "[1]", "1" + "0" * 400])
def test_absurd_weights_in_json_are_named(read, weight):
    with pytest.raises(RangeError, match=r"contacts\[0\]: phrase 'a': got weight"):
        read(f'{{"contacts": [{{"name": "a", "weight": {weight}}}]}}')


def test_size_is_bounded(read, monkeypatch, tmp_path):
    monkeypatch.setattr(phrases, "SIZE_LIMIT_BYTES", 100)
    with pytest.raises(FormatError, match="more than 100 bytes"):
        read("a\n" * 51)
    monkeypatch.setattr(phrases, "MOST_PHRASES", 10)
    with pytest.raises(FormatError, match="got 11 phrases"):
        read("a\n" * 11)
    for path in (tmp_path, tmp_path / "none", "\0"):
        with pytest.raises(FormatError, match="cannot be read"):
            phrases.read_phrases(path)


def test_spelling(read):
    found = read("O\u2019BRIEN\nJos\u00e9\nR2D2 :2\n\u2581HE LL O\nAnna :2\nANNA :3\nanna\nfin")
    spelled, warnings = phrases.spell(found, default_weight=1.5)
    assert [(decode_labels(one.units), one.weight, one.origin.split(":")[-1]) for one in spelled] == [
        ("o'brien", 1.5, "1"), ("anna", 3.0, "6"), ("fin", 1.5, "8")]
    assert [warning.split("names.txt:")[1] for warning in warnings[:3]] == [
        "2: phrase 'Jos\u00e9' is left out, the units cannot spell '\u00e9'",
        "3: phrase 'R2D2' is left out, the units cannot spell '2'",
        "4: phrase '\u2581HE LL O' is left out, it is written in word pieces; write plain words"]
    assert "'ANNA' is at" in warnings[3] and "weight 3 counts" in warnings[3]
    assert "'anna' is at" in warnings[4] and len(warnings) == 5


def test_decomposed_text_is_composed(read):
    spelled, warnings = phrases.spell(read("jose\u0301"), units=(*CHARACTERS, "\u00e9"))
    assert spelled[0].units.tolist()[-1] == len(CHARACTERS) and not warnings


def test_unspellable_prefix_does_not_make_a_phrase_count_everywhere(read):
    content = {"c": ["anna", "jon"], "d": ["lamp"], "prefixes": {"c": ["\u6253"], "d": ["turn on", "\u6253"]}}
    spelled, warnings = phrases.spell(read(content))
    assert [decode_labels(one.units) for one in spelled] == ["lamp"] and len(spelled[0].prefixes) == 1
    assert len(warnings) == 3 and "prefix" in warnings[0] and "none of its prefixes" in warnings[1]


def test_default_weight_is_checked(read):
    with pytest.raises(RangeError, match="default_weight"):
        phrases.spell(read("anna"), default_weight=float("nan"))
    with pytest.raises(RangeError, match="unpaid: got '-1.0' unpaid units"):
        phrases.spell(read("anna"), unpaid=-1.0)


def test_longer_lists_leave_more_units_unpaid(read):
    texts = ["".join(letters) for letters in itertools.product("abcdef", repeat=3)]    # 216: three letters of six choices
    assert {one.unpaid for one in phrases.spell(read("\n".join(texts)))[0]} == {phrases.unpaid_units(216, True)}
    assert {one.unpaid for one in phrases.spell(read("anna"))[0]} == {phrases.unpaid_units(0, True)} == {3.0}
    content = {"c": texts, "d": ["aaa", {"name": "lamp", "weight": -2}], "prefixes": {"d": ["on"], "c": ["call"]}}
    found = {one.text: one.unpaid for one in phrases.spell(read(content))[0]}    # "aaa" is one phrase, "lamp" a discouraged one
    assert found["aaa"] == found["fff"] == pytest.approx(1 + math.log(216) / math.log(6)) and found["lamp"] == 0.0


KEYS = st.sampled_from(["contacts", "prefixes", "name", "weight", "\ud800", "x\n"])
LEAVES = st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(["anna", "call"])
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)
LINES = st.lists(st.text(st.sampled_from("ab '#@:1.e-\t\u2581\u00e9A{"), max_size=10) | st.text(max_size=10), max_size=6)
FILES = (st.binary(max_size=60) | LINES.map(lambda lines: "\n".join(lines).encode("utf-8", "replace")) |
         JSON.map(lambda value: json.dumps(value).encode()))


@given(content=FILES)
def test_any_file_gives_phrases_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    try:
        found = phrases.read_phrases(path)
    except (FormatError, RangeError) as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return
    spelled, warnings = phrases.spell(found)
    assert len(spelled) + len(warnings) >= len({entry.text for entry in found.entries})
    assert all(str(path) in warning and "\n" not in warning for warning in warnings)
    boost.build(spelled, len(CHARACTERS))
