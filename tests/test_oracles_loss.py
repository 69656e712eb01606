"""The criterion against sources that share no code with it: enumeration, differences, published numbers."""

import itertools

import numpy as np
import pytest

from refasr.transducer import loss
from refasr.twins import select

TINY = [(1, 0, 2), (1, 3, 4), (4, 0, 3), (2, 2, 5), (4, 3, 9), (5, 2, 36)]

# HawkAaron/warp-transducer, pytorch_binding/test/test.py, small_test. The published gradients are with respect to the
# log-probabilities: minus the posterior of each move.
SMALL_LOGITS = [[[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1], [0.1, 0.1, 0.2, 0.8, 0.1]],
                [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.2, 0.1, 0.1], [0.7, 0.1, 0.2, 0.1, 0.1]]]
SMALL_BLANK = [[0.308198071906, 0.308198071906, 0.3836038561880001], [0.0, 0.0, 0.9999999999999991]]
SMALL_LABEL = [[0.6918019280939998, 0.3836038561880001], [0.308198071906, 0.6163961438119995]]

# The same file, big_test: logits, then cost, posteriors of blank, posteriors of the label.
BIG_FIRST_LOGITS = [
    [[0.06535690384862791, 0.7875301411923206, 0.08159176605666074], [0.5297155426466327, 0.7506749639230854, 0.7541348379087998],
     [0.6097641124736383, 0.8681404965673826, 0.6225318186056529]],
    [[0.6685222872103057, 0.8580392805336061, 0.16453892311765583], [0.989779515236694, 0.944298460961015, 0.6031678586829663],
     [0.9467833543605416, 0.666202507295747, 0.28688179752461884]],
    [[0.09418426230195986, 0.3666735970751962, 0.736168049462793], [0.1666804425271342, 0.7141542198635192, 0.3993997272216727],
     [0.5359823524146038, 0.29182076440286386, 0.6126422611507932]],
    [[0.3242405528768486, 0.8007644367291621, 0.5241057606558068], [0.779194617063042, 0.18331417220174862, 0.113745182072432],
     [0.24022162381327106, 0.3394695622533106, 0.1341595066017014]]]
BIG_SECOND_LOGITS = [
    [[0.5055615569388828, 0.051597282072282646, 0.6402903936686337], [0.43073311517251, 0.8294731834714112, 0.1774668847323424],
     [0.3207001991262245, 0.04288308912457006, 0.30280282975568984]],
    [[0.6751777088333762, 0.569537369330242, 0.5584738347504452], [0.08313242153985256, 0.06016544344162322, 0.10795752845152584],
     [0.7486153608562472, 0.943918041459349, 0.4863558118797222]],
    [[0.4181986264486809, 0.6524078485043804, 0.024242983423721887],
     [0.13458171554507403, 0.3663418070512402, 0.2958297395361563],
     [0.9236695822497084, 0.6899291482654177, 0.7418981733448822]],
    [[0.25000547599982104, 0.6034295486281007, 0.9872887878887768], [0.5926057265215715, 0.8846724004467684, 0.5434495396894328],
     [0.6607698886038497, 0.3771277082495921, 0.3580209022231813]]]
BIG_FIRST_BLANK = [[0.4322264564338117, 0.36565009313836844, 0.20212345042782007],
                   [0.16521672442463506, 0.3943653886107811, 0.44041788696458367],
                   [0.052129794015740985, 0.18313786985332664, 0.7647323361309323], [0.0, 0.0, 1.0]]
BIG_FIRST_LABEL = [[0.5677735435661883, 0.20212345042782007], [0.2670097320091765, 0.2382944365367636],
                   [0.11308693040889405, 0.3243144491663483], [0.052129794015740985, 0.23526766386906767]]
BIG_SECOND_BLANK = [[0.7161424128232795, 0.18382932237365335, 0.10002826480306751],
                    [0.41121794618117213, 0.3295759402552584, 0.2592061135635692],
                    [0.11607642141651396, 0.2865333615432337, 0.5973902170402529], [0.0, 0.0, 1.0]]
