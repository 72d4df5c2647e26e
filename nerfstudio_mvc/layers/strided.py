"""Plain convolutions that keep, halve or double the size of a map."""

from __future__ import annotations

from torch import nn


def conv(channels_in: int, channels_out: int, *, kernel: int = 5, stride: int = 2) -> nn.Conv2d:
    """[B, Cin, H, W] -> [B, Cout, ceil(H / stride), ceil(W / stride)]."""
    return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2)


def deconv(channels_in: int, channels_out: int, *, kernel: int = 5) -> nn.ConvTranspose2d:
    """[B, Cin, H, W] -> [B, Cout, 2H, 2W]."""
    return nn.ConvTranspose2d(channels_in, channels_out, kernel, 2, kernel // 2, output_padding=1)
