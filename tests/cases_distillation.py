"""Strategies for the twins of the distillation criterion."""

import numpy as np
from hypothesis import strategies as st

from cases_transducer import poison

NOBODY = -1
WIDTHS = st.sampled_from([1, 2, 3, 8, 9, 17, 36])
SCALES = st.sampled_from([0.0, 1.0, 5.0, 50.0, 1e4, 1e6])


@st.composite
def nodes(draw):
    """Logits, support and targets that fit. Parameters: draw. Returns (logits, units, targets)."""
    n_nodes, width = draw(st.integers(1, 6)), draw(WIDTHS)
    source = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k = draw(st.integers(1, min(width, 5)))
    logits = source.uniform(-1, 1, (n_nodes, width)) * draw(SCALES)
    if draw(st.booleans()):
        logits = np.round(logits)  # ties, and zeros of both signs
    units = np.array([source.permutation(width)[:k] for _ in range(n_nodes)], np.int32)
    units[source.random(units.shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = NOBODY
    targets = source.random((n_nodes, k + 1)) ** draw(st.sampled_from([1, 30])) + 1e-30
    targets[:, :-1][units == NOBODY] = 0
    targets[:, -1] *= draw(st.sampled_from([0, 1])) if (targets[:, :-1].sum(axis=1) > 0).all() else 1
    return logits.astype(np.float32), units, (targets / targets.sum(axis=1, keepdims=True)).astype(np.float32)


@st.composite
def spoilt_nodes(draw):
    """One thing wrong. Parameters: draw. Returns (logits, units, targets)."""
    logits, units, targets = draw(nodes())
    width = logits.shape[1]
    return draw(st.sampled_from([
        *((poison(logits, value), units, targets) for value in (np.nan, np.inf, -np.inf, 2e6)),
        (logits.astype(np.float64), units, targets), (logits[:0], units[:0], targets[:0]), (logits[0], units, targets),
        (logits, units.astype(np.int64), targets), (logits, units[:, :0], targets[:, :1]),
        (logits, poison(units, width), targets),
        (logits, poison(units, -2), targets), (logits, np.zeros((len(logits), 2), np.int32), targets), (logits, None, targets),
        (logits, units, poison(targets, np.nan)), (logits, units, targets - 1), (logits, units, targets * 2),
        (logits, units, targets[:, :-1]), (logits, units * 0 + NOBODY, targets * 0 + 1), (logits, units, targets.astype(float))]))


NODES = st.integers(0, 3).flatmap(lambda choice: nodes() if choice else spoilt_nodes())
CASES = {
    "refasr.transducer.distillation.class_posteriors": NODES.map(lambda case: case[:2]),
    "refasr.transducer.distillation.class_divergence": NODES,
}
