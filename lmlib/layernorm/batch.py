r"""BatchNorm in NumPy, forward and backward: the arithmetic of LayerNorm over other axes.

For x of shape (B, T, C), what is averaged over, and how many means there are:

    layer_norm                      over C          (B, T) means: each position has its own
    batch_norm, over "batch"        over B          (T, C) means: each feature, at each position
    batch_norm, over "batch_time"   over B and T    (C,) means: each feature

So an output of batch_norm depends on other examples. That is why it needs a second mode for use,
with statistics gathered in training.

Symbols: B batch, T time, C width; x̂ ("normalised"), rstd and the gradients as in `norms`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lmlib.layernorm.inputs import (
    as_eps,
    as_features,
    as_gradient,
    as_parameter,
    refuse_non_finite,
)
from lmlib.layernorm.norms import projected, quiet, summed
from lmlib.layernorm.variance import centre


class Statistics(NamedTuple):
    """The mean and variance of each feature; (C,), or (T, C) for one of each at every position."""

    mean: np.ndarray
    variance: np.ndarray


class BatchCache(NamedTuple):
    """What `batch_norm_backward` and `update_statistics` need.

    normalised : (B, C) or (B, T, C), x̂
    rstd : broadcasts against x̂
    gain : (C,)
    axes : tuple of int, what was averaged over; empty in inference
    statistics : Statistics that x was normalised with
    """

    normalised: np.ndarray
    rstd: np.ndarray
    gain: np.ndarray
    axes: tuple
    statistics: Statistics


AXES = {"batch": (0,), "batch_time": (0, 1)}


@quiet
def batch_norm(
    x: np.ndarray,
    gain: np.ndarray,
    bias: np.ndarray,
    eps: float = 1e-5,
    over: str = "batch",
    statistics: Statistics | None = None,
) -> tuple[np.ndarray, BatchCache]:
    r"""Normalise each feature over the batch (Ioffe & Szegedy 2015).

        y = gain * (x - mean) / sqrt(variance + eps) + bias

    In training mean and variance are those of this batch, so every output depends on every other
    example, and over "batch_time" on the future as well. In inference they are given.

    Parameters
    ----------
    x : (B, C) or (B, T, C) array, float32 or float64, C >= 2
    gain, bias : (C,) arrays, converted to the dtype of x
    eps : float > 0, added inside the root
    over : "batch": over B, separately for each position and feature; "batch_time": over B and T
    statistics : None in training; in inference the Statistics gathered by `update_statistics`

    Returns
    -------
    y : array, shape and dtype of x
    cache : BatchCache

    Raises
    ------
    ValueError : as `layer_norm`; if a training batch has one value only to average over; for
        another shape of x, `over` or statistics

    Examples
    --------
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> y, cache = batch_norm(x, np.ones(2), np.zeros(2), eps=1e-12)
    >>> y
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    x = as_features(x)
    gain, bias = as_parameter("gain", gain, x), as_parameter("bias", bias, x)
    eps = as_eps(eps, x.dtype.type)
    if over not in AXES:
        raise ValueError(f'over must be "batch" or "batch_time", got {over!r}')
    axes = AXES[over]
    if x.ndim not in (2, 3) or x.ndim <= len(axes):
        raise ValueError(
            f'x must be (B, C) or (B, T, C), and (B, T, C) for over="batch_time", got {x.shape}'
        )
    if statistics is None:
        _check_batch(x, axes)
        centred = centre(x, axes)
        statistics = Statistics(x.mean(axes), (centred**2).mean(axes))
    else:
        axes, statistics = (), _checked_statistics(statistics, x, axes)
        centred = x - statistics.mean
    refuse_non_finite(x, (centred**2).mean(-1) if not axes else statistics.variance)
    rstd = 1 / np.sqrt(statistics.variance + eps)  # (C,) or (T, C)
    normalised = centred * rstd
    cache = BatchCache(normalised, rstd, gain, axes, statistics)
    return gain * normalised + bias, cache


@quiet
def batch_norm_backward(
    d_y: np.ndarray, cache: BatchCache
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""The gradients of `batch_norm`: the line of `layer_norm_backward`, over other axes.

    In inference mean and variance are constants. Both projections are gone:

        d_x = rstd * gain * d_y

    Returns, Raises: as `layer_norm_backward`.
    """
    d_y = as_gradient(d_y, cache.normalised)
    d_gain, d_bias = summed(d_y * cache.normalised), summed(d_y)
    refuse_non_finite(d_y, d_bias, "d_y")
    d_normalised = cache.gain * d_y
    if cache.axes:
        d_normalised = projected(d_normalised, cache.normalised, cache.axes)
    return cache.rstd * d_normalised, d_gain, d_bias


def update_statistics(
    statistics: Statistics | None, cache: BatchCache, momentum: float = 0.1
) -> Statistics:
    r"""Move the running statistics towards those of one training batch.

        running = (1 - momentum) * running + momentum * batch

    The running variance is the unbiased one, n / (n - 1) times the batch's, as in torch: it is an
    estimate for data to come, while the batch's own variance describes the batch.

    Parameters
    ----------
    statistics : Statistics, or None before the first batch, which means mean 0 and variance 1
    cache : BatchCache of a training batch
    momentum : float in (0, 1], the weight of the new batch

    Returns
    -------
    statistics : Statistics, new arrays

    Raises
    ------
    ValueError : if the cache is one of inference, or momentum is outside (0, 1]
    """
    if not cache.axes:
        raise ValueError("this batch was normalised with running statistics and has none to add")
    if not 0 < momentum <= 1:
        raise ValueError(f"momentum must be in (0, 1], the weight of the new batch, got {momentum}")
    momentum = float(momentum)
    mean, variance = cache.statistics
    if statistics is None:
        statistics = Statistics(np.zeros_like(mean), np.ones_like(variance))
    n = np.prod([cache.normalised.shape[axis] for axis in cache.axes])
    unbiased = variance * float(n / (n - 1))
    return Statistics(
        (1 - momentum) * statistics.mean + momentum * mean,
        (1 - momentum) * statistics.variance + momentum * unbiased,
    )


def _check_batch(x: np.ndarray, axes: tuple[int, ...]) -> None:
    n = int(np.prod([x.shape[axis] for axis in axes]))
    if n < 2:
        raise ValueError(
            f"training-mode batch_norm over {n} value for each feature (x is {x.shape}): a lone "
            "value is its own mean, so every output would be the bias and every gradient 0. Use "
            "a larger batch, or give the running statistics for inference"
        )


def _checked_statistics(statistics: Statistics, x: np.ndarray, axes: tuple[int, ...]) -> Statistics:
    mean, variance = (np.asarray(part, x.dtype) for part in statistics)
    shape = x.shape[len(axes) :]
    if mean.shape != shape or variance.shape != shape:
        raise ValueError(
            f"for x {x.shape} mean and variance must have shape {shape}, got {mean.shape} and "
            f"{variance.shape}: were they gathered with the same `over` and length?"
        )
    if not (np.isfinite(mean).all() and (variance >= 0).all() and np.isfinite(variance).all()):
        raise ValueError("the statistics must be finite and the variance not negative")
    return Statistics(mean, variance)
