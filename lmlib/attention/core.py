r"""Scaled dot-product attention, its masks and its gradient: the reference for all that follows.

    output = softmax(scale · query keyᵀ) value,      scale = 1/√D

Each query is compared with every key; the softmax turns each row of comparisons into weights that
are positive and sum to 1; the output is that weighted average of the values.

Three functions belong together, here and in the modules beside this one:

    attention(…)            → output and what you want to look at (the weights)
    attention_forward(…)    → output and what the gradient needs (the cache)
    attention_backward(…)   → the gradient of every input

Masks are boolean, and True means *may attend*. They become −inf before the softmax, never after.
A row of the mask that allows nothing is refused: its softmax is 0/0, an average over nothing.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


# --------------------------------------------------------------------------------------- the masks
def causal_mask(length: int, past: int = 0) -> np.ndarray:
    """Who may look at whom when nobody may look ahead: True on and below the diagonal.

    Parameters
    ----------
    length : int >= 1, number of queries T
    past : int >= 0, keys that stand before the first query (tokens already in a KV cache)

    Returns
    -------
    mask : (T, past + T) bool; query i may attend to the keys 0 … past + i, itself included

    Raises
    ------
    ValueError : for a length below 1 or a negative past

    Examples
    --------
    >>> causal_mask(3).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 1]])
    """
    check_count("length", length, 1)
    check_count("past", past, 0)
    return np.tri(length, past + length, past, dtype=bool)


def padding_mask(lengths: np.ndarray, length: int) -> np.ndarray:
    """Hide the keys that only fill a batch up to a common length.

    Parameters
    ----------
    lengths : (B,) int, real tokens of each sequence, 1 … length; the filling stands at the end
    length : int >= 1, the common length T

    Returns
    -------
    mask : (B, 1, T) bool, True where a key is a real token. The middle axis stands for any query,
        so that ``causal_mask(T) & padding_mask(lengths, T)`` is the (B, T, T) mask of both.

    Raises
    ------
    ValueError : if a length is not an integer in 1 … length

    Examples
    --------
    >>> (causal_mask(3) & padding_mask([2, 3], 3))[0].astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 0]])
    """
    check_count("length", length, 1)
    lengths = np.asarray(lengths)
    if lengths.ndim != 1 or not np.issubdtype(lengths.dtype, np.integer):
        raise ValueError(
            "lengths must be a flat sequence of integers, one per sequence of the batch; "
            f"got {lengths.dtype} of shape {lengths.shape}."
        )
    if lengths.size and (lengths.min() < 1 or lengths.max() > length):
        raise ValueError(
            f"every length must lie in 1 … {length}, got {lengths.min()} … {lengths.max()}. "
            "An empty sequence has nothing to attend to: leave it out of the batch."
        )
    return np.arange(length) < lengths[:, None, None]  # (B, 1, T)


def masked_softmax(scores: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    r"""Turn each row of scores into weights: positive, summing to 1, exactly 0 where masked.

        weights_j = exp(score_j − top) / Σ_k exp(score_k − top),      top = max of the row

    Subtracting the top changes nothing in exact arithmetic and keeps exp from overflowing.

    Parameters
    ----------
    scores : (..., T_q, T_k) float32 or float64
    mask : bool, True = may attend: (T_q, T_k), or as many axes as `scores`; an axis of length 1
        stands for all, except the last

    Returns
    -------
    weights : (..., T_q, T_k), of the dtype of `scores`

    Raises
    ------
    ValueError : for a mask of another dtype or shape, a row that is masked throughout, or scores
        that are not finite
    """
    if scores.dtype not in FLOATS:
        raise ValueError(f"scores are {scores.dtype}; expected float64 or float32.")
    if mask is not None:
        check_mask(mask, scores.shape)
        scores = np.where(mask, scores, -np.inf)
    top = scores.max(-1, keepdims=True)  # (..., T_q, 1)
    if not np.isfinite(top).all():
        raise ValueError(
            "some attention scores are not finite: query and key are too large for "
            f"{scores.dtype}. Scale them down, or normalise before projecting."
        )
    weights = np.exp(scores - top)
    weights /= weights.sum(-1, keepdims=True)
    return weights


# ----------------------------------------------------------------------------------- the attention
class AttentionCache(NamedTuple):
    """What `attention_backward` needs of the forward pass; references, not copies.

    query : (..., T_q, D), key : (..., T_k, D), value : (..., T_k, D_v), as they were given
    weights : (..., T_q, T_k), the rows of the softmax
    scale : float, the factor of the scores
    """

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    weights: np.ndarray
    scale: float


def attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    mask: np.ndarray | None = None,
    scale: float | None = None,
    bias: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Average the values, weighted by how well each key answers the query.

        weights = softmax(scale · query keyᵀ + bias)
        output  = weights value                           (Vaswani et al. 2017, §3.2.1)

    The softmax runs over the keys. The default scale 1/√D belongs to the width D of *one head*:
    if the entries of query and key have mean 0 and variance 1, their product has variance D.

    Parameters
    ----------
    query : (..., T_q, D) float32 or float64
    key : (..., T_k, D), value : (..., T_k, D_v), of the same dtype and leading axes
    mask : bool, True = may attend: (T_q, T_k), or with all leading axes (1 stands for any); see
        `causal_mask` and `padding_mask`
    scale : float, 1/√D when None
    bias : added to the scaled scores, a constant such as `alibi_bias`; broadcasts like the mask

    Returns
    -------
    output : (..., T_q, D_v)
    weights : (..., T_q, T_k), rows sum to 1, exactly 0 where masked

    Raises
    ------
    ValueError : for integers, NaN or infinity in an input, shapes that do not fit (key and value
        of different length, say), a mask that is not bool or not of that shape, a mask row that
        allows nothing, or scores that overflow

    Examples
    --------
    >>> key = np.array([[4.0, 0.0], [0.0, 4.0]])
    >>> output, weights = attention(key[:1], key, np.array([[10.0], [20.0]]), scale=0.25)
    >>> weights.round(3), output.round(2)
    (array([[0.982, 0.018]]), array([[10.18]]))
    """
    output, cache = attention_forward(query, key, value, mask, scale, bias)
    return output, cache.weights


