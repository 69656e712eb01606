"""Numba twin of `refasr.search.beam`: the same decisions on arrays.

Hypotheses of a frame are entries of a pool: those that rest (took blank) and those that move (may still write). The text
side's states are kept by label sequence (`Texts`).
"""

from typing import NamedTuple

import numpy as np

from refasr.jit import kernel
from refasr.numerics_fast import log_add64
from refasr.search import beam as reference
from refasr.search.boost_fast import advance_all
from refasr.search.fusion import MARK
from refasr.search.fusion_fast import word_end
from refasr.search.hypotheses import KEY_STEP, Beam, Flow, check_search
from refasr.search.hypotheses_fast import (ACOUSTIC, AFTER, BOOST, DELTA, HISTORY, LABEL, NODE, PARENT, SLOT, SPELLING, SUFFIX,
                                           Arcs, Found, Pool, Texts, copy_entry, find_key, find_text, gather, insert,
                                           known_node, new_node, new_text, rank, record, scatter, total_of)
from refasr.search.scorer_fast import Work, score_rows, text_rows
from refasr.transducer.units import BLANK
from refasr.twins import BITS, twin_of

F32 = np.float32
STEP, SHIFT = np.uint64(KEY_STEP), np.uint64(29)


class Room(NamedTuple):
    """What a frame works in."""

    resting: Pool
    moving: Pool
    after: Pool
    found: Found
    text: np.ndarray      # float32 [B, J], and h, c [B, P]: rows of Texts in the order of a pool
    h: np.ndarray
    c: np.ndarray
    work: Work
    hidden: np.ndarray    # float32 [B, J]
    logp: np.ndarray      # float32 [B, V]
    deltas: np.ndarray    # float64 [V]
    labels: np.ndarray    # int32 [B]: units that the text side has to take, and the slots of before and after
    before: np.ndarray
    slots: np.ndarray
    order: np.ndarray     # int32 [B]

    @classmethod
    def of(cls, settings, weights):
        """Room for a frame. Parameters: settings, weights. Returns a Room."""
        width, pool = settings.beam, lambda size: Pool.of(size, settings.context)
        texts, ints = Texts.of(width, weights), lambda: np.zeros(width, np.int32)
        _, joint, units = weights.widths
        return cls(pool(width * (settings.max_symbols + 1)), pool(width), pool(width), Found.of(width), *texts[3:],
                   Work.of(width, weights), np.empty((width, joint), F32), np.empty((width, units), F32), np.empty(units),
                   ints(), ints(), ints(), ints())


@kernel
def _rest(resting, n, moving, i, blank):
    """Entry i takes blank. Returns how many rest."""
    acoustic = moving.acoustic[i] + blank
    j = find_key(resting.key, n, moving.key[i])
    if j < 0:
        j, n = n, n + 1
    else:
        acoustic = log_add64(resting.acoustic[j], acoustic)
    copy_entry(moving, i, resting, j)
    resting.acoustic[j] = acoustic
    return n


@kernel
def _floor(resting, n, beam, score_beam, order):
    ranked = rank(resting, n, beam, order)
    best, last = order[0], order[ranked - 1]
    floor = total_of(resting, best) - score_beam
    return max(floor, total_of(resting, last)) if ranked == beam else floor


@kernel
def _choose(moving, n, logp, automaton, words, floor, limit, deltas, found):
    """The best continuations. Returns how many."""
    acoustics, biases, whole, next_state, chosen = moving.acoustic, moving.bias, moving.whole, automaton.next_state, np.int64(0)
    next_spelling, ahead = words.next_spelling, words.ahead
    for i in range(n):
        before, acoustic_before, bias, lm = whole[i, BOOST], acoustics[i], biases[i], moving.lm[i]
        advance_all(automaton, before, deltas)
        spelling = whole[i, SPELLING]
        _, earned = word_end(words, whole[i, HISTORY], spelling)
        ahead_here = ahead[spelling]
        for label in range(1, logp.shape[1]):
            acoustic = acoustic_before + np.float64(logp[i, label])
            given = earned if label == MARK else ahead[next_spelling[spelling, label]] - ahead_here
            total = acoustic + ((bias + deltas[label]) + (lm + given))
            if total > floor:
                chosen = insert(found, chosen, limit, total, acoustic, deltas[label], i, label, next_state[before, label])
    return chosen


