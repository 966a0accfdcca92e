r"""Networks so small that two dozen of them train in half a minute, for scaling studies.

A network reads the last K symbols and predicts the next (Bengio et al. 2003, one hidden layer):

    x = [e_1(w_1), …, e_K(w_K)]      looked up: a vector of d = h / 4 numbers for each position
    f = max(0, x W + b)              K d × h weights
    z = f U + u                      h × V weights;  P(w) = softmax(z)_w

A parameter counts, as in `accounting`, if it multiplies: N = K d h + h V. The tables of vectors are
looked up, not multiplied, and the biases are added. So training on D tokens costs C = 6 N D FLOP,
exactly.

What is the same for all sizes is the recipe: Adam, every token read once, and rules for the
learning rate and the batch. The rate must follow the width. Train networks of 256 units at the rate
that suits 8, and at 4e9 FLOP they lose 0.6 nats; the law that comes out is a law of bad tuning.

Two networks of one size, or more, are trained as one tensor program, which takes hardly longer than
one. All of it runs on one thread: with matrices this small, a second one only gets in the way.

Of `lmlib.scaling`, only this module and `study` need torch, and are imported by their names.

Symbols: R replicas, B batch, K context, V symbols, d width of a vector, h hidden units.
"""

import math
from collections.abc import Sequence
from contextlib import contextmanager
from numbers import Integral

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lmlib.corpora import MarkovSource
from lmlib.layernorm import Adam

WARM_UP = 0.05  # of the steps


class Networks:
    """R networks of one size with their weights stacked along the first axis.

    Parameters
    ----------
    source : MarkovSource, for its K and V
    width : int >= 1, h
    generators : R torch Generators, one draws the weights of each network
    """

    def __init__(self, source: MarkovSource, width: int, generators: Sequence[torch.Generator]):
        K, V, d = source.order, source.symbols, vector_width(width)
        self.order = K

        def drawn(*shape, scale):
            return scale * torch.stack([torch.randn(shape, generator=g) for g in generators])

        R = len(generators)
        weights = [
            drawn(K * V, d, scale=1.0),
            drawn(K * d, width, scale=(K * d) ** -0.5),
            torch.zeros(R, 1, width),
            drawn(width, V, scale=0.3 * width**-0.5),
            torch.zeros(R, 1, V),
        ]
        # All numbers in one row, of which the weights are views: the optimiser then works on one
        # long tensor instead of five short ones, and most of its time had gone into calling.
        self.row = torch.cat([w.flatten() for w in weights])[None]  # (1, numbers)
        parts = self.row[0].split([w.numel() for w in weights])
        self.weights = [
            part.view(w.shape).requires_grad_() for part, w in zip(parts, weights, strict=True)
        ]
        # Where the vectors of replica r and position k begin, once the tables lie end to end.
        self._rows = torch.arange(R * K).view(R, 1, K) * V

    def losses(self, windows: Tensor) -> Tensor:
        """(R or 1, B, K + 1) ids → (R,) mean cross-entropy of the last symbol of each, in nats."""
        table, W, b, U, u = self.weights
        rows = (windows[..., :-1] + self._rows).flatten()  # (R·B·K,)
        x = table.flatten(0, 1).index_select(0, rows).view(len(table), windows.shape[1], -1)
        f = torch.relu(torch.baddbmm(b, x, W))  # (R, B, h)
        z = torch.baddbmm(u, f, U)  # (R, B, V)
        targets = windows[..., -1].expand(len(z), -1)  # (R, B)
        nats = cross_entropy(z.flatten(0, 1), targets.flatten(), reduction="none")
        return nats.view(len(z), -1).mean(-1)


