"""Numba twins of `refasr.transducer.align`. A maximum is cheap, so rows are walked one after the other."""

import numpy as np

from refasr.jit import kernel
from refasr.transducer import align, loss, loss_fast
from refasr.transducer.loss import IMPOSSIBLE
from refasr.twins import BITS, twin_of


@kernel
def _best(blank, label, best, from_label):
    """Fill `from_label`; `best` [U+1] holds the row of the current frame. Returns the score of the best path."""
    n_frames, n_rows = blank.shape
    best[:] = IMPOSSIBLE
    best[0] = 0.0
    for t in range(n_frames):
        for u in range(n_rows):
            if t > 0:
                best[u] += blank[t - 1, u]
            if u > 0:
                by_label = best[u - 1] + label[t, u - 1]
                from_label[t, u] = by_label > best[u]
                if from_label[t, u]:
                    best[u] = by_label
    return best[n_rows - 1] + blank[n_frames - 1, n_rows - 1]


@twin_of(align.viterbi, agree=BITS)
def viterbi(logp_blank, logp_label):
    loss.check_scores(logp_blank, logp_label)
    from_label = np.zeros(logp_blank.shape, np.bool_)
    score = _best(logp_blank, logp_label, np.empty(logp_blank.shape[1]), from_label)
    return align.BestPath(align.trace(from_label), float(score))


@twin_of(align.best_path, agree=BITS)
def best_path(logits, labels):
    return viterbi(*loss_fast.node_scores(logits, labels))
