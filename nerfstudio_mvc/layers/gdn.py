"""Generalised divisive normalisation, the activation of the paper's transforms."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SMALLEST_BETA = 1e-6
_FIRST_SELF, _FIRST_OTHERS = 0.1, 1e-4


class GDN(nn.Module):
    """x / sqrt(beta + gamma x^2), the sum over channels; `inverse` multiplies instead. [B, C, H, W] -> the same shape

    Ballé, Laparra, Simoncelli, "End-to-end optimized image compression", 2017. beta and gamma are kept as square roots,
    which keeps them positive; no gamma starts at zero, where a square root would have no gradient.
    """

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta_root = nn.Parameter(torch.ones(channels))
        gamma = torch.full((channels, channels), math.sqrt(_FIRST_OTHERS))
        self.gamma_root = nn.Parameter(gamma.fill_diagonal_(math.sqrt(_FIRST_SELF)))

    def forward(self, x: Tensor) -> Tensor:
        gamma = self.gamma_root.square()[..., None, None]
        norm = F.conv2d(x * x, gamma, self.beta_root.square() + _SMALLEST_BETA)
        return x * (norm.sqrt() if self.inverse else norm.rsqrt())
