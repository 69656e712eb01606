"""The gain of each idea: one network on several parts, with narrower weights, with zeros, compressed, and with zeros skipped.

Where the network was not trained to be sparse, its smallest weights are set to zero: that shows what zeros are worth in time,
bytes and energy. What they cost in accuracy is another question, which these rows do not answer.
"""

import dataclasses

import numpy as np

from refasr.errors import RangeError
from refasr.hw.compiler import compile_model
from refasr.hw.external import ExternalMemory
from refasr.hw.machine import Chip
from refasr.hw.presets import preset
from refasr.hw.report import layer_totals, report

SHARES = (0.0, 0.5, 0.75)
COLUMNS = ("bits", "zeros", "transfer", "skipping", "frame_bytes", "frame_cycles", "cycles", "rtf", "faster", "macs_done",
           "energy_uj", "less_energy", "sram_peak_bytes")


def pruned(model, share):
    """A model with the smallest weights of each matrix set to zero, so many that the share of zeros is at least the given one.

    Parameters
    ----------
    model : IntegerModel
    share : float, 0 to 1

    Returns
    -------
    IntegerModel             Of equally small codes it is chance, always the same, which become zero.

    Raises
    ------
    RangeError
    """
    if not 0 <= share <= 1:
        raise RangeError(f"share: got {share}, expected 0 to 1")
    rng, codes = np.random.default_rng(0), {}
    for name, matrix in model.codes.items():
        flat = matrix.ravel().copy()
        flat[np.lexsort((rng.random(flat.size), np.abs(flat.astype(np.int16))))[:round(share * flat.size)]] = 0
        codes[name] = flat.reshape(matrix.shape)
    return dataclasses.replace(model, codes=codes)


def designs(bits):
    """Parts on which weights of some width run. Parameters: bits. Returns a list of Processor."""
    dense, ours = preset("int8"), preset("refasr")
    words = [preset("float32"), preset("float16"), dense] if bits == 8 else [dataclasses.replace(dense, storage="packed")]
    return [*words, dataclasses.replace(dense, storage="coded"), ours]


def compare(models, runs, audio_seconds, backend, shares=SHARES):
    """Time all of it.

    Parameters
    ----------
    models : list of IntegerModel            Of one network, with different widths; the first row is the first model in 32 bits.
    runs : dict of (str, tuple) to int       How often each program runs, the same for all rows.
    audio_seconds : float                    In which it does.
    backend : Backend
    shares : sequence of float               Of zeros.

    Returns
    -------
    list of dict with the keys COLUMNS       `faster` and `less_energy` are factors against the first row.
    """
    rows = []
    for model in models:
        bits = max(model.bits.values())
        for share in shares:
            sparse = pruned(model, share)
            for part in designs(bits):
                if share == 0 or part.weight_bits == 8:
                    rows.append(timed(sparse, part, runs, audio_seconds, backend) | {"bits": bits})
    first = rows[0]
    for row in rows:
        row |= {"faster": first["cycles"] / row["cycles"], "less_energy": first["energy_uj"] / row["energy_uj"]}
    return [{name: row[name] for name in COLUMNS} for row in rows]


def timed(model, part, runs, audio_seconds, backend):
    """One row. Parameters: model, part, runs, audio_seconds, backend. Returns a dict."""
    external = ExternalMemory(part, backend)
    compiled = compile_model(model, part, external)
    chip = Chip(part, external, backend)
    found = report(part, layer_totals(chip, compiled.programs, runs), audio_seconds, compiled.n_bytes)
    frame = report(part, layer_totals(chip, compiled.programs, {("frame", ()): 1}), 1.0, compiled.n_bytes)["total"]
    matrices = [codes for name, codes in model.codes.items() if name != "predictor.embedding"]
    zeros = 1 - sum(map(np.count_nonzero, matrices)) / sum(codes.size for codes in matrices)
    transfer = f"{part.weight_bits}-bit words" if part.storage == "plain" else part.storage
    return {"zeros": round(zeros, 3), "transfer": transfer, "skipping": "yes" if part.skip_zeros else "no",
            "frame_bytes": frame["external_bytes"], "frame_cycles": frame["cycles"], "cycles": found["total"]["cycles"],
            "rtf": found["rtf"], "macs_done": found["total"]["macs_done"], "energy_uj": found["total"]["energy_uj"],
            "sram_peak_bytes": found["sram_peak_bytes"]}
