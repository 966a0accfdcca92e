"""LayerNorm in place, a block of rows at a time.

The reference in `norms` walks over the whole array once per operation, and each walk fetches it
from memory again. Here all operations of a block run while most of it is still in the core's cache,
sums are matrix products (BLAS adds faster than `mean`), and no large array is made but the one that
the backward pass needs.
"""

from __future__ import annotations

import numpy as np

from lmlib.layernorm.inputs import refuse_non_finite

BLOCK_BYTES = 2**20  # about a second-level cache; much less, and Python takes longer than NumPy


def forward(
    x: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Overwrite x by y; return what `layer_norm` caches: normalised and rstd."""
    rows, width = _rows("x", x), x.shape[-1]
    normalised, rstd = np.empty_like(rows), np.empty((len(rows), 1), x.dtype)
    average = np.full(width, 1 / width, x.dtype)
    resolution = np.finfo(x.dtype).eps
    blocks = _blocks(rows)
    # Repeated to the shape of a block: one sweep over equal shapes beats a short one for each row.
    gain, bias = (np.tile(part, (len(rows[blocks[0]]), 1)) for part in (gain, bias))
    for block in blocks:
        row = rows[block]
        centred = normalised[block]
        np.subtract(row, (row @ average)[:, None], out=centred)
        variance = np.vecdot(centred, centred) / width  # (rows,)
        left = centred @ average  # (rows,) what the rounding of the mean left behind
        if (left**2 > resolution**2 * variance).any():  # rare: a mean large against the spread
            centred -= left[:, None]
            variance = np.vecdot(centred, centred) / width
        refuse_non_finite(x, variance)
        rstd[block, 0] = 1 / np.sqrt(variance + eps)
        centred *= rstd[block]
        np.multiply(centred, gain[: len(row)], out=row)
        row += bias[: len(row)]
    return normalised.reshape(x.shape), rstd.reshape(*x.shape[:-1], 1)


def backward(
    d_y: np.ndarray, normalised: np.ndarray, rstd: np.ndarray, gain: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Overwrite d_y by d_x; return d_gain and d_bias."""
    rows, width = _rows("d_y", d_y), d_y.shape[-1]
    normalised, rstd = normalised.reshape(rows.shape), rstd.reshape(-1, 1)
    d_gain, d_bias = np.zeros((2, width), d_y.dtype)
    mean_weights = gain / width
    for block in _blocks(rows):
        d = rows[block]
        product = d * normalised[block]
        ones = np.ones(len(d), d.dtype)
        d_gain += ones @ product
        d_bias += ones @ d
        refuse_non_finite(d_y, d_bias, "d_y")
        along_ones, along_self = d @ mean_weights, product @ mean_weights  # (rows,) each
        d *= gain
        np.multiply(normalised[block], along_self[:, None], out=product)
        product += along_ones[:, None]
        d -= product
        d *= rstd[block]
    return d_gain, d_bias


def _rows(name: str, array: np.ndarray) -> np.ndarray:
    """The array as a (rows, C) view that can be written."""
    if not (array.flags.c_contiguous and array.flags.writeable):
        raise ValueError(
            f"{name} cannot be overwritten: in_place needs a writeable array in C order; "
            f"pass {name}.copy(), or leave in_place out"
        )
    return array.reshape(-1, array.shape[-1])


def _blocks(rows: np.ndarray) -> list[slice]:
    step = max(1, BLOCK_BYTES // (rows.itemsize * rows.shape[1]))
    return [slice(start, start + step) for start in range(0, max(1, len(rows)), step)]
