r"""Attention without the T × T matrix: the same numbers in O(T) memory.

A softmax needs the sum of a whole row before it can divide. It need not *keep* the row: read the
keys block by block, remember the largest score so far (top) and the sum of exponentials relative
to it (total), and when a larger score turns up, shrink what was summed before:

    shrink = exp(top_old − top_new)
    total  = shrink · total + Σ_block exp(score − top_new)
    mixed  = shrink · mixed + Σ_block exp(score − top_new) · value
    output = mixed / total                                     after the last block

(online softmax, Milakov & Gimelshein 2018; attention that way, Rabe & Staats 2021; FlashAttention,
Dao et al. 2022). Time stays O(T²); a causal mask halves it, as blocks above the diagonal are never
touched. The backward pass computes every block again from top + log(total), one number per query.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lmlib.attention.core import causal_mask, check_count, check_gradient, check_inputs, head_scale


class BlockedCache(NamedTuple):
    """What `blocked_attention_backward` needs: no array here grows faster than T.

    query, key, value : as they were given
    output : (..., T_q, D_v)
    log_total : (..., T_q), log Σ_j exp(score_ij), natural logarithm
    scale, causal, block : the settings of the forward pass
    """

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    output: np.ndarray
    log_total: np.ndarray
    scale: float
    causal: bool
    block: int


def blocked_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    causal: bool = False,
    block: int = 512,
    scale: float | None = None,
) -> np.ndarray:
    """`attention` without ever holding more than one block of its weights.

    Parameters
    ----------
    query : (..., T_q, D) float32 or float64
    key : (..., T_k, D), value : (..., T_k, D_v), of the same dtype and leading axes
    causal : query i attends to the keys 0 … i; needs T_q = T_k
    block : int >= 1, queries and keys handled at a time. 512 keeps a float32 block of scores at
        1 MiB, about a second-level cache; small blocks pay for Python, large ones for memory.
    scale : float, 1/√D when None

    Returns
    -------
    output : (..., T_q, D_v)

    Raises
    ------
    ValueError : for all that `attention` refuses, a block below 1, causal with T_q ≠ T_k

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(3, 1000, 8))
    >>> blocked_attention(x, x, x, causal=True).shape
    (3, 1000, 8)
    """
    return blocked_attention_forward(query, key, value, causal, block, scale)[0]


def blocked_attention_forward(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    causal: bool = False,
    block: int = 512,
    scale: float | None = None,
) -> tuple[np.ndarray, BlockedCache]:
    """`blocked_attention`, returning the `BlockedCache` beside the output."""
    check_inputs(query=query, key=key, value=value)
    scale = head_scale(query, scale)
    check_count("block", block, 1)
    if causal and query.shape[-2] != key.shape[-2]:
        raise ValueError(
            f"causal needs as many queries as keys, got {query.shape[-2]} and {key.shape[-2]}: "
            "which key is the present one? Use attention with causal_mask(length, past)."
        )
    output = np.empty((*query.shape[:-1], value.shape[-1]), query.dtype)
    log_total = np.empty(query.shape[:-1], query.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow is reported below
        for at in np.ndindex(query.shape[:-2]):  # one head of one sequence at a time
            _forward(query[at], key[at], value[at], scale, causal, block, output[at], log_total[at])
    if not np.isfinite(log_total).all():
        raise ValueError(
            "some attention scores are not finite: query and key are too large for "
            f"{query.dtype}. Scale them down, or normalise before projecting."
        )
    return output, BlockedCache(query, key, value, output, log_total, scale, causal, block)


def _forward(query, key, value, scale, causal, block, output, log_total):
    """One (T, D) head, into `output` (T_q, D_v) and `log_total` (T_q,)."""
    T_q, T_k = len(query), len(key)
    scores, future = _workspace(block, T_q, T_k, causal, query.dtype)
    for i in range(0, T_q, block):
        asked = query[i : i + block] * scale  # (n, D)
        n = len(asked)
        top = np.full((n, 1), -np.inf, query.dtype)
        total = np.zeros((n, 1), query.dtype)
        mixed = np.zeros((n, value.shape[1]), query.dtype)
        for j in range(0, i + n if causal else T_k, block):
            s = scores[:n, : min(block, T_k - j)]  # (n, m), the same memory for every block
            np.matmul(asked, key[j : j + block].T, out=s)
            if causal and j == i:
                s[future[:n, :n]] = -np.inf
            new_top = np.maximum(top, s.max(1, keepdims=True))
            shrink = np.exp(top - new_top)  # 0 at the first block, where top is −inf
            s -= new_top
            np.exp(s, out=s)
            total *= shrink
            total += s.sum(1, keepdims=True)
            mixed *= shrink
            mixed += s @ value[j : j + block]
            top = new_top
        output[i : i + n] = mixed / total
        log_total[i : i + n] = (top + np.log(total))[:, 0]


def blocked_attention_backward(
    d_output: np.ndarray, cache: BlockedCache
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""The gradient of `blocked_attention`, again block by block.

    As `attention_backward`, with two things found without a whole row: the weights are
    exp(score − log_total), and the sum that the softmax subtracts is

        Σ_k weights_k d_weights_k = Σ_k weights_k (d_output · value_k) = d_output · output

    Returns
    -------
    d_query, d_key, d_value : shaped like query, key, value

    Raises
    ------
    ValueError : if d_output has not the shape and dtype of the output, or is not finite
    """
    check_gradient(d_output, cache.output.shape, cache.output.dtype)
    query, key, value = cache.query, cache.key, cache.value
    gradients = tuple(np.zeros_like(x) for x in (query, key, value))
    for at in np.ndindex(query.shape[:-2]):
        # the NamedTuple of one head: arrays cut, settings kept
        head = BlockedCache(*(x[at] for x in cache[:5]), *cache[5:])
        _backward(d_output[at], head, *(g[at] for g in gradients))
    return gradients


def _backward(d_output, head, d_query, d_key, d_value):
    """One (T, D) head; adds into d_query (T_q, D), d_key (T_k, D), d_value (T_k, D_v)."""
    query, key, value, output, log_total, scale, causal, block = head
    T_q, T_k = len(query), len(key)
    scores, future = _workspace(block, T_q, T_k, causal, query.dtype)
    d_scores = np.empty_like(scores)
    average = (d_output * output).sum(1, keepdims=True)  # (T_q, 1)
    for j in range(0, T_k, block):
        keys = slice(j, j + block)
        for i in range(j if causal else 0, T_q, block):
            rows = slice(i, i + block)
            asked = query[rows] * scale  # (n, D)
            n, m = len(asked), min(block, T_k - j)
            weights, d = scores[:n, :m], d_scores[:n, :m]
            np.matmul(asked, key[keys].T, out=weights)
            weights -= log_total[rows, None]
            if causal and i == j:
                weights[future[:n, :n]] = -np.inf
            np.exp(weights, out=weights)
            d_value[keys] += weights.T @ d_output[rows]
            np.matmul(d_output[rows], value[keys].T, out=d)
            d -= average[rows]
            d *= weights
            d_query[rows] += d @ key[keys]
            d_key[keys] += d.T @ asked  # asked carries the scale already
    d_query *= scale


def _workspace(block, T_q, T_k, causal, dtype):
    """Memory for one block of scores, and which of a diagonal block lie in the future."""
    scores = np.empty((min(block, T_q), min(block, T_k)), dtype)
    return scores, ~causal_mask(len(scores)) if causal else None
