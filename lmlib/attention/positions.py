r"""Four ways to tell attention where a token stands.

Attention without positions treats its input as a set: permute the tokens, and the outputs permute
along. Order can enter in two places.

    added to the input, once             sinusoidal, learned      absolute: "I am token 17"
    inside the comparison, every layer   RoPE, ALiBi              relative: "you are 3 behind me"

Symbols: T time, C width of the model, D width of a head, H heads, p position, f frequency.
"""

from __future__ import annotations

import numpy as np

from lmlib.attention.core import check_count, check_float


def sinusoidal_positions(length: int, width: int, base: float = 10_000.0) -> np.ndarray:
    r"""A fixed code for each position: clocks that tick at C/2 different speeds.

        code[p, 2i] = sin(p f_i),   code[p, 2i+1] = cos(p f_i),   f_i = base^(−2i/C)

    (Vaswani et al. 2017, §3.5). For large C the slowest clock takes nearly 2π · base positions for
    one turn.

    Parameters
    ----------
    length : int >= 1, positions T
    width : int >= 2, even, width C of the input that it is added to
    base : float > 0, ratio of the fastest to the slowest frequency (nearly)

    Returns
    -------
    code : (T, C) float64; add it to the (..., T, C) input of the first layer

    Raises
    ------
    ValueError : for an odd width (a sine without its cosine) or a base that is not positive

    Examples
    --------
    >>> sinusoidal_positions(2, 4).round(2)
    array([[0.  , 1.  , 0.  , 1.  ],
           [0.84, 0.54, 0.01, 1.  ]])
    """
    check_count("length", length, 1)
    angles = rotary_angles(np.arange(length), width, base)  # (T, C/2)
    return _interleave(np.sin(angles), np.cos(angles))  # (T, C)


def learned_positions(
    length: int, width: int, rng: np.random.Generator, scale: float = 1.0
) -> np.ndarray:
    """A table with one free vector per position, drawn at random and meant to be trained.

    Row p is added to every token at position p, so its gradient is that of the input, summed over
    the batch: ``d_table = d_x.sum(0)``. Beyond `length` there is no row, and nothing to add.

    Returns (T, C) float64 of standard deviation `scale`; give it the size of what it is added to.
    """
    check_count("length", length, 1)
    check_count("width", width, 1)
    return rng.normal(0.0, scale, (length, width))


def rotary_angles(positions: np.ndarray, width: int, base: float = 10_000.0) -> np.ndarray:
    """The angle by which each pair of coordinates turns: position times frequency.

        angle[p, i] = p · base^(−2i/D),      i = 0 … D/2 − 1

    Parameters
    ----------
    positions : (T,) numbers, usually 0, 1, 2, …
    width : int, even, width D of a head
    base : float > 0

    Returns
    -------
    angles : (T, D/2) float64, radians

    Raises
    ------
    ValueError : for an odd width, a base that is not positive, positions that are not a flat
        sequence of finite numbers
    """
    check_count("width", width, 1)
    if width % 2:
        raise ValueError(
            f"positions turn coordinates in pairs, so the width must be even; got {width}. "
            "For RoPE this is the width of one head: choose heads so that C/H is even."
        )
    if not (np.isscalar(base) and 0 < base < np.inf):
        raise ValueError(f"base must be a positive number, got {base!r}.")
    positions = np.asarray(positions)
    if positions.ndim != 1 or positions.dtype.kind not in "iuf" or not np.isfinite(positions).all():
        raise ValueError(
            "positions must be a flat sequence of finite numbers, "
            f"got {positions.dtype} of shape {positions.shape}."
        )
    frequencies = base ** (-np.arange(0, width, 2) / width)  # (D/2,)
    return positions[:, None] * frequencies


def rope(x: np.ndarray, positions: np.ndarray | None = None, base: float = 10_000.0) -> np.ndarray:
    r"""Rotary positions: turn each query and key by an angle that grows with its position.

        (x_2i, x_2i+1)  →  (x_2i cos a − x_2i+1 sin a,  x_2i sin a + x_2i+1 cos a),   a = p f_i

    (Su et al. 2021, RoFormer). Turning both keeps their lengths, and the product of a query at p
    with a key at r depends on p − r alone: one turn undoes part of the other. Values stay as they
    are. Neighbouring coordinates form a pair here; other code pairs i with i + D/2, which is the
    same model with its weights in another order, and wrong if the two are mixed.

    Parameters
    ----------
    x : (..., T, D) float32 or float64, queries or keys *after* projection and splitting into heads
    positions : (T,) numbers, 0 … T − 1 when None; give them when T starts inside a sequence
    base : float > 0

    Returns
    -------
    turned : (..., T, D), of the dtype of x

    Raises
    ------
    ValueError : for an odd D, NaN, integers, or positions that do not number T

    Examples
    --------
    >>> rope(np.array([[1.0, 0.0], [1.0, 0.0]])).round(3)   # position 1 turns by one radian
    array([[1.   , 0.   ],
           [0.54 , 0.841]])
    """
    check_float("x", x)
    if x.ndim < 2:
        raise ValueError(f"x must be (..., time, width), got shape {x.shape}.")
    positions = np.arange(x.shape[-2]) if positions is None else np.asarray(positions)
    angles = rotary_angles(positions, x.shape[-1], base)  # (T, D/2)
    if len(angles) != x.shape[-2]:
        raise ValueError(f"{len(angles)} positions for {x.shape[-2]} vectors: expected as many.")
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]  # (..., T, D/2)
    return _interleave(even * cos - odd * sin, even * sin + odd * cos)


def rope_backward(
    d_output: np.ndarray, positions: np.ndarray | None = None, base: float = 10_000.0
) -> np.ndarray:
    """The gradient through `rope`: the transpose of a rotation is the rotation back."""
    check_float("d_output", d_output)
    positions = np.arange(d_output.shape[-2]) if positions is None else positions
    return rope(d_output, -np.asarray(positions, float), base)


def alibi_slopes(heads: int) -> np.ndarray:
    """How steeply each head discounts distance: 2^(−8h/H) for h = 1 … H (Press et al. 2022).

    >>> alibi_slopes(4)
    array([0.25      , 0.0625    , 0.015625  , 0.00390625])
    """
    check_count("heads", heads, 1)
    return 2.0 ** (-8.0 * np.arange(1, heads + 1) / heads)  # (H,)


def alibi_bias(heads: int, length: int, past: int = 0) -> np.ndarray:
    r"""Attention with linear biases: a penalty on the score that grows with distance.

        bias[h, i, j] = −slope_h · |past + i − j|            (Press et al. 2022, causal there)

    In the weights it is a factor exp(−slope · distance). Nothing is added to the tokens.

    Returns (H, T, past + T) float64; give it to `attention` as `bias`, where it meets scores
    (B, H, T, past + T) as ``bias[None]``.

    >>> alibi_bias(heads=8, length=3)[0]
    array([[-0. , -0.5, -1. ],
           [-0.5, -0. , -0.5],
           [-1. , -0.5, -0. ]])
    """
    check_count("length", length, 1)
    check_count("past", past, 0)
    distance = np.abs(np.arange(past, past + length)[:, None] - np.arange(past + length))
    return -alibi_slopes(heads)[:, None, None] * distance  # (H, T, past + T)


def _interleave(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """(..., D/2) twice to (..., D): even entries from the one, odd from the other."""
    return np.stack((even, odd), -1).reshape(*even.shape[:-1], -1)
