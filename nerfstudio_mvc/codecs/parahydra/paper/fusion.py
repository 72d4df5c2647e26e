"""PMIFM: a map refined by other maps, each where it shows the same thing; section 3.3.

    main, sides --2 residual blocks--> deep maps
        each side: OPAM --> aligned A, consistency C
        w = softmax over sides (temperature * C);   side = sum of w * tanh(sharpness * C) * A
        main deep, side --efficient attention + side--+
        main deep ------------------------------------cat--> 2 residual blocks --> + main --> out

The fusion network is LDMIC's (its "joint context transfer" without the average), as the paper says. Three things are
not in the paper: the temperature, without which a softmax over values in 0..1 is nearly an average; that consistency,
not only its share among the sides, multiplies what is fused: with one side view w is 1 everywhere, and what that view
does not show would come in all the same; and that the aligned side is added to the efficient attention, which by itself
carries a matrix per head across and would lose where anything is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.codecs.parahydra.paper.attention import Attention, ParallaxAttention
from nerfstudio_mvc.layers.strided import conv

_FIRST_TEMPERATURE = 24.0
_SHARPNESS = 10.0
"""tanh(10 C): a match that is made one time in five counts almost whole, one in a hundred for a tenth."""
_FIRST_SHARE = 0.1
"""How much of the fused map is added before training: little, so that the decoder works from the start."""
_HEADS = 2


@dataclass(frozen=True)
class Fused:
    """What came of a fusion.

    Attributes:
        features: the refined main map. [B, C, H, W]
        weights: shares of the side maps, which sum to 1. [B, S, H, W]
        consistency: of each side map, 0..1. [B, S, H, W]
    """

    features: Tensor
    weights: Tensor
    consistency: Tensor


class ResidualBlock(nn.Module):
    """x + leaky(3x3(leaky(3x3(x)))), with a 1x1 on the way past where the channels change; CompressAI's."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = conv(channels_in, channels_out, kernel=3, stride=1)
        self.second = conv(channels_out, channels_out, kernel=3, stride=1)
        self.skip = nn.Identity()
        if channels_in != channels_out:
            self.skip = conv(channels_in, channels_out, kernel=1, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + F.leaky_relu(self.second(F.leaky_relu(self.first(x))))


class EfficientAttention(nn.Module):
    """Linear attention of Shen et al. (2021): queries of the main map, keys and values of the side map.

    Keys are a softmax over positions, queries one over channels; what crosses over is a small matrix per head, so this
    gives a summary of the side map and no alignment. [B, C, H, W] twice -> the same shape
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, middle = (_HEADS * max(channels // share // _HEADS, 2) for share in (8, 4))
        self.query = conv(channels, narrow, kernel=1, stride=1)
        self.key = conv(channels, narrow, kernel=1, stride=1)
        self.value = conv(channels, middle, kernel=1, stride=1)
        self.out = conv(middle, channels, kernel=1, stride=1)

    def forward(self, main: Tensor, side: Tensor) -> Tensor:
        size = main.shape[-2:]
        query, key, value = (
            x.flatten(2).unflatten(1, (_HEADS, -1)) for x in (self.query(main), self.key(side), self.value(side))
        )
        context = key.softmax(3) @ value.transpose(2, 3)
        attended = context.transpose(2, 3) @ query.softmax(2)
        return self.out(attended.flatten(1, 2).unflatten(2, size))


class ParallaxFusion(nn.Module):
    """The parallax multi information fusion module of maps with `channels` channels."""

    def __init__(self, channels: int, *, attention: Attention = "opam") -> None:
        super().__init__()
        self.deep = nn.Sequential(ResidualBlock(channels, channels), ResidualBlock(channels, channels))
        self.attention = ParallaxAttention(channels, kind=attention)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(_FIRST_TEMPERATURE)))
        self.summary = EfficientAttention(channels)
        self.refine = nn.Sequential(ResidualBlock(2 * channels, channels), ResidualBlock(channels, channels))
        with torch.no_grad():
            last, joined = self.refine[1], self.refine[0]
            for layer in (last.second, joined.second, joined.skip):
                layer.weight.mul_(_FIRST_SHARE)
            for layer in (joined.first, joined.skip):
                layer.weight[:, :channels] = 0

    def forward(self, main: Tensor, sides: Sequence[Tensor]) -> Fused:
        """One map refined by `sides`, which may be none and of other sizes. [B, C, H, W]"""
        return self.fuse(main, self.deep(main), [self.deep(side) for side in sides])

    def every(self, maps: Mapping[int, Tensor], sides_of: Mapping[int, Sequence[int]]) -> dict[int, Fused]:
        """Each map that has `sides_of` refined by those; what they share is computed once."""
        deep = {position: self.deep(x) for position, x in maps.items()}
        return {
            position: self.fuse(maps[position], deep[position], [deep[side] for side in sides])
            for position, sides in sides_of.items()
        }

    def fuse(self, main: Tensor, deep: Tensor, deep_sides: Sequence[Tensor]) -> Fused:
        """`forward` of maps whose `deep` maps are known."""
        if not deep_sides:
            nothing = torch.zeros_like(main[:, :0])
            return Fused(self.refined(main, deep), nothing, nothing)
        query = self.attention.query(deep)
        aligned = [self.attention(query, _of_size(side, deep)) for side in deep_sides]
        consistency = torch.cat([one.consistency for one in aligned], 1)
        weights = (consistency * self.log_temperature.exp()).softmax(1)
        shares = (weights * torch.tanh(_SHARPNESS * consistency)).split(1, 1)
        side = sum(share * one.features for share, one in zip(shares, aligned, strict=True))
        return Fused(self.refined(main, deep, side), weights, consistency)

    def refined(self, main: Tensor, deep: Tensor, side: Tensor | None = None) -> Tensor:
        """The fusion network: the main map, given its deep map and the weighed sum of aligned sides, if any."""
        brought = torch.zeros_like(deep) if side is None else self.summary(deep, side) + side
        return main + self.refine(torch.cat([brought, deep], 1))


def _of_size(side: Tensor, like: Tensor) -> Tensor:
    """Attention compares lines of one length: a side of another size is resampled."""
    if side.shape[-2:] == like.shape[-2:]:
        return side
    return F.interpolate(side, size=like.shape[-2:], mode="bilinear", align_corners=False)
