r"""What a decoder shows before it is trained: the size of its gradients, and how it carries noise.

Both are single numbers for a model as it stands, so a curve over depth takes seconds.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from lmlib.layernorm.blocks import Decoder


def down_gradients(model: Decoder, windows: Tensor) -> Tensor:
    """The norm of ∂L/∂W of the second MLP matrix, for each layer.

    The last of them is what Theorem 1 of Xiong et al. (2020) bounds at initialisation: by
    O(C √log C) for "post", whatever the depth, and by O(C √(log C / N)) for "pre".

    Parameters
    ----------
    model : Decoder of N layers
    windows : (B, T + 1) integer ids

    Returns
    -------
    norms : (N,) Frobenius norms, in nats per unit of weight
    """
    logits = model(windows[:, :-1])  # (B, T, V)
    loss = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    matrices = [mlp.sublayer.down.weight for _, mlp in model.layers]
    return torch.stack([gradient.norm() for gradient in torch.autograd.grad(loss, matrices)])


@torch.no_grad()
def amplification(
    model: Decoder, tokens: Tensor, generator: torch.Generator, size: float = 0.01
) -> float:
    """How far the output moves when all matrices of the layers are shaken a little.

        |f(x, W + noise) - f(x, W)|² / |f(x, W)|²

    Liu et al. (2020) hold that this grows like N for "post" and like log N for "pre".

    Parameters
    ----------
    model : Decoder; it is not changed
    tokens : (B, T) integer ids
    generator : torch.Generator of the noise
    size : standard deviation of the noise, as a share of that of each matrix

    Returns
    -------
    ratio : float, over all logits
    """
    shaken = copy.deepcopy(model)
    for parameter in shaken.layers.parameters():
        if parameter.ndim == 2:  # gains, biases and scales stay
            noise = torch.empty_like(parameter).normal_(generator=generator)
            parameter.add_(size * parameter.std() * noise)
    before = model(tokens)
    return float((shaken(tokens) - before).square().sum() / before.square().sum())
