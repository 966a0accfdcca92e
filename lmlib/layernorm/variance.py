r"""Five ways to the variance of each vector along the last axis; in exact arithmetic, one.

All compute the biased variance, the mean of (x - mean)² over C values, in the dtype of x. They
differ in what rounding leaves of it when the mean is large against the spread. A float32 keeps
seven digits: at mean 10,000 and spread 1, x² keeps none of the digits that the spread is made of.
"""

from __future__ import annotations

import numpy as np

from lmlib.layernorm.inputs import as_features, refuse_non_finite


def centre(x: np.ndarray, axes: int | tuple[int, ...] = -1) -> np.ndarray:
    """x minus its mean over `axes`, subtracted twice.

    The first mean is rounded at the size of x. What it leaves behind is common to the whole
    vector and small, so a second mean finds it almost exactly.
    """
    centred = x - x.mean(axes, keepdims=True)
    centred -= centred.mean(axes, keepdims=True)
    return centred


def naive_variance(x: np.ndarray) -> np.ndarray:
    """E[x²] - E[x]²: one pass, and the difference of two large numbers; it can be negative."""
    x = _checked(x)
    return (x * x).mean(-1) - x.mean(-1) ** 2


def shifted_variance(x: np.ndarray) -> np.ndarray:
    """The naive formula on x - x_1: the first value stands in for the unknown mean."""
    x = _checked(x)
    shifted = x - x[..., :1]  # exact where x is within a factor 2 of x_1
    return (shifted * shifted).mean(-1) - shifted.mean(-1) ** 2


def welford_variance(x: np.ndarray) -> np.ndarray:
    """Welford's update: one value at a time, mean and sum of squares corrected as it comes.

    It needs each value once and no second pass. In exchange it rounds the running mean C times.
    """
    x = _checked(x)
    mean = np.zeros(x.shape[:-1], x.dtype)
    squares = np.zeros_like(mean)
    for n, value in enumerate(np.moveaxis(x, -1, 0), start=1):
        before = value - mean
        mean = mean + before / n
        squares = squares + before * (value - mean)
    return squares / x.shape[-1]


def two_pass_variance(x: np.ndarray) -> np.ndarray:
    """The definition: first the mean, then the mean of (x - mean)²."""
    x = _checked(x)
    return ((x - x.mean(-1, keepdims=True)) ** 2).mean(-1)


def careful_variance(x: np.ndarray) -> np.ndarray:
    """Two passes with the mean subtracted twice: what `layer_norm` uses.

    Examples
    --------
    >>> x = np.array([1e4, 1e4 + 1, 1e4 + 2], dtype=np.float32)
    >>> print(careful_variance(x), naive_variance(x))
    0.6666667 0.0
    """
    return (centre(_checked(x)) ** 2).mean(-1)


VARIANCES = {
    "naive": naive_variance,
    "shifted": shifted_variance,
    "Welford": welford_variance,
    "two-pass": two_pass_variance,
    "careful": careful_variance,
}


def _checked(x: np.ndarray) -> np.ndarray:
    """x as vectors of at least two finite numbers whose squares can be summed."""
    x = as_features(x)
    with np.errstate(over="ignore", invalid="ignore"):
        refuse_non_finite(x, np.vecdot(x, x))
    return x
