"""The parser of coffee orders: by hand, on every sentence of the domain, and on the labels of the benchmark."""

import importlib.util
import itertools
import json

import pytest

from conftest import ROOT
from refasr import corpus

SPEC = importlib.util.spec_from_file_location("orders", ROOT / "data" / "training" / "orders.py")
orders = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(orders)


@pytest.mark.parametrize("text, slots", [
    ("", {}), ("turn on the light", {}), ("can i get a coffee", {"coffeeDrink": "coffee"}),
    ("make me a medium roast medium drip coffee", {"roast": "medium roast", "size": "medium", "coffeeDrink": "drip coffee"}),
    ("i want an iced mocha with a little bit of brown sugar and some cream",
     {"coffeeDrink": "iced mocha", "sugarAmount": "a little bit of brown sugar", "milkAmount": "some cream"}),
    ("a bit of a lot of milk", {"milkAmount": "a lot of milk"}), ("whole milk", {"milkAmount": "whole milk"}),
    ("light twelve latte", {"coffeeDrink": "latte"}), ("twelve ounce", {"size": "twelve ounce"}),
    ("iced ice iced coffee", {"coffeeDrink": "iced coffee"}), ("some", {}),
    ("small small mocha", {"size": "small", "coffeeDrink": "mocha"}),
    ("small large mocha", {"coffeeDrink": "mocha"}), ("latte espresso", {})])
def test_by_hand(text, slots):
    assert orders.parse(text) == slots


def test_every_pair_of_values_is_read_back():
    """Values of different slots side by side, in both orders, with the words that the domain puts between them or none."""
    for first, second in itertools.permutations(orders.SLOTS, 2):
        for one, other in itertools.product(orders.SLOTS[first], orders.SLOTS[second]):
            for between in (" ", " with ", " and ", " a "):
                if between != " " or (second, other) not in {("roast", "medium roast")}:
                    assert orders.parse(one + between + other) == {first: one, second: other}, one + between + other


def test_accepted_asks_for_all_and_for_nothing_else():
    slots = {"coffeeDrink": "mocha", "milkAmount": " milk"}
    assert orders.accepted("i want a mocha with milk", slots)
    for text in ("i want a mocha", "i want a mocha with milk and sugar", "an iced mocha with milk", "mocha with some milk"):
        assert not orders.accepted(text, slots)


def test_reference_transcripts_give_their_labels(shared):
    items = corpus.select(corpus.read_manifest(shared / "speech" / "recorded.tsv"), ["source=barista"])
    wrong = [item.text for item in items if not orders.accepted(corpus.transcript(item), json.loads(item.extra))]
    assert len(items) > 300 and not wrong, wrong
