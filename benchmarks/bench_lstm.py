"""One LSTM step of one stream, as recognition runs it: bound by reading the weights.

Each contestant is called with the same frame and state and returns (h, c).
"""

import numpy as np

from benchmarks import harness
from refasr import twins
from refasr.nn import lstm

WIDTHS = (256, 512)     # of input and output
SHARED_ERROR = 1e-5


def layer(width):
    """A frame, a state and weights. Parameters: width. Returns (x, LstmState, LstmWeights)."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.uniform(-1, 1, shape).astype(np.float32)
    scale = np.float32(width**-0.5)
    weights = lstm.LstmWeights(draw(width, 4 * width) * scale, draw(width, 4 * width) * scale, draw(4 * width))
    return draw(width), lstm.LstmState(draw(width), draw(width)), weights


def numpy_step(x, state, weights):
    """The step with NumPy's own exp and tanh. Parameters: x, state, weights. Returns (h, c)."""
    i, f, g, o = np.split(x @ weights.input + state.h @ weights.recurrent + weights.bias, 4)
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    c = sigmoid(f) * state.c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def torch_step(torch, x, state, weights):
    """`torch.lstm_cell`, faster than `nn.LSTM`. Parameters: torch, x, state, weights. Returns a function() -> (h, c)."""
    torch.set_num_threads(1)
    frame, h, c = (torch.from_numpy(value)[None] for value in (x, *state))
    wx, wh = (torch.from_numpy(np.ascontiguousarray(part.T)) for part in weights[:2])
    bias, none = torch.from_numpy(weights.bias), torch.zeros(len(weights.bias))

    @torch.inference_mode()
    def step():
        return torch.lstm_cell(frame, (h, c), wx, wh, bias, none)

    return step


def contestants(width):
    """Parameters: width. Returns {contestant: callable}."""
    arguments = layer(width)
    found = {name: lambda step=twins.select(name)(lstm.lstm_step): step(*arguments) for name in ("fast", "reference")}
    found["numpy"] = lambda: numpy_step(*arguments)
    found["torch"] = harness.rival("torch", lambda torch: torch_step(torch, *arguments))
    return found


def cases():
    """The cases of this benchmark. Yields (case text, {contestant: callable}, (multiply-adds, bytes))."""
    for width in WIDTHS:
        n_weights = 2 * width * 4 * width
        yield f"K={width} N={width} B=1", contestants(width), (n_weights, 4 * n_weights)
