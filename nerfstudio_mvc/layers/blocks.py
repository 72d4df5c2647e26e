"""The residual block and the resampling layers that every network of the small codec is made of.

Almost all arithmetic is in 1x1 convolutions; space is mixed by depthwise ones. Resampling moves pixels into channels
and back, so no value is ever interpolated.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAK = 0.1


class DepthwiseConv(nn.Conv2d):
    """Depthwise convolution, always in float32: its bfloat16 kernels on CPUs are several times slower."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class DepthwiseBlock(nn.Module):
    """x + 1x1(leaky(1x1(depthwise kxk(x)))); starts close to the identity. [B, C, H, W] -> the same shape"""

    def __init__(self, channels: int, *, expansion: int = 2, kernel: int = 3) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv(channels, kernel)
        self.widen = nn.Conv2d(channels, channels * expansion, 1)
        self.narrow = nn.Conv2d(channels * expansion, channels, 1)
        nn.init.normal_(self.narrow.weight, std=0.08 / math.sqrt(channels * expansion))
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.leaky_relu(self.widen(self.depthwise(x)), LEAK))


def half_size(channels_in: int, channels_out: int) -> nn.Sequential:
    """[B, Cin, H, W] -> [B, Cout, H/2, W/2]; H and W even."""
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(channels_in * 4, channels_out, 1))


def double_size(channels_in: int, channels_out: int) -> nn.Sequential:
    """[B, Cin, H, W] -> [B, Cout, 2H, 2W]."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_out * 4, 1), nn.PixelShuffle(2))


def starts_at_zero(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with all weights zero: a branch that ends in it changes nothing until training says so."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
