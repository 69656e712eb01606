"""Names, shapes and ranges of all that an integer model stores: `docs/arithmetic.md`, section 6."""

import numpy as np

ARITHMETIC = 1            # version of docs/arithmetic.md
MOST_BITS = 8
INT8, INT16, INT32 = 127, 32767, 2**31 - 1
SHIFT = (1, 62)           # A5
CELL_BITS = (0, 12)       # A18
NORM_BITS = (0, 24)       # A23
GATES = 4
LOGIT_LIMIT = 1 << 24     # A13: integers below it are exact in float32
LEAST, LARGEST = 2.0**-40, 2.0**40  # of the two float32 scales


def recurrent_layers(architecture):
    """The LSTM layers. Parameters: architecture. Returns a list of (name, inputs K, width N), the predictor last."""
    layers, n_inputs = [], architecture.n_inputs
    for index, width in enumerate(architecture.encoder_widths):
        layers.append((f"encoder.{index}", n_inputs, width))
        n_inputs = width
    return [*layers, ("predictor", architecture.embedding_width, architecture.predictor_width)]


def linear_layers(architecture):
    """The joiner's matrices. Parameters: architecture. Returns a list of (name, inputs K, outputs N)."""
    joint = architecture.joiner_width
    return [("joiner.audio", architecture.encoder_widths[-1], joint), ("joiner.text", architecture.predictor_width, joint),
            ("joiner.output", joint, architecture.n_vocabulary)]


def code_shapes(architecture):
    """Coded tensors in their order. Parameters: architecture. Returns a dict of name to (N, K)."""
    shapes = {}
    for name, n_inputs, width in recurrent_layers(architecture):
        if name == "predictor":
            shapes["predictor.embedding"] = (architecture.n_vocabulary, architecture.embedding_width)
        shapes |= {f"{name}.input": (GATES * width, n_inputs), f"{name}.recurrent": (GATES * width, width)}
    return shapes | {name: (n_outputs, n_inputs) for name, n_inputs, n_outputs in linear_layers(architecture)}


def rescale_specs(multiplier, shift, n):
    """A multiplier and its shift. Parameters: multiplier, shift (names), n. Returns a dict as in `array_specs`."""
    return {multiplier: (np.int32, (n,), 0, INT32), shift: (np.int8, (n,), *SHIFT)}


def array_specs(architecture):
    """Plain arrays in their order, without the normalisation. Parameters: architecture.

    Returns a dict of name to (type, shape, lowest, highest value).
    """
    specs = {}
    for name, _, width in recurrent_layers(architecture):
        specs[f"{name}.bias"] = (np.int32, (GATES * width,), -INT32, INT32)
        specs[f"{name}.input_multiplier"] = (np.int32, (GATES * width,), 0, INT32)
        specs |= rescale_specs(f"{name}.recurrent_multiplier", f"{name}.shift", GATES * width)
        specs |= rescale_specs(f"{name}.hidden_multiplier", f"{name}.hidden_shift", 1)
        specs[f"{name}.norm_gain"] = (np.int16, (width,), -INT16, INT16)
        specs[f"{name}.norm_bias"] = (np.int32, (width,), -INT32, INT32)
    specs |= rescale_specs("predictor.embedding_multiplier", "predictor.embedding_shift", architecture.n_vocabulary)
    for name, _, n_outputs in linear_layers(architecture):
        specs[f"{name}_bias"] = (np.int32, (n_outputs,), -INT32, INT32)
        specs |= rescale_specs(f"{name}_multiplier", f"{name}_shift", n_outputs)
    specs["joiner.audio_rescale"] = (np.int32, (1,), 0, INT32)
    specs |= rescale_specs("joiner.text_rescale", "joiner.add_shift", 1)
    specs |= rescale_specs("joiner.hidden_multiplier", "joiner.hidden_shift", 1)
    return specs | {name: (np.float32, (1,), LEAST, LARGEST) for name in ("input_reciprocal", "logit_scale")}


def scalar_ranges(architecture):
    """Whole numbers of each layer. Parameters: architecture. Returns a dict of name to (lowest, highest)."""
    ranges = {}
    for name, _, _ in recurrent_layers(architecture):
        ranges |= {f"{name}.cell_bits": CELL_BITS, f"{name}.norm_bits": NORM_BITS, f"{name}.norm_epsilon": (1, 2**46)}
    return ranges


def scale_names(architecture):
    """Activations that have a scale, in the order of the network. Parameters: architecture. Returns a list of names.

    `L.hidden` is an LSTM's h and `L.output` its normalised output; cells and gates have fixed units (A16, A18).
    """
    names = ["input"]
    for name, _, _ in recurrent_layers(architecture):
        names += ["predictor.embedded"] * (name == "predictor") + [f"{name}.hidden", f"{name}.output"]
    return [*names, "joiner.audio", "joiner.text", "joiner.hidden", "joiner.logits"]
