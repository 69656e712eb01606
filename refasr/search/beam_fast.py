"""Numba twin of `refasr.search.beam`: the same decisions on arrays.

Hypotheses of a frame are entries of a pool: those that rest (took blank), those that move (may still write) and the state
of the text side of each label sequence, which entries share by number. Two pools take turns from frame to frame.
"""

from typing import NamedTuple

import numpy as np

from refasr.jit import kernel
from refasr.numerics_fast import log_add64
from refasr.search import beam as reference
from refasr.search.boost_fast import advance_all
from refasr.search.hypotheses import FLOW_TYPES, KEY_STEP, REMEMBERED, Beam, Flow, check_search
from refasr.search.hypotheses_fast import Pool, Texts, copy_entry, find_key
from refasr.search.scorer_fast import score_units, text_step
from refasr.transducer.units import BLANK
from refasr.twins import BITS, twin_of

F32 = np.float32
STEP, SHIFT = np.uint64(KEY_STEP), np.uint64(29)


class Found(NamedTuple):
    """Continuations, best first."""

    total: np.ndarray
    acoustic: np.ndarray
    parent: np.ndarray
    label: np.ndarray
    boost: np.ndarray
    delta: np.ndarray


def _found(size):
    return Found(np.zeros(size), np.zeros(size), np.zeros(size, np.int32), np.zeros(size, np.int32), np.zeros(size, np.int32),
                 np.zeros(size))


@kernel
def _record(flow, counts, source, target, label, frame, mass, bias):
    """Append an arc; counts[0] is the number of arcs, counts[1] that of nodes."""
    r = counts[0]
    flow.source[r], flow.target[r], flow.label[r], flow.frame[r] = source, target, label, frame
    flow.mass[r], flow.bias[r] = mass, bias
    counts[0] = r + 1


@kernel
def _new_node(keys, nodes, counts, key):
    node = counts[1]
    keys[node % REMEMBERED], nodes[node % REMEMBERED] = key, np.int32(node)
    counts[1] = node + 1
    return np.int32(node)


@kernel
def _rest(resting, n, moving, i, blank):
    """Entry i takes blank. Returns how many rest."""
    acoustic = moving.acoustic[i] + blank
    j = find_key(resting, n, moving.key[i])
    if j < 0:
        j, n = n, n + 1
    else:
        acoustic = log_add64(resting.acoustic[j], acoustic)
    copy_entry(moving, i, resting, j)
    resting.acoustic[j] = acoustic
    return n


@kernel
def _floor(resting, n, beam, score_beam):
    totals = np.sort(resting.acoustic[:n] + resting.bias[:n])
    floor = totals[n - 1] - score_beam
    return max(floor, totals[n - beam]) if n >= beam else floor


@kernel
def _insert(found, n, limit, total, acoustic, parent, label, boost, delta):
    """Keep the best `limit`, in order; among equals the first to come stays first. Returns how many there are."""
    if n == limit:
        if total <= found.total[n - 1]:
            return n
        n -= 1
    j = n
    while j > 0 and found.total[j - 1] < total:
        found.total[j], found.acoustic[j], found.parent[j] = found.total[j - 1], found.acoustic[j - 1], found.parent[j - 1]
        found.label[j], found.boost[j], found.delta[j] = found.label[j - 1], found.boost[j - 1], found.delta[j - 1]
        j -= 1
    found.total[j], found.acoustic[j], found.parent[j] = total, acoustic, parent
    found.label[j], found.boost[j], found.delta[j] = label, boost, delta
    return n + 1


@kernel
def _choose(moving, n, logp, automaton, floor, limit, deltas, found):
    """The best continuations. Returns how many."""
    acoustics, biases, states, next_state = moving.acoustic, moving.bias, moving.boost, automaton.next_state
    chosen = 0
    for i in range(n):
        advance_all(automaton, states[i], deltas)
        for label in range(1, logp.shape[1]):
            acoustic = acoustics[i] + np.float64(logp[i, label])
            total = acoustic + (biases[i] + deltas[label])
            if total > floor:
                state = next_state[states[i], label]
                chosen = _insert(found, chosen, limit, total, acoustic, np.int32(i), np.int32(label), state, deltas[label])
    return chosen


