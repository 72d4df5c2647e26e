"""Plain convolutions that keep, halve or double the size of a map, and the variance of what is in it.

Torch's own first weights shrink a map to a tenth over four layers; a latent that starts so small rounds to zero
everywhere, and nothing behind the rounding learns for a long time.
"""

from __future__ import annotations

import math

from torch import nn


def conv(channels_in: int, channels_out: int, *, kernel: int = 5, stride: int = 2) -> nn.Conv2d:
    """[B, Cin, H, W] -> [B, Cout, ceil(H / stride), ceil(W / stride)]."""
    layer = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2)
    return _keeps_variance(layer, channels_in * kernel**2)


def deconv(channels_in: int, channels_out: int, *, kernel: int = 5) -> nn.ConvTranspose2d:
    """[B, Cin, H, W] -> [B, Cout, 2H, 2W]."""
    layer = nn.ConvTranspose2d(channels_in, channels_out, kernel, 2, kernel // 2, output_padding=1)
    # An output position is reached by a quarter of the kernel.
    return _keeps_variance(layer, channels_in * kernel**2 / 4)


def starts_grey(layer: nn.ConvTranspose2d) -> None:
    """Let the last layer of a decoder begin near 0.5, the middle of what it shows."""
    nn.init.constant_(layer.bias, 0.5)
    layer.weight.data.mul_(0.1)


def _keeps_variance(layer: nn.Conv2d | nn.ConvTranspose2d, fan_in: float) -> nn.Conv2d | nn.ConvTranspose2d:
    nn.init.normal_(layer.weight, std=math.sqrt(1 / fan_in))
    nn.init.zeros_(layer.bias)
    return layer
