"""Additive attention, the older sister: a small network compares query and key."""

from __future__ import annotations

import numpy as np

from lmlib.attention.core import check_float, masked_softmax


def additive_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    query_weight: np.ndarray,
    key_weight: np.ndarray,
    score_weight: np.ndarray,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Average the values, weighted by a one-layer network's opinion of each pair.

        score_ij = wᵀ tanh(query_i W + key_j U)              (Bahdanau et al. 2015)
        output   = softmax(score) value

    Query and key may differ in width, and the scores are bounded by Σ|w|, so no 1/√D is needed.
    The price: a vector of A numbers for each of the T_q · T_k pairs, where the dot product makes
    one number, and a single matrix product makes all of them.

    Parameters
    ----------
    query : (..., T_q, D_q), key : (..., T_k, D_k), value : (..., T_k, D_v), float32 or float64
    query_weight : (D_q, A), W above
    key_weight : (D_k, A), U above
    score_weight : (A,), w above
    mask : bool, True = may attend, as in `attention`

    Returns
    -------
    output : (..., T_q, D_v)
    weights : (..., T_q, T_k)

    Raises
    ------
    ValueError : for integers, NaN, shapes that do not fit, and masks that `attention` refuses
    """
    arrays = {"query": query, "key": key, "value": value, "query_weight": query_weight}
    arrays |= {"key_weight": key_weight, "score_weight": score_weight}
    for name, x in arrays.items():
        check_float(name, x)
    A = score_weight.shape
    fits = (
        min(query.ndim, key.ndim, value.ndim) >= 2
        and all(x.size for x in arrays.values())
        and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
        and key.shape[-2] == value.shape[-2]
        and len(A) == 1
        and query_weight.shape == (query.shape[-1], *A)
        and key_weight.shape == (key.shape[-1], *A)
    )
    if not fits:
        shapes = ", ".join(f"{name} {x.shape}" for name, x in arrays.items())
        raise ValueError(
            "expected query (..., T_q, D_q), key (..., T_k, D_k), value (..., T_k, D_v), "
            f"query_weight (D_q, A), key_weight (D_k, A), score_weight (A,); got {shapes}."
        )
    asked = (query @ query_weight)[..., :, None, :]  # (..., T_q, 1, A)
    offered = (key @ key_weight)[..., None, :, :]  # (..., 1, T_k, A)
    scores = np.tanh(asked + offered) @ score_weight  # (..., T_q, T_k)
    weights = masked_softmax(scores, mask)
    return weights @ value, weights
