"""Normalisation: what it computes, where it stands in a block, and what training makes of it.

`norms` LayerNorm and RMSNorm in NumPy, forward and backward · `batch` BatchNorm likewise ·
`variance` five ways to a variance · `fast` LayerNorm in place · `modules` the same norms and DyT in
torch · `blocks` a residual block in seven placements, and a small decoder · `ensemble` many small
models trained side by side · `probes` what a model shows before training.

torch is imported when the first name that needs it is asked for, and not before.

Symbols: B batch, T time, C width, N layers.
"""

from importlib import import_module

from lmlib.layernorm.batch import (
    BatchCache,
    Statistics,
    batch_norm,
    batch_norm_backward,
    update_statistics,
)
from lmlib.layernorm.norms import (
    Cache,
    layer_norm,
    layer_norm_backward,
    layer_norm_jacobian,
    rms_norm,
    rms_norm_backward,
)
from lmlib.layernorm.variance import (
    VARIANCES,
    careful_variance,
    naive_variance,
    shifted_variance,
    two_pass_variance,
    welford_variance,
)

_NEEDS_TORCH = {
    "BatchNorm": "modules",
    "DyT": "modules",
    "LayerNorm": "modules",
    "RMSNorm": "modules",
    "MLP": "blocks",
    "PLACEMENTS": "blocks",
    "Decoder": "blocks",
    "ResidualBlock": "blocks",
    "Adam": "ensemble",
    "Ensemble": "ensemble",
    "Settings": "ensemble",
    "Trained": "ensemble",
    "random_windows": "ensemble",
    "spread_windows": "ensemble",
    "train": "ensemble",
    "amplification": "probes",
    "down_gradients": "probes",
}

__all__ = [
    "VARIANCES",
    "BatchCache",
    "Cache",
    "Statistics",
    "batch_norm",
    "batch_norm_backward",
    "careful_variance",
    "layer_norm",
    "layer_norm_backward",
    "layer_norm_jacobian",
    "naive_variance",
    "rms_norm",
    "rms_norm_backward",
    "shifted_variance",
    "two_pass_variance",
    "update_statistics",
    "welford_variance",
    *_NEEDS_TORCH,
]


def __getattr__(name):
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_NEEDS_TORCH[name]}", __name__), name)


def __dir__():
    return sorted(__all__)