@kernel
def _known_node(keys, nodes, key):
    """The youngest remembered node of a label sequence, or -1."""
    known = np.int32(-1)
    for i in range(keys.size):
        if keys[i] == key and nodes[i] > known:
            known = nodes[i]
    return known


@kernel
def _node_for(key, source, resting, alive, keys, nodes, flow, counts, frame):
    known = resting.node[alive] if alive >= 0 else _known_node(keys, nodes, key)
    if known > source:
        return known
    node = _new_node(keys, nodes, counts, key)
    if alive >= 0:
        _record(flow, counts, known, node, np.int32(BLANK), frame, resting.acoustic[alive], 0.0)
    return node


@kernel
def _extend(moving, found, chosen, resting, n_resting, after, texts, n_texts, weights, gates, keys, nodes, flow, counts, frame):
    """New branches in `after`. Returns how many text states there are."""
    context = moving.suffix.shape[1]
    for i in range(chosen):
        parent, label = found.parent[i], found.label[i]
        mixed = (moving.key[parent] + np.uint64(label)) * STEP
        key = mixed ^ (mixed >> SHIFT)
        alive = find_key(resting, n_resting, key)
        node = _node_for(key, moving.node[parent], resting, alive, keys, nodes, flow, counts, frame)
        _record(flow, counts, moving.node[parent], node, label, frame, found.acoustic[i], found.delta[i])
        if alive >= 0:
            slot = resting.slot[alive]
        else:
            slot, before, n_texts = n_texts, moving.slot[parent], n_texts + 1
            text_step(label, texts.h[before], texts.c[before], weights, gates, texts.text[slot], texts.h[slot], texts.c[slot])
        after.acoustic[i], after.bias[i], after.node[i] = found.acoustic[i], moving.bias[parent] + found.delta[i], node
        after.key[i], after.boost[i], after.slot[i] = key, found.boost[i], np.int32(slot)
        for k in range(1, context):
            after.suffix[i, k - 1] = moving.suffix[parent, k]
        if context:
            after.suffix[i, context - 1] = label
    return n_texts


@kernel
def _best(pool, n, beam, score_beam, out):
    """Rank and prune into `out`. Returns how many."""
    order = np.argsort(-(pool.acoustic[:n] + pool.bias[:n]), kind="mergesort")
    floor = pool.acoustic[order[0]] + pool.bias[order[0]] - score_beam
    kept = 0
    for i in order[:beam]:
        if pool.acoustic[i] + pool.bias[i] >= floor:
            copy_entry(pool, i, out, kept)
            kept += 1
    return kept


@kernel
def _same_suffix(pool, i, j):
    if pool.boost[i] != pool.boost[j]:
        return False
    for k in range(pool.suffix.shape[1]):
        if pool.suffix[i, k] != pool.suffix[j, k]:
            return False
    return True


@kernel
def _recombine(pool, n, out, keys, nodes, flow, counts, frame):
    """Join entries that share their last units, best first. Returns how many are left in `out`."""
    left = 0
    taken = np.zeros(n, np.bool_)
    for i in range(n):
        if taken[i]:
            continue
        copy_entry(pool, i, out, left)
        acoustic, joined, node = pool.acoustic[i], False, np.int32(0)
        for j in range(i + 1, n):
            if not taken[j] and _same_suffix(pool, i, j):
                if not joined:
                    node = _new_node(keys, nodes, counts, pool.key[i])
                    _record(flow, counts, pool.node[i], node, np.int32(BLANK), frame, pool.acoustic[i], 0.0)
                _record(flow, counts, pool.node[j], node, np.int32(BLANK), frame, pool.acoustic[j], 0.0)
                acoustic, joined, taken[j] = log_add64(acoustic, pool.acoustic[j]), True, True
        if joined:
            out.acoustic[left], out.node[left] = acoustic, node
        left += 1
    return left


