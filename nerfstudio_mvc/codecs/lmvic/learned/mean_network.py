"""The float half of the learned coder's four-step entropy model: who predicts the mean of a symbol.

    z symbols ----+--> ScaleNetwork (integers only, entropy/scale_network.py) --> table row --> range coder
    coded symbols +
    z, y_hat so far, warped reference --> MeanNetwork (float) --> mean, added outside the coder

3D-GP-LMVIC's QPEM (four steps, four channel groups, 2x2 pattern) lets one float network do both, so that its streams
only decode on the machine that wrote them. Here a different mean shifts a picture by a rounding error and no more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.codecs.lmvic.learned.config import LmvicConfig
from nerfstudio_mvc.entropy.partitions import STEPS, tile_cells
from nerfstudio_mvc.entropy.quality_points import QUALITIES
from nerfstudio_mvc.layers.block_transform import frequencies
from nerfstudio_mvc.layers.blocks import LEAK, DepthwiseBlock, DepthwiseConv, double_size


def quality_height(quality: Tensor) -> Tensor:
    """Where a quality lies between the lowest, 0, and the highest, 1. []"""
    return (quality - 1) / (QUALITIES - 1)


class MeanNetwork(nn.Module):
    """Float: z, what is decoded so far, and the warped reference's own latent -> mean of every symbol.

    z_hat --hyper--+
    y_hat so far --context--+--> head --> mean (+ gate * latent of the warped reference)
    reference latent, validity --reference--+
    """

    def __init__(self, config: LmvicConfig) -> None:
        super().__init__()
        width, hidden, channels = config.mean_width, config.mean_hidden, config.channels
        self.hyper = nn.Sequential(
            double_size(config.hyper, width // 2),
            DepthwiseBlock(width // 2, kernel=5),
            double_size(width // 2, width),
            DepthwiseBlock(width),
            nn.Conv2d(width, width, 1),
        )
        self.quality = nn.Linear(1, width)
        self.context_in = nn.Conv2d(channels, width, 1)
        self.context_difference = nn.Conv2d(channels, width, 1, bias=False)
        self.context_space = DepthwiseConv(width, 5)
        self.step_bias = nn.Parameter(torch.zeros(STEPS, width, 2, 2))
        self.reference = nn.Sequential(nn.Conv2d(channels + 1, width, 1), DepthwiseBlock(width))
        self.head = nn.Sequential(
            nn.Conv2d(2 * width, hidden, 1), nn.LeakyReLU(LEAK), DepthwiseBlock(hidden, expansion=1), nn.LeakyReLU(LEAK)
        )
        self.mean = nn.Conv2d(hidden, channels, 1)
        self.gate = nn.Conv2d(hidden, channels, 1)
        with torch.no_grad():
            self.mean.weight.mul_(0.1)
            self.gate.weight.mul_(0.1)
            self.gate.bias.copy_(2.5 - 0.25 * frequencies(config.luma, config.chroma).clamp(max=16))

    def view_features(
        self, z_hat: Tensor, *, quality: Tensor, size: tuple[int, int], reference: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """What does not change from step to step. `reference`: its latent and validity at 1/16. [B, width, H, W]"""
        features = self.hyper(z_hat)[..., : size[0], : size[1]]
        level = quality_height(quality).reshape(1, 1)
        features = features + self.quality(level)[:, :, None, None]
        if reference is not None:
            features = features + self.reference(torch.cat(reference, 1))
        return features

    def step_means(
        self, features: Tensor, y_hat: Tensor, known: Tensor, step: int, reference: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """Means of all channels and positions, given `y_hat` where `known` (both 0 elsewhere). float32 [B, M, H, W]"""
        context = self.context_in(y_hat)
        if reference is not None:
            context = context + self.context_difference((y_hat - reference[0]) * known)
        context = self.context_space(F.leaky_relu(context, LEAK))
        context = context + tile_cells(self.step_bias[step], *context.shape[-2:])
        hidden = self.head(torch.cat([features, context], 1))
        mean = self.mean(hidden).float()
        if reference is not None:
            latent, valid = reference
            mean = mean + torch.sigmoid(self.gate(hidden).float()) * valid * latent
        return mean
