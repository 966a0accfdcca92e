r"""Multi-head self-attention as a torch module: one explicit path to read, one fused path to train.

Both compute what `multi_head_attention` computes in NumPy; the tests hold all three to each other.
torch's rule applies here, not NumPy's: NaN in gives NaN out. Shapes and masks are still checked.

Symbols: B batch, H heads, T time, C width, D = C/H width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmlib.attention.core import check_count, head_width
from lmlib.attention.positions import alibi_bias, rotary_angles, sinusoidal_positions

POSITIONS = (None, "sinusoidal", "learned", "rope", "alibi")


class MultiHeadAttention(nn.Module):
    """Multi-head self-attention, (B, T, C) → (B, T, C), with 4 C² parameters and no biases.

    Parameters
    ----------
    width : int, C
    heads : int that divides C
    positions : None, "rope" and "alibi" act inside this layer; "sinusoidal" and "learned" add
        their code to this layer's input. In a stack as Vaswani et al. (2017) built it, the code
        is added once, below the first layer: use `AddedPositions` for that.
    causal : a token attends to itself and the past only
    fused : True takes torch's `scaled_dot_product_attention`, which never forms the weights. An
        attribute, to be switched at any time.
    max_length : rows of the "learned" table
    generator : torch.Generator of the initial weights; torch's global one when None

    Raises
    ------
    ValueError : if the heads do not divide the width, C/H is odd under "rope", or for other
        positions

    Examples
    --------
    >>> layer = MultiHeadAttention(width=12, heads=3, positions="rope")
    >>> output, weights = layer(torch.zeros(2, 5, 12), return_weights=True)
    >>> output.shape, weights.shape
    (torch.Size([2, 5, 12]), torch.Size([2, 3, 5, 5]))
    """

    def __init__(
        self,
        width: int,
        heads: int,
        positions: str | None = None,
        causal: bool = True,
        *,
        fused: bool = False,
        max_length: int = 1024,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        D = head_width(width, heads)
        if positions not in POSITIONS:
            raise ValueError(f"positions must be one of {POSITIONS}, got {positions!r}.")
        if positions == "rope":
            rotary_angles([0], D)  # refuses an odd D now, not at the first input
        self.width, self.heads, self.positions = width, heads, positions
        self.causal, self.fused = causal, fused
        self.added = None
        if positions in ("sinusoidal", "learned"):
            self.added = AddedPositions(width, positions, max_length, generator=generator)
        self.query, self.key, self.value, self.output = (
            linear(width, width, bias=False, generator=generator) for _ in range(4)
        )

    def forward(
        self, x: Tensor, mask: Tensor | None = None, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Let every token attend to the tokens of its own sequence.

        Parameters
        ----------
        x : (B, T, C)
        mask : bool, True = may attend, (T, T), (B, T, T) or (B, 1, T); combined with the causal
            mask where the layer is causal
        return_weights : also return the weights, (B, H, T, T); takes the explicit path

        Raises
        ------
        ValueError : for an x that is not (B, T, C), a mask of another dtype or shape, or one
            that leaves a token nothing to attend to
        """
        check_input(x, self.width)
        if self.added is not None:
            x = self.added(x)
        query, key, value = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, D)
            for projection in (self.query, self.key, self.value)
        )
        if self.positions == "rope":
            query, key = rotate(query), rotate(key)
        bias = None
        if self.positions == "alibi":
            bias = torch.from_numpy(alibi_bias(self.heads, x.shape[1])).to(x)  # (H, T, T)
        if self.fused and not return_weights:
            mixed, weights = self._fused(query, key, value, mask, bias), None
        else:
            mixed, weights = self._explicit(query, key, value, mask, bias)
        # transpose first: flattening (H, T, D) as it lies would mix the tokens
        output = self.output(mixed.transpose(1, 2).flatten(2))  # (B, T, C)
        return (output, weights) if return_weights else output

    def _explicit(self, query, key, value, mask, bias):
        """softmax(query keyᵀ / √D) value, as the equation has it (Vaswani et al. 2017, §3.2.1)."""
        scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5  # (B, H, T, T)
        if bias is not None:
            scores = scores + bias
        allowed = self._allowed(query, mask)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        weights = scores.softmax(-1)
        return weights @ value, weights  # (B, H, T, D), (B, H, T, T)

    def _fused(self, query, key, value, mask, bias):
        """The same from torch's kernel, which never forms the weights."""
        if self.causal and mask is None and bias is None:
            # a flag, where a mask would cost T × T of memory and the kernel's shortcut
            return F.scaled_dot_product_attention(query, key, value, is_causal=True)
        allowed = self._allowed(query, mask)
        if bias is not None:
            allowed = bias if allowed is None else bias.masked_fill(~allowed, -torch.inf)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)

    def _allowed(self, query: Tensor, mask: Tensor | None) -> Tensor | None:
        """The causal mask and the caller's in one: (T, T), (B, 1, T, T), or None for all."""
        B, _, T, _ = query.shape
        if mask is not None:
            if mask.dtype != torch.bool:
                raise ValueError(f"the mask is {mask.dtype}; expected bool, True = may attend.")
            if tuple(mask.shape) not in {(T, T), (B, T, T), (B, 1, T)}:
                raise ValueError(
                    f"a mask of shape {tuple(mask.shape)} does not fit {B} sequences of {T} "
                    f"tokens; expected {(T, T)}, {(B, T, T)} or {(B, 1, T)}, without a head axis."
                )
        if self.causal:
            past = torch.ones(T, T, dtype=torch.bool, device=query.device).tril()
            mask = past if mask is None else past & mask
        # one mask per sequence serves all its heads: (B, T, T) → (B, 1, T, T)
        allowed = mask if mask is None or mask.ndim == 2 else mask[:, None]
        if allowed is not None and not allowed.any(-1).all():
            raise ValueError(
                "the mask leaves some token nothing to attend to, and an average over nothing is "
                "0/0. Let a padded token attend to itself, and ignore its output."
            )
        return allowed


