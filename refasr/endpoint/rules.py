"""End-pointing by rules: so long a pause, after words or not, is the end. The baseline, and the net under the model.

A rule fires when all of its conditions hold; the first that does is named. The pause is counted from the frame in which the best
hypothesis wrote its last unit, without words from the start of the utterance.

Source: k2-fsa/sherpa-onnx, `endpoint.h` (rule1 to rule3) and Kaldi, `online2/online-endpoint.h` (rule1 to rule5), with their
default figures. Kaldi's relative cost says how much worse it is for the decoding graph to end here than to go on; a
transducer has no such graph, and -ln p(the text is complete) of the end-point model takes its place.
"""

from typing import NamedTuple

import numpy as np

from refasr.errors import RangeError


class Rule(NamedTuple):
    """One rule.

    name : what events say.
    pause_s : least pause.
    words : whether there must be words.
    length_s : least length of the utterance.
    most_cost : the relative cost must be below it.
    """

    name: str
    pause_s: float = 0.0
    words: bool = True
    length_s: float = 0.0
    most_cost: float = np.inf


IDLE = Rule("idle", 5.0, words=False)
LONGEST = Rule("longest", 0.0, words=False, length_s=20.0)
SHERPA = (Rule("sherpa-rule1", 2.4, words=False), Rule("sherpa-rule2", 1.2),
          Rule("sherpa-rule3", 0.0, words=False, length_s=20.0))
KALDI = (Rule("kaldi-rule1", 5.0, words=False), Rule("kaldi-rule2", 0.5, most_cost=2.0), Rule("kaldi-rule3", 1.0, most_cost=8.0),
         Rule("kaldi-rule4", 2.0), Rule("kaldi-rule5", 0.0, words=False, length_s=20.0))
BESIDE_MODEL = (IDLE, Rule("longest-pause", 2.4), LONGEST)    # what ends an utterance if the model never does


def fired(rules, seen):
    """The first rule that says the utterance has ended.

    Parameters
    ----------
    rules : sequence of Rule
    seen : Observation          Of one frame, from `refasr.endpoint.follow`.

    Returns
    -------
    str or None                 Its name.

    Examples
    --------
    >>> from refasr.endpoint.follow import Observation
    >>> fired(SHERPA, Observation(posterior=0.0, text="lights", stable="", pause_s=1.2, length_s=3.0, cost=9.0))
    'sherpa-rule2'
    """
    for rule in rules:
        if (seen.pause_s >= rule.pause_s - 1e-9 and seen.length_s >= rule.length_s - 1e-9 and seen.cost < rule.most_cost
                and (seen.text or not rule.words)):
            return rule.name
    return None


def check_rules(rules):
    """Require that no utterance goes on for ever. Parameters: rules. Raises RangeError."""
    if not any(0 < rule.length_s <= 3600 and rule.pause_s == 0 and not rule.words and rule.most_cost == np.inf for rule in rules):
        raise RangeError("rules: got none that ends an utterance by its length, expected one; add refasr.endpoint.rules.LONGEST")