@kernel
def _frame(e, pool, n, texts, weights, automaton, settings, work, keys, nodes, flow, counts, frame):
    """One frame: entries of `pool` in, entries of the first work pool out. Returns how many."""
    resting, moving, after, found, logp, hidden, gates, deltas = work
    n_texts, n_resting, n_moving = n, 0, n
    for i in range(n):
        copy_entry(pool, i, moving, i)
    rounds = 1 if settings.one_symbol else settings.max_symbols + 1
    for depth in range(rounds):
        for i in range(n_moving):
            score_units(e, texts.text[moving.slot[i]], weights, hidden, logp[i])
            n_resting = _rest(resting, n_resting, moving, i, np.float64(logp[i, BLANK]))
        if depth == settings.max_symbols:
            break
        floor = _floor(resting, n_resting, settings.beam, settings.score_beam)
        chosen = _choose(moving, n_moving, logp, automaton, floor, settings.beam, deltas, found)
        if chosen == 0:
            break
        n_texts = _extend(moving, found, chosen, resting, n_resting, after, texts, n_texts, weights, gates, keys, nodes, flow,
                          counts, frame)
        if settings.one_symbol:
            for i in range(chosen):
                n_resting = _rest(resting, n_resting, after, i, 0.0)
        n_moving = chosen
        for i in range(chosen):
            copy_entry(after, i, moving, i)
    return n_resting


@kernel
def _search(audio, pool, n, texts, spare, weights, automaton, settings, work, keys, nodes, flow, counts, frame):
    """All frames. Returns how many hypotheses are left in `pool`."""
    resting, moving = work[0], work[1]
    for e in audio:
        n = _frame(e, pool, n, texts, weights, automaton, settings, work, keys, nodes, flow, counts, frame)
        if settings.context > 0:
            n = _best(resting, n, settings.beam, settings.score_beam, pool)
            n = _recombine(pool, n, moving, keys, nodes, flow, counts, frame)
            n = _best(moving, n, settings.beam, settings.score_beam, pool)
        else:
            n = _best(resting, n, settings.beam, settings.score_beam, pool)
        for i in range(n):
            slot = pool.slot[i]
            spare.text[i], spare.h[i], spare.c[i], pool.slot[i] = texts.text[slot], texts.h[slot], texts.c[slot], np.int32(i)
        for i in range(n):
            texts.text[i], texts.h[i], texts.c[i] = spare.text[i], spare.h[i], spare.c[i]
        frame += 1
    return n


@twin_of(reference.search_frames, agree=BITS)
def search_frames(audio, beam, weights, automaton, settings):
    check_search(audio, beam, weights, settings)
    width, units = settings.beam, weights.output.shape[1]
    pool, texts = Pool.of(width, settings.context), Texts.of(width * (settings.max_symbols + 1), weights)
    n = beam.node.size
    for column, values in zip((*pool[:5], *texts), (*beam[:5], *beam[6:9])):
        column[:n] = values
    pool.slot[:n], pool.suffix[:n] = np.arange(n), beam.suffix
    work = (Pool.of(width * (settings.max_symbols + 1), settings.context), Pool.of(width, settings.context),
            Pool.of(width, settings.context), _found(width), np.empty((width, units), F32),
            np.empty(weights.output.shape[0], F32), np.empty(weights.bias.size, F32), np.empty(units))
    most = len(audio) * width * (2 * settings.max_symbols + 1)
    flow, counts = Flow(*(np.empty(most, dtype) for dtype in FLOW_TYPES)), np.array([0, beam.n_nodes], np.int64)
    keys, nodes = beam.remembered_key.copy(), beam.remembered_node.copy()
    n = _search(audio, pool, n, texts, Texts.of(width, weights), weights, automaton, settings, work, keys, nodes, flow, counts,
                np.int32(beam.frame))
    scalars = [column[:n].copy() for column in pool[:5]]
    after = Beam(*scalars, pool.suffix[:n].copy(), *(column[:n].copy() for column in texts), keys, nodes, int(counts[1]),
                 beam.frame + len(audio))
    return after, Flow(*(column[: counts[0]].copy() for column in flow))
