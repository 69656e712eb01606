"""Coffee orders: the slots of a sentence, by the longest match over the values that the domain publishes.

The domain is that of the Picovoice speech-to-intent benchmark (barista), as it is given to every engine that takes part. The
parser is told nothing else: it reads from left to right, takes at each place the longest value that stands there, and skips a
word where none does. Whatever order the sentence has, each slot is filled once; a slot named twice with different values keeps
neither, for then it is not known what was ordered.
"""

import itertools

AMOUNTS = ("a little bit of", "a bit of", "some", "a lot of", "lots of", "")


def amounts(things):
    """Every amount of everything. Parameters: things (sequence of str). Returns a tuple of str."""
    return tuple(" ".join((amount, thing)).strip() for amount, thing in itertools.product(AMOUNTS, things))


SLOTS = {
    "size": ("small", "medium", "large", "eight ounce", "twelve ounce", "sixteen ounce", "twenty ounce"),
    "roast": ("light roast", "medium roast", "dark roast"),
    "numberOfShots": ("single shot", "double shot", "triple shot"),
    "coffeeDrink": ("americano", "cappuccino", "espresso", "latte", "mocha", "iced mocha", "coffee", "drip coffee",
                    "house coffee", "iced coffee"),
    "milkAmount": amounts(("milk", "skim milk", "whole milk", "soy milk", "almond milk", "cream")),
    "sugarAmount": amounts(("sugar", "brown sugar", "sweetener")),
}
VALUES = {tuple(value.split()): (slot, value) for slot, values in SLOTS.items() for value in values}
LONGEST = max(map(len, VALUES))


def parse(text):
    """The slots of an order.

    Parameters
    ----------
    text : str    Lower case, words between spaces.

    Returns
    -------
    dict          Slot to value; only what was said, and what was not said twice in different words.
    """
    words, found, at = text.split(), {}, 0
    while at < len(words):
        longest = next((tuple(words[at:at + n]) for n in range(LONGEST, 0, -1) if tuple(words[at:at + n]) in VALUES), None)
        if longest is not None:
            slot, value = VALUES[longest]
            found.setdefault(slot, set()).add(value)
        at += 1 if longest is None else len(longest)
    return {slot: values.pop() for slot, values in found.items() if len(values) == 1}


def labelled(slots):
    """Labels as the parser writes them: some begin with a space in the benchmark. Parameters: slots (dict). Returns a dict."""
    return {slot: " ".join(value.split()) for slot, value in slots.items()}


def accepted(text, slots):
    """Whether a sentence gives just the labelled slots, no more and no fewer. Parameters: text, slots (dict). Returns bool."""
    return parse(text) == labelled(slots)
