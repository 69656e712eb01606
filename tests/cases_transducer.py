"""Strategies for the twins of the transducer's criterion and alignment."""

import numpy as np
from hypothesis import strategies as st

WIDTHS = st.sampled_from([1, 2, 3, 7, 8, 9, 17, 36])
SCALES = st.sampled_from([0.0, 1.0, 5.0, 100.0, 1e4, 1e6])
FASTEMIT = st.sampled_from([0.0, 0.005, 0.3, 1.0, 0.0, 0.1, 0.01, -0.1, 1.5, float("nan")])


@st.composite
def grids(draw):
    """A good grid. Parameters: draw. Returns (logits, labels)."""
    n_frames, n_labels, width = draw(st.integers(1, 6)), draw(st.integers(0, 5)), draw(WIDTHS)
    n_labels = n_labels if width > 1 else 0
    source = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = source.uniform(-1, 1, (n_frames, n_labels + 1, width)) * draw(SCALES)
    if draw(st.booleans()):
        logits = np.round(logits)   # equal scores: the order of comparisons must be the same too
    labels = source.integers(1, max(width, 2), n_labels)
    return logits.astype(np.float32), labels.astype(np.int32)


def poison(array, value):
    """A copy with its last element replaced. Parameters: array, value. Returns an array."""
    array = array.copy()
    array.reshape(-1)[-1] = value
    return array


@st.composite
def spoilt_grids(draw):
    """A grid with one thing wrong. Parameters: draw. Returns (logits, labels)."""
    logits, labels = draw(grids())
    bad_logits = [poison(logits, value) for value in (np.nan, np.inf, -np.inf, 2e6)]
    column_major = np.asfortranarray(np.tile(logits, (2, 2, 2)))
    bad_logits += [logits.astype(np.float64), logits[:0], logits[:, :, :0], logits[0], column_major,
                   logits.tolist(), np.concatenate([logits, logits], axis=1)]
    bad_labels = [labels.astype(np.int64), np.zeros((1, 1), np.int32), None, np.append(labels, labels[:1] * 0 + 1)]
    if labels.size:
        bad_labels += [poison(labels, 0), poison(labels, logits.shape[2]), poison(labels, -1), poison(labels, 2**31 - 1)]
    if draw(st.booleans()):
        return draw(st.sampled_from(bad_logits)), labels
    return logits, draw(st.sampled_from(bad_labels))


@st.composite
def score_grids(draw):
    """Log-weights of the moves, sometimes spoilt. Parameters: draw. Returns (logp_blank, logp_label)."""
    n_frames, n_labels = draw(st.integers(1, 7)), draw(st.integers(0, 6))
    source = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.0, 3.0, 500.0, 1e6]))
    blank, label = (-scale * source.random((n_frames, n)) for n in (n_labels + 1, n_labels))
    wrong = [(blank, np.concatenate([label, label[:, :1] if n_labels else blank], axis=1)), (blank[:0], label[:0]),
             (blank.astype(np.float32), label), (poison(blank, np.nan), label), (poison(blank, -1e8), label), (blank, None)]
    if n_labels:
        wrong.append((blank, poison(label, -np.inf)))
    return (blank, label) if draw(st.integers(0, 3)) else draw(st.sampled_from(wrong))


GRIDS = st.integers(0, 3).flatmap(lambda choice: grids() if choice else spoilt_grids())
CASES = {
    "refasr.transducer.align.best_path": GRIDS,
    "refasr.transducer.align.viterbi": score_grids(),
    "refasr.transducer.loss.node_scores": GRIDS,
    "refasr.transducer.loss.forward_backward": score_grids(),
    "refasr.transducer.loss.rnnt_loss": st.tuples(GRIDS, FASTEMIT).map(lambda pair: (*pair[0], pair[1])),
}
