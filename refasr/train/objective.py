"""The transducer objective: forward and backward through the whole network for one (half) batch."""

import dataclasses

import numpy as np

from refasr.transducer import loss as transducer_loss

F32 = np.float32


@dataclasses.dataclass(frozen=True)
class ObjectiveSettings:
    """Regularisation inside the network.

    dropout : chance that a unit of an encoder layer's output is silenced for a whole utterance.
    predictor_dropout : chance that an utterance is trained without its text side, so that the encoder must hear.
    fastemit : weight of FastEmit (arXiv 2010.11148); 0 leaves the loss as it is.
    """

    dropout: float = 0.0
    predictor_dropout: float = 0.0
    fastemit: float = 0.0


class TransducerObjective:
    """Callable seam of the loop: objective(network, batch, rng, step) -> (named losses, named gradients), both summed.

    A technique that looks at the joint logits of each utterance overrides `begin` and `criterion`.

    Parameters
    ----------
    settings : ObjectiveSettings
    backend : Backend               From `twins.select`.
    """

    def __init__(self, settings, backend):
        self.settings = settings
        self._loss = backend(transducer_loss.rnnt_loss)

    def __call__(self, network, batch, rng, step=0):
        """Losses and gradients of one batch. Parameters: network, batch, rng, step. Returns (dict, dict)."""
        masks, text_kept = self.draw_masks(network, batch, rng)
        active = batch.active()
        h, encoder_cache = network.encoder.forward(batch.features, active, masks)
        g, predictor_cache = network.predictor.forward(labels_with_start(batch.labels))
        e, p = network.joiner.project_audio(h), network.joiner.project_text(g)
        losses, de, dp, gradients = self.grids(network.joiner, batch, e, p, text_kept, self.begin(batch, step))
        gradients |= projection_gradients(h, g, de, dp)
        gradients |= network.encoder.backward(de @ network.joiner.audio.T, active, encoder_cache, masks)
        gradients |= network.predictor.backward(dp @ network.joiner.text.T, predictor_cache)
        return losses, gradients

    def begin(self, batch, step):
        """What `criterion` needs of a whole batch. Parameters: batch, step. Returns None here."""

    def criterion(self, logits, batch, b, context):
        """Losses of one utterance, and their gradient.

        Parameters
        ----------
        logits : float32 [T, U+1, V]
        batch : Batch
        b : int                        Which utterance.
        context : object               From `begin`.

        Returns
        -------
        (dict of str to float, float32 [T, U+1, V])
        """
        result = self._loss(logits, batch.labels[b], self.settings.fastemit)
        return {"rnnt": result.loss}, result.gradient

    def draw_masks(self, network, batch, rng):
        """Random factors of this batch.

        Parameters
        ----------
        network : Network
        batch : Batch
        rng : numpy.random.Generator

        Returns
        -------
        (list of float32 [R, N] or None, float32 [B])    Dropout of each layer; 0 or 1 for each utterance's text side.
        """
        keep, n = 1 - self.settings.dropout, len(batch.labels)
        masks = None
        if keep < 1:
            drawn = [(rng.random((n, layer.gain.size)) < keep).astype(F32) / F32(keep) for layer in network.encoder.layers]
            masks = [np.concatenate([mask[:running] for running in batch.active()]) for mask in drawn]  # the same at every frame
        return masks, (rng.random(n) >= self.settings.predictor_dropout).astype(F32)

    def grids(self, joiner, batch, e, p, text_kept, context=None):
        """The T x (U+1) grid of each utterance, without padding.

        Parameters
        ----------
        joiner : Joiner
        batch : Batch
        e : float32 [R, J]           Projected audio.
        p : float32 [U+1, B, J]      Projected text.
        text_kept : float32 [B]      1, or 0 where the text side is dropped.
        context : object             From `begin`.

        Returns
        -------
        (dict, de, dp, dict)         Summed losses, gradients of e and p, gradients of the joiner's output layer.
        """
        totals, de, dp = {}, np.zeros_like(e), np.zeros_like(p)
        doutput, dbias = np.zeros_like(joiner.output), np.zeros_like(joiner.output_bias)
        for b, labels in enumerate(batch.labels):
            rows, n_rows, weight = batch.rows_of(b), len(labels) + 1, F32(batch.weights[b])
            logits, hidden = joiner.forward(e[rows], p[:n_rows, b] * text_kept[b])
            losses, gradient = self.criterion(logits, batch, b, context)
            gradient = gradient if weight == 1 else gradient * weight
            audio, text, output, bias = joiner.backward(gradient, hidden)
            de[rows], dp[:n_rows, b] = audio, text * text_kept[b]
            doutput += output
            dbias += bias
            totals = {name: totals.get(name, 0.0) + float(weight) * value for name, value in losses.items()}
        return totals, de, dp, {"joiner.output": doutput, "joiner.output_bias": dbias}


def labels_with_start(labels):
    """Blank, then the labels, padded with blank. Parameters: labels, list of int32 [U]. Returns int32 [U+1, B]."""
    padded = np.zeros((max(map(len, labels)) + 1, len(labels)), np.int32)
    for b, row in enumerate(labels):
        padded[1 : len(row) + 1, b] = row
    return padded


def projection_gradients(h, g, de, dp):
    """Gradients of the joiner's two projections.

    Parameters
    ----------
    h : float32 [R, D]          Audio encodings.
    g : float32 [U+1, B, P]     Text encodings.
    de : float32 [R, J]         Gradient of the projected audio.
    dp : float32 [U+1, B, J]    Gradient of the projected text.

    Returns
    -------
    dict of str to float32 array
    """
    flat = lambda array: array.reshape(-1, array.shape[-1])
    return {"joiner.audio": flat(h).T @ flat(de), "joiner.bias": flat(de).sum(axis=0), "joiner.text": flat(g).T @ flat(dp)}
