"""Numba twins of `refasr.compress.integer_ops`. The functions of rows are also parts of the layer's and the search's kernels.

Loops are short and do one thing, so that those without look-ups become vector instructions.
"""

import numpy as np

from refasr.compress import integer_ops as reference
from refasr.compress.tables_fast import rsqrt_entry, tanh_entry
from refasr.jit import kernel, scalar
from refasr.numerics_fast import requantise64, saturate64
from refasr.twins import BITS, twin_of

F32, I8, I16, I32, I64 = np.float32, np.int8, np.int16, np.int32, np.int64
MOST8, MOST16 = I64(127), I64(32767)
HALF, LIMIT = F32(0.5), F32(127)
ONE = I64(1)


@scalar
def rescale_row(acc, bias, multiplier, shift, y):
    for n in range(y.size):
        y[n] = saturate64(requantise64(I32(acc[n] + bias[n]), multiplier[n], shift[n]), MOST8)


@scalar
def logit_row(acc, bias, multiplier, shift, z):
    for n in range(z.size):
        z[n] = I32(requantise64(I32(acc[n] + bias[n]), multiplier[n], shift[n]))


@scalar
def cell_row(ax, ah, cell, gates, h, c):
    """`gates` int32 [4N] is room; `c` is the state before, and then the one after; `h` becomes the one after."""
    bias, mx, mh, shift, width = cell.bias, cell.input_multiplier, cell.recurrent_multiplier, cell.shift, h.size
    for n in range(4 * width):
        s = I64(shift[n])
        total = I64(I64(I32(ax[n] + bias[n])) * I64(mx[n])) + I64(I64(ah[n]) * I64(mh[n]))
        gates[n] = I32(saturate64((total + (ONE << (s - ONE))) >> s, MOST16))
    for n in range(4 * width):
        gates[n] = tanh_entry(gates[n])
    k, m, s = I64(cell.bits), cell.hidden_multiplier[0], cell.hidden_shift[0]
    for j in range(width):
        i, f = I64(gates[j] + I32(32768)) >> ONE, I64(gates[width + j] + I32(32768)) >> ONE
        total = ((f * I64(c[j])) << (I64(15) - k)) + i * I64(gates[2 * width + j])
        c[j] = I16(saturate64((total + (ONE << (I64(29) - k))) >> (I64(30) - k), MOST16))
    for j in range(width):
        t = tanh_entry(I32(saturate64(I64(c[j]) << (I64(12) - k), MOST16)))
        o = I32(I32(gates[3 * width + j] + I32(32768)) >> I32(1))
        h[j] = I8(saturate64(requantise64(I32(o * t), m, s), MOST8))


@scalar
def norm_row(q, norm, y):
    gain, bias, k, n = norm.gain, norm.bias, I64(norm.bits), I64(q.size)
    total, squares = I32(0), I32(0)
    for j in range(q.size):
        value = I32(q[j])
        total, squares = I32(total + value), I32(squares + I32(value * value))
    wide = I64(total)
    r, p = rsqrt_entry(n * I64(squares) - wide * wide + I64(norm.epsilon))
    shift = I64(15) + p
    half = ONE << (shift + k - ONE)
    for j in range(q.size):
        d = n * I64(q[j]) - wide
        y[j] = I8(saturate64((d * r * I64(gain[j]) + (I64(bias[j]) << shift) + half) >> (shift + k), MOST8))


@scalar
def join_row(audio, text, joint, y):
    ma, mt, s = I64(joint.audio_rescale[0]), I64(joint.text_rescale[0]), I64(joint.add_shift[0])
    m, s_hidden, half = joint.hidden_multiplier[0], joint.hidden_shift[0], ONE << (s - ONE)
    for j in range(y.size):
        total = I64(audio[j]) * ma + I64(text[j]) * mt + half
        t = tanh_entry(I32(saturate64(total >> s, MOST16)))
        y[j] = I8(saturate64(requantise64(t, m, s_hidden), MOST8))


@kernel
def _quantise(x, reciprocal, q):
    r = reciprocal[0]
    for t in range(x.shape[0]):
        for k in range(x.shape[1]):
            q[t, k] = I8(min(max(np.floor(x[t, k] * r + HALF), -LIMIT), LIMIT))


@kernel
def _rescale(acc, rescale, y):
    for b in range(acc.shape[0]):
        rescale_row(acc[b], rescale.bias, rescale.multiplier, rescale.shift, y[b])


@kernel
def _logits(acc, rescale, z):
    for b in range(acc.shape[0]):
        logit_row(acc[b], rescale.bias, rescale.multiplier, rescale.shift, z[b])


@kernel
def _cells(ax, ah, cell, h, c):
    gates = np.empty(ax.shape[1], I32)
    for b in range(c.shape[0]):
        cell_row(ax[b], ah[b], cell, gates, h[b], c[b])


@kernel
def _norms(q, norm, y):
    for b in range(q.shape[0]):
        norm_row(q[b], norm, y[b])


@kernel
def _joins(audio, text, joint, y):
    for b in range(y.shape[0]):
        join_row(audio[b], text[b], joint, y[b])


@twin_of(reference.quantise_input, agree=BITS)
def quantise_input(x, reciprocal):
    reference.check_input(x, reciprocal)
    q = np.empty(x.shape, I8)
    _quantise(x, reciprocal, q)
    return q


@twin_of(reference.rescale_rows, agree=BITS)
def rescale_rows(acc, rescale):
    reference.check_rescale(acc, rescale)
    y = np.empty(acc.shape, I8)
    _rescale(acc, rescale, y)
    return y


@twin_of(reference.logit_rows, agree=BITS)
def logit_rows(acc, rescale):
    reference.check_rescale(acc, rescale)
    z = np.empty(acc.shape, I32)
    _logits(acc, rescale, z)
    return z


@twin_of(reference.lstm_cell, agree=BITS)
def lstm_cell(ax, ah, c, cell):
    reference.check_cell(ax, ah, c, cell)
    h, after = np.empty(c.shape, I8), c.copy()
    _cells(ax, ah, cell, h, after)
    return h, after


@twin_of(reference.layer_norm, agree=BITS)
def layer_norm(q, norm):
    reference.check_norm(q, norm)
    y = np.empty(q.shape, I8)
    _norms(q, norm, y)
    return y


@twin_of(reference.join, agree=BITS)
def join(audio, text, joint):
    reference.check_join(audio, text, joint)
    y = np.empty(audio.shape, I8)
    _joins(audio, text, joint, y)
    return y
