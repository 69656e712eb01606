"""Sparsification: weights that are exactly zero, and stay so.

*Gradual* magnitude pruning (Zhu & Gupta 2017, arXiv 1710.01878): every few steps the smallest weights of each matrix are set to
zero, more of them each time,

    s(t) = S (1 - (1 - (t - t0) / (t1 - t0))^3)        fast while there is much to spare, slow at the end

*Divergence*, as the article describes it: at every step the share S of the smallest weights is pulled towards zero,

    w <- (1 - pull(t)) w,  pull growing linearly from 0 at t0 to `pull` at t1

and the rest is left free. A small weight that the loss needs grows past its neighbours and escapes; the others fade, so the two
populations part before those that were pulled are cut at t1. It is the step of (1/2) |W - W_sparse|^2 (Zhen et al. 2021,
arXiv 2102.04932), taken apart from Adam, which would divide its size away.

*One-shot*, for comparison: the share S is cut at t0.

A weight that is zero before a step is zero after it: the mask is the zeros themselves, so a checkpoint needs no other. In gradual
pruning a zero may come back while the share still grows, if one step makes it larger than what is cut.
"""

import dataclasses

import numpy as np

from refasr.errors import RangeError
from refasr.train.coded_weights import as_rows, check_ramp, coded_names, progress_of, tensor_values

F32 = np.float32
METHODS = ("gradual", "divergence", "one-shot")
BLOCKS = ((1, 1), (4, 4), (16, 4))


@dataclasses.dataclass(frozen=True)
class SparsifySettings:
    """Table [sparsify] of a training configuration.

    sparsity : share of zeros of each coded matrix, 0 to 0.99; zeros that are there already stay in any case.
    method : "gradual", "divergence" or "one-shot".
    block : outputs and inputs that are zero together: [1, 1], [4, 4] or [16, 4], the block of `refasr.hw.gemm`.
    from_step, to_step : where the share, or the pull, begins and stops to grow; one-shot cuts at from_step.
    every : steps between cuts of gradual pruning.
    pull : largest share of itself that a small weight loses in a step of divergence.
    tensors : shares of coded tensors whose names begin so, such as ["joiner=0.8", "predictor.embedding=0"].
    """

    sparsity: float = 0.5
    method: str = "gradual"
    block: tuple = (1, 1)
    from_step: int = 0
    to_step: int = 0
    every: int = 50
    pull: float = 0.1
    tensors: tuple = ()


def reached_at(settings, step):
    """How much of the final share of zeros a step asks for.

    Parameters
    ----------
    settings : SparsifySettings
    step : int

    Returns
    -------
    float                      0 to 1.
    """
    if settings.method == "gradual":
        return 1 - (1 - progress_of(step, settings.from_step, settings.to_step)) ** 3
    cut_at = settings.from_step if settings.method == "one-shot" else settings.to_step
    return float(step >= cut_at)


def cuts_at(settings, step):
    """Whether a step cuts. Parameters: settings, step. Returns bool."""
    first, last = settings.from_step, settings.to_step
    if settings.method == "gradual":
        return first <= step <= last and ((step - first) % settings.every == 0 or step == last)
    return step == (first if settings.method == "one-shot" else last)


def block_sizes(rows, block):
    """Mean magnitude in each block; blocks at the edges hold what there is.

    Parameters
    ----------
    rows : float32 [N, K]
    block : (int, int)       Outputs, inputs.

    Returns
    -------
    float32 [ceil(N / outputs), ceil(K / inputs)]
    """
    down, right = (np.arange(0, length, step) for length, step in zip(rows.shape, block))
    sums = np.add.reduceat(np.add.reduceat(np.abs(rows), down, axis=0), right, axis=1)
    heights, widths = (np.diff(np.append(starts, length)) for starts, length in zip((down, right), rows.shape))
    return sums / (heights[:, None] * widths).astype(F32)


def smallest(rows, share, block, held=None):
    """The smallest blocks.

    Parameters
    ----------
    rows : float32 [N, K]
    share : float               Of all blocks, 0 to 1.
    block : (int, int)          Outputs, inputs.
    held : bool [N, K], optional    Zeros so far: at least as many blocks are chosen as are zero altogether, and a zero in a block
                                with others stays.

    Returns
    -------
    bool [N, K]                 True where a weight is to be zero.
    """
    sizes = block_sizes(rows, block)
    spread = lambda chosen: chosen.repeat(block[0], axis=0).repeat(block[1], axis=1)[: rows.shape[0], : rows.shape[1]]
    count, single = round(share * sizes.size), False
    if held is not None:
        gone = block_sizes((~held).astype(F32), block) == 0
        count, single = max(count, int(gone.sum())), held & ~spread(gone)
    chosen = np.zeros(sizes.size, bool)
    if count:
        chosen[np.argpartition(sizes.ravel(), min(count, sizes.size - 1))[:count]] = True
    return spread(chosen.reshape(sizes.shape)) | single


class Sparsify:
    """The technique, as a seam of the loop.

    Parameters
    ----------
    settings : SparsifySettings
    architecture : Architecture
    end : int                      Steps of the run.

    Raises
    ------
    RangeError                     For a block that is not offered, steps outside the run, or tensors that are not there.
    """

    def __init__(self, settings, architecture, end):
        if settings.block not in BLOCKS:
            offered = ", ".join(str(list(block)) for block in BLOCKS)
            raise RangeError(f"[sparsify] block: got {list(settings.block)}, expected one of {offered}")
        check_ramp("[sparsify]", settings.from_step, settings.to_step, end)
        self.settings = settings
        self.shares = tensor_values(architecture, settings.sparsity, settings.tensors, "[sparsify] tensors", 0.0, 0.99)

    def projection(self, params, step, before, average):
        """Set zeros, and pull, in place.

        Parameters
        ----------
        params : dict of str to float32 array     After the update.
        step : int
        before : dict of str to float32 array     Before it: its zeros are held.
        average : dict of str to float32 array    The running average; it gets the same zeros.
        """
        settings = self.settings
        reached, pull = reached_at(settings, step), self.pull(step)
        for name, share in self.shares.items():
            rows, held = as_rows(name, params[name]), as_rows(name, before[name]) == 0
            zero = smallest(rows, share * reached, settings.block, held) if cuts_at(settings, step) else held
            rows[zero] = 0
            as_rows(name, average[name])[zero] = 0
            if pull:
                rows[smallest(rows, share, settings.block)] *= F32(1 - pull)

    def pull(self, step):
        """Share that a small weight loses. Parameters: step. Returns a float; 0 for other methods, and after the cut."""
        settings = self.settings
        if settings.method != "divergence" or step >= settings.to_step:
            return 0.0
        return settings.pull * progress_of(step, settings.from_step, settings.to_step)


def sparsities(params, architecture):
    """Share of exact zeros of each coded tensor. Parameters: params, architecture. Returns a dict of name to float."""
    return {name: float(np.mean(params[name] == 0)) for name in coded_names(architecture)}
