r"""LayerNorm and RMSNorm in NumPy, forward and backward.

Both treat each vector along the last axis alone. LayerNorm subtracts its mean and divides by its
standard deviation; RMSNorm divides by its root mean square.

A forward function returns `(y, cache)`; the cache is what its backward function needs. Gradients
are named d_y, d_x, d_gain, d_bias: the derivative of the loss by that array.

Symbols: B batch, T time, C width; x̂ ("normalised") is (x - mean) / sqrt(variance + eps); rstd is
1 / sqrt(variance + eps), the reciprocal of the standard deviation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lmlib.layernorm import fast
from lmlib.layernorm.inputs import (
    as_eps,
    as_features,
    as_gradient,
    as_parameter,
    refuse_non_finite,
)
from lmlib.layernorm.variance import centre

# A sum that overflows or meets a NaN is not finite, and `refuse_non_finite` names the cause.
quiet = np.errstate(over="ignore", invalid="ignore")


class Cache(NamedTuple):
    """What the backward pass of `layer_norm` and `rms_norm` needs.

    normalised : (..., C), x̂: y before gain and bias
    rstd : (..., 1), one over the standard deviation, or over the root mean square
    gain : (C,)
    """

    normalised: np.ndarray
    rstd: np.ndarray
    gain: np.ndarray


# ----------------------------------------------------------------------------------- LayerNorm
@quiet
def layer_norm(
    x: np.ndarray,
    gain: np.ndarray,
    bias: np.ndarray,
    eps: float = 1e-5,
    in_place: bool = False,
) -> tuple[np.ndarray, Cache]:
    r"""Normalise each vector along the last axis (Ba, Kiros & Hinton 2016).

        y = gain * (x - mean) / sqrt(variance + eps) + bias

    Mean and variance run over the C features of one position, never over batch or time, so a
    position's output depends on that position alone, in training and in use. The variance is the
    biased one. With eps the output's variance, before the gain, is variance / (variance + eps): a
    little below 1 where the spread of x is large against sqrt(eps), and far below where it is not.

    Parameters
    ----------
    x : (..., C) array, float32 or float64, C >= 2
    gain, bias : (C,) arrays, converted to the dtype of x
    eps : float > 0, added inside the root, in units of x squared
    in_place : bool; write y over x, block by block: the fast path, with the same cache. After an
        error x is no longer what it was.

    Returns
    -------
    y : (..., C) array of the dtype of x
    cache : Cache, for `layer_norm_backward`

    Raises
    ------
    ValueError : if C < 2, x is not float32 or float64, or holds NaN, infinities or values whose
        squares overflow; eps <= 0; gain or bias is not (C,) and finite

    Examples
    --------
    >>> y, _ = layer_norm(np.array([1.0, 2.0, 3.0]), np.ones(3), np.zeros(3), eps=1e-12)
    >>> y.round(3)
    array([-1.225,  0.   ,  1.225])
    """
    given, x = x, as_features(x)
    gain, bias = as_parameter("gain", gain, x), as_parameter("bias", bias, x)
    eps = as_eps(eps, x.dtype.type)
    if in_place:
        normalised, rstd = fast.forward(_same(given, x, "x"), gain, bias, eps)
        return x, Cache(normalised, rstd, gain)
    centred = centre(x)  # (..., C)
    variance = (centred**2).mean(-1, keepdims=True)  # (..., 1)  divide by C, not by C - 1
    refuse_non_finite(x, variance)
    rstd = 1 / np.sqrt(variance + eps)
    normalised = centred * rstd
    return gain * normalised + bias, Cache(normalised, rstd, gain)


@quiet
def layer_norm_backward(
    d_y: np.ndarray, cache: Cache, in_place: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""The gradients of `layer_norm`.

        d_x̂ = gain * d_y
        d_x = rstd * (d_x̂ - mean(d_x̂) - x̂ * mean(d_x̂ * x̂))

    The two subtracted terms come from the mean and from the variance, which x itself moves. They
    remove from d_x̂ what points along 1 and along x̂: adding a constant to x, or stretching x about
    its mean, does not change y, so the loss cannot pull x that way (the second holds up to eps).

    Parameters
    ----------
    d_y : (..., C) float array, shaped like y
    cache : Cache, from `layer_norm`
    in_place : bool; write d_x over d_y, the fast path

    Returns
    -------
    d_x : (..., C) array
    d_gain, d_bias : (C,) arrays, summed over all positions

    Raises
    ------
    ValueError : if d_y has another shape than y, is not float, or is not finite
    """
    given, d_y = d_y, as_gradient(d_y, cache.normalised)
    normalised, rstd, gain = cache
    if in_place:
        d_gain, d_bias = fast.backward(_same(given, d_y, "d_y"), normalised, rstd, gain)
        return d_y, d_gain, d_bias
    d_gain, d_bias = summed(d_y * normalised), summed(d_y)
    refuse_non_finite(d_y, d_bias, "d_y")
    return rstd * projected(gain * d_y, normalised, -1), d_gain, d_bias


