r"""Decoding with a KV cache: what was computed for the past is kept, not computed again.

Under a causal mask the keys and values of a token never change when later tokens arrive. So a
step needs the new token's query, key and value, and the stored keys and values of the past:

    cost of token t, nothing kept      t projections, t² comparisons
    cost of token t, with the cache    1 projection,  t comparisons

The price is memory: 2 · H · D numbers per token and layer.
"""

from __future__ import annotations

import numpy as np

from lmlib.attention.core import attention, causal_mask, check_count, head_width
from lmlib.attention.multihead import Projections, bias_for, merge_heads, project


class KeyValueCache:
    """The keys and values of the tokens so far, in memory reserved once.

    Growing an array copies it, and a copy at every step would cost what the cache saves.

    Parameters
    ----------
    capacity : int >= 1, tokens that fit
    width : int, C
    heads : int that divides C
    lead : leading axes of the input, () for one sequence, (B,) for a batch
    dtype : of the input, float64 or float32

    Attributes
    ----------
    length : tokens stored so far
    key, value : (*lead, H, length, D), views of what is stored
    nbytes : memory reserved, in bytes
    """

    def __init__(
        self,
        capacity: int,
        width: int,
        heads: int,
        lead: tuple[int, ...] = (),
        dtype: np.dtype | type = np.float64,
    ):
        check_count("capacity", capacity, 1)
        shape = (*lead, heads, capacity, head_width(width, heads))
        self._key, self._value = np.empty(shape, dtype), np.empty(shape, dtype)
        self.length = 0

    @property
    def capacity(self) -> int:
        return self._key.shape[-2]

    @property
    def key(self) -> np.ndarray:
        return self._key[..., : self.length, :]

    @property
    def value(self) -> np.ndarray:
        return self._value[..., : self.length, :]

    @property
    def nbytes(self) -> int:
        return self._key.nbytes + self._value.nbytes

    def append(self, key: np.ndarray, value: np.ndarray) -> None:
        """Store n more tokens, key and value (*lead, H, n, D).

        Raises
        ------
        ValueError : if they do not fit in shape, dtype or capacity; the cache is unchanged then
        """
        start, end = self.length, self.length + key.shape[-2]
        if end > self.capacity:
            raise ValueError(
                f"the cache holds {self.capacity} tokens and has {start}: {end - start} more do "
                "not fit. Make one with a larger capacity."
            )
        wanted = (*self._key.shape[:-2], end - start, self._key.shape[-1])
        for name, x in (("key", key), ("value", value)):
            if x.shape != wanted or x.dtype != self._key.dtype:
                raise ValueError(
                    f"{name} is {x.dtype} {x.shape}; this cache stores {self._key.dtype} "
                    f"{wanted}. Was it made for other leading axes or heads?"
                )
        self._key[..., start:end, :], self._value[..., start:end, :] = key, value
        self.length = end


def decode_step(
    x: np.ndarray,
    projections: Projections,
    heads: int,
    cache: KeyValueCache,
    positions: str | None = None,
) -> np.ndarray:
    """Causal multi-head attention for the next token or tokens alone.

    Fed with the pieces of a sequence one after the other, it returns the pieces of what
    `multi_head_attention` with a causal mask returns for the whole.

    Parameters
    ----------
    x : (..., n, C), the n new tokens (one when generating, many when reading a prompt)
    projections, heads, positions : as in `multi_head_attention`
    cache : `KeyValueCache`, extended by the n tokens

    Returns
    -------
    output : (..., n, C)

    Raises
    ------
    ValueError : if the cache is full or was made for other shapes; for all that
        `multi_head_attention` refuses
    """
    past = cache.length
    query, key, value = project(x, projections, heads, positions, past)
    cache.append(key, value)  # a rotated key keeps its own position: it can stay as it is
    mixed, _ = attention(
        query,
        cache.key,
        cache.value,
        causal_mask(x.shape[-2], past),
        bias=bias_for(positions, query, past),
    )  # (..., H, n, D)
    return merge_heads(mixed) @ projections.output
