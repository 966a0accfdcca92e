r"""Multi-head self-attention in NumPy: four projections around `attention`, and the gradient.

    head_h = attention(x W_query,h , x W_key,h , x W_value,h)
    output = [head_1 … head_H] W_output                         (Vaswani et al. 2017, §3.2.2)

H heads of width D = C/H cost what one head of width C costs: the same projections, split.

Symbols: B batch, H heads, T time, C width, D = C/H width of a head.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lmlib.attention.core import (
    AttentionCache,
    attention_backward,
    attention_forward,
    check_float,
    check_gradient,
    head_width,
)
from lmlib.attention.positions import alibi_bias, rope, rope_backward

INSIDE = (None, "rope", "alibi")  # the positions that act inside attention


class Projections(NamedTuple):
    """The four (C, C) matrices of a multi-head layer, each applied as ``x @ matrix``."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    output: np.ndarray


class MultiHeadCache(NamedTuple):
    """What `multi_head_attention_backward` needs.

    x : (..., T, C), the input
    merged : (..., T, C), the heads side by side, before the output projection
    attention : `AttentionCache` with arrays (..., H, T, D), queries and keys already rotated
    projections, heads, positions : as they were given
    """

    x: np.ndarray
    merged: np.ndarray
    attention: AttentionCache
    projections: Projections
    heads: int
    positions: str | None


def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """(..., T, C) → (..., H, T, D): head h takes the columns h·D … (h+1)·D − 1 of every token.

    The axes are swapped, not only renamed: reshaping straight to (H, T, D) would fill a head with
    neighbouring *tokens* instead of its own columns, and no shape would complain.
    """
    *lead, T, C = x.shape
    return x.reshape(*lead, T, heads, head_width(C, heads)).swapaxes(-3, -2)


def merge_heads(x: np.ndarray) -> np.ndarray:
    """(..., H, T, D) → (..., T, C): the inverse of `split_heads`."""
    *lead, H, T, D = x.shape
    return x.swapaxes(-3, -2).reshape(*lead, T, H * D)


def multi_head_attention(
    x: np.ndarray,
    projections: Projections,
    heads: int,
    mask: np.ndarray | None = None,
    positions: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Let every token of x attend to the tokens of its own sequence, in several heads at once.

    Parameters
    ----------
    x : (..., T, C) float32 or float64
    projections : four (C, C) matrices of the same dtype
    heads : int that divides C
    mask : bool, True = may attend: (T, T), or (..., T, T) with the leading axes of x (1 stands
        for any). It serves all heads; the head axis is inserted here.
    positions : None, "rope" or "alibi"; sinusoidal and learned codes are added to x beforehand

    Returns
    -------
    output : (..., T, C)
    weights : (..., H, T, T)

    Raises
    ------
    ValueError : if the heads do not divide C, C/H is odd under "rope", and for all that
        `attention` refuses

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> projections = Projections(*rng.normal(0, 0.5, (4, 6, 6)))
    >>> output, weights = multi_head_attention(rng.normal(size=(5, 6)), projections, heads=3)
    >>> output.shape, weights.shape
    ((5, 6), (3, 5, 5))
    """
    output, cache = multi_head_attention_forward(x, projections, heads, mask, positions)
    return output, cache.attention.weights


def multi_head_attention_forward(
    x: np.ndarray,
    projections: Projections,
    heads: int,
    mask: np.ndarray | None = None,
    positions: str | None = None,
) -> tuple[np.ndarray, MultiHeadCache]:
    """`multi_head_attention`, returning the `MultiHeadCache` beside the output."""
    query, key, value = project(x, projections, heads, positions)  # (..., H, T, D) each
    mixed, cache = attention_forward(
        query, key, value, mask_for_heads(mask), bias=bias_for(positions, query)
    )
    merged = merge_heads(mixed)  # (..., T, C)
    output = merged @ projections.output
    return output, MultiHeadCache(x, merged, cache, projections, heads, positions)


def multi_head_attention_backward(
    d_output: np.ndarray, cache: MultiHeadCache
) -> tuple[np.ndarray, Projections]:
    """The gradient with respect to the input and the four matrices.

    Returns
    -------
    d_x : (..., T, C)
    d_projections : `Projections` of (C, C) gradients, summed over batch and time

    Raises
    ------
    ValueError : if d_output has not the shape and dtype of the output, or is not finite
    """
    x, merged, inner, projections, heads, positions = cache
    check_gradient(d_output, x.shape, x.dtype)
    d_merged = d_output @ projections.output.T
    d_heads = list(attention_backward(split_heads(d_merged, heads), inner))
    if positions == "rope":
        d_heads[:2] = map(rope_backward, d_heads[:2])  # values were not rotated
    d_projected = [merge_heads(d) for d in d_heads]  # (..., T, C) each
    d_x = sum(d @ w.T for d, w in zip(d_projected, projections[:3], strict=True))
    d_weights = [_outer(x, d) for d in d_projected]
    return d_x, Projections(*d_weights, _outer(merged, d_output))


# ----------------------------------------------------------------- shared with cached decoding
def project(
    x: np.ndarray,
    projections: Projections,
    heads: int,
    positions: str | None = None,
    past: int = 0,
) -> list[np.ndarray]:
    """Query, key and value, each (..., H, T, D), of tokens that stand at past, past + 1, …"""
    check_float("x", x)
    if x.ndim < 2:
        raise ValueError(f"x must be (..., time, width), got shape {x.shape}.")
    C = x.shape[-1]
    for name, matrix in zip(Projections._fields, projections, strict=True):
        check_float(f"the {name} projection", matrix)
        if matrix.shape != (C, C) or matrix.dtype != x.dtype:
            raise ValueError(
                f"the {name} projection is {matrix.dtype} {matrix.shape}; "
                f"x {x.dtype} {x.shape} needs {x.dtype} {(C, C)}."
            )
    if positions not in INSIDE:
        raise ValueError(
            f"positions must be one of {INSIDE}, got {positions!r}. Sinusoidal and learned codes "
            "are added to x: x + sinusoidal_positions(T, C)."
        )
    query, key, value = (split_heads(x @ matrix, heads) for matrix in projections[:3])
    if positions == "rope":
        where = np.arange(past, past + x.shape[-2])
        query, key = rope(query, where), rope(key, where)
    return [query, key, value]


def mask_for_heads(mask: np.ndarray | None) -> np.ndarray | None:
    """(..., T_q, T_k) → (..., 1, T_q, T_k); a (T_q, T_k) mask stays as it is."""
    return mask if mask is None or np.ndim(mask) < 3 else mask[..., None, :, :]


def bias_for(positions: str | None, query: np.ndarray, past: int = 0) -> np.ndarray | None:
    """The ALiBi bias with as many axes as the scores, or None."""
    if positions != "alibi":
        return None
    *lead, H, T, _ = query.shape
    bias = alibi_bias(H, T, past).astype(query.dtype)  # (H, T, past + T)
    return bias.reshape((1,) * len(lead) + bias.shape)


def _outer(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Σ over all tokens of xᵀ d: (..., T, C) twice to (C, C)."""
    return x.reshape(-1, x.shape[-1]).T @ d.reshape(-1, d.shape[-1])
