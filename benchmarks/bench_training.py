"""One training step: forward, loss, backward, clipping and Adam on one batch, one thread.

The network is the first size of the model (1 million parameters), untrained: a trained one lets our joiner skip nearly
all nodes of its backward pass, an advantage that is left out here. Audio features and labels are random.
"""

import numpy as np

from benchmarks import harness
from refasr import twins
from refasr.nn import optimiser
from refasr.train import loop
from refasr.train.batches import Batch, rows_of_frames
from refasr.train.objective import ObjectiveSettings, TransducerObjective
from refasr.transducer.model import Architecture, assemble_parameters, initialise, parameter_shapes

ARCHITECTURE = Architecture(encoder_widths=(192, 192, 192), embedding_width=64, predictor_width=128, joiner_width=256)
SHAPES = ((24, 60), (12, 128))    # utterances, frames of 40 ms in the longest
LABELS_A_FRAME, SHORTEST = 0.42, 0.8
LEARNING_RATE, CLIP = 1e-3, 5.0
LOSS_ERROR, GRADIENT_ERROR = 1e-5, 1e-4  # relative; of the largest component
VARIANTS = {"torch": dict(packed=False, mkldnn=True), "torch-native": dict(packed=False, mkldnn=False),
            "torch-packed": dict(packed=True, mkldnn=False)}


def batch_of(n_utterances, longest):
    """A batch of random frames and labels. Parameters: n_utterances, longest. Returns a Batch."""
    rng = np.random.default_rng(0)
    n_frames = sorted(rng.integers(int(SHORTEST * longest), longest + 1, n_utterances), reverse=True)
    frames = [rng.standard_normal((n, ARCHITECTURE.n_inputs), dtype=np.float32) for n in n_frames]
    labels = [rng.integers(8, ARCHITECTURE.n_vocabulary, int(n * LABELS_A_FRAME)).astype(np.int32) for n in n_frames]
    return Batch(rows_of_frames(frames), [int(n) for n in n_frames], labels, np.ones(n_utterances, np.float32))


def ours(name, parameters, batch):
    """Our contestant. Parameters: name of the backend, parameters, batch. Returns a function() -> (loss, norm, gradient)."""
    backend, shapes = twins.select(name), parameter_shapes(ARCHITECTURE)
    objective, adam = TransducerObjective(ObjectiveSettings(), backend), backend(optimiser.adam)
    weights = loop.flatten(parameters, shapes)
    state, made = optimiser.AdamState(np.zeros_like(weights), np.zeros_like(weights), weights), 0
    loop.keep_freed_memory()

    def step():
        nonlocal weights, state, made
        network = assemble_parameters(loop.views(weights, shapes), len(ARCHITECTURE.encoder_widths), backend)
        losses, gradients = objective(network, batch, np.random.default_rng(0))
        gradient = loop.flatten(gradients, shapes) * np.float32(1 / len(batch.labels))
        scale, norm = optimiser.gradient_scale(gradient, CLIP)
        gradient *= np.float32(scale)
        weights, state = adam(weights, gradient, state, made, optimiser.AdamRates(LEARNING_RATE))
        made += 1
        return losses["rnnt"], norm, gradient

    return step


def torch_gradient(network):
    """PyTorch's gradient in the order of our flat vector. Parameters: network. Returns float32 [N]."""
    named = dict(network.named_parameters())
    parts = []
    for name in parameter_shapes(ARCHITECTURE):
        layer, _, kind = name.rpartition(".")
        if layer == "joiner" or kind == "embedding":
            parts.append(named[kind if layer == "joiner" else "embedding.weight"].grad)
        else:
            theirs = {"input": "lstm.weight_ih_l0", "recurrent": "lstm.weight_hh_l0", "bias": "lstm.bias_ih_l0",
                      "norm_gain": "norm.weight", "norm_bias": "norm.bias"}[kind]
            parts.append(named[f"{layer}.{theirs}"].grad)
            parts[-1] = parts[-1].mT if parts[-1].ndim == 2 else parts[-1]
    return np.concatenate([part.numpy().ravel() for part in parts])


def check(results):
    """All contestants found the same loss, norm and gradient. Parameters: results. Returns None or what is wrong."""
    loss, norm, want = results["fast"]
    for name, (other_loss, other_norm, gradient) in results.items():
        got = gradient if isinstance(gradient, np.ndarray) else torch_gradient(gradient)
        apart = np.abs(got - want).max() / np.abs(want).max()
        if abs(other_loss / loss - 1) > LOSS_ERROR or abs(other_norm / norm - 1) > GRADIENT_ERROR or apart > GRADIENT_ERROR:
            return f"{name}: loss {other_loss}, norm {other_norm}, gradient {apart:.2g} apart; fast: {loss}, {norm}"
    return None


def contestants(batch):
    """Parameters: batch. Returns {contestant: callable}."""
    parameters, n_layers = initialise(ARCHITECTURE, 1), len(ARCHITECTURE.encoder_widths)
    found = {name: ours(name, parameters, batch) for name in ("fast", "reference")}
    if isinstance(harness.rival("torch", lambda torch: torch), harness.Missing):
        return found | {name: harness.missing("torch") for name in VARIANTS}
    from benchmarks.rivals import torch_transducer

    return found | {name: torch_transducer.training_step(parameters, n_layers, batch, **how) for name, how in VARIANTS.items()}


def cost(batch):
    """Products of one step: each weight meets each row forward, and twice backward. Parameters: batch. Returns (MACs, bytes)."""
    shapes = parameter_shapes(ARCHITECTURE)
    size = {name: int(np.prod(shape)) for name, shape in shapes.items() if len(shape) == 2 and name != "predictor.embedding"}
    rows = dict.fromkeys(size, sum(batch.n_frames))
    text = sum(len(labels) + 1 for labels in batch.labels)
    rows |= dict.fromkeys(("predictor.input", "predictor.recurrent", "joiner.text"), text)
    rows["joiner.output"] = sum(n * (len(labels) + 1) for n, labels in zip(batch.n_frames, batch.labels))
    data = size["encoder.0.input"] * rows["encoder.0.input"]  # the features need no gradient
    return 3 * sum(size[name] * rows[name] for name in size) - data, 4 * sum(size.values())


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable}, (multiply-adds, bytes))."""
    for n_utterances, longest in SHAPES:
        text = f"B={n_utterances} T={longest} U={int(longest * LABELS_A_FRAME)} D={ARCHITECTURE.encoder_widths[0]}"
        batch = batch_of(n_utterances, longest)
        yield text, contestants(batch), cost(batch)
