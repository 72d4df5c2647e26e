"""What a reference lends to the transforms: gates made of a mask, context transfer (images), integration (depth).

Where the reference's features come from is `reference_features`' and `depth_prediction`'s.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.layers.strided import conv


class Scales(NamedTuple):
    """One map at each of the scales where a reference is used: 1/2, 1/4 and 1/8 of the picture."""

    half: Tensor
    quarter: Tensor
    eighth: Tensor


class Gates(NamedTuple):
    """What multiplies the features of a reference (2N channels a scale) and the parameters of the means (2M each)."""

    scales: Scales
    hyper: Tensor
    reference: Tensor
    context: Tensor


class MaskGates(nn.Module):
    """The mask extractor: four convolutions of stride 2, each followed by LeakyReLU but the last.

        mask [B, 1, H, W] -- 1/2 -- 1/4 -- 1/8 -- 1/16 --> 3 gates of 2M
                              |      |      |
                             2N     2N     2N    gates of the transforms

    kernel 3 for images, 5 for depth.
    """

    def __init__(self, width: int, latent: int, *, kernel: int) -> None:
        super().__init__()
        gate = 2 * width
        self.to_half = conv(1, gate, kernel=kernel)
        self.to_quarter = conv(gate, gate, kernel=kernel)
        self.to_eighth = conv(gate, gate, kernel=kernel)
        self.to_parameters = conv(gate, 6 * latent, kernel=kernel)
        # All gates begin half open: a mask that is zero everywhere, the first view's, must not silence what it gates.
        for layer in (self.to_half, self.to_quarter, self.to_eighth, self.to_parameters):
            nn.init.ones_(layer.bias)

    def forward(self, mask: Tensor) -> Gates:
        half = F.leaky_relu(self.to_half(mask))
        quarter = F.leaky_relu(self.to_quarter(half))
        eighth = F.leaky_relu(self.to_eighth(quarter))
        return Gates(Scales(half, quarter, eighth), *self.to_parameters(eighth).chunk(3, 1))


FIRST_SHARE = 0.1
"""How much of a reference a transfer adds before training: little, so that the transforms work from the start."""


class ResidualBlock(nn.Module):
    """leaky(3x3(leaky(3x3(x)))) + 1x1(x); starts small."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = conv(channels_in, channels_out, kernel=3, stride=1)
        self.second = conv(channels_out, channels_out, kernel=3, stride=1)
        self.skip = nn.Conv2d(channels_in, channels_out, 1)
        with torch.no_grad():
            for layer in (self.second, self.skip):
                layer.weight.mul_(FIRST_SHARE)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.second(F.leaky_relu(self.first(x)))) + self.skip(x)


class ContextTransfer(nn.Module):
    """The image context transfer module (ICT) of one scale; section 3.2.1.

    x --3x3--+
             cat -- * gate -- residual block -- + x -->
    r --3x3--+
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = conv(width, width, kernel=3, stride=1)
        self.reference = conv(width, width, kernel=3, stride=1)
        self.refine = ResidualBlock(2 * width, width)

    def forward(self, x: Tensor, reference: Tensor, gate: Tensor | None) -> Tensor:
        return x + self.refine(integrate(self.own(x), self.reference(reference), gate))


def integrate(x: Tensor, reference: Tensor, gate: Tensor | None) -> Tensor:
    """Depth context integration (DCI), Eq. 10: both side by side, times the gate where there is one. [B, 2N, h, w]"""
    both = torch.cat([x, reference], 1)
    return both if gate is None else both * gate
