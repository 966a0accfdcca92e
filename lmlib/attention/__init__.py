"""Self-attention: the NumPy reference, its gradient, and what is built around it.

`core` attention and masks · `multihead` heads and projections · `positions` sinusoidal, learned,
RoPE, ALiBi · `blocked` attention in O(T) memory · `decoding` the KV cache · `additive` the older
kind · `modules` multi-head attention in torch · `mixers` RNN, LSTM, CNN with the same interface.

torch is imported when the first of its classes is asked for, and not before.

Symbols: B batch, H heads, T time (T_q queries, T_k keys), C width, D = C/H width of a head.
"""

from importlib import import_module

from lmlib.attention.additive import additive_attention
from lmlib.attention.blocked import (
    BlockedCache,
    blocked_attention,
    blocked_attention_backward,
    blocked_attention_forward,
)
from lmlib.attention.core import (
    AttentionCache,
    attention,
    attention_backward,
    attention_forward,
    causal_mask,
    masked_softmax,
    padding_mask,
)
from lmlib.attention.decoding import KeyValueCache, decode_step
from lmlib.attention.multihead import (
    MultiHeadCache,
    Projections,
    merge_heads,
    multi_head_attention,
    multi_head_attention_backward,
    multi_head_attention_forward,
    split_heads,
)
from lmlib.attention.positions import (
    alibi_bias,
    alibi_slopes,
    learned_positions,
    rope,
    rope_backward,
    rotary_angles,
    sinusoidal_positions,
)

_NEEDS_TORCH = {
    "AddedPositions": "modules",
    "MultiHeadAttention": "modules",
    "CNN": "mixers",
    "LSTM": "mixers",
    "RNN": "mixers",
    "matched_hidden": "mixers",
    "parameter_count": "mixers",
}

__all__ = [
    "AttentionCache",
    "BlockedCache",
    "KeyValueCache",
    "MultiHeadCache",
    "Projections",
    "additive_attention",
    "alibi_bias",
    "alibi_slopes",
    "attention",
    "attention_backward",
    "attention_forward",
    "blocked_attention",
    "blocked_attention_backward",
    "blocked_attention_forward",
    "causal_mask",
    "decode_step",
    "learned_positions",
    "masked_softmax",
    "merge_heads",
    "multi_head_attention",
    "multi_head_attention_backward",
    "multi_head_attention_forward",
    "padding_mask",
    "rope",
    "rope_backward",
    "rotary_angles",
    "sinusoidal_positions",
    "split_heads",
    *_NEEDS_TORCH,
]


def __getattr__(name):
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_NEEDS_TORCH[name]}", __name__), name)


def __dir__():
    return sorted(__all__)