def layer_norm_jacobian(x: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    r"""The (C, C) matrix of the derivatives of x̂_i by x_j, for one vector x of length C.

        J = rstd * (I - 1 1ᵀ / C - x̂ x̂ᵀ / C)

    For eps small against the variance it has rank C - 2: all of x but its mean and its length
    passes through, and every other direction is multiplied by rstd.

    Raises
    ------
    ValueError : if x is not one vector, or as `layer_norm`
    """
    x = as_features(x)
    if x.ndim != 1:
        raise ValueError(f"the Jacobian is that of one vector, got x of shape {x.shape}")
    width = len(x)
    _, (normalised, rstd, _) = layer_norm(x, np.ones(width), np.zeros(width), eps)
    return rstd * (
        np.eye(width, dtype=x.dtype) - 1 / width - np.outer(normalised, normalised) / width
    )


# ------------------------------------------------------------------------------------- RMSNorm
@quiet
def rms_norm(x: np.ndarray, gain: np.ndarray, eps: float = 1e-5) -> tuple[np.ndarray, Cache]:
    r"""Divide each vector along the last axis by its root mean square (Zhang & Sennrich 2019).

        y = gain * x / sqrt(mean(x²) + eps)

    Nothing is centred and there is no bias: adding a constant to x does change y.

    Parameters, Raises: as `layer_norm`.

    Returns
    -------
    y : (..., C) array of the dtype of x
    cache : Cache, for `rms_norm_backward`

    Examples
    --------
    >>> y, _ = rms_norm(np.array([1.0, -1.0, 1.0, 5.0]), np.ones(4), eps=1e-12)
    >>> y.round(3)
    array([ 0.378, -0.378,  0.378,  1.89 ])
    """
    x = as_features(x)
    gain = as_parameter("gain", gain, x)
    eps = as_eps(eps, x.dtype.type)
    mean_square = (x**2).mean(-1, keepdims=True)  # (..., 1)
    refuse_non_finite(x, mean_square)
    rstd = 1 / np.sqrt(mean_square + eps)
    normalised = x * rstd
    return gain * normalised, Cache(normalised, rstd, gain)


@quiet
def rms_norm_backward(d_y: np.ndarray, cache: Cache) -> tuple[np.ndarray, np.ndarray]:
    r"""The gradients of `rms_norm`: those of `layer_norm` without the mean's term.

        d_x = rstd * (d_x̂ - x̂ * mean(d_x̂ * x̂))

    Returns
    -------
    d_x : (..., C) array
    d_gain : (C,) array

    Raises
    ------
    ValueError : as `layer_norm_backward`
    """
    d_y = as_gradient(d_y, cache.normalised)
    normalised, rstd, gain = cache
    d_gain = summed(d_y * normalised)
    refuse_non_finite(d_y, d_gain, "d_y")
    d_normalised = gain * d_y
    along_self = (d_normalised * normalised).mean(-1, keepdims=True)  # (..., 1)
    return rstd * (d_normalised - normalised * along_self), d_gain


# --------------------------------------------------------------------------- shared with batch
def projected(
    d_normalised: np.ndarray, normalised: np.ndarray, axes: int | tuple[int, ...]
) -> np.ndarray:
    """d_x̂ without its components along 1 and along x̂, in the vectors that `axes` run through."""
    along_ones = d_normalised.mean(axes, keepdims=True)
    along_self = (d_normalised * normalised).mean(axes, keepdims=True)
    return d_normalised - along_ones - normalised * along_self


def summed(array: np.ndarray) -> np.ndarray:
    """(..., C) summed to (C,): gain and bias are shared by all positions."""
    return array.sum(tuple(range(array.ndim - 1)))


def _same(given: object, array: np.ndarray, name: str) -> np.ndarray:
    """The caller's own array: a list or a converted copy cannot be overwritten."""
    if given is not array:
        raise ValueError(
            f"in_place writes over {name}, so it must be a {array.dtype} array, "
            f"got {getattr(given, 'dtype', type(given).__name__)}"
        )
    return array
