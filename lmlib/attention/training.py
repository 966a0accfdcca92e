r"""One wrapper and one loop for every model of the chapter, so that only the mixer differs.

    x = embedding(tokens) (+ positions)
    x ← x + layer(norm(x))          for every layer: attention, RNN, LSTM, CNN or feed-forward
    logits = head(norm(x))

Pre-norm residual layers, as in GPT-2. To compare at equal parameters, give a recurrent layer the
width that `matched_hidden` finds for all the layers of its rival together.

Symbols: B batch, T time, C width, H heads, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmlib.attention.core import check_count
from lmlib.attention.modules import MultiHeadAttention, check_input, linear
from lmlib.attention.tasks import NOTHING


class FeedForward(nn.Module):
    """Two linear maps with a GELU between, at every position by itself: (B, T, C) → (B, T, C)."""

    def __init__(self, width: int, hidden: int, generator: torch.Generator | None = None):
        super().__init__()
        check_count("hidden", hidden, 1)
        self.width = width
        self.input = linear(width, hidden, generator=generator)
        self.output = linear(hidden, width, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.width)
        return self.output(F.gelu(self.input(x)))


class SequenceModel(nn.Module):
    """Token ids to logits, (B, T) → (B, T, V): an embedding, residual layers, a linear head.

    Parameters
    ----------
    vocabulary : int, how many different tokens there are
    width : int, C
    layers : modules (B, T, C) → (B, T, C), applied in order
    classes : int, V of the answers; the vocabulary when None
    positions : a module (B, T, C) → (B, T, C) for the embedded tokens, such as `AddedPositions`
        (give it scale 0.5, the size of the embedding)
    generator : torch.Generator of embedding and head; torch's global one when None

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> layers = attention_layers(2, 12, heads=3, hidden=24, generator=generator)
    >>> model = SequenceModel(10, 12, layers, generator=generator)
    >>> tokens = torch.zeros(2, 5, dtype=torch.int64)
    >>> model(tokens).shape, [weights.shape for weights in model.weights(tokens)]
    (torch.Size([2, 5, 10]), [torch.Size([2, 3, 5, 5]), torch.Size([2, 3, 5, 5])])
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        layers: Sequence[nn.Module],
        classes: int | None = None,
        positions: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        check_count("vocabulary", vocabulary, 1)
        check_count("width", width, 1)
        self.embedding = nn.Parameter(
            torch.empty(vocabulary, width).normal_(0, 0.5, generator=generator)
        )
        self.positions = positions
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in layers)
        self.norm = nn.LayerNorm(width)
        self.head = linear(width, classes or vocabulary, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read_out(self.embed(tokens))

    def embed(self, tokens: Tensor) -> Tensor:
        """(B, T) ids → (B, T, C), positions added."""
        if tokens.ndim != 2 or tokens.dtype != torch.int64:
            raise ValueError(
                f"tokens are {tokens.dtype} {tuple(tokens.shape)}; expected int64 (batch, time)."
            )
        x = self.embedding[tokens]
        return x if self.positions is None else self.positions(x)

    def read_out(self, x: Tensor) -> Tensor:
        """(B, T, C) embedded tokens → (B, T, V) logits: all that comes after the embedding."""
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + layer(norm(x))
        return self.head(self.norm(x))

    @torch.no_grad()
    def weights(self, tokens: Tensor) -> list[Tensor]:
        """The attention weights (B, H, T, T) of every attention layer, in order."""
        x, found = self.embed(tokens), []
        for norm, layer in zip(self.norms, self.layers, strict=True):
            if isinstance(layer, MultiHeadAttention):
                update, weights = layer(norm(x), return_weights=True)
                found.append(weights)
            else:
                update = layer(norm(x))
            x = x + update
        return found


def attention_layers(
    depth: int,
    width: int,
    heads: int,
    positions: str | None = None,
    hidden: int | None = None,
    generator: torch.Generator | None = None,
) -> list[nn.Module]:
    """`depth` attention layers, each followed by a `FeedForward` unless `hidden` is None."""
    check_count("depth", depth, 1)
    layers = []
    for _ in range(depth):
        layers.append(MultiHeadAttention(width, heads, positions, fused=True, generator=generator))
        if hidden is not None:
            layers.append(FeedForward(width, hidden, generator))
    return layers


class History(NamedTuple):
    """What `train` saw.

    loss : (steps,) float, mean cross-entropy of each batch in nats, before its step
    accuracy : (steps,) float, share of its targets that were the likeliest answer
    watched : list of (step, what `watch` returned)
    """

    loss: np.ndarray
    accuracy: np.ndarray
    watched: list


def train(
    model: nn.Module,
    batches: Callable[[], tuple[np.ndarray, np.ndarray]],
    steps: int,
    learning_rate: float = 3e-3,
    betas: tuple[float, float] = (0.9, 0.98),
    clip: float = 1.0,
    watch: Callable[[nn.Module], object] | None = None,
    every: int = 25,
) -> History:
    """Adam at a constant learning rate, gradients clipped to a norm of `clip`.

    Parameters
    ----------
    model : (B, T) int64 → (B, T, V) logits; changed in place
    batches : called once a step, returns tokens and targets (B, T) int64, and may return more
    steps : int >= 1
    learning_rate, betas, clip : float, pair of float, float
    watch : called with the model before the first step, then after every `every` steps

    Returns
    -------
    history : History

    Raises
    ------
    ValueError : for fewer than one step, a batch that asks nothing, or a loss that is not finite
    """
    check_count("steps", steps, 1)
    check_count("every", every, 1)
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate, betas=betas)
    loss, accuracy, watched = np.empty(steps), np.empty(steps), []
    for step in range(steps):
        if watch is not None and step % every == 0:
            watched.append((step, watch(model)))
        tokens, targets = (torch.from_numpy(a) for a in batches()[:2])
        asked = targets != NOTHING
        if not asked.any():
            raise ValueError(f"the batch of step {step} asks nothing: every target is NOTHING.")
        logits, answers = model(tokens)[asked], targets[asked]  # (n, V), (n,)
        nats = F.cross_entropy(logits, answers)
        if not nats.isfinite():
            raise ValueError(
                f"the loss is {nats.item()} at step {step}: a lower learning rate than "
                f"{learning_rate} may keep it finite."
            )
        optimiser.zero_grad()
        nats.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimiser.step()
        loss[step] = nats.item()
        accuracy[step] = (logits.argmax(-1) == answers).double().mean().item()
    if watch is not None and steps % every == 0:
        watched.append((steps, watch(model)))
    return History(loss, accuracy, watched)


@torch.no_grad()
def right(model: nn.Module, tokens: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Which answers are right: (B, T) float, 1 right, 0 wrong, NaN where nothing is asked.

    So `np.nanmean(right(…))` is the accuracy, and `np.nanmean(right(…), 0)` that of each position.
    """
    answers = model(torch.from_numpy(tokens)).argmax(-1).numpy()
    return np.where(targets == NOTHING, np.nan, answers == targets)
