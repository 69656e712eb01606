"""Proof, from a model's own codes, that no number of the integer network leaves the width that is meant to hold it."""

import math

import numpy as np

from refasr.compress.layout import INT8, LOGIT_LIMIT, linear_layers, recurrent_layers
from refasr.errors import FormatError, RangeError

INT32_END, INT64_END = 2**31, 2**63


def most_of_sum(codes, bias):
    """The greatest magnitude of a sum and of all its parts, whatever the input.

        127 sum_k |w[n, k]| + |bias[n]|

    Parameters
    ----------
    codes : int8 [N, K]
    bias : int32 [N]

    Returns
    -------
    int64 [N]

    Raises
    ------
    RangeError             If a sum can leave int32 (A6).
    """
    most = INT8 * np.abs(codes.astype(np.int16)).sum(axis=1, dtype=np.int64) + np.abs(bias.astype(np.int64))
    if most.size and most.max() >= INT32_END:
        raise RangeError(f"row {int(most.argmax())}: got a sum of up to {most.max()}, expected below 2^31; use smaller codes")
    return most


def prove_gates(input_most, recurrent_most, input_multiplier, recurrent_multiplier, shift):
    """A16 fits int64. Parameters: input_most, recurrent_most, input_multiplier, recurrent_multiplier, shift."""
    for n, row in enumerate(zip(input_most, recurrent_most, input_multiplier, recurrent_multiplier, shift)):
        ax, ah, mx, mh, s = map(int, row)
        if ax * mx + ah * mh + (1 << s - 1) >= INT64_END:
            raise RangeError(f"gate row {n}: got products beyond int64, expected smaller multipliers; quantise again")


def prove_norm(gain, bias, bits, epsilon):
    """A23 fits int64. Parameters: gain (int16 [N]), bias (int32 [N]), bits, epsilon. Raises RangeError."""
    n = gain.size
    if n > 65536:
        raise RangeError(f"norm: got {n} columns, expected at most 65536")
    p = (int(n * n * INT8 * INT8 + epsilon).bit_length() + 1) // 2
    largest = lambda values: int(np.abs(values.astype(np.int64)).max(initial=0))
    most = 2 * INT8 * n * 65536 * largest(gain) + (largest(bias) << 15 + p) + (1 << 14 + p + bits)
    if most >= INT64_END:
        raise RangeError("norm: got products beyond int64, expected a smaller gain or bias; quantise again")


def prove_logits(most, multiplier, shift):
    """A13: logits are exact in float32. Parameters: most (int64 [V]), multiplier, shift. Raises RangeError."""
    for n, row in enumerate(zip(most, multiplier, shift)):
        acc, m, s = map(int, row)
        if (acc * m + (1 << s - 1)) >> s >= LOGIT_LIMIT:
            raise RangeError(f"logit {n}: got values of 2^24 or more, expected smaller ones; take a larger logit scale")


def prove(place, model):
    """Everything, for a model whose shapes and ranges are right.

    Parameters
    ----------
    place : str or Path     For the error.
    model : IntegerModel

    Raises
    ------
    FormatError             Naming the layer.
    """
    layer = "logit_scale"
    try:
        if math.frexp(float(model.arrays["logit_scale"][0]))[0] != 0.5:
            raise RangeError("got no power of two, expected one (A40)")
        take = model.arrays.__getitem__
        for layer, _, width in recurrent_layers(model.architecture):
            input_most = most_of_sum(model.codes[f"{layer}.input"], take(f"{layer}.bias"))
            recurrent_most = most_of_sum(model.codes[f"{layer}.recurrent"], np.zeros(4 * width, np.int32))
            prove_gates(input_most, recurrent_most, take(f"{layer}.input_multiplier"), take(f"{layer}.recurrent_multiplier"),
                        take(f"{layer}.shift"))
            prove_norm(take(f"{layer}.norm_gain"), take(f"{layer}.norm_bias"), model.scalars[f"{layer}.norm_bits"],
                       model.scalars[f"{layer}.norm_epsilon"])
        for layer, _, _ in linear_layers(model.architecture):
            most = most_of_sum(model.codes[layer], take(f"{layer}_bias"))
        prove_logits(most, take("joiner.output_multiplier"), take("joiner.output_shift"))
    except RangeError as error:
        raise FormatError(f"{place}: {layer}: {error}") from error
