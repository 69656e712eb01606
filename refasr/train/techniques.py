"""The techniques of a configuration, put together as the seams of the loop: first zeros, then codes, so that zero is code 0."""

from refasr.train.quantise_aware import QuantiseAware, check_together
from refasr.train.sparsify import Sparsify


class Techniques:
    """What [quantise] and [sparsify] ask for; without them, nothing is done.

    Parameters
    ----------
    config : TrainConfig
    backend : Backend       From `twins.select`.

    Raises
    ------
    RangeError              For settings that do not fit the run, the network or each other.
    """

    def __init__(self, config, backend):
        check_together(config.quantise, config.sparsify)
        end = config.schedule.end()
        self.quantise = config.quantise and QuantiseAware(config.quantise, config.model, end, backend)
        self.sparsify = config.sparsify and Sparsify(config.sparsify, config.model, end)

    def __bool__(self):
        return bool(self.quantise or self.sparsify)

    def regulariser(self, params, step, grads):
        """Seam of the loop. Parameters: params, step, grads. Returns named losses."""
        return self.quantise.regulariser(params, step, grads) if self.quantise else {}

    def forward_weights(self, params, step):
        """Seam of the loop. Parameters: params, step. Returns a dict of parameters."""
        return self.quantise.forward_weights(params, step) if self.quantise else params

    def projection(self, params, step, before, average):
        """Seam of the loop, in place. Parameters: params, step, before, average."""
        for technique in filter(None, (self.sparsify, self.quantise)):
            technique.projection(params, step, before, average)

    def deployed(self, params):
        """What would be packed if the run ended now. Parameters: params. Returns a dict of parameters."""
        return self.quantise.deployed(params) if self.quantise else params

    def card(self):
        """What they add to the model card. Returns a dict."""
        return self.quantise.card() if self.quantise else {}
