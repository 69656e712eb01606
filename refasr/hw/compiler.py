"""From the integer network to programs of the processor.

    compiled = compile_model(model, processor, external)      fills external memory

A recogniser has three programs: "frame" takes an encoder frame to its projection, "unit" a written unit to that of the text, and
"node" both to the logits. They share one partition, in which the states stay. With two models, each encoder layer has two bodies,
and a SELECT reads from region `choice` which of them a frame goes through.

Tile buffers take turns, and each LOAD is moved up before the work that does not need it: double buffering.
"""

from typing import NamedTuple

from refasr.compress import integer_ops as ops
from refasr.compress.integer_model import IntegerModel, checked
from refasr.compress.integer_network import table_of
from refasr.compress.layout import GATES, code_shapes, linear_layers, recurrent_layers
from refasr.errors import RangeError
from refasr.hw.external import needs_table
from refasr.hw.isa import Multiply, Program, Select
from refasr.hw.isa_load import Fetch, FetchRow, Load, Receive, Send, Table
from refasr.hw.isa_vector import Cell, Join, Logits, Norm, Rescale
from refasr.hw.memory import MemoryMap, inside

LAYER_VALUES = ("bias", "input_multiplier", "recurrent_multiplier", "shift", "hidden_multiplier", "hidden_shift", "norm_gain",
                "norm_bias")
EMBEDDING = "predictor.embedding"


class Compiled(NamedTuple):
    """Programs and where their data are.

    programs : dict of str to Program      "frame", "unit" and "node".
    regions : dict of str to Region        `frame`, `unit`, `audio`, `text`, `logits`, `choice`; L.h, L.c, L.output.
    n_bytes : int                          Of the partition.
    layers : tuple of str                  The encoder's.
    """

    programs: dict
    regions: dict
    n_bytes: int
    layers: tuple


def stored_name(name, index):
    """Name in external memory. Parameters: name, index (of the model). Returns str."""
    return f"{name}@{index}" if index else name


def compile_model(models, processor, external):
    """Compile, and fill external memory.

    Parameters
    ----------
    models : IntegerModel or two of them    Two of the same architecture give layers with two bodies.
    processor : Processor
    external : ExternalMemory               Of that processor, empty.

    Returns
    -------
    Compiled

    Raises
    ------
    FormatError                             For a model that no file may hold.
    RangeError                              If the model does not fit into the processor, or the two do not fit together.
    """
    models = [checked(model) for model in ((models,) if isinstance(models, IntegerModel) else models)]
    if not 1 <= len(models) <= 2 or models[0].architecture != models[-1].architecture:
        raise RangeError(f"models: got {len(models)} or different architectures, expected one, or two of one architecture")
    work = Compiler(models, processor, external)
    if work.map.n_bytes > processor.sram_bytes:
        raise RangeError(f"sram_bytes: got {processor.sram_bytes} on {processor.name}, expected at least {work.map.n_bytes} for "
                         f"this model and tiles of {processor.tile_codes} weights; take smaller ones, or more memory")
    work.store()
    programs = {name: Program(name, hoisted(body)) for name, body in
                (("frame", work.frame()), ("unit", work.unit()), ("node", work.node()))}
    return Compiled(programs, work.map.regions, work.map.n_bytes, work.layers)


def hoisted(body):
    """The program with every LOAD as early as its buffer allows. Parameters: body (list of Instruction). Returns a tuple.

    An instruction of the loader moves up past work that does not touch its slots, and past no SELECT and no other of the loader.
    """
    done = []
    for instruction in body:
        place = len(done)
        if instruction.engine == "load":
            while place and may_pass(instruction, done[place - 1]):
                place -= 1
        done.insert(place, instruction)
    return tuple(done)


def may_pass(load, work):
    """Whether a loader's instruction may go before another. Parameters: load, work. Returns bool."""
    if work.engine == "load" or isinstance(work, Select):
        return False
    written = work.slots(work.targets)
    return not (load.slots(load.targets) & (written | work.slots(work.sources)) or load.slots(load.sources) & written)


