"""Numba twin of `refasr.audio.speed`."""

import numpy as np

from refasr.audio import speed
from refasr.audio.speed import LANES, PHASES, TAPS
from refasr.jit import kernel
from refasr.twins import BITS, twin_of

C1, C2, C3, C4, C5, C6, C7 = (np.uint64(lane) for lane in range(1, LANES))  # unsigned: no test for negative indices


@kernel
def _change_speed(padded, factor, table, out):
    for i in range(out.size):
        position = i * factor
        start = np.uint64(position)
        phase = np.uint64((position - np.float64(start)) * PHASES)
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float32(0)
        for step in range(TAPS // LANES):
            k = np.uint64(step * LANES)
            n = start + k
            s0 += padded[n] * table[phase, k]
            s1 += padded[n + C1] * table[phase, k + C1]
            s2 += padded[n + C2] * table[phase, k + C2]
            s3 += padded[n + C3] * table[phase, k + C3]
            s4 += padded[n + C4] * table[phase, k + C4]
            s5 += padded[n + C5] * table[phase, k + C5]
            s6 += padded[n + C6] * table[phase, k + C6]
            s7 += padded[n + C7] * table[phase, k + C7]
        out[i] = ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))


@twin_of(speed.change_speed, agree=BITS)
def change_speed(samples, factor):
    padded, table, n_out = speed.prepare_speed(samples, factor)
    out = np.empty(n_out, np.float32)
    _change_speed(padded, float(factor), table, out)
    return out