BIG_SECOND_LABEL = [[0.2838575871767207, 0.10002826480306751], [0.3049244666421072, 0.15917784876050195],
                    [0.29514152476465827, 0.3381841034766833], [0.11607642141651396, 0.4026097829597475]]
PUBLISHED = {
    "small": (SMALL_LOGITS, [1, 2], 4.495666, SMALL_BLANK, SMALL_LABEL),
    "big, first": (BIG_FIRST_LOGITS, [1, 2], 4.2806528590890736, BIG_FIRST_BLANK, BIG_FIRST_LABEL),
    "big, second": (BIG_SECOND_LOGITS, [1, 1], 3.9384369822503591, BIG_SECOND_BLANK, BIG_SECOND_LABEL)}


@pytest.fixture(params=["reference", "fast"])
def backend(request):
    """Both implementations."""
    return select(request.param)


def random_grid(n_frames, n_labels, width, seed=0, scale=2.0):
    """Normal logits and random labels. Parameters: n_frames, n_labels, width, seed, scale. Returns (logits, labels)."""
    source = np.random.default_rng([seed, n_frames, n_labels, width])
    logits = (source.standard_normal((n_frames, n_labels + 1, width)) * scale).astype(np.float32)
    return logits, source.integers(1, width, n_labels).astype(np.int32)


def log_softmax(logits):
    """In float64, without the package. Parameters: logits. Returns an array like it."""
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def enumerate_paths(logits, labels):
    """Walk every alignment. Parameters: logits, labels. Returns -ln P, and the posteriors of the moves [T, U+1, 2]."""
    logp, moves = log_softmax(logits.astype(np.float64)), np.zeros((*logits.shape[:2], 2))
    n_moves, total = logits.shape[0] - 1 + labels.size, 0.0
    for when in itertools.combinations(range(n_moves), labels.size):
        t = u = 0
        score, visited = 0.0, []
        for move in range(n_moves + 1):
            is_label = move in when
            score += logp[t, u, labels[u] if is_label else 0]
            visited.append((t, u, int(is_label)))
            t, u = t + (not is_label), u + is_label
        total += np.exp(score)
        for node in visited:
            moves[node] += np.exp(score)
    return -np.log(total), moves / total


def lattice_loss(logits, labels, label_weights=None):
    """-ln P by float64 recursion, minus sum(label_weights * ln p of the label moves). Parameters as named. Returns a float."""
    logp = log_softmax(logits)
    alpha = np.full(logits.shape[:2], -np.inf)
    for t, u in np.ndindex(alpha.shape):
        before = [0.0] if t == u == 0 else []
        before += [alpha[t - 1, u] + logp[t - 1, u, 0]] if t else []
        before += [alpha[t, u - 1] + logp[t, u - 1, labels[u - 1]]] if u else []
        alpha[t, u] = np.logaddexp.reduce(before)
    value = -(alpha[-1, -1] + logp[-1, -1, 0])
    if label_weights is not None:
        value -= (label_weights * logp[:, np.arange(labels.size), labels]).sum()
    return value


def differences(function, logits, step=1e-5):
    """Central differences of function(logits). Parameters: function, logits float64, step. Returns an array like logits."""
    slope = np.empty_like(logits)
    for index in np.ndindex(logits.shape):
        sides = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[index] += sign * step
            sides.append(function(moved))
        slope[index] = (sides[0] - sides[1]) / (2 * step)
    return slope


@pytest.mark.parametrize("shape", TINY)
def test_enumeration(backend, shape):
    logits, labels = random_grid(*shape)
    value, moves = enumerate_paths(logits, labels)
    result = backend(loss.rnnt_loss)(logits, labels)
    assert result.loss == pytest.approx(value, abs=2e-6)
    np.testing.assert_allclose(result.occupancy, moves.sum(axis=2), atol=2e-6)
    gradient = np.exp(log_softmax(logits.astype(np.float64))) * moves.sum(axis=2, keepdims=True)
    gradient[:, :, 0] -= moves[:, :, 0]
    gradient[:, np.arange(labels.size), labels] -= moves[:, :-1, 1]
    np.testing.assert_allclose(result.gradient, gradient, atol=2e-6)