def rotate(x: Tensor) -> Tensor:
    """`rope` for a (B, H, T, D) tensor whose first token stands at position 0."""
    angles = torch.from_numpy(rotary_angles(range(x.shape[-2]), x.shape[-1]))  # (T, D/2)
    cos, sin = angles.cos().to(x), angles.sin().to(x)  # after the float64 cosine, not before
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class AddedPositions(nn.Module):
    """Add a code for its position to every token, (B, T, C) → (B, T, C).

    Parameters
    ----------
    width : int, C
    kind : "sinusoidal", a fixed code of any length, or "learned", a table of parameters
    max_length : rows of the learned table; a longer input has no code and is refused
    scale : amplitude of the sines, or standard deviation of the table at the start. Give it the
        size of what it is added to.
    generator : torch.Generator of the initial table; torch's global one when None

    Raises
    ------
    ValueError : for another kind, an odd width under "sinusoidal", or (in use) an input longer
        than the learned table
    """

    def __init__(
        self,
        width: int,
        kind: str,
        max_length: int = 1024,
        scale: float = 1.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        if kind not in ("sinusoidal", "learned"):
            raise ValueError(f'kind must be "sinusoidal" or "learned", got {kind!r}.')
        check_count("max_length", max_length, 1)
        self.width, self.scale, self.table = width, scale, None
        if kind == "learned":
            table = torch.empty(max_length, width).normal_(0, scale, generator=generator)
            self.table = nn.Parameter(table)
        else:
            sinusoidal_positions(1, width)  # refuses an odd width now

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.width)
        T = x.shape[1]
        if self.table is None:
            return x + self.scale * torch.from_numpy(sinusoidal_positions(T, self.width)).to(x)
        if len(self.table) < T:
            raise ValueError(
                f"the input has {T} tokens, but positions were learned for {len(self.table)}: "
                "there is nothing to add beyond. Raise max_length."
            )
        return x + self.table[:T]


# ------------------------------------------------------------------------- shared with the mixers
def check_input(x: Tensor, width: int) -> None:
    """Refuse an x that is not (B, T, C) of floats."""
    if x.ndim != 3 or x.shape[-1] != width or not x.is_floating_point():
        raise ValueError(
            f"x is {x.dtype} {tuple(x.shape)}; expected floats of shape (batch, time, {width})."
        )


def linear(
    inputs: int, outputs: int, bias: bool = True, generator: torch.Generator | None = None
) -> nn.Linear:
    """nn.Linear with torch's default distribution, drawn from `generator` alone."""
    return drawn(partial(nn.Linear, inputs, outputs, bias=bias), inputs, generator)


def drawn(
    build: Callable[[], nn.Module], fan_in: int, generator: torch.Generator | None
) -> nn.Module:
    """Build a layer and fill it from U(−1/√fan_in, 1/√fan_in), torch's default for its layers."""
    home = torch.get_default_device()
    with torch.device("meta"):  # no memory, and no draw from the global generator
        layer = build()
    layer.to_empty(device=home)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)
    return layer
