"""The model card: what a model is, what it learned from, and how well it does; printed by `refasr info`.

The card is a JSON object that training leaves in the model file (`docs/model-file.md` lists its keys). A key that is
missing is left out: an early snapshot of a training run has few.
"""

import math
import os

from refasr.shipped import HOMES, MODELS
from refasr.transducer.model import parameter_shapes


def shipped_models():
    """Names of the models that came with refasr. Returns a dict from name to Path, for those that exist."""
    found = {}
    for name, files in MODELS.items():
        paths = [home / "models" / file for file in files for home in HOMES]
        found |= {name: path for path in reversed(paths) if path.is_file()}
    return found


def describe(path, model):
    """All there is to say about a model, for JSON.

    Parameters
    ----------
    path : Path      Where it was read.
    model : Model

    Returns
    -------
    dict             file, bytes, parameters (number), parameters_by_part, architecture, units, then the card's own keys.
    """
    counts = count_parameters(parameter_shapes(model.architecture))
    sizes = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(model.architecture).items()}
    return {"file": str(path), "bytes": os.path.getsize(path), "parameters": sum(counts.values()), "parameters_by_part": counts,
            "architecture": sizes, "units": list(model.units)} | {"card": model.card}


def count_parameters(shapes):
    """How many there are in each part of the network. Parameters: shapes (by name). Returns a dict of part to int."""
    counts = {}
    for name, shape in shapes.items():
        part = name.split(".")[0]
        counts[part] = counts.get(part, 0) + math.prod(shape)
    return counts


def as_text(facts):
    """The same for reading.

    Parameters
    ----------
    facts : dict    From `describe`.

    Returns
    -------
    str             Lines of a heading and a value.
    """
    card = facts["card"]
    parts = ", ".join(f"{part} {count:,}" for part, count in facts["parameters_by_part"].items())
    lines = [("model", facts["file"]), ("name", card.get("name")), ("bytes", f"{facts['bytes']:,}"),
             ("parameters", f"{facts['parameters']:,} ({parts})"), *size_lines(facts["architecture"], facts["units"]),
             ("flush", frames_text(card.get("flush_frames"))), ("licence", card.get("licence")), ("steps", card.get("steps")),
             ("emission delay", delay_text(card.get("emission_delay")))]
    lines += [("accuracy" if i == 0 else "", accuracy_text(row)) for i, row in enumerate(rows(card.get("accuracy")))]
    lines += [("trained on" if i == 0 else "", source_text(row)) for i, row in enumerate(rows(card.get("training")))]
    return "\n".join(f"{heading:<15}{value}" for heading, value in lines if value is not None)


def size_lines(sizes, units):
    """The network's sizes. Parameters: sizes (dict, or None if they are not known), units. Returns a list of (heading, value)."""
    if sizes is None:
        return []
    return [("encoder", f"LSTM layers of {', '.join(map(str, sizes['encoder_widths']))} cells on {sizes['n_inputs']} inputs: "
                        f"{sizes['stack']} frames of profile {sizes['profile']}"),
            ("predictor", f"LSTM of {sizes['predictor_width']} cells on embeddings of {sizes['embedding_width']}"),
            ("joiner", f"{sizes['joiner_width']} wide"), ("units", f"{sizes['n_vocabulary']}: {' '.join(units)}")]


def rows(value):
    """A list of objects, or nothing if the card holds something else. Parameters: value. Returns a list of dict."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def frames_text(count):
    """Parameters: count (None: not said). Returns str or None."""
    return None if count is None else f"{count} encoder frames of silence after the end"


def delay_text(delay):
    """How late words are written. Parameters: delay (dict from statistic to seconds). Returns str or None."""
    if not isinstance(delay, dict):
        return None
    return ", ".join(f"{name} {value:.3f} s" if isinstance(value, float) else f"{name} {value}" for name, value in delay.items())


def accuracy_text(row):
    """One test set. Parameters: row (dict). Returns str."""
    pieces = [str(row.get("set", "?")), *(f"{label} {row[key]:.4f}" for key, label in (("wer", "word error rate"),)
                                          if isinstance(row.get(key), (int, float)))]
    interval = row.get("ci95")
    if isinstance(interval, list) and len(interval) == 2 and all(isinstance(bound, (int, float)) for bound in interval):
        pieces.append(f"95 % {interval[0]:.4f} to {interval[1]:.4f}")
    pieces += [f"{row[key]} {label}" for key, label in (("n_utterances", "utterances"), ("n_words", "words")) if key in row]
    return ", ".join(pieces)


def source_text(row):
    """One source of training speech. Parameters: row (dict). Returns str."""
    hours = f"{row['hours']:.1f} h" if isinstance(row.get("hours"), (int, float)) else None
    recordings = f"{row['recordings']} recordings" if "recordings" in row else None
    pieces = (row.get("source", "?"), recordings, hours, row.get("what"), row.get("licence"), row.get("origin"))
    return ", ".join(str(piece) for piece in pieces if piece is not None)
