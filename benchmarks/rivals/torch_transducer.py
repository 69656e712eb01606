"""The same network and step in PyTorch, as a careful user would write them for one core.

`nn.LSTM` over a padded or a packed batch, `LayerNorm`, a joint grid of each utterance without padding, the loss by rows:
along the labels the forward variable is a running log-sum-exp, so that one frame of all utterances is a handful of
operations. The lattice is float64 as ours is; autograd does the rest. Clipping and Adam are PyTorch's own.
"""

import torch
from torch import nn
from torch.nn.functional import log_softmax, pad
from torch.nn.utils.rnn import PackedSequence

LEARNING_RATE, BETAS, CLIP = 1e-3, (0.9, 0.98), 5.0


def tensor(array):
    """A copy of a NumPy array. Parameters: array. Returns a tensor."""
    return torch.from_numpy(array.copy())


class Layer(nn.Module):
    """LSTM and layer normalisation, from our parameters.

    Parameters
    ----------
    parameters : dict of str to float32 array
    prefix : str                                 Which layer.
    """

    def __init__(self, parameters, prefix):
        super().__init__()
        n_inputs, n_gates = parameters[f"{prefix}.input"].shape
        self.lstm, self.norm = nn.LSTM(n_inputs, n_gates // 4), nn.LayerNorm(n_gates // 4, eps=1e-5)
        with torch.no_grad():
            self.lstm.weight_ih_l0.copy_(tensor(parameters[f"{prefix}.input"].T))
            self.lstm.weight_hh_l0.copy_(tensor(parameters[f"{prefix}.recurrent"].T))
            self.lstm.bias_ih_l0.copy_(tensor(parameters[f"{prefix}.bias"]))
            self.lstm.bias_hh_l0.zero_().requires_grad_(False)  # a second bias of the same sum
            self.norm.weight.copy_(tensor(parameters[f"{prefix}.norm_gain"]))
            self.norm.bias.copy_(tensor(parameters[f"{prefix}.norm_bias"]))

    def forward(self, x):
        """Parameters: x, tensor [T, B, K] or PackedSequence. Returns the same kind, width N."""
        outputs, _ = self.lstm(x)
        if isinstance(outputs, PackedSequence):
            return outputs._replace(data=self.norm(outputs.data))
        return self.norm(outputs)


class TorchTransducer(nn.Module):
    """Encoder, predictor and joiner.

    Parameters
    ----------
    parameters : dict of str to float32 array    As in `refasr.transducer.model`.
    n_layers : int                               Of the encoder.
    """

    def __init__(self, parameters, n_layers):
        super().__init__()
        self.encoder = nn.Sequential(*[Layer(parameters, f"encoder.{index}") for index in range(n_layers)])
        self.embedding = nn.Embedding.from_pretrained(tensor(parameters["predictor.embedding"]), freeze=False)
        self.predictor = Layer(parameters, "predictor")
        for name in ("audio", "bias", "text", "output", "output_bias"):
            self.register_parameter(name, nn.Parameter(tensor(parameters[f"joiner.{name}"])))

    def forward(self, x, labels, rows):
        """Summed loss.

        Parameters
        ----------
        x : tensor [T, B, K] or PackedSequence
        labels : list of int64 tensor [U]
        rows : list of int64 tensor    Rows of each utterance in the flat output of the encoder.

        Returns
        -------
        float64 tensor []
        """
        h = self.encoder(x)
        h = h.data if isinstance(h, PackedSequence) else h.flatten(0, 1)
        g = self.predictor(self.embedding(nn.utils.rnn.pad_sequence([pad(line, (1, 0)) for line in labels])))
        e, p = h @ self.audio + self.bias, g @ self.text
        return rnnt_losses([self.scores(e[rows[b]], p[: len(line) + 1, b], line) for b, line in enumerate(labels)])

    def scores(self, e, p, labels):
        """Log-probabilities of blank and of the next label, float64. Parameters: e, p, labels. Returns two tensors."""
        logits = torch.tanh(e[:, None] + p[None]) @ self.output + self.output_bias
        scores = log_softmax(logits, dim=-1)
        column = labels.expand(len(e), -1)[..., None]
        return scores[..., 0].double(), scores[:, :-1].gather(2, column)[..., 0].double()


def rnnt_losses(scores):
    """Sum of the losses of utterances of any lengths.

        alpha[t, u] = L[u] + log sum_{v <= u} exp(alpha[t-1, v] + blank[t-1, v] - L[v]),  L[u] = sum_{v < u} label[t, v]

    Parameters
    ----------
    scores : list of (float64 [T, U+1], float64 [T, U])    Of blank and of the next label.

    Returns
    -------
    float64 tensor []
    """
    n_frames, n_rows = (max(blank.shape[axis] for blank, _ in scores) for axis in (0, 1))
    blank = torch.stack([pad(one, (0, n_rows - one.shape[1], 0, n_frames - one.shape[0])) for one, _ in scores])
    label = torch.stack([pad(one, (1, n_rows - 1 - one.shape[1], 0, n_frames - one.shape[0])) for _, one in scores])
    along = label.cumsum(dim=2).unbind(dim=1)  # padding comes last in both axes, and what comes later never looks back
    alphas, blanks = [along[0]], blank.unbind(dim=1)
    for t in range(1, n_frames):
        alphas.append(along[t] + torch.logcumsumexp(alphas[-1] + blanks[t - 1] - along[t], dim=1))
    total = torch.stack(alphas, dim=1) + blank
    return -sum(total[b, one.shape[0] - 1, one.shape[1] - 1] for b, (one, _) in enumerate(scores))


def training_step(parameters, n_layers, batch, packed, mkldnn):
    """A contestant: one update of the weights on the batch, again and again.

    Parameters
    ----------
    parameters : dict of str to float32 array
    n_layers : int
    batch : refasr.train.batches.Batch
    packed : bool      Give the encoder a PackedSequence, which has no padding, and not a padded tensor.
    mkldnn : bool      Let oneDNN (MKL-DNN) compute layers, where PyTorch hands them over.

    Returns
    -------
    function() -> (float, float, Module)    Summed loss, norm of the mean gradient, and the network with its gradients.
    """
    torch.set_num_threads(1)
    network = TorchTransducer(parameters, n_layers)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, LEARNING_RATE, BETAS, fused=True)
    labels = [tensor(line).long() for line in batch.labels]
    rows = [tensor(batch.rows_of(b)) for b in range(len(labels))]
    x = PackedSequence(tensor(batch.features), tensor(batch.active()).long())
    if not packed:
        x, _ = nn.utils.rnn.pad_packed_sequence(x)
        rows = [torch.arange(n) * len(labels) + b for b, n in enumerate(batch.n_frames)]

    def step():
        with torch.backends.mkldnn.flags(enabled=mkldnn):
            optimiser.zero_grad()
            loss = network(x, labels, rows)
            (loss / len(labels)).backward()
            norm = nn.utils.clip_grad_norm_(trained, CLIP)
            optimiser.step()
        return loss.item(), norm.item(), network

    return step