class Compiler:
    """The state of a compilation: the memory map, and whose turn it is.

    Parameters
    ----------
    models : list of IntegerModel
    processor : Processor
    external : ExternalMemory
    """

    def __init__(self, models, processor, external):
        self.models, self.processor, self.external = models, processor, external
        self.architecture, self.map, self.turns = models[0].architecture, MemoryMap(), {"tile": 0, "values": 0}
        self.layers = tuple(name for name, _, _ in recurrent_layers(self.architecture) if name != "predictor")
        self.place_all()

    def place_all(self):
        """Give everything its place."""
        place, shape = self.map.place, self.architecture
        kind = f"int{self.processor.weight_bits}"
        self.buffers = [place(f"tile.{i}", kind, self.processor.tile_codes) for i in range(self.processor.buffers)]
        most = max(inside("", 0, self.specs(group))[1] for group in self.groups())
        self.homes = [(f"values.{i}", self.map.reserve(most)) for i in range(self.processor.buffers)]
        n_sums = max(n for n, _ in code_shapes(shape).values())
        for name in ("input_sums", "recurrent_sums"):
            place(name, "int32", n_sums)
        place("frame", "int8", shape.n_inputs)
        place("embedded", "int8", shape.embedding_width)
        for name, _, width in recurrent_layers(shape):
            for part, part_kind in (("h", "int8"), ("c", "int16"), ("output", "int8")):
                place(f"{name}.{part}", part_kind, width)
        for name in ("audio", "text", "hidden"):
            place(name, "int8", shape.joiner_width)
        place("logits", "int32", shape.n_vocabulary)
        place("unit", "int32", 1)
        place("choice", "int8", 1)

    def groups(self):
        """Values that are fetched together. Returns a list of lists of names."""
        layers = [[f"{name}.{part}" for part in LAYER_VALUES] for name, _, _ in recurrent_layers(self.architecture)]
        linear = [[f"{name}_{part}" for part in ops.Rescale._fields] for name, _, _ in linear_layers(self.architecture)]
        return [*layers, *linear, [f"joiner.{part}" for part in ops.Joint._fields]]

    def specs(self, names):
        """Types and lengths of values. Parameters: names. Returns a dict."""
        return {name: (self.models[0].arrays[name].dtype.name, self.models[0].arrays[name].size) for name in names}

    def store(self):
        """Fill external memory."""
        for index, model in enumerate(self.models):
            for name, codes in model.codes.items():
                if name != EMBEDDING and (index == 0 or name.startswith("encoder.")):
                    self.external.store(stored_name(name, index), codes, model.bits[name])
            for name in (name for group in self.groups() for name in group):
                self.external.values[stored_name(name, index)] = model.arrays[name]
        self.external.values[EMBEDDING] = table_of(self.models[0])

    def next(self, kind):
        """Whose turn it is. Parameters: kind ("tile" or "values"). Returns int."""
        self.turns[kind] += 1
        return (self.turns[kind] - 1) % self.processor.buffers

    def fetch(self, layer, names, index=0):
        """Fetch a group of values. Parameters: layer, names, index (of the model). Returns (Fetch, tuple of Region)."""
        regions = tuple(inside(*self.homes[self.next("values")], self.specs(names))[0].values())
        return Fetch(layer, tuple(stored_name(name, index) for name in names), regions), regions

    def matrix(self, layer, name, source, sums, index=0):
        """Multiply with a matrix. Parameters: layer, name, source, sums (Regions), index. Returns a list of Instruction."""
        name = stored_name(name, index)
        tensor = self.external.tensors[name]
        body = [Table(layer, name)] if needs_table(tensor) else []
        for tile in range(len(tensor.tiles)):
            buffer = self.buffers[self.next("tile")]
            body += [Load(layer, name, tile, buffer), Multiply(layer, name, tile, buffer, source, sums)]
        return body

    def recurrent(self, name, source, index=0):
        """An LSTM layer with its normalisation. Parameters: name, source (Region), index. Returns a list of Instruction."""
        at, scalars = self.map.regions, self.models[index].scalars
        h, c, output = (at[f"{name}.{part}"] for part in ("h", "c", "output"))
        sums = [at[part]._replace(length=GATES * h.length) for part in ("input_sums", "recurrent_sums")]
        fetch, values = self.fetch(name, [f"{name}.{part}" for part in LAYER_VALUES], index)
        return [fetch, *self.matrix(name, f"{name}.recurrent", h, sums[1], index),
                *self.matrix(name, f"{name}.input", source, sums[0], index),
                Cell(name, *sums, values[:6], scalars[f"{name}.cell_bits"], c, h),
                Norm(name, h, values[6:], scalars[f"{name}.norm_bits"], scalars[f"{name}.norm_epsilon"], output)]

    def linear(self, name, source, target, end=Rescale):
        """A matrix of the joiner. Parameters: name, source, target (Regions), end (class). Returns a list of Instruction."""
        sums = self.map.regions["input_sums"]._replace(length=target.length)
        fetch, values = self.fetch(name, [f"{name}_{part}" for part in ops.Rescale._fields])
        return [fetch, *self.matrix(name, name, source, sums), end(name, sums, values, target)]

    def frame(self):
        """From a frame to its projection. Returns a list of Instruction."""
        at = self.map.regions
        body, source = [Receive(self.layers[0], "frame", at["frame"])], at["frame"]
        for name in self.layers:
            bodies = [self.recurrent(name, source, index) for index in range(len(self.models))]
            body += bodies[0] if len(bodies) == 1 else [Select(name, at["choice"], tuple(map(hoisted, bodies)))]
            source = at[f"{name}.output"]
        return body + self.linear("joiner.audio", source, at["audio"])

    def unit(self):
        """From a unit to the projection of the text. Returns a list of Instruction."""
        at = self.map.regions
        return [Receive("predictor", "unit", at["unit"]), FetchRow("predictor", EMBEDDING, at["unit"], at["embedded"]),
                *self.recurrent("predictor", at["embedded"]), *self.linear("joiner.text", at["predictor.output"], at["text"])]

    def node(self):
        """From both projections to the logits. Returns a list of Instruction."""
        at = self.map.regions
        fetch, values = self.fetch("joiner.output", [f"joiner.{part}" for part in ops.Joint._fields])
        return [fetch, Join("joiner.output", at["audio"], at["text"], values, at["hidden"]),
                *self.linear("joiner.output", at["hidden"], at["logits"], Logits), Send("joiner.output", at["logits"], "logits")]