def vector_width(width: int) -> int:
    """d of a network of h hidden units."""
    return max(2, width // 4)


def parameters(width: int, source: MarkovSource) -> int:
    """N of one network: the weights that multiply."""
    return source.order * vector_width(width) * width + width * source.symbols


def width_for(params: float, source: MarkovSource) -> int:
    """The width, a multiple of 4, whose N is nearest to the one asked for (in logarithms)."""
    if not params > 0:
        raise ValueError(f"params must be positive, got {params}.")
    V, half = source.symbols, source.order / 4  # N = half · h² + V · h
    width = (math.sqrt(V * V + 4 * half * params) - V) / (2 * half)
    below = max(4, 4 * int(width // 4))
    return min(below, below + 4, key=lambda h: abs(math.log(parameters(h, source) / params)))


def learning_rate(width: int, tokens: int) -> float:
    """The highest rate of a run, 0.45 h^(-3/4) min(1, 300,000 / D)^(1/4).

    Found by searches at several widths and lengths.
    """
    return 0.45 * width**-0.75 * min(1.0, 3e5 / tokens) ** 0.25


def batch_size(tokens: int) -> int:
    """Tokens in a step: about sqrt(D) / 2 as a power of two, from 32 to 256."""
    return 2 ** min(max(round(math.log2(tokens) / 2 - 1), 5), 8)


def schedule(step: int, steps: int) -> float:
    """The share of the learning rate at a step: a linear rise, then a cosine down to zero."""
    warm_up = max(1, int(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def train(
    source: MarkovSource, width: int, tokens: int, seeds: Sequence
) -> tuple[Networks, np.ndarray]:
    """Train networks of one size, each on a text of its own, every symbol of it read once.

    Parameters
    ----------
    source : MarkovSource
    width : int >= 1, h
    tokens : int, D; the last batch is left out if it is not full
    seeds : R seeds of `numpy.random.default_rng`; each decides the weights and the text of one
        network, and no network depends on those beside it

    Returns
    -------
    networks : Networks
    losses : (R, steps) float64, training loss of each step before the step; every token is new when
        it is read, so this is an honest, if noisy, estimate of the held-out loss

    Raises
    ------
    ValueError : for no seed, no width, or tokens for less than one batch
    """
    _check("width", width, 1)
    batch = batch_size(max(1, tokens))
    _check("tokens", tokens, batch)
    if not len(seeds):
        raise ValueError("train needs one seed or more: a network each.")
    steps = tokens // batch
    rngs = [np.random.default_rng(seed) for seed in seeds]
    generators = [torch.Generator().manual_seed(int(rng.integers(2**63))) for rng in rngs]
    # B readers, each in a text of its own: one step reads the next symbol of every text.
    texts = np.stack([source.sample(rng, batch, source.order + steps) for rng in rngs])
    texts = torch.from_numpy(texts)  # (R, B, K + steps)
    with one_thread():
        networks = Networks(source, width, generators)
        rate = torch.tensor([learning_rate(width, tokens)])
        optimiser = Adam([networks.row], rate, betas=(0.9, 0.98))
        curve = []
        for step in range(steps):
            losses = networks.losses(texts[..., step : step + source.order + 1])
            curve.append(losses.detach())
            # The derivative of the sum by one network's weights is that of its own loss.
            gradients = torch.autograd.grad(losses.sum(), networks.weights)
            gradient = torch.cat([g.flatten() for g in gradients])[None]
            optimiser.step([gradient], schedule(step, steps))
    return networks, torch.stack(curve, 1).double().numpy()


def held_out(networks: Networks, texts: np.ndarray) -> np.ndarray:
    """(R,) float64: the loss of each network on every symbol of texts (texts, length) but K."""
    windows = torch.from_numpy(np.ascontiguousarray(texts))
    windows = windows.unfold(1, networks.order + 1, 1).flatten(0, 1)  # (predictions, K + 1)
    with one_thread(), torch.no_grad():
        parts = [networks.losses(part[None]).double() * len(part) for part in windows.split(4096)]
    return (sum(parts) / len(windows)).numpy()


@contextmanager
def one_thread():
    """torch on one thread for a while; what was set before is set again."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check(name, value, least):
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")
