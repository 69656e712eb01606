"""Numba twin of `refasr.lattice.confidence`."""

from refasr.jit import kernel
from refasr.lattice import confidence as plain
from refasr.lattice import forward_backward_fast
from refasr.lattice.forward_backward import IMPOSSIBLE, arc_weights
from refasr.lattice.lattice import NO_WORD
from refasr.lattice.oracle import require_reference
from refasr.numerics_fast import log_add64
from refasr.twins import BITS, twin_of


@kernel
def _spell(source, target, word, weights, words, forward):
    for arc in range(source.size):
        before, after = forward[source[arc]], forward[target[arc]]
        if word[arc] == NO_WORD:
            for i in range(before.size):
                after[i] = log_add64(after[i], before[i] + weights[arc])
        else:
            for i in range(words.size):
                step = before[i] + weights[arc] if words[i] == word[arc] else IMPOSSIBLE
                after[i + 1] = log_add64(after[i + 1], step)


@twin_of(plain.sequence_posterior, agree=BITS)
def sequence_posterior(lattice, words, scale=1.0):
    all_paths = forward_backward_fast.log_scores(lattice, scale).total
    require_reference(words)
    forward = plain.new_table(lattice, words)
    _spell(lattice.source, lattice.target, lattice.word, arc_weights(lattice, scale), words, forward)
    return plain.share(float(forward[-1, -1]), all_paths)
