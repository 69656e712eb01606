"""The processor behind the interface of a network (`refasr.compress.integer_network`), for greedy search.

The program "frame" goes on to the joiner's projection, and "unit" likewise; so the encodings given here are projections already,
and `project_audio` and `project_text` have nothing left to do. States are written to the chip before a run and read after it:
that is how a search may go back, and is no part of the programs, as on the chip they stay where they are.
"""

import numpy as np

from refasr.compress import integer_ops as ops
from refasr.compress.integer_layer import IntegerState, zero_state
from refasr.hw.compiler import compile_model
from refasr.hw.external import ExternalMemory
from refasr.hw.machine import Chip
from refasr.transducer.units import BLANK


class ProcessorNetwork:
    """A model on a chip.

    Parameters
    ----------
    models : IntegerModel or two of them    Two give encoder layers with two bodies.
    processor : Processor
    backend : Backend

    Raises
    ------
    FormatError, RangeError    Before any work, for models that are damaged or do not fit.
    """

    def __init__(self, models, processor, backend):
        external = ExternalMemory(processor, backend)
        self.compiled = compile_model(models, processor, external)
        self.chip = Chip(processor, external, backend)
        self.partition = self.chip.memory.partition("recogniser", self.compiled.n_bytes)
        self.model = models[0] if isinstance(models, tuple | list) else models
        self.encoder = ProcessorEncoder(self, backend)
        self.predictor, self.joiner = ProcessorPredictor(self), ProcessorJoiner(self)

    def view(self, name):
        """A named region, in place. Parameters: name. Returns an array."""
        return self.partition.view(self.compiled.regions[name])

    def zero_state(self, name):
        """State of a layer before its first input. Parameters: name. Returns an IntegerState."""
        return zero_state(self.compiled.regions[f"{name}.h"].length)

    def run(self, program, names=(), state=()):
        """Run a program with some states.

        Parameters
        ----------
        program : str                     Its name.
        names : sequence of str           Layers.
        state : sequence of IntegerState  Theirs before; not modified.

        Returns
        -------
        tuple of IntegerState             Theirs after.
        """
        for name, (h, c) in zip(names, state):
            self.view(f"{name}.h")[:], self.view(f"{name}.c")[:] = h, c
        self.chip.run(self.compiled.programs[program], self.partition)
        return tuple(IntegerState(self.view(f"{name}.h").copy(), self.view(f"{name}.c").copy()) for name in names)


class ProcessorEncoder:
    """Frames in, projected encodings out.

    Parameters
    ----------
    network : ProcessorNetwork
    backend : Backend
    """

    def __init__(self, network, backend):
        self.network, self._quantise = network, backend(ops.quantise_input)

    def start(self):
        """State before the first frame: a tuple with one IntegerState a layer."""
        return tuple(map(self.network.zero_state, self.network.compiled.layers))

    def enter(self, frames):
        """Stacked frames as codes (A10). Parameters: frames, float32 [T, K]. Returns int8 [T, K]."""
        return self._quantise(frames, self.network.model.arrays["input_reciprocal"])

    def encode(self, features, state, *, context=None):
        """Encode one frame.

        Parameters
        ----------
        features : int8 [K]               From `enter`.
        state : tuple of IntegerState     One a layer; not modified.
        context : int or None             Which body of the layers, where they have two; None is the first.

        Returns
        -------
        (h, state, None)                  int8 [J], projected; the new state; what it costs is in the report.
        """
        self.network.partition.mail["frame"] = features
        self.network.view("choice")[0] = context or 0
        state = self.network.run("frame", self.network.compiled.layers, state)
        return self.network.view("audio").copy(), state, None


class ProcessorPredictor:
    """Labels in, projected text encodings out. Parameters: network (ProcessorNetwork)."""

    def __init__(self, network):
        self.network = network

    def start(self):
        """Encoding and state when nothing was said. Returns (int8 [J], IntegerState)."""
        return self.predict(BLANK, self.network.zero_state("predictor"))

    def predict(self, label, state):
        """Take one label in. Parameters: label, state (IntegerState, not modified). Returns (int8 [J], IntegerState)."""
        self.network.partition.mail["unit"] = np.int32(label)
        state, = self.network.run("unit", ("predictor",), (state,))
        return self.network.view("text").copy(), state


class ProcessorJoiner:
    """Projections in, logits out. Parameters: network (ProcessorNetwork)."""

    def __init__(self, network):
        self.network = network

    def project_audio(self, h):
        """Nothing is left to do. Parameters: h (int8 [J]). Returns h."""
        return h

    def project_text(self, g):
        """Nothing is left to do. Parameters: g (int8 [J]). Returns g."""
        return g

    def logits(self, e, p):
        """The integers of one node. Parameters: e, p (int8 [J]). Returns int32 [V]."""
        self.network.view("audio")[:], self.network.view("text")[:] = e, p
        self.network.run("node")
        return self.network.partition.mail["logits"]

    def join_projected(self, e, p):
        """Logits of one node. Parameters: e, p (int8 [J]). Returns float32 [V] (A40)."""
        return self.logits(e, p).astype(np.float32) * self.network.model.arrays["logit_scale"]
