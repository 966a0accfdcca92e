"""What every normalisation here asks of its input, and the sentence that says what is wrong."""

from __future__ import annotations

from numbers import Real

import numpy as np


def as_features(x: np.ndarray) -> np.ndarray:
    """x as an array of vectors along its last axis, C >= 2, float32 or float64."""
    x = np.asarray(x)
    if x.dtype not in (np.float32, np.float64):
        reason = (
            "its squares overflow beyond 255: convert to float32, as torch does inside"
            if x.dtype == np.float16
            else "the result of dividing by a deviation is no integer: x.astype(float)"
        )
        raise ValueError(f"x must be float32 or float64, got {x.dtype}: {reason}")
    if x.ndim == 0 or x.shape[-1] < 2:
        raise ValueError(
            f"x needs at least 2 features along its last axis, got shape {x.shape}: one feature "
            "equals its own mean and would always become 0. Is the last axis the right one?"
        )
    return x


def as_parameter(name: str, value: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A gain or a bias as a (C,) array of the dtype of x."""
    value, width = np.asarray(value), x.shape[-1]
    if value.shape != (width,):
        raise ValueError(
            f"{name} must have shape ({width},), one number for each feature of x {x.shape}, "
            f"got {value.shape}"
        )
    if value.dtype.kind not in "fiu" or not np.isfinite(value).all():
        raise ValueError(f"{name} must hold finite real numbers, got {value.dtype} {value}")
    return value.astype(x.dtype, copy=False)


def as_eps(eps: float, dtype: type = np.float64) -> float:
    """eps as a Python float, unless it would let a constant vector be divided by zero."""
    # In float32 a positive 1e-50 rounds to zero.
    if not isinstance(eps, Real) or not np.isfinite(eps) or not dtype(eps) > 0:
        raise ValueError(
            f"eps must be a positive number that {np.dtype(dtype)} can hold, got {eps!r}: it keeps "
            "a vector of equal features from being divided by zero"
        )
    return float(eps)  # a NumPy float64 would turn a float32 result into float64


def refuse_non_finite(x: np.ndarray, statistic: np.ndarray, name: str = "x") -> None:
    """Raise if `statistic`, a sum over x, is not finite, and say whether x or its size is to blame.

    One NaN or infinity makes every sum that it enters non-finite, so looking at the small statistic
    spares a pass over the large array.
    """
    if np.isfinite(statistic).all():
        return
    bad = ~np.isfinite(x)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} holds {bad.sum()} of {bad.size} values that are NaN or infinite, the first "
            f"({x[first]}) at {first}: has training diverged, or was something divided by zero?"
        )
    raise ValueError(
        f"the squares of {name} overflow {x.dtype}, its largest magnitude is "
        f"{np.abs(x).max():.3g}: rescale it, or use float64"
    )


def as_gradient(d_y: np.ndarray, normalised: np.ndarray) -> np.ndarray:
    """d_y as an array with the shape and dtype of the y it belongs to."""
    d_y = np.asarray(d_y)
    if d_y.shape != normalised.shape or d_y.dtype.kind != "f":
        raise ValueError(
            f"d_y must be a float array with the shape of y, {normalised.shape}, "
            f"got {d_y.dtype} {d_y.shape}"
        )
    return d_y.astype(normalised.dtype, copy=False)