@kernel
def _node_for(key, source, resting, alive, arcs, frame):
    known = np.int64(resting.whole[alive, NODE]) if alive >= 0 else known_node(arcs, key)
    if known > source:
        return known
    node = new_node(arcs, key)
    if alive >= 0:
        record(arcs, known, node, BLANK, frame, resting.acoustic[alive], 0.0, 0.0)
    return node


@kernel
def _extend(moving, found, chosen, resting, n_resting, after, texts, words, arcs, room, frame):
    """New branches in `after`, and the texts that they need. Returns how many texts are new; those slots are in `room`."""
    score, entries, from_whole, whole, n_new = found.score, found.whole, moving.whole, after.whole, np.int64(0)
    for i in range(chosen):
        parent, label = entries[i, PARENT], entries[i, LABEL]
        mixed = (moving.key[parent] + np.uint64(label)) * STEP
        key = mixed ^ (mixed >> SHIFT)
        source = np.int64(from_whole[parent, NODE])
        node = _node_for(key, source, resting, find_key(resting.key, n_resting, key), arcs, frame)
        history, spelling = from_whole[parent, HISTORY], from_whole[parent, SPELLING]
        after_spelling = words.next_spelling[spelling, label]
        earned = words.ahead[after_spelling] - words.ahead[spelling]
        if label == MARK:
            history, earned = word_end(words, history, spelling)
        record(arcs, source, node, label, frame, score[i, ACOUSTIC], score[i, DELTA], earned)
        slot = find_text(texts, key, frame)
        if slot < 0:
            slot = new_text(texts, key, frame)
            room.labels[n_new], room.before[n_new], room.slots[n_new] = label, from_whole[parent, SLOT], slot
            n_new += 1
        after.acoustic[i], after.bias[i], after.key[i] = score[i, ACOUSTIC], moving.bias[parent] + score[i, DELTA], key
        after.lm[i] = moving.lm[parent] + earned
        whole[i, NODE], whole[i, SLOT], whole[i, BOOST] = node, slot, entries[i, AFTER]
        whole[i, HISTORY], whole[i, SPELLING] = history, after_spelling
        for k in range(SUFFIX, whole.shape[1]):
            whole[i, k] = from_whole[parent, k + 1] if k + 1 < whole.shape[1] else label
    return n_new


@kernel
def _take_labels(n, texts, weights, room):
    """Fill the slots of new texts."""
    text, h, c, before, slots = room.text, room.h, room.c, room.before, room.slots
    gather(texts.h, before, n, h)
    gather(texts.c, before, n, c)
    text_rows(room.labels, n, weights, room.work, text, h, c)
    scatter(text, n, texts.text, slots)
    scatter(h, n, texts.h, slots)
    scatter(c, n, texts.c, slots)


@kernel
def _score(e, moving, n, texts, weights, room):
    """Log-probabilities of all units for the entries of a pool, in `room.logp`."""
    gather(texts.text, moving.whole[:, SLOT], n, room.text)
    score_rows(e, room.text, n, weights, room.hidden, room.logp)


@kernel
def _best(pool, n, beam, score_beam, order, out):
    """Rank and prune into `out`. Returns how many."""
    ranked, kept = rank(pool, n, beam, order), np.int64(0)
    floor = total_of(pool, order[0]) - score_beam
    for i in range(ranked):
        if total_of(pool, order[i]) >= floor:
            copy_entry(pool, order[i], out, kept)
            kept += 1
    return kept


@kernel
def _same_future(whole, i, j):
    """Whether two entries agree in their last units and in what phrases and language model remember."""
    for k in range(BOOST, whole.shape[1]):
        if whole[i, k] != whole[j, k]:
            return False
    return True


@kernel
def _recombine(pool, n, out, arcs, frame):
    """Join entries that share their last units, best first. Returns how many are left in `out`."""
    left, whole, acoustics = np.int64(0), pool.whole, pool.acoustic
    for i in range(n):
        node, first = whole[i, NODE], True
        for j in range(n):
            if (j != i) and _same_future(whole, i, j):
                first = first and (j > i)
                node = max(node, whole[j, NODE])
        if not first:
            continue
        acoustic = acoustics[i]
        for j in range(i, n):
            if (j == i) or _same_future(whole, i, j):
                if whole[j, NODE] != node:
                    record(arcs, whole[j, NODE], node, BLANK, frame, acoustics[j], 0.0, 0.0)
                if j > i:
                    acoustic = log_add64(acoustic, acoustics[j])
        copy_entry(pool, i, out, left)
        out.acoustic[left], out.whole[left, NODE] = acoustic, node
        left += 1
    return left


