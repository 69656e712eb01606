"""What passed each stage of the pipeline, kept.

A trace holds an array for each stage, or several of equal length (a table: one row for each emission, arc or step):

    K0                         samples [S]
    K1, K2, K3.0, K3.1 ...     what the stage gave, one row a frame
    K4, K4/label               text encodings along the best path, and the unit that was read for each; the first is blank
    K5, K5/frame, K5/step      logits along the best path, and of which encoder frame and which row of K4
    K6/frame, K6/label ...     what the search wrote: units of greedy search, or arcs that probability took
    K8/source, K8/word ...     arcs of the lattice; K8.words is its symbol table, as JSON

`refasr.divergence` compares two. The best path of a beam search has its units spread over the times of their words, so K5 shows
what the joiner gives there, and not what the search asked it.
"""

import json
import re
from typing import NamedTuple

import numpy as np

from refasr.array_files import misfit, read_archive
from refasr.compress.strict_json import parse_json
from refasr.lattice.lattice import ARC_FIELDS
from refasr.search.hypotheses import Flow
from refasr.stages import Emission
from refasr.transducer.units import BLANK
from refasr.whole_file import whole_file

VERSION = 1
KINDS = ("int8", "uint8", "int16", "int32", "int64", "float32", "float64")
KEY = re.compile(r"K(\d{1,2})(?:\.(\d{1,3}|words))?(?:/([a-z]{1,20}))?")
EMISSION_TYPES = (np.int32, np.int32, np.float64)


class Trace(NamedTuple):
    """A recorded utterance.

    about : dict                      Of what, by what; not compared.
    arrays : dict of str to array     As above.
    """

    about: dict
    arrays: dict


class Recorder:
    """Keeps what stages give; its `take` is a recogniser's `record`."""

    def __init__(self):
        self.parts = {}

    def take(self, key, inputs, outputs):
        """Keep one step. Parameters: key, inputs, outputs (as `stages.traced` tells them)."""
        if key == "K6":
            outputs = table_of(outputs)
        elif key == "K4":
            outputs = {key: outputs[None], f"{key}/label": np.array([inputs], np.int32)}
        else:
            outputs = {key: outputs[None] if key == "K5" else outputs}
        for name, value in outputs.items():
            self.parts.setdefault(name, []).append(value)

    def arrays(self):
        """All of it. Returns a dict of str to array, in the order of the pipeline."""
        return {name: np.concatenate(self.parts[name]) for name in sorted(self.parts, key=order)}


def order(key):
    """What sorts keys along the pipeline. Parameters: key. Returns a tuple."""
    number, part, field = KEY.fullmatch(key).groups()
    return int(number), part == "words", int(part) if part and part != "words" else 0, field or ""


def table_of(written):
    """What a search wrote, as columns. Parameters: written (list of Emission or Stretch). Returns a dict of str to array."""
    if any(isinstance(item, Emission) for item in written):
        columns = zip(Emission._fields, zip(*written), EMISSION_TYPES)
        return {f"K6/{name}": np.array(column, kind) for name, column, kind in columns}
    if not written:
        return {}
    return {f"K6/{name}": np.concatenate([getattr(stretch.flow, name) for stretch in written]) for name in Flow._fields}


def record(make, samples, about=None):
    """Recognise a recording and keep what passed each stage.

    Parameters
    ----------
    make : function (record) -> Recogniser    Such as `lambda record: Recogniser(model, "fast", record)`.
    samples : float32 [S], about -1..1        At 16 kHz.
    about : dict or None                      What to write down about it.

    Returns
    -------
    Trace

    Raises
    ------
    DTypeError, ShapeError, RangeError        For samples of another type, or not finite.
    """
    recorder = Recorder()
    recogniser = make(recorder.take)
    stream = recogniser.stream()
    stream.accept(samples)
    lattice = stream.finish().lattice
    layers = [key for key in recorder.parts if key.startswith("K3.")]
    if layers:  # else there was no sound at all
        emissions = stream.utterance.ranked(stream.state.search).emissions
        encodings = np.concatenate(recorder.parts[max(layers, key=order)])
        recorder.parts |= replay(recogniser, encodings, [(emission.frame, emission.label) for emission in emissions])
    arrays = recorder.arrays()
    if lattice is not None:
        arrays |= {f"K8/{name}": getattr(lattice, name) for name in ARC_FIELDS}
        arrays["K8.words"] = np.frombuffer(json.dumps(lattice.words, ensure_ascii=False).encode(), np.uint8)
    return Trace(about or {}, {key: arrays[key] for key in sorted(arrays, key=order)})


def replay(recogniser, encodings, path):
    """Run K4 and K5, which the search holds inside, along a path; the recogniser's recorder hears them.

    Parameters
    ----------
    recogniser : Recogniser
    encodings : [T, D]            Of the last layer.
    path : list of (frame, label)

    Returns
    -------
    dict                          Parts K5/frame and K5/step.
    """
    predictor, joiner = recogniser.stages["K4"], recogniser.stages["K5"]
    text, state = predictor.step(BLANK, predictor.start())
    rows, step, following = [], 0, iter([*path, (len(encodings), BLANK)])
    until, label = next(following)
    for frame, audio in enumerate(encodings):
        joiner.step((audio, text), joiner.start())
        rows.append((frame, step))
        while until == frame:
            text, state = predictor.step(label, state)
            step += 1
            joiner.step((audio, text), joiner.start())
            rows.append((frame, step))
            until, label = next(following)
    columns = np.array(rows, np.int32).reshape(-1, 2).T
    return {"K5/frame": [columns[0]], "K5/step": [columns[1]]} if rows else {}


def save(path, trace):
    """Write a trace as an .npz file of plain arrays. Parameters: path, trace."""
    about = json.dumps(trace.about | {"trace": VERSION}, ensure_ascii=False, allow_nan=False).encode()
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, about=np.frombuffer(about, np.uint8), **trace.arrays)


def load(path):
    """Read a trace.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Trace

    Raises
    ------
    FormatError    If it is no trace, is cut short or damaged. Nothing is unpickled, and no more is allocated than the file has.
    """
    arrays = read_archive(path, KINDS)
    about = arrays.pop("about", None)
    try:
        facts = parse_json(about.tobytes())
        version = facts.pop("trace")
    except (AttributeError, ValueError, KeyError, RecursionError) as error:
        raise misfit(path, "no description that can be read", "a trace of `refasr trace`", "record it again") from error
    if version != VERSION:
        raise misfit(path, f"trace version {version!r:.20}", VERSION, "record it again with this refasr")
    odd = [key for key, value in arrays.items() if not KEY.fullmatch(key) or value.ndim not in (1, 2)]
    lengths = {}
    for key, value in arrays.items():
        lengths.setdefault(key.split("/")[0], set()).add(len(value) if value.ndim else 0)
    odd += [stage for stage, found in lengths.items() if len(found) > 1]
    if odd:
        raise misfit(path, f"an array {odd[0]!r:.40} that no stage has", "those of `refasr.trace`", "record it again")
    return Trace(facts, {key: arrays[key] for key in sorted(arrays, key=order)})
