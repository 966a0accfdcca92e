r"""The rivals of attention behind the same door: RNN, LSTM, CNN as (B, T, C) → (B, T, C).

Each one mixes information along time, causally (output t depends on inputs 0 … t), and ends with
a projection back to C, as multi-head attention does. `hidden` is the width they work in; with
`matched_hidden` it is chosen so that two of them have equally many parameters:

    target = parameter_count(MultiHeadAttention(64, heads=2))
    lstm = LSTM(64, matched_hidden(lambda h: LSTM(64, h), target))

What differs is the path from input t − d to output t, counted in layers of computation:

    RNN, LSTM                    d steps
    CNN, L layers, kernel K      d / (K − 1), and nothing beyond (K − 1) · L
    dilated CNN                  log d, and nothing beyond (K − 1) · Σ dilations
    attention                    1
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmlib.attention.core import check_count
from lmlib.attention.modules import check_input, drawn, linear


class RNN(nn.Module):
    r"""The plain recurrent net:  h_t = tanh(W x_t + U h_{t−1} + b),  output_t = V h_t + c.

    U starts as an orthogonal matrix times `gain`: with gain 1 it neither stretches nor shrinks,
    so that what vanishes along time is tanh's doing. All else is torch's default.

    Parameters
    ----------
    width : int, C
    hidden : int, size of h; C when None
    gain : float, factor of the orthogonal U
    generator : torch.Generator of the initial weights; torch's global one when None
    """

    def __init__(
        self,
        width: int,
        hidden: int | None = None,
        gain: float = 1.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        hidden = width if hidden is None else hidden
        check_count("hidden", hidden, 1)
        self.width = width
        self.recurrence = drawn(partial(nn.RNN, width, hidden, batch_first=True), hidden, generator)
        nn.init.orthogonal_(self.recurrence.weight_hh_l0, gain, generator=generator)
        self.output = linear(hidden, width, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.width)
        states, _ = self.recurrence(x)  # (B, T, hidden)
        return self.output(states)  # (B, T, C)


class LSTM(nn.Module):
    r"""The recurrent net with gates:  c_t = f ∘ c_{t−1} + i ∘ g,  h_t = o ∘ tanh(c_t).

    f = σ(…) says how much of the memory stays. Its bias starts at `forget_bias`: 0 forgets half
    at every step, 1 keeps 73 %. All else is torch's default.

    Parameters
    ----------
    width : int, C
    hidden : int, size of c and h; C when None
    forget_bias : float, the bias of f before the sigmoid
    generator : torch.Generator of the initial weights; torch's global one when None
    """

    def __init__(
        self,
        width: int,
        hidden: int | None = None,
        forget_bias: float = 1.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        hidden = width if hidden is None else hidden
        check_count("hidden", hidden, 1)
        self.width = width
        self.recurrence = drawn(
            partial(nn.LSTM, width, hidden, batch_first=True), hidden, generator
        )
        with torch.no_grad():  # torch keeps two biases, and stacks the gates i, f, g, o
            self.recurrence.bias_ih_l0[hidden : 2 * hidden] = forget_bias
            self.recurrence.bias_hh_l0[hidden : 2 * hidden] = 0.0
        self.output = linear(hidden, width, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.width)
        states, _ = self.recurrence(x)  # (B, T, hidden)
        return self.output(states)  # (B, T, C)


class CNN(nn.Module):
    r"""Causal convolutions, ordinary or dilated, each added to its input.

        h ← h + gelu(conv(h)),      conv(h)_t = Σ_k W_k h_{t − k · dilation} + b,  k = 0 … K − 1

    Parameters
    ----------
    width : int, C
    hidden : int, channels of the convolutions; C when None
    dilations : one int >= 1 per layer; (1, 1, 1, 1) is an ordinary CNN, (1, 2, 4, 8) a dilated one
    kernel : int >= 1, K
    generator : torch.Generator of the initial weights; torch's global one when None

    Examples
    --------
    >>> CNN(8).receptive_field, CNN(8, dilations=(1, 2, 4, 8, 16, 32, 64)).receptive_field
    (9, 255)
    """

    def __init__(
        self,
        width: int,
        hidden: int | None = None,
        dilations: Sequence[int] = (1, 1, 1, 1),
        kernel: int = 3,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        hidden = width if hidden is None else hidden
        for name, value in (("hidden", hidden), ("kernel", kernel)):
            check_count(name, value, 1)
        for dilation in dilations:
            check_count("every dilation", dilation, 1)
        self.width, self.kernel, self.dilations = width, kernel, tuple(dilations)
        self.input = linear(width, hidden, generator=generator)
        self.layers = nn.ModuleList(
            drawn(
                partial(nn.Conv1d, hidden, hidden, kernel, dilation=dilation),
                hidden * kernel,
                generator,
            )
            for dilation in dilations
        )
        self.output = linear(hidden, width, generator=generator)

    @property
    def receptive_field(self) -> int:
        """How many inputs an output can depend on: itself and (K − 1) · Σ dilations before it."""
        return 1 + (self.kernel - 1) * sum(self.dilations)

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.width)
        h = self.input(x).transpose(1, 2)  # (B, hidden, T)
        for layer, dilation in zip(self.layers, self.dilations, strict=True):
            # all the padding on the left: an output must not see what comes after it
            padded = F.pad(h, ((self.kernel - 1) * dilation, 0))
            h = h + F.gelu(layer(padded))
        return self.output(h.transpose(1, 2))  # (B, T, C)


# ---------------------------------------------------------------------- equal numbers of parameters
def parameter_count(module: nn.Module) -> int:
    """How many numbers training can change."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def matched_hidden(build: Callable[[int], nn.Module], parameters: int) -> int:
    """The hidden width at which `build(hidden)` comes closest to so many parameters.

    Parameters
    ----------
    build : int -> module, with more parameters for a larger int
    parameters : int >= 1, the number to match

    Returns
    -------
    hidden : int >= 1

    Raises
    ------
    ValueError : if even hidden = 1 has more than twice the parameters asked for

    Examples
    --------
    >>> target = parameter_count(MultiHeadAttention(64, heads=2))
    >>> hidden = matched_hidden(lambda h: LSTM(64, h), target)
    >>> target, hidden, parameter_count(LSTM(64, hidden))
    (16384, 35, 16444)
    """
    check_count("parameters", parameters, 1)

    def count(hidden: int) -> int:
        with torch.device("meta"):  # shapes only: no memory, no random draw
            return parameter_count(build(hidden))

    low, high = 1, 2
    if count(low) > 2 * parameters:
        raise ValueError(
            f"hidden = 1 has {count(low):,} parameters already, more than twice the "
            f"{parameters:,} asked for. Take fewer layers or a smaller width."
        )
    while count(high) < parameters:
        low, high = high, 2 * high
    while high - low > 1:  # count(low) < parameters <= count(high), unless low is 1
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    return min(low, high, key=lambda hidden: abs(count(hidden) - parameters))
