"""State and settings of the beam search: what both of its twins take and give."""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError
from refasr.search import boost, fusion, scorer
from refasr.transducer.units import BLANK

REMEMBERED = 256          # nodes a search can return to after it had given them up: about ten frames of them
KEY_STEP, KEY_MASK = 0x9E3779B97F4A7C15, 2**64 - 1


class SearchSettings(NamedTuple):
    """How to search.

    beam : the most hypotheses after a frame, 1 to 64.
    score_beam : a hypothesis that is so many nats worse than the best is dropped.
    max_symbols : the most units one hypothesis writes in a frame; characters come in bursts.
    context : hypotheses that share so many last units become one; 0 keeps all apart.
    one_symbol : a unit ends its frame, as in sherpa's modified beam search.
    """

    beam: int = 24
    score_beam: float = 16.0
    max_symbols: int = 12
    context: int = 10
    one_symbol: bool = False


class Beam(NamedTuple):
    """State of a search between frames: hypotheses, best first, and what is needed to number nodes.

    acoustic, bias, lm : float64 [B]       Logarithm of the mass; what the phrases and what the language model gave.
    node : int32 [B]                       Where it is in the graph; node 0 has written nothing.
    key : uint64 [B]                       Hash of the label sequence.
    boost : int32 [B]                      State of the phrase automaton.
    history, spelling : int32 [B]          State of the language model, see `refasr.search.fusion`.
    suffix : int32 [B, context]            Last units, -1 before the first.
    text, h, c : [B, J], [B, P], [B, P]    From `scorer.next_text`, of the scorer's types.
    remembered_key, remembered_node : uint64, int32 [256]    The last nodes made; node -1 is none.
    n_nodes, frame : int                   Nodes made so far; number of the next frame.
    """

    acoustic: np.ndarray
    bias: np.ndarray
    lm: np.ndarray
    node: np.ndarray
    key: np.ndarray
    boost: np.ndarray
    history: np.ndarray
    spelling: np.ndarray
    suffix: np.ndarray
    text: np.ndarray
    h: np.ndarray
    c: np.ndarray
    remembered_key: np.ndarray
    remembered_node: np.ndarray
    n_nodes: int
    frame: int

    @property
    def total(self):
        """The scores that rank. Returns float64 [B]."""
        return self.acoustic + (self.bias + self.lm)


class Flow(NamedTuple):
    """Arcs that probability took, in the order in which they were found.

    source, target : int32 [R]    Nodes; a unit's arc may appear again in a later frame.
    label : int32 [R]             The unit; blank (0) where hypotheses became one.
    frame : int32 [R]
    mass : float64 [R]            Logarithm of what went along in this frame.
    bias, lm : float64 [R]        What the phrases and what the language model gave for the unit.
    """

    source: np.ndarray
    target: np.ndarray
    label: np.ndarray
    frame: np.ndarray
    mass: np.ndarray
    bias: np.ndarray
    lm: np.ndarray


FLOW_TYPES = (np.int32, np.int32, np.int32, np.int32, np.float64, np.float64, np.float64)


def start(weights, settings, backend, history=0):
    """State before the first frame.

    Parameters
    ----------
    weights : Scorer
    settings : SearchSettings
    backend : Backend            From `twins.select`.
    history : int                `Fusion.start`; anything without a language model.

    Returns
    -------
    Beam
    """
    check_settings(settings)
    zeros = [np.zeros((1, weights.widths[0]), dtype) for dtype in weights.types[2:]]
    text, h, c = backend(scorer.next_text)(np.array([BLANK], np.int32), *zeros, weights)
    one = lambda value, dtype: np.array([value], dtype)
    keys, nodes = np.zeros(REMEMBERED, np.uint64), np.full(REMEMBERED, -1, np.int32)
    nodes[0] = 0
    zero = one(0, np.float64)
    return Beam(zero, zero.copy(), zero.copy(), one(0, np.int32), one(0, np.uint64), one(boost.START, np.int32),
                one(history, np.int32), one(fusion.BETWEEN, np.int32), np.full((1, settings.context), -1, np.int32), text, h, c,
                keys, nodes, 1, 0)


def next_key(key, label):
    """Hash of a label sequence that grew by one.

        key' = m xor (m >> 29),  m = (key + label) 0x9E3779B97F4A7C15 mod 2^64

    Parameters
    ----------
    key : int, < 2^64      Of the sequence before.
    label : int, >= 1

    Returns
    -------
    int, < 2^64            Two of a thousand live sequences collide with probability 3e-14.
    """
    mixed = (key + label) * KEY_STEP & KEY_MASK
    return mixed ^ mixed >> 29


def check_settings(settings):
    """Validate. Parameters: settings (SearchSettings)."""
    for name, low, high in (("beam", 1, 64), ("score_beam", 0, 1e6), ("max_symbols", 1, 64), ("context", 0, 64)):
        checks.between(name, getattr(settings, name), low, high)
    for name in ("beam", "max_symbols", "context"):
        if not isinstance(getattr(settings, name), int):
            raise RangeError(f"{name}: got {getattr(settings, name)!r}, expected a whole number")


def check_search(audio, beam, weights, settings):
    """Validate the arguments of `search_frames`. Parameters: audio, beam, weights, settings."""
    check_settings(settings)
    scorer.check_scorer(weights)
    (width, joint, _), (audio_type, *types) = weights.widths, weights.types
    checks.array("audio", audio, audio_type, (None, joint))
    if not np.isfinite(audio).all():
        raise RangeError("audio: got values that are not finite, expected finite encodings; check the model")
    n = beam.acoustic.shape
    shapes = {"acoustic": (np.float64, n), "bias": (np.float64, n), "lm": (np.float64, n), "node": (np.int32, n),
              "key": (np.uint64, n), "boost": (np.int32, n), "history": (np.int32, n), "spelling": (np.int32, n),
              "suffix": (np.int32, (*n, settings.context)), "text": (types[0], (*n, joint)),
              "h": (types[1], (*n, width)), "c": (types[2], (*n, width)),
              "remembered_key": (np.uint64, (REMEMBERED,)), "remembered_node": (np.int32, (REMEMBERED,))}
    for name, (dtype, shape) in shapes.items():
        checks.array(name, getattr(beam, name), dtype, shape)
    if not 1 <= n[0] <= settings.beam:
        raise RangeError(f"beam: got {n[0]} hypotheses, expected 1 to {settings.beam}; start again after a change of settings")