@kernel
def _frame(e, pool, n, texts, weights, automaton, words, settings, room, arcs, frame):
    """One frame: entries of `pool` in, resting entries of `room` out. Returns how many."""
    resting, moving, after, found, logp = room.resting, room.moving, room.after, room.found, room.logp
    n_resting = np.int64(0)
    for i in range(n):
        copy_entry(pool, i, moving, i)
        texts.frame[pool.whole[i, SLOT]] = frame
    for depth in range(1 if settings.one_symbol else settings.max_symbols + 1):
        _score(e, moving, n, texts, weights, room)
        for i in range(n):
            n_resting = _rest(resting, n_resting, moving, i, np.float64(logp[i, BLANK]))
        if depth == settings.max_symbols:
            break
        floor = _floor(resting, n_resting, settings.beam, settings.score_beam, room.order)
        n = _choose(moving, n, logp, automaton, words, floor, settings.beam, room.deltas, found)
        if n == 0:
            break
        n_new = _extend(moving, found, n, resting, n_resting, after, texts, words, arcs, room, frame)
        _take_labels(n_new, texts, weights, room)
        moving, after = after, moving
    if settings.one_symbol:
        for i in range(n):
            n_resting = _rest(resting, n_resting, moving, i, 0.0)
    return n_resting


@kernel
def _search(audio, pool, n, texts, weights, automaton, words, settings, room, arcs, frame):
    """All frames. Returns how many hypotheses are left in `pool`."""
    resting, moving, beam, score_beam = room.resting, room.moving, settings.beam, settings.score_beam
    for t in range(audio.shape[0]):
        n = _frame(audio[t], pool, n, texts, weights, automaton, words, settings, room, arcs, frame + t)
        n = _best(resting, n, beam, score_beam, room.order, pool)
        if settings.context > 0:
            n = _recombine(pool, n, moving, arcs, frame + t)
            n = _best(moving, n, beam, score_beam, room.order, pool)
    return n


@twin_of(reference.search_frames, agree=BITS)
def search_frames(audio, beam, weights, automaton, words, settings):
    check_search(audio, beam, weights, settings)
    settings = settings._replace(score_beam=float(settings.score_beam), one_symbol=bool(settings.one_symbol))  # one compilation
    n, frame = beam.node.size, int(beam.frame)
    pool, texts = Pool.of(settings.beam, settings.context), Texts.of(settings.beam * (settings.max_symbols + 2), weights)
    state = (beam.boost, beam.history, beam.spelling)
    pool.whole[:n] = np.column_stack((beam.node, np.arange(n, dtype=np.int32), *state, beam.suffix))
    given = ((pool.acoustic, beam.acoustic), (pool.bias, beam.bias), (pool.lm, beam.lm), (pool.key, beam.key),
             (texts.key, beam.key), (texts.frame, np.full(n, frame)), (texts.text, beam.text), (texts.h, beam.h),
             (texts.c, beam.c))
    for column, values in given:
        column[:n] = values
    arcs = Arcs.of(len(audio) * settings.beam * (2 * settings.max_symbols + 1), beam)
    with np.errstate(over="ignore"):    # uncompiled, NumPy warns of the hash, which is meant to wrap
        n = _search(audio, pool, n, texts, weights, automaton, words, settings, Room.of(settings, weights), arcs, frame)
    whole, n_arcs, n_nodes = pool.whole[:n], int(arcs.counts[0]), int(arcs.counts[1])
    slots = whole[:, SLOT]
    state = (whole[:, column].copy() for column in (BOOST, HISTORY, SPELLING))
    after = Beam(pool.acoustic[:n].copy(), pool.bias[:n].copy(), pool.lm[:n].copy(), whole[:, NODE].copy(), pool.key[:n].copy(),
                 *state, whole[:, SUFFIX:].copy(), texts.text[slots], texts.h[slots], texts.c[slots], arcs.key, arcs.node,
                 n_nodes, frame + len(audio))
    columns = (*arcs.whole[:n_arcs].T, *arcs.score[:n_arcs].T)
    return after, Flow(*map(np.ascontiguousarray, columns))
