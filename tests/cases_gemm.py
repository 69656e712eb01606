"""Strategy for the twin of `refasr.hw.gemm`: all layouts and densities, sizes around the borders of tiles, extreme codes."""

import numpy as np
from hypothesis import strategies as st

from refasr.hw import gemm

OUTPUTS = st.sampled_from([0, 1, 2, 15, 16, 17, 40, 63, 64, 65, 100, 130])
INPUTS = st.sampled_from([0, 1, 2, 3, 4, 5, 8, 31, 32, 70])
BATCHES = st.sampled_from([0, 1, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33])
DENSITIES = st.sampled_from([0.0, 0.02, 0.25, 0.5, 1.0, 1.0])
VALUES = st.sampled_from(["all", "least", "most", "ends"])
GRAINS = st.sampled_from([(1, 1), (4, 4), (16, 4), (1, 70)])


def codes(draw, rng, *shape):
    """Random codes, or extreme ones. Parameters: draw, rng, *shape. Returns an int8 array."""
    kind = draw(VALUES)
    if kind == "all":
        return rng.integers(-128, 128, shape).astype(np.int8)
    ends = {"least": [-128], "most": [127], "ends": [-128, 127]}[kind]
    return rng.choice(np.array(ends, np.int8), shape)


def weights(draw, rng, n_outputs, n_inputs):
    """Codes of which some are 0: singly, in blocks, in rows. Parameters: draw, rng, n_outputs, n_inputs. Returns int8 [M, K]."""
    rows, columns = draw(GRAINS)
    kept = rng.random((-(-n_outputs // rows), -(-n_inputs // columns))) < draw(DENSITIES)
    kept = np.kron(kept, np.ones((rows, columns), bool))[:n_outputs, :n_inputs]
    return np.where(kept, codes(draw, rng, n_outputs, n_inputs), np.int8(0))


@st.composite
def products(draw):
    """Arguments of `product`, one time in five to be refused. Parameters: draw. Returns (x, weights)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_outputs, n_inputs = draw(OUTPUTS), draw(INPUTS)
    x = codes(draw, rng, draw(BATCHES), n_inputs)
    packed = gemm.pack_weights(weights(draw, rng, n_outputs, n_inputs), draw(st.sampled_from([None, *gemm.LAYOUTS])))
    if draw(st.integers(0, 4)) == 0:
        wrong = [x.astype(np.int16), x.view(np.uint8), x[..., None], np.repeat(x, 2, axis=1)[:, ::2],
                 np.zeros((2, n_inputs + 1), np.int8), x.tolist(), None]
        return draw(st.sampled_from([(bad, packed) for bad in wrong] + [(x, gemm.unpack_weights(packed)), (x, None)]))
    return x, packed


CASES = {"refasr.hw.gemm.product": products()}
