r"""Many small models of one architecture, trained side by side as one tensor program.

Small models leave a processor idle between operations. Stack the parameters of E models along a
new first axis, and each operation does E times the work. No operation mixes the members: a member
that diverges turns into NaN by itself, and the others do not notice.

Symbols: L learning rates, S seeds, E = L·S members, B batch, T time, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state


class Ensemble:
    """E modules of one architecture with their parameters stacked.

    parameters : dict of (E, ...) tensors that require gradients

    Parameters
    ----------
    members : modules without buffers, alike but for the values of their parameters

    Raises
    ------
    ValueError : if there are none, or one has buffers (such as running statistics)
    """

    def __init__(self, members: Sequence[nn.Module]):
        if not members:
            raise ValueError("an ensemble needs at least one member")
        self.parameters, buffers = stack_module_state(list(members))
        if buffers:
            raise ValueError(
                f"the members have buffers ({', '.join(buffers)}), which would have to be updated "
                "in training: train such models one at a time"
            )
        self._skeleton = copy.deepcopy(members[0]).to("meta")  # the program without its numbers

    def __len__(self) -> int:
        return len(next(iter(self.parameters.values())))

    def __call__(self, tokens: Tensor) -> Tensor:
        """(E, B, T) ids, each member its own → (E, B, T, V) logits."""

        def one(parameters, tokens):
            return functional_call(self._skeleton, parameters, (tokens,))

        return torch.vmap(one)(self.parameters, tokens)

    def losses(self, windows: Tensor) -> Tensor:
        """(E, B, T + 1) ids → (E,) mean cross-entropy of the next token, in nats."""
        logits = self(windows[..., :-1])  # (E, B, T, V)
        nats = F.cross_entropy(logits.movedim(-1, 1), windows[..., 1:], reduction="none")
        return nats.mean((1, 2))

    def member(self, m: int) -> nn.Module:
        """Member m as a module of its own, with a copy of its parameters."""
        module = copy.deepcopy(self._skeleton).to_empty(device="cpu")
        module.load_state_dict({name: p[m].detach() for name, p in self.parameters.items()})
        return module


@dataclass(frozen=True)
class Settings:
    """How an ensemble is trained: Adam, constant learning rate after a linear warm-up.

    learning_rates, seeds : the grid; every seed is trained at every learning rate, from the same
        initial weights and on the same batches
    steps, batch, time : steps of B windows of T + 1 tokens
    warmup : steps over which the learning rate rises linearly; 0 for none
    betas, eps : of Adam
    """

    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]
    steps: int = 200
    batch: int = 8
    time: int = 32
    warmup: int = 0
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8

    def __post_init__(self):
        if not self.learning_rates or not self.seeds:
            raise ValueError("settings need at least one learning rate and one seed")
        if not all(rate > 0 for rate in self.learning_rates):
            raise ValueError(f"learning rates must be positive, got {self.learning_rates}")
        for name in ("steps", "batch", "time"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.warmup < 0:
            raise ValueError(f"warmup must not be negative, got {self.warmup}")


class Trained(NamedTuple):
    """The outcome of `train`.

    losses : (L, S, steps), training loss before each step, in nats per token
    held_out : (L, S), loss on the held-out text at the end; huge or NaN where training diverged
    ensemble : the trained members; member l·S + s has learning rate l and seed s
    """

    losses: Tensor
    held_out: Tensor
    ensemble: Ensemble


def train(
    build: Callable[[torch.Generator], nn.Module],
    ids: Tensor,
    held_out_ids: Tensor,
    settings: Settings,
) -> Trained:
    """Train one architecture for every learning rate and seed at once.

    Parameters
    ----------
    build : makes a member, all its weights drawn from the generator it is given
    ids, held_out_ids : (n,) integer tensors, the text
    settings : Settings

    Returns
    -------
    trained : Trained

    Raises
    ------
    ValueError : if a text is not flat, or is shorter than one window of T + 1 tokens
    """
    rates, seeds = settings.learning_rates, settings.seeds
    L, S = len(rates), len(seeds)
    ensemble = Ensemble([build(torch.Generator().manual_seed(s)) for _ in rates for s in seeds])
    # New generators, so that the windows depend on the seed alone and not on the architecture.
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    optimiser = Adam(
        list(ensemble.parameters.values()),
        torch.tensor(rates, dtype=torch.float64).repeat_interleave(S),  # (E,)
        settings.betas,
        settings.eps,
    )
    curves = []
    for step in range(settings.steps):
        windows = torch.stack(
            [random_windows(ids, settings.batch, settings.time, g) for g in generators]
        )  # (S, B, T + 1)
        losses = ensemble.losses(windows.repeat(L, 1, 1))  # (E,)
        curves.append(losses.detach())
        # The derivative of the sum by one member's parameters is that of its own loss.
        gradients = torch.autograd.grad(losses.sum(), optimiser.parameters)
        optimiser.step(gradients, min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1)
    with torch.no_grad():
        windows = spread_windows(held_out_ids, settings.time)
        held_out = ensemble.losses(windows.expand(L * S, -1, -1))
    return Trained(torch.stack(curves, 1).view(L, S, -1), held_out.view(L, S), ensemble)


class Adam:
    """Adam (Kingma & Ba 2015) on stacked parameters, one learning rate for each member.

        m ← β₁ m + (1 - β₁) g,    v ← β₂ v + (1 - β₂) g²
        p ← p - rate · (m / (1 - β₁ᵗ)) / (sqrt(v / (1 - β₂ᵗ)) + eps)

    Everything is elementwise, so no member sees another.
    """

    def __init__(
        self,
        parameters: list[Tensor],
        learning_rates: Tensor,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        self.parameters, self.betas, self.eps, self.steps = parameters, betas, eps, 0
        self.rates = [learning_rates.view(-1, *[1] * (p.ndim - 1)).to(p) for p in parameters]
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], factor: float = 1.0) -> None:
        """One step at `factor` times the learning rates."""
        self.steps += 1
        beta1, beta2 = self.betas
        unbias1, unbias2 = 1 - beta1**self.steps, 1 - beta2**self.steps
        for p, g, m, v, rate in zip(
            self.parameters, gradients, self.first, self.second, self.rates, strict=True
        ):
            m.mul_(beta1).add_(g, alpha=1 - beta1)
            v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            p.sub_(factor * rate * (m / unbias1) / ((v / unbias2).sqrt() + self.eps))


def random_windows(ids: Tensor, count: int, time: int, generator: torch.Generator) -> Tensor:
    """`count` windows of time + 1 tokens that start anywhere in the text, (count, time + 1)."""
    check_text(ids, time)
    starts = torch.randint(len(ids) - time, (count, 1), generator=generator)
    return ids[starts + torch.arange(time + 1)]


def spread_windows(ids: Tensor, time: int, count: int = 64) -> Tensor:
    """Up to `count` windows spread evenly over the text, (count, time + 1): the same every time."""
    check_text(ids, time)
    starts = torch.linspace(0, len(ids) - time - 1, count, dtype=torch.float64).long().unique()
    return ids[starts[:, None] + torch.arange(time + 1)]


def check_text(ids: Tensor, time: int) -> None:
    if ids.ndim != 1 or len(ids) <= time or ids.is_floating_point():
        raise ValueError(
            f"a window needs {time + 1} integer ids in one row, got a text of {ids.dtype} "
            f"{tuple(ids.shape)}"
        )
