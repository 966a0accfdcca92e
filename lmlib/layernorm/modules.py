r"""LayerNorm, RMSNorm, BatchNorm and DyT as torch modules, (..., C) → (..., C).

The formulas of `norms`, left to autograd. torch's rule applies here, not NumPy's: NaN in gives NaN
out, so that one diverged model of an ensemble does not stop the others. Shapes are still checked.

Symbols: B batch, T time, C width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lmlib.layernorm.inputs import as_eps

DETACH = (None, "mean", "variance", "both")


class LayerNorm(nn.Module):
    """y = gain * (x - mean) / sqrt(variance + eps) + bias, over the last axis.

    Parameters
    ----------
    width : int >= 2, C
    eps : float > 0
    affine : False leaves out gain and bias
    detach : None, "mean", "variance" or "both": statistics that the backward pass takes for
        constants. The forward pass stays the same (Xu et al. 2019 ask which half does the work).

    Raises
    ------
    ValueError : for width < 2, eps <= 0, another `detach`, or (in use) an x without C features
    """

    def __init__(
        self, width: int, eps: float = 1e-5, affine: bool = True, detach: str | None = None
    ):
        super().__init__()
        _check(width, eps)
        if detach not in DETACH:
            raise ValueError(f"detach must be one of {DETACH}, got {detach!r}")
        self.width, self.eps, self.detach = width, eps, detach
        self.gain = nn.Parameter(torch.ones(width)) if affine else None
        self.bias = nn.Parameter(torch.zeros(width)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        _check_input(x, self.width)
        mean = x.mean(-1, keepdim=True)
        if self.detach in ("mean", "both"):
            mean = mean.detach()
        centred = x - mean
        variance = centred.square().mean(-1, keepdim=True)
        if self.detach in ("variance", "both"):
            variance = variance.detach()
        normalised = centred * torch.rsqrt(variance + self.eps)
        return normalised if self.gain is None else self.gain * normalised + self.bias


class RMSNorm(nn.Module):
    """y = gain * x / sqrt(mean(x²) + eps), over the last axis: no mean, no bias.

    Parameters, Raises: as `LayerNorm`.
    """

    def __init__(self, width: int, eps: float = 1e-5):
        super().__init__()
        _check(width, eps)
        self.width, self.eps = width, eps
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        _check_input(x, self.width)
        return self.gain * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


class DyT(nn.Module):
    """y = gain * tanh(alpha * x) + bias: a squashing without statistics (Zhu et al. 2025).

    alpha is one learned number for the whole layer. Each feature is treated alone, so nothing is
    invariant; what stays is that no output is large.

    Parameters
    ----------
    width : int, C
    alpha : float, its starting value

    Raises
    ------
    ValueError : in use, for an x without C features
    """

    def __init__(self, width: int, alpha: float = 0.5):
        super().__init__()
        self.width = width
        self.alpha = nn.Parameter(torch.tensor(alpha))
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        _check_input(x, self.width)
        return self.gain * torch.tanh(self.alpha * x) + self.bias


class BatchNorm(nn.Module):
    """`batch_norm` for (B, T, C), with running statistics for `eval()`.

    Parameters
    ----------
    width : int >= 2, C
    length : None: one mean and variance for each feature, over batch and time; T: one for each
        feature at each of T positions, over the batch alone
    eps : float > 0
    momentum : float, the weight of a new batch in the running statistics

    Raises
    ------
    ValueError : as `LayerNorm`; in use, for an x that is not (B, T, C), another T than `length`,
        or a training batch with one value to average over
    """

    def __init__(
        self, width: int, length: int | None = None, eps: float = 1e-5, momentum: float = 0.1
    ):
        super().__init__()
        _check(width, eps)
        self.width, self.length, self.eps, self.momentum = width, length, eps, momentum
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        shape = (width,) if length is None else (length, width)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        _check_input(x, self.width)
        if x.ndim != 3 or self.length not in (None, x.shape[1]):
            raise ValueError(
                f"x is {tuple(x.shape)}; expected (batch, {self.length or 'time'}, {self.width})"
            )
        mean, variance = self.mean, self.variance
        if self.training:
            axes = (0, 1) if self.length is None else (0,)
            n = x.numel() // mean.numel()  # values averaged over, for each mean
            if n < 2:
                raise ValueError(
                    f"a training batch of shape {tuple(x.shape)} has one value for each mean: it "
                    "would be normalised to 0. Use a larger batch, or eval()"
                )
            mean = x.mean(axes)
            variance = (x - mean).square().mean(axes)
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.variance.lerp_(variance * (n / (n - 1)), self.momentum)  # unbiased
        return self.gain * (x - mean) * torch.rsqrt(variance + self.eps) + self.bias


def _check(width: int, eps: float) -> None:
    if width < 2:
        raise ValueError(f"width must be at least 2, got {width}: one feature always becomes 0")
    as_eps(eps)


def _check_input(x: Tensor, width: int) -> None:
    if x.ndim == 0 or x.shape[-1] != width or not x.is_floating_point():
        raise ValueError(
            f"x is {x.dtype} {tuple(x.shape)}; expected floats with {width} features last"
        )
