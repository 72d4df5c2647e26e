"""The network that guesses what a video codec has left out of a picture, from it and from what it was predicted from.

    picture, reference, validity --2x2 pixels to channels--> U-Net at 1/2, 1/4, 1/8 --> correction

10 kMAC/px. What it sees and says is in units of the error that is usual at the quality (`error_unit`): differences are
then of about the same size at every quality, without which it learns nothing of small ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.layers.blocks import LEAK

QUALITIES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
ERROR_AT_QUALITY = (9.23, 7.51, 6.08, 4.90, 3.88, 3.02, 2.32, 1.87)
"""Grey levels; part of the format, since the network was trained with them."""
ALIGNMENT = 8  # of the pictures' sides
CONTRAST = 8.0  # of the picture around grey
DIFFERENCE, LIMIT = 0.25, 4.0  # of the reference, per error unit


@dataclass(frozen=True)
class RestorationConfig:
    """Sizes: channels at 1/2, 1/4 and 1/8 of the picture, and residual blocks there on the way down."""

    widths: tuple[int, ...] = (16, 32, 64)
    blocks: tuple[int, ...] = (1, 2, 2)


def error_unit(quality: float) -> float:
    """The usual error of a picture coded at `quality`, 0..1."""
    return float(np.exp(np.interp(quality, QUALITIES, np.log(ERROR_AT_QUALITY)))) / 255


def level_of(unit: Tensor) -> Tensor:
    """An error unit as the network sees it."""
    return torch.log2(unit * 255) / 2 - 1


class ConvBlock(nn.Module):
    """x + 3x3(leaky(3x3(x))); starts close to the identity. [B, C, H, W] -> the same shape"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        _made_small(self.second)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(_leaky_(self.first(x))).add_(x)


class RestorationNet(nn.Module):
    """See the drawing in the module's docstring."""

    def __init__(self, config: RestorationConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RestorationConfig()
        widths, steps = config.widths, range(len(config.widths) - 1)
        self.enter = nn.Conv2d(7 * 4 + 1, widths[0], 3, padding=1)
        self.encode = nn.ModuleList(
            nn.Sequential(*(ConvBlock(width) for _ in range(count)))
            for width, count in zip(widths, config.blocks, strict=True)
        )
        self.down = nn.ModuleList(nn.Conv2d(widths[step], widths[step + 1], 2, stride=2) for step in steps)
        self.up = nn.ModuleList(nn.Conv2d(widths[step + 1], widths[step] * 4, 1) for step in steps)
        self.decode = nn.ModuleList(nn.Sequential(ConvBlock(widths[step])) for step in steps)
        self.leave = nn.Conv2d(widths[0], 3 * 4, 3, padding=1)
        _made_small(self.leave)

    def forward(self, picture: Tensor, reference: Tensor, valid: Tensor, unit: Tensor) -> Tensor:
        """The correction of each picture, in error units. [B, 3, H, W]

        Args:
            picture: as decoded, 0..1; sides are multiples of ALIGNMENT. [B, 3, H, W]
            reference: what it was predicted from, and where that shows anything, 0 everywhere if from nothing.
                [B, 3, H, W] and [B, 1, H, W]
            unit: see `error_unit`. [B]
        """
        unit = unit[:, None, None, None]
        difference = ((reference - picture) / unit * DIFFERENCE).clamp(-LIMIT, LIMIT) * valid
        seen = F.pixel_unshuffle(torch.cat([(picture - 0.5) * CONTRAST, difference, valid], 1), 2)
        level = level_of(unit).expand(-1, 1, *seen.shape[-2:])
        x = self.enter(torch.cat([seen, level], 1).contiguous(memory_format=torch.channels_last))
        maps = [self.encode[0](x)]
        for down, encode in zip(self.down, self.encode[1:], strict=True):
            maps.append(encode(down(_leaky(maps[-1]))))
        x = maps.pop()
        for up, decode in zip(self.up[::-1], self.decode[::-1], strict=True):
            x = decode(F.pixel_shuffle(up(_leaky_(x)), 2).add_(maps.pop()))
        return F.pixel_shuffle(self.leave(_leaky_(x)), 2)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, LEAK)


def _leaky_(x: Tensor) -> Tensor:
    """In place: large maps cost more to allocate than to compute."""
    return F.leaky_relu_(x, LEAK)


def _made_small(layer: nn.Conv2d) -> None:
    with torch.no_grad():
        layer.weight *= 0.1
        layer.bias.zero_()
