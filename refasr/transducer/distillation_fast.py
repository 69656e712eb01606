"""Numba twins of `refasr.transducer.distillation`."""

import numpy as np

from refasr.jit import kernel
from refasr.numerics_fast import exp32, log32
from refasr.transducer import distillation
from refasr.transducer.distillation import F32, SMALLEST, Divergence
from refasr.transducer.loss import LANES
from refasr.twins import BITS, twin_of

ZERO = F32(0)


@kernel
def _lane(line, first, end):
    total = ZERO
    for i in range(first, end, LANES):
        total += line[i]
    return total


@kernel
def _row_sum(line):
    """The order of `loss.row_sums`: eight interleaved partial sums, halves onto halves, then the rest one by one."""
    end = line.size - line.size % LANES
    left = (_lane(line, 0, end) + _lane(line, 4, end)) + (_lane(line, 2, end) + _lane(line, 6, end))
    total = left + ((_lane(line, 1, end) + _lane(line, 5, end)) + (_lane(line, 3, end) + _lane(line, 7, end)))
    for i in range(end, line.size):
        total += line[i]
    return total


@kernel
def _parts(logits, units, shifted, e, members, rest, total):
    for n in range(logits.shape[0]):
        top = logits[n, 0]
        for v in range(logits.shape[1]):
            top = logits[n, v] if logits[n, v] > top else top
        for v in range(logits.shape[1]):
            e[n, v] = exp32((logits[n, v] - top) + ZERO)
        for j in range(units.shape[1]):
            unit = units[n, j]
            members[n, j] = e[n, unit] if unit >= 0 else ZERO
            shifted[n, j] = (logits[n, unit] - top) + ZERO if unit >= 0 else ZERO
        for j in range(units.shape[1]):
            if units[n, j] >= 0:
                e[n, units[n, j]] = ZERO
        rest[n] = _row_sum(e[n])
        total[n] = rest[n]
        for j in range(units.shape[1]):
            total[n] += members[n, j]


@kernel
def _posteriors(members, rest, total, out):
    n_places = members.shape[1]
    for n in range(rest.size):
        for j in range(n_places):
            out[n, j] = members[n, j] / total[n]
        out[n, n_places] = rest[n] / total[n]


@kernel
def _term(target, log_p):
    if target > ZERO:
        return np.float64(F32(target * F32(log32(max(target, SMALLEST)) - log_p)))
    return 0.0


@kernel
def _divergence(units, targets, shifted, members, rest, total, divergence, gradient):
    """Turn the exponentials in `gradient` into gradients."""
    n_places = units.shape[1]
    for n in range(rest.size):
        log_total = log32(total[n])
        value = 0.0
        for j in range(n_places):
            value += _term(targets[n, j], F32(shifted[n, j] - log_total))
        value += _term(targets[n, n_places], F32(log32(max(rest[n], SMALLEST)) - log_total))
        divergence[n] = value
        factor = ZERO
        if rest[n] > ZERO:
            factor = F32(F32(rest[n] / total[n] - targets[n, n_places]) / max(rest[n], SMALLEST))
        for v in range(gradient.shape[1]):
            gradient[n, v] *= factor
        for j in range(n_places):
            if units[n, j] >= 0:
                gradient[n, units[n, j]] = members[n, j] / total[n] - targets[n, j]


def _filled_parts(logits, units):
    """Parameters: logits, units. Returns (shifted, e, members, rest, total)."""
    n_nodes = len(logits)
    parts = (np.empty(units.shape, F32), np.empty_like(logits), np.empty(units.shape, F32), np.empty(n_nodes, F32),
             np.empty(n_nodes, F32))
    _parts(logits, units, *parts)
    return parts


@twin_of(distillation.class_posteriors, agree=BITS)
def class_posteriors(logits, units):
    distillation.check_support(logits, units)
    _, _, members, rest, total = _filled_parts(logits, units)
    out = np.empty((len(logits), units.shape[1] + 1), F32)
    _posteriors(members, rest, total, out)
    return out


@twin_of(distillation.class_divergence, agree=BITS)
def class_divergence(logits, units, targets):
    distillation.check_support(logits, units)
    distillation.check_targets(units, targets)
    shifted, gradient, members, rest, total = _filled_parts(logits, units)
    divergence = np.empty(len(logits))
    _divergence(units, targets, shifted, members, rest, total, divergence, gradient)
    return Divergence(divergence, gradient)
