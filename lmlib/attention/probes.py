r"""Looking into a model: how far a gradient reaches, what a head looks at, what its weights prove.

`gradient_by_distance` asks how much an output depends on an input d steps back.
`previous_token_score` and `induction_score` recognise two kinds of head by their weights.
`effect_of_removing` takes one contribution away and measures what that does to the prediction.
`same_output_from_fewer` shows that the weights are not the only ones that give this output.

Symbols: B batch, H heads, T time, C width, D_v width of a value.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lmlib.attention.core import check_float
from lmlib.attention.modules import MultiHeadAttention
from lmlib.attention.training import SequenceModel


def gradient_by_distance(layer: Callable[[Tensor], Tensor], x: Tensor) -> np.ndarray:
    r"""How much the last output depends on each input, ordered by distance.

        gradient[d] = ‖ ∂ output_{T−1} / ∂ x_{T−1−d} ‖_F / √C

    the root mean square, over the C coordinates of the output, of the norm of its gradient. Use
    float64: across a few hundred steps of an RNN the number falls below what float32 can hold.

    Parameters
    ----------
    layer : (B, T, C_in) → (B, T, C), without interaction between the sequences of a batch
    x : (T, C_in) float

    Returns
    -------
    gradient : (T,) float64, from distance 0 to T − 1

    Raises
    ------
    ValueError : for an x that is not (T, C_in)

    Examples
    --------
    >>> gradient_by_distance(lambda x: x.cumsum(1) * 0.5, torch.zeros(3, 4))
    array([0.5, 0.5, 0.5])
    """
    if x.ndim != 2:
        raise ValueError(f"x must be (time, width), one sequence; got {tuple(x.shape)}.")
    with torch.no_grad():
        C = layer(x[None]).shape[-1]
    # one copy of the sequence for each output coordinate: a single backward pass gives all rows
    copies = x.detach().expand(C, *x.shape).clone().requires_grad_()  # (C, T, C_in)
    last = layer(copies)[:, -1]  # (C, C)
    (rows,) = torch.autograd.grad(last, copies, torch.eye(C).to(last))
    norm = rows.double().pow(2).sum((0, 2)).sqrt() / C**0.5  # (T,)
    return norm.flip(0).numpy()


def previous_token_score(weights: np.ndarray) -> np.ndarray:
    """The weight that each head gives to the token just before, on average: (B, H, T, T) → (H,)."""
    return np.diagonal(weights, -1, -2, -1).mean((0, 2))


def induction_score(weights: np.ndarray, period: np.ndarray) -> np.ndarray:
    """The weight that each head gives to what followed this token one period ago.

    Parameters
    ----------
    weights : (B, H, T, T), query before key
    period : (B,) int, as `tasks.repeats` returns it

    Returns
    -------
    score : (H,), averaged over the sequences and the queries t >= period, which look at
        t − period + 1
    """
    T = weights.shape[-1]
    per_sequence = []
    for heads, p in zip(np.asarray(weights), period, strict=True):
        t = np.arange(p, T)
        per_sequence.append(heads[:, t, t - p + 1].mean(-1))  # (H,)
    return np.mean(per_sequence, 0)


@torch.no_grad()
def effect_of_removing(
    model: SequenceModel, tokens: Tensor, layer: int, key: np.ndarray
) -> np.ndarray:
    r"""How far each prediction moves when one token no longer contributes to a layer.

        output_q ← output_q − Σ_h w_hqk v_hk W_h        for one key k of each query q
        effect_q = ½ Σ_v |p_q(v) − p′_q(v)|              total variation: 0 nothing, 1 everything

    The other weights stay as they are. The contribution is taken away at all positions at once, so
    with layers above, a prediction can also move because its neighbours did.

    Parameters
    ----------
    model : SequenceModel
    tokens : (B, T) int64
    layer : int, which of model.layers; an attention layer
    key : (B, T) int, for each query the position to remove; may attend to it or not

    Returns
    -------
    effect : (B, T) float in 0 … 1

    Raises
    ------
    ValueError : if that layer is no attention layer, or `key` does not fit the tokens
    """
    if not isinstance(model.layers[layer], MultiHeadAttention):
        raise ValueError(f"layer {layer} is a {type(model.layers[layer]).__name__}, not attention.")
    key = np.asarray(key)
    B, T = tokens.shape
    if key.shape != (B, T) or key.dtype.kind not in "iu" or not ((key >= 0) & (key < T)).all():
        raise ValueError(
            f"key must hold a position in 0 … {T - 1} for each of {(B, T)} tokens, "
            f"got {key.dtype} of shape {key.shape}."
        )
    at = torch.tensor(key, dtype=torch.int64)[:, None, :, None]  # (B, 1, T, 1)
    x = model.embed(tokens)
    for k, (norm, block) in enumerate(zip(model.norms, model.layers, strict=True)):
        z = norm(x)
        x = x + block(z)
        if k == layer:
            _, weights = block(z, return_weights=True)  # (B, H, T, T)
            z = z if block.added is None else block.added(z)
            value = block.value(z).unflatten(-1, (block.heads, -1)).transpose(1, 2)  # (B, H, T, D)
            weight = weights.gather(-1, at.expand(-1, block.heads, -1, -1))  # (B, H, T, 1)
            removed = weight * value.gather(2, at.expand_as(value))  # (B, H, T, D)
            x = x - block.output(removed.transpose(1, 2).flatten(2))
    without = model.head(model.norm(x)).softmax(-1)
    return 0.5 * (model(tokens).softmax(-1) - without).abs().sum(-1).numpy()


def same_output_from_fewer(weights: np.ndarray, value: np.ndarray) -> np.ndarray:
    r"""Other weights, on at most D_v + 1 tokens, with the same output.

    The output Σ_j w_j v_j is a point in the convex hull of the values. Carathéodory (1907): in D_v
    dimensions, D_v + 1 of the points are enough. While more than D_v + 1 weights are positive,
    there is a direction u ≠ 0 that changes neither output nor sum,

        Σ_j u_j v_j = 0,      Σ_j u_j = 0

    and walking along it until a weight reaches 0 takes one token out. Here the walk always runs
    among the D_v + 2 largest weights, to the side on which the larger one goes: so the tokens that
    attention favoured are the first to lose everything.

    Parameters
    ----------
    weights : (T,) float64 or float32, >= 0, summing to 1
    value : (T, D_v), of the same dtype

    Returns
    -------
    others : (T,), >= 0, summing to 1, at most D_v + 1 of them positive;
        ``others @ value`` is ``weights @ value`` up to rounding

    Raises
    ------
    ValueError : for weights that are no convex combination, or shapes that do not fit

    Examples
    --------
    >>> value = np.array([[0.0], [1.0], [2.0]])
    >>> same_output_from_fewer(np.array([0.25, 0.5, 0.25]), value)
    array([0.5, 0. , 0.5])
    """
    check_float("weights", weights)
    check_float("value", value)
    if value.ndim != 2 or weights.shape != value.shape[:1]:
        raise ValueError(
            f"weights {weights.shape} and value {value.shape} do not fit: expected (T,), (T, D_v)."
        )
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-5:
        raise ValueError(
            "weights must be non-negative and sum to 1: give one row of the softmax of one head."
        )
    others = weights.copy()
    constraints = np.vstack([value.T, np.ones(len(weights), value.dtype)])  # (D_v + 1, T)
    enough = len(constraints)
    while (positive := np.flatnonzero(others)).size > enough:
        few = positive[np.argsort(-others[positive])[: enough + 1]]  # (D_v + 2,)
        direction = np.linalg.svd(constraints[:, few])[2][-1]  # the last row spans the null space
        walks = []
        for u in (direction, -direction):
            falling = np.flatnonzero(u < 0)  # never empty: u sums to 0
            lengths = others[few[falling]] / -u[falling]
            first = lengths.argmin()
            walks.append((others[few[falling[first]]], falling[first], lengths[first] * u))
        _, leaving, change = max(walks, key=lambda walk: walk[0])
        others[few] = np.maximum(others[few] + change, 0)
        others[few[leaving]] = 0  # exactly: rounding must not keep it
    return others
