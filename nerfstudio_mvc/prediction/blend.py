"""The blend of two warped references into one: a weight per pixel, by a small network.

    first, second, validity --4x4 pixels to channels--> 1x1, depthwise block, 1x1 --> weight of the first one

`ReferenceBlend` is what training runs, `BlendInference` the same weights on maps stored pixel by pixel, which encoder
and decoder run, so that they agree.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from nerfstudio_mvc.layers.blocks import DepthwiseBlock, starts_at_zero
from nerfstudio_mvc.layers.pixel_major import bands, padded, pixel_major, pixels_of, planes_of, split_inputs
from nerfstudio_mvc.prediction.reference import Reference

STRIDE = 4


class ReferenceBlend(nn.Module):
    """Two warped candidates and their validity -> one reference."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.PixelUnshuffle(STRIDE),
            nn.Conv2d(8 * STRIDE**2, width, 1),
            DepthwiseBlock(width),
            starts_at_zero(nn.Conv2d(width, STRIDE**2, 1)),
            nn.PixelShuffle(STRIDE),
        )

    def forward(self, first: Reference, second: Reference) -> Reference:
        """`first` is the nearer one. The result is not yet filled where neither is valid."""
        stacked = torch.cat([first.picture - 0.5, second.picture - 0.5, first.valid, second.valid], 1)
        height, width = stacked.shape[-2:]
        whole = F.pad(stacked, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        logit = self.weigh(whole).float()[..., :height, :width] + 0.5
        odds_first = first.valid * torch.sigmoid(logit)
        odds_second = second.valid * torch.sigmoid(-logit)
        share = odds_first / (odds_first + odds_second).clamp_min(1e-6)
        return Reference(share * first.picture + (1 - share) * second.picture, torch.maximum(first.valid, second.valid))


class BlendInference:
    """`ReferenceBlend` as it codes; holds no state between calls."""

    def __init__(self, blend: ReferenceBlend) -> None:
        self._into = split_inputs(blend.weigh[1], (3, 3, 1, 1), STRIDE)
        self._out = pixel_major(*blend.weigh[2:])

    def __call__(self, first: Reference, second: Reference) -> Reference:
        """As `ReferenceBlend.forward`, of one picture each: [1, 3, H, W]."""
        pictures = [pixels_of(part.picture) for part in (first, second)]
        validity = [pixels_of(part.valid) for part in (first, second)]
        height, width = pictures[0].shape[:2]
        features = None
        for layer, part in zip(self._into, [picture - 0.5 for picture in pictures] + validity, strict=True):
            whole = padded(part, STRIDE)
            if features is None:
                features = layer(whole)
            else:
                layer.add_to(features, whole)
        logit = self._out(features)[:height, :width]
        picture = torch.empty_like(pictures[0])
        for band in bands(height, width, 3):
            odds = torch.sigmoid(logit[band] + 0.5)
            odds_first, odds_second = odds * validity[0][band], (1 - odds) * validity[1][band]
            share = odds_first / (odds_first + odds_second).clamp_min(1e-6)
            torch.lerp(pictures[1][band], pictures[0][band], share, out=picture[band])
        return Reference(planes_of(picture), torch.maximum(first.valid, second.valid))


Blend = ReferenceBlend | BlendInference
