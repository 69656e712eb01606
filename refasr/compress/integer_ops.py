"""The operations of the integer network, each with the clause of `docs/arithmetic.md` that defines it.

Rows are independent: hypotheses, streams or frames. Weights are products' business (`refasr.hw.gemm`); what is stored beside
them is grouped below by the operation that uses it, and has been checked by `integer_model.from_contents`.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.compress.tables import rsqrt15, sigmoid15, tanh15
from refasr.errors import RangeError
from refasr.numerics import requantise_half_up, saturate

F32, I8, I16, I32, I64 = np.float32, np.int8, np.int16, np.int32, np.int64
MOST8, MOST16 = 127, 32767


class Rescale(NamedTuple):
    """Of a Linear, one a row of weights: bias int32 [N], multiplier int32 [N], shift int8 [N]."""

    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray


class Cell(NamedTuple):
    """Of an LSTM, beside its two matrices."""

    bias: np.ndarray                    # int32 [4N]
    input_multiplier: np.ndarray        # int32 [4N]
    recurrent_multiplier: np.ndarray    # int32 [4N]
    shift: np.ndarray                   # int8 [4N]
    bits: int                           # fraction bits of the cell state
    hidden_multiplier: np.ndarray       # int32 [1]
    hidden_shift: np.ndarray            # int8 [1]


class Norm(NamedTuple):
    """Of a layer normalisation."""

    gain: np.ndarray       # int16 [N]
    bias: np.ndarray       # int32 [N]
    bits: int              # fraction bits of both
    epsilon: int


class Joint(NamedTuple):
    """Of the joint layer, each of one element: three int32 multipliers, two int8 shifts."""

    audio_rescale: np.ndarray
    text_rescale: np.ndarray
    add_shift: np.ndarray
    hidden_multiplier: np.ndarray
    hidden_shift: np.ndarray


def quantise_input(x, reciprocal):
    """Round stacked, normalised frames (A10).

        q = saturate(floor(x r + 0.5), 127),  in float32

    Parameters
    ----------
    x : float32 [T, K]             Finite.
    reciprocal : float32 [1]       r = 1 / scale.

    Returns
    -------
    int8 [T, K]

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS.
    """
    check_input(x, reciprocal)
    with np.errstate(over="ignore"):
        return saturate(np.floor(x * reciprocal + F32(0.5)), F32(MOST8)).astype(I8)


def rescale_rows(acc, rescale):
    """The end of a Linear (A11, A12).

        y[b, n] = saturate(requantise_half_up(acc[b, n] + bias[n], m[n], s[n]), 127)

    Parameters
    ----------
    acc : int32 [B, N]     Sums of products; with the bias they fit int32 (A6).
    rescale : Rescale

    Returns
    -------
    int8 [B, N]

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS.
    """
    check_rescale(acc, rescale)
    return saturate(requantise_half_up(acc + rescale.bias, rescale.multiplier, rescale.shift), MOST8).astype(I8)


def logit_rows(acc, rescale):
    """The end of the output layer: like `rescale_rows`, without saturation (A13).

    Parameters
    ----------
    acc : int32 [B, V]
    rescale : Rescale

    Returns
    -------
    int32 [B, V]           Below 2^24 for a model that was checked; others wrap.

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS.
    """
    check_rescale(acc, rescale)
    return requantise_half_up(acc + rescale.bias, rescale.multiplier, rescale.shift).astype(I32)


def embedding_table(codes, multiplier, shift):
    """Embeddings of all units (A14). Parameters: codes (int8 [V, E]), multiplier, shift ([V]). Returns int8 [V, E]."""
    wide = requantise_half_up(np.ascontiguousarray(codes.T, I32), multiplier, shift)
    return np.ascontiguousarray(saturate(wide, MOST8).T, I8)


def lstm_cell(ax, ah, c, cell):
    """The elementwise part of an LSTM step: from sums to state (A15 to A19).

        a = saturate((ax mx + ah mh + half) >> s),  i, f, o = (tanh15(a) + 2^15) >> 1,  g = tanh15(a)
        c' = saturate(((f c << 15 - k) + i g + half) >> 30 - k),  h' = saturate(requantise(o tanh15(c')))

    Parameters
    ----------
    ax, ah : int32 [B, 4N]    Products of the input and of the state before, without bias.
    c : int16 [B, N]          Cell state before.
    cell : Cell

    Returns
    -------
    (int8 [B, N], int16 [B, N])    h' and c'.

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS. Cost: 5*B*N look-ups.
    """
    check_cell(ax, ah, c, cell)
    a = gate_sums(ax, ah, cell)
    t = tanh15(a.ravel()).reshape(a.shape)
    i, f, g, o = np.split(t.astype(I64), 4, axis=1)
    i, f, o, k = sigmoid15(i), sigmoid15(f), sigmoid15(o), cell.bits
    after = saturate((f * c << 15 - k) + i * g + (1 << 29 - k) >> 30 - k, MOST16)
    u = saturate(after << 12 - k, MOST16).astype(I32)
    product = (o * tanh15(u.ravel()).reshape(u.shape)).astype(I32)
    h = saturate(requantise_half_up(product, cell.hidden_multiplier, cell.hidden_shift), MOST8)
    return h.astype(I8), after.astype(I16)


def gate_sums(ax, ah, cell):
    """Both products on one scale (A16). Parameters: ax, ah (int32 [B, 4N]), cell. Returns int32 [B, 4N], |a| <= 32767."""
    shift = cell.shift.astype(I64)
    total = (ax + cell.bias).astype(I64) * cell.input_multiplier + ah.astype(I64) * cell.recurrent_multiplier
    return saturate(total + (np.int64(1) << shift - 1) >> shift, MOST16).astype(I32)


def layer_norm(q, norm):
    """Layer normalisation of rows (A21 to A23).

        d = N q - sum q,  E = N sum q^2 - (sum q)^2 + e,  r 2^-15 2^-p = 1 / sqrt(E)
        y = saturate((d r gain + (bias << 15 + p) + half) >> 15 + p + k)

    Parameters
    ----------
    q : int8 [B, N]
    norm : Norm

    Returns
    -------
    int8 [B, N]

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS. Source: Ba 2016, arXiv 1607.06450; epsilon is brought to the scale of q.
    """
    check_norm(q, norm)
    n, wide = q.shape[1], q.astype(I64)
    total = wide.sum(axis=1)
    d = n * wide - total[:, None]
    r, p = rsqrt15(n * (wide * wide).sum(axis=1) - total * total + norm.epsilon)
    r, p = r[:, None], p[:, None]
    scaled = d * r * norm.gain + (norm.bias.astype(I64) << 15 + p) + (np.int64(1) << 14 + p + norm.bits)
    return saturate(scaled >> 15 + p + norm.bits, MOST8).astype(I8)


def join(audio, text, joint):
    """The joint hidden layer (A24, A25).

        u = saturate((audio ma + text mt + half) >> s),  y = saturate(requantise(tanh15(u)))

    Parameters
    ----------
    audio, text : int8 [B, J]    Projections.
    joint : Joint

    Returns
    -------
    int8 [B, J]

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS.
    """
    check_join(audio, text, joint)
    shift = joint.add_shift.astype(I64)
    total = audio.astype(I64) * joint.audio_rescale + text.astype(I64) * joint.text_rescale
    u = saturate(total + (np.int64(1) << shift - 1) >> shift, MOST16).astype(I32)
    t = tanh15(u.ravel()).reshape(u.shape)
    return saturate(requantise_half_up(t, joint.hidden_multiplier, joint.hidden_shift), MOST8).astype(I8)


def check_input(x, reciprocal):
    """Validate. Parameters: x, reciprocal."""
    checks.array("x", x, F32, (None, None))
    checks.array("reciprocal", reciprocal, F32, (1,))
    checks.finite("x", x)


def check_rescale(acc, rescale):
    """Validate. Parameters: acc, rescale."""
    checks.array("acc", acc, I32, (None, None))
    for name, dtype in (("bias", I32), ("multiplier", I32), ("shift", I8)):
        checks.array(name, getattr(rescale, name), dtype, acc.shape[1:])


def check_cell(ax, ah, c, cell):
    """Validate. Parameters: ax, ah, c, cell."""
    checks.array("c", c, I16, (None, None))
    sums = (len(c), 4 * c.shape[1])
    checks.array("ax", ax, I32, sums)
    checks.array("ah", ah, I32, sums)
    check_cell_arrays(cell, sums[1:])


def check_cell_arrays(cell, shape):
    """Validate what an LSTM stores. Parameters: cell, shape (of the gates)."""
    for name, dtype in (("bias", I32), ("input_multiplier", I32), ("recurrent_multiplier", I32), ("shift", I8)):
        checks.array(name, getattr(cell, name), dtype, shape)
    checks.between("bits", cell.bits, 0, 12)


def check_norm(q, norm):
    """Validate. Parameters: q, norm."""
    checks.array("q", q, I8, (None, None))
    checks.between("N", q.shape[1], 1, 65536)
    checks.array("gain", norm.gain, I16, q.shape[1:])
    checks.array("bias", norm.bias, I32, q.shape[1:])
    if not (0 <= norm.bits <= 24 and 1 <= norm.epsilon <= 1 << 46):
        raise RangeError(f"norm: got bits {norm.bits} and epsilon {norm.epsilon}, expected 0 to 24 and 1 to 2^46")


def check_join(audio, text, joint):
    """Validate. Parameters: audio, text, joint."""
    checks.array("audio", audio, I8, (None, None))
    checks.array("text", text, I8, audio.shape)
    for name, value in zip(joint._fields, joint):
        checks.array(name, value, I8 if name.endswith("shift") else I32, (1,))
