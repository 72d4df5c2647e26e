"""Where a predicted view shows its reference as it is, decided by the decoder.

What the latent brings back of a reference has been through transforms and gates that leave out what cannot be trusted.
Where hardly anything was coded on top, the encoder was content with the reference, and that is the better picture; a
video codec skips such blocks. Here the decoder mixes both, pixel by pixel, from what it has decoded: no bits are spent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nerfstudio_mvc.layers.block_transform import BLOCK
from nerfstudio_mvc.layers.blocks import DepthwiseBlock, starts_at_zero

INPUTS = 8  # difference and its size in three colours, validity, coded symbols
GREY_LEVELS = 16.0  # one unit of the differences, as the network sees them
KEPT, KEPT_PER_DOUBLING = 2.0, -1.5  # logit without coded symbols, and for twice as many; networks add to it
STEEPNESS = 8.0  # of what they add: a share goes from none to all where features change by little


class ReferenceKeeping(nn.Module):
    """Decoded picture and reference -> the share of the reference in every value of the result.

    Args:
        channels: of the synthesis' features at 1/4.
        width: of its own ones at 1/2.
    """

    def __init__(self, channels: int, width: int = 16) -> None:
        super().__init__()
        self.from_features = nn.Sequential(starts_at_zero(nn.Conv2d(channels, 48, 1)), nn.PixelShuffle(4))
        self.from_difference = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * INPUTS, width, 1),
            DepthwiseBlock(width, expansion=1),
            starts_at_zero(nn.Conv2d(width, 12, 1)),
            nn.PixelShuffle(2),
        )

    def forward(self, features: Tensor, picture: Tensor, reference: Tensor, valid: Tensor, coded: Tensor) -> Tensor:
        """The picture with its reference mixed in.

        Args:
            features: [B, C, H/4, W/4]
            picture, reference: 0..1 less the same constant. [B, 3, H, W]
            valid: where the reference shows anything, 0 or 1. [B, 1, H, W]
            coded: how many symbols of a position are not zero. [B, 1, H/16, W/16]
        """
        difference = reference - picture
        seen = difference * (255 / GREY_LEVELS)
        doublings = spread(torch.log2(1 + coded))
        logit = self.from_features(features) + self.from_difference(torch.cat([seen, seen.abs(), valid, doublings], 1))
        logit = STEEPNESS * logit.float() + KEPT + KEPT_PER_DOUBLING * doublings
        return picture + torch.sigmoid(logit) * valid * difference


def spread(positions: Tensor) -> Tensor:
    """Every position of a latent over the pixels it stands for. [B, C, H/16, W/16] -> [B, C, H, W]"""
    return positions.repeat_interleave(BLOCK, -2).repeat_interleave(BLOCK, -1)
