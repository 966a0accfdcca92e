r"""Where the normalisation stands: one residual block, seven placements, and a decoder of them.

A residual block adds a sub-layer f, attention or an MLP, to its input. Every placement here is a
case of one line, with up to three normalisations; where a column is empty, nothing is done.

    x ← norm_sum( skip · x  +  scale · norm_out( f( norm_in(x) ) ) )

    placement   norm_in  norm_out  norm_sum   skip        scale
    post                              ●       1           1           Vaswani et al. 2017
    pre            ●                          1           1           Xiong et al. 2020
    peri           ●        ●                 1           1           also called sandwich
    reordered               ●                 1           1           OLMo 2
    deepnorm                          ●       (2N)^¼      1           Wang et al. 2022
    rezero                                    1           learned, 0  Bachlechner et al. 2021
    none                                      1           1

`branch_scale` multiplies f once more: 1/√(2N) keeps the sum of 2N branches at the size of one.
Where the last block leaves the stream unnormalised though the blocks normalise (pre, peri,
reordered), the decoder normalises it once more before the head.

Symbols: B batch, T time, C width, V vocabulary, N layers of two blocks each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from lmlib.attention import AddedPositions, MultiHeadAttention
from lmlib.attention.modules import linear
from lmlib.layernorm.modules import LayerNorm

PLACEMENTS = {  # where a normalisation stands: input, output, sum
    "post": (False, False, True),
    "pre": (True, False, False),
    "peri": (True, True, False),
    "reordered": (False, True, False),
    "deepnorm": (False, False, True),
    "rezero": (False, False, False),
    "none": (False, False, False),
}
NEEDS_FINAL_NORM = ("pre", "peri", "reordered")


class ResidualBlock(nn.Module):
    """One sub-layer with its skip connection, (B, T, C) → (B, T, C).

    Parameters
    ----------
    sublayer : module (B, T, C) → (B, T, C), the f above
    width : int, C
    placement : a key of PLACEMENTS
    norm : makes a normalisation for a width: `LayerNorm`, `RMSNorm`, `DyT`, or a `partial` of one
    depth : int, N of the decoder, for the skip of "deepnorm"
    branch_scale : float, constant factor of the branch

    Raises
    ------
    ValueError : for another placement
    """

    def __init__(
        self,
        sublayer: nn.Module,
        width: int,
        placement: str = "pre",
        norm: Callable[[int], nn.Module] = LayerNorm,
        depth: int = 1,
        branch_scale: float = 1.0,
    ):
        super().__init__()
        check_placement(placement)
        self.sublayer = sublayer
        self.norm_in, self.norm_out, self.norm_sum = (
            norm(width) if present else nn.Identity() for present in PLACEMENTS[placement]
        )
        self.skip = (2 * depth) ** 0.25 if placement == "deepnorm" else 1.0
        self.scale = nn.Parameter(torch.zeros(())) if placement == "rezero" else 1.0
        self.branch_scale = branch_scale

    def forward(self, x: Tensor) -> Tensor:
        branch = self.norm_out(self.sublayer(self.norm_in(x)))
        return self.norm_sum(self.skip * x + self.branch_scale * self.scale * branch)


class MLP(nn.Module):
    """Widen four times, GELU, narrow again: (..., C) → (..., C)."""

    def __init__(self, width: int, generator: torch.Generator | None = None):
        super().__init__()
        self.up = linear(width, 4 * width, generator=generator)
        self.down = linear(4 * width, width, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(nn.functional.gelu(self.up(x)))


class Decoder(nn.Module):
    """A small causal language model: embeddings, N layers of attention and MLP, a head.

    Matrices start as Xavier normal, N(0, 2 / (in + out)), as Xiong et al. assume, and biases at 0;
    "deepnorm" shrinks value, output and MLP matrices by (8N)^(-1/4). Token and position vectors
    start with a variance of 1/2 each, so the stream starts with 1.

    Parameters
    ----------
    vocabulary_size, context : int, V and the longest T
    width, heads, depth : int, C, H and N
    placement, norm, branch_scale : as in `ResidualBlock`
    final_norm : normalise before the head; None decides by the placement
    generator : torch.Generator of the initial weights; torch's global one when None

    Raises
    ------
    ValueError : for another placement, depth < 1, or heads that do not divide the width; in use,
        for tokens that are not (B, T) integers, or T beyond the context

    Examples
    --------
    >>> model = Decoder(vocabulary_size=50, context=16, depth=2, placement="peri")
    >>> model(torch.zeros(3, 16, dtype=torch.long)).shape
    torch.Size([3, 16, 50])
    """

    def __init__(
        self,
        vocabulary_size: int,
        context: int,
        width: int = 32,
        heads: int = 2,
        depth: int = 2,
        placement: str = "pre",
        norm: Callable[[int], nn.Module] = LayerNorm,
        branch_scale: float = 1.0,
        final_norm: bool | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        check_placement(placement)
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        block = partial(
            ResidualBlock,
            width=width,
            placement=placement,
            norm=norm,
            depth=depth,
            branch_scale=branch_scale,
        )
        self.token = skip_init(nn.Embedding, vocabulary_size, width)
        self.position = AddedPositions(width, "learned", context, generator=generator)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    block(MultiHeadAttention(width, heads, generator=generator)),
                    block(MLP(width, generator)),
                )
                for _ in range(depth)
            )
        )
        if final_norm is None:
            final_norm = placement in NEEDS_FINAL_NORM
        self.final_norm = norm(width) if final_norm else nn.Identity()
        self.head = linear(width, vocabulary_size, bias=False, generator=generator)
        self._initialise(placement, generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) ids → (B, T, V) logits of the next token."""
        return self.head(self.final_norm(self.stream(tokens)[-1]))

    def stream(self, tokens: Tensor) -> list[Tensor]:
        """The residual stream: N + 1 tensors (B, T, C), after the embedding and each layer."""
        if tokens.ndim != 2 or tokens.is_floating_point():
            raise ValueError(
                f"tokens must be (batch, time) integers, got {tokens.dtype} {tuple(tokens.shape)}"
            )
        stream = [self.position(self.token(tokens))]
        for layer in self.layers:
            stream.append(layer(stream[-1]))
        return stream

    @torch.no_grad()
    def _initialise(self, placement: str, generator: torch.Generator | None) -> None:
        shrink = (8 * len(self.layers)) ** -0.25 if placement == "deepnorm" else 1.0
        for table in (self.token.weight, self.position.table):
            table.normal_(0, 0.5**0.5, generator=generator)
        for attention, mlp in self.layers:
            attention, mlp = attention.sublayer, mlp.sublayer
            for layer in (attention.query, attention.key):
                nn.init.xavier_normal_(layer.weight, generator=generator)
            for layer in (attention.value, attention.output, mlp.up, mlp.down):
                nn.init.xavier_normal_(layer.weight, gain=shrink, generator=generator)
            for layer in (mlp.up, mlp.down):
                layer.bias.zero_()
        width = self.head.in_features
        self.head.weight.normal_(0, width**-0.5, generator=generator)


def check_placement(placement: str) -> None:
    if placement not in PLACEMENTS:
        raise ValueError(f"placement must be one of {', '.join(PLACEMENTS)}; got {placement!r}")