@pytest.mark.parametrize("shape", TINY[:5])
def test_finite_differences(backend, shape):
    logits, labels = random_grid(*shape, seed=1)
    slope = differences(lambda moved: lattice_loss(moved, labels), logits.astype(np.float64))
    np.testing.assert_allclose(backend(loss.rnnt_loss)(logits, labels).gradient, slope, atol=3e-6)


def test_fastemit_is_the_slope_of_its_regulariser(backend):
    """FastEmit adds -strength * sum(c * ln p of the label moves), c being their posteriors held constant."""
    logits, labels = random_grid(4, 3, 6, seed=2)
    strength = 0.25
    _, moves = enumerate_paths(logits, labels)
    weights = strength * moves[:, :-1, 1]
    slope = differences(lambda moved: lattice_loss(moved, labels, weights), logits.astype(np.float64))
    plain, pushed = backend(loss.rnnt_loss)(logits, labels), backend(loss.rnnt_loss)(logits, labels, strength)
    np.testing.assert_allclose(pushed.gradient, slope, atol=3e-6)
    assert pushed.loss == plain.loss
    np.testing.assert_array_equal(pushed.occupancy, plain.occupancy)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values(backend, name):
    logits, labels, cost, blank, label = PUBLISHED[name]
    logits, labels = np.array(logits, np.float32), np.array(labels, np.int32)
    blank, label = np.array(blank), np.array(label)
    result = backend(loss.rnnt_loss)(logits, labels)
    assert result.loss == pytest.approx(cost, abs=1e-6)
    occupancy = blank + np.pad(label, ((0, 0), (0, 1)))
    np.testing.assert_allclose(result.occupancy, occupancy, atol=1e-6)
    gradient = np.exp(log_softmax(logits.astype(np.float64))) * occupancy[:, :, None]
    gradient[:, :, 0] -= blank
    gradient[:, np.arange(labels.size), labels] -= label
    np.testing.assert_allclose(result.gradient, gradient, atol=1e-6)


@pytest.mark.parametrize("scale", [0.1, 2.0, 20.0])
def test_long_utterance_against_float64(backend, scale):
    """The benchmark's grid: the gradient is good to 1e-5 against plain float64 sums."""
    logits, labels = random_grid(150, 30, 128, seed=3, scale=scale)
    logp = log_softmax(logits.astype(np.float64))
    forward = np.full((150, 31), -np.inf)
    backward = np.full((151, 32), -np.inf)
    for t, u in np.ndindex(forward.shape):
        by_blank = forward[t - 1, u] + logp[t - 1, u, 0] if t else -np.inf
        by_label = forward[t, u - 1] + logp[t, u - 1, labels[u - 1]] if u else -np.inf
        forward[t, u] = np.logaddexp(by_blank, by_label) if t or u else 0.0
    backward[150, 30] = 0.0
    label = np.pad(logp[:, np.arange(30), labels], ((0, 0), (0, 1)), constant_values=-np.inf)
    for t, u in itertools.product(range(149, -1, -1), range(30, -1, -1)):
        backward[t, u] = np.logaddexp(backward[t + 1, u] + logp[t, u, 0], backward[t, u + 1] + label[t, u])
    blank_move = np.exp(forward + logp[:, :, 0] + backward[1:, :-1] - backward[0, 0])
    label_move = np.exp(forward + label + backward[:-1, 1:] - backward[0, 0])
    expected = np.exp(logp) * (blank_move + label_move)[:, :, None]
    expected[:, :, 0] -= blank_move
    expected[:, np.arange(30), labels] -= label_move[:, :-1]
    result = backend(loss.rnnt_loss)(logits, labels)
    assert result.loss == pytest.approx(-backward[0, 0], rel=1e-7)
    assert np.abs(result.gradient - expected).max() < 1e-5