def attention_forward(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    mask: np.ndarray | None = None,
    scale: float | None = None,
    bias: np.ndarray | None = None,
) -> tuple[np.ndarray, AttentionCache]:
    """`attention`, returning the `AttentionCache` for `attention_backward` beside the output."""
    check_inputs(query=query, key=key, value=value)
    scale = head_scale(query, scale)
    with np.errstate(over="ignore", invalid="ignore"):  # masked_softmax reports an overflow
        scores = (query * scale) @ key.swapaxes(-1, -2)  # (..., T_q, T_k)
    if bias is not None:
        check_bias(bias, scores)
        scores = scores + bias
    weights = masked_softmax(scores, mask)
    output = weights @ value  # (..., T_q, D_v)
    return output, AttentionCache(query, key, value, weights, scale)


def attention_backward(
    d_output: np.ndarray, cache: AttentionCache
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""The gradient of a loss with respect to query, key and value.

        d_value   = weightsᵀ d_output
        d_weights = d_output valueᵀ
        d_scores  = weights ∘ (d_weights − Σ_k weights_k d_weights_k)     each row its own sum
        d_query   = scale · d_scores key
        d_key     = scale · d_scoresᵀ query

    The third line is the softmax: what counts is how much better a value is than the average
    that was paid out. Masked pairs have weight 0 and so gradient 0; no mask is needed here.

    Parameters
    ----------
    d_output : (..., T_q, D_v), gradient of the loss with respect to the output
    cache : from `attention_forward`

    Returns
    -------
    d_query, d_key, d_value : shaped like query, key, value

    Raises
    ------
    ValueError : if d_output has not the shape and dtype of the output, or is not finite
    """
    query, key, value, weights, scale = cache
    check_gradient(d_output, (*query.shape[:-1], value.shape[-1]), query.dtype)
    d_value = weights.swapaxes(-1, -2) @ d_output  # (..., T_k, D_v)
    d_weights = d_output @ value.swapaxes(-1, -2)  # (..., T_q, T_k)
    d_scores = weights * (d_weights - (weights * d_weights).sum(-1, keepdims=True))
    d_query = scale * (d_scores @ key)  # (..., T_q, D)
    d_key = scale * (d_scores.swapaxes(-1, -2) @ query)  # (..., T_k, D)
    return d_query, d_key, d_value


# --------------------------------------------------------------------- what is refused, and why
def head_scale(query: np.ndarray, scale: float | None) -> float:
    """The scale as a Python float, which leaves float32 arrays in float32; 1/√D when None."""
    if scale is None:
        return query.shape[-1] ** -0.5
    if not isinstance(scale, Real) or not np.isfinite(scale):
        raise ValueError(f"scale must be one finite number, got {scale!r}.")
    return float(scale)


def head_width(width: int, heads: int) -> int:
    """D = C/H, or a ValueError if the heads do not divide the width."""
    check_count("width", width, 1)
    check_count("heads", heads, 1)
    if width % heads:
        fits = [h for h in range(1, width + 1) if width % h == 0]
        near = min(fits, key=lambda h: abs(h - heads))
        raise ValueError(
            f"width {width} cannot be split into {heads} heads of equal size: {width} / {heads} "
            f"is not whole. {near} heads of {width // near} would do."
        )
    return width // heads


def check_inputs(**arrays: np.ndarray) -> None:
    """Refuse query, key, value that are not floats, not finite, or do not fit together."""
    for name, x in arrays.items():
        check_float(name, x)
        if x.ndim < 2 or 0 in x.shape:
            raise ValueError(
                f"{name} must be (..., time, width) with nothing empty, got shape {x.shape}."
            )
    query, key, value = arrays.values()
    shapes = ", ".join(f"{name} {x.dtype} {x.shape}" for name, x in arrays.items())
    if not query.dtype == key.dtype == value.dtype:
        raise ValueError(f"query, key and value must have one dtype, got {shapes}.")
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        raise ValueError(
            f"query, key and value must have the same leading axes, got {shapes}. Nothing is "
            "broadcast: np.broadcast_to says so where sharing is meant."
        )
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"a query and a key must be equally wide to be compared, got {shapes}.")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"every key needs its value: key and value differ in length, {shapes}.")


def check_float(name: str, x: np.ndarray) -> None:
    """Refuse what is not a float32 or float64 array of finite numbers."""
    if not isinstance(x, np.ndarray) or x.dtype not in FLOATS:
        kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise ValueError(
            f"{name} is {kind}; expected a NumPy array of float64 or float32. "
            "Convert it first: np.asarray(x, float). Token ids need an embedding before."
        )
    if not np.isfinite(x).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(
            f"{name} contains {x[at]} at {at}. One such entry would reach every output: "
            "look for an overflow or a division by zero upstream."
        )


def check_mask(mask: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse a mask that is not bool, that would broadcast by accident, or empties a row."""
    if not isinstance(mask, np.ndarray) or mask.dtype.kind != "b":
        kind = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ValueError(
            f"the mask is {kind}; expected a bool array, True = may attend. Write mask == 1 for "
            "one of ones and zeros, mask == 0 for one of zeros and −inf meant to be added."
        )
    # A (B, T, T) mask beside (B, H, T, T) scores would line up B with H: axes must be named.
    if not _broadcasts(mask.shape, shape) or mask.shape[-1] != shape[-1]:
        raise ValueError(
            f"a mask of shape {mask.shape} does not fit scores of shape {shape}; expected "
            f"{shape[-2:]}, or {len(shape)} axes. For one mask per sequence over several heads, "
            "insert the head axis: mask[:, None]."
        )
    empty = ~mask.any(-1)
    if empty.any():
        at = tuple(int(i) for i in np.argwhere(empty)[0])
        raise ValueError(
            f"row {at} of the mask allows no key at all, and an average over nothing is 0/0. "
            "Let a padded query attend to something (itself, say) and ignore its output."
        )


def check_bias(bias: np.ndarray, scores: np.ndarray) -> None:
    """Refuse a bias of another dtype or shape than the scores."""
    check_float("bias", bias)
    if bias.dtype != scores.dtype or not _broadcasts(bias.shape, scores.shape):
        raise ValueError(
            f"a bias {bias.dtype} {bias.shape} does not fit scores {scores.dtype} "
            f"{scores.shape}; expected that dtype, and {scores.shape[-2:]} or {scores.ndim} axes."
        )


def check_gradient(d_output: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse an output gradient that is not shaped like the output."""
    check_float("d_output", d_output)
    if d_output.shape != shape or d_output.dtype != dtype:
        raise ValueError(
            f"d_output must look like the output, {dtype} {shape}; "
            f"got {d_output.dtype} {d_output.shape}."
        )


def _broadcasts(small: tuple[int, ...], full: tuple[int, ...]) -> bool:
    """Whether `small` is (T_q, T_k) or has every axis of `full`, with 1 standing for any."""
    return len(small) in (2, len(full)) and all(
        n in (1, m) for n, m in zip(small, full[-len(small) :], strict=True)
    )


def check_count(name: str, value: int, least: int) -> None:
    """Refuse what is not an integer of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")
