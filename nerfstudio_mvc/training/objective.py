"""rd_lambda * D + R for one batch, single and predicted views together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.entropy.quality_points import QUALITIES, quality_weights
from nerfstudio_mvc.layers.block_transform import BLOCK, BlockTransform
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.quality.ms_ssim import ms_ssim_index

Distortion = Literal["mse", "ms-ssim"]

MS_SSIM_SHARE = 1 / 32
"""1 - MS-SSIM is weighted by this much of what the MSE (0..1) is: 3D-GP-LMVIC's pairs 8 and 256, both with 64 for
depth."""
PEAK_SQUARED = 255.0**2
# Quantiser step (0..1 pixels) times sqrt(rd_lambda) at which rounded DCT coefficients lose as much as the codec does.
LOOK_STEP = 0.0225


@dataclass(frozen=True)
class RateDistortion:
    """estimated_bpp and MSE (0..255 scale), and what the optimiser sees of them."""

    loss: Tensor
    estimated_bpp: Tensor
    mse: Tensor


def rd_lambda_at(model: ImageModel, quality: Tensor) -> Tensor:
    """Weight of the MSE at a continuous quality, geometric between the eight points."""
    logs = torch.log(torch.tensor(model.config.rd_lambdas, device=quality.device))
    return torch.exp((quality_weights(quality) * logs).sum())


def image_error(x: Tensor, x_hat: Tensor, *, distortion: Distortion) -> Tensor:
    """What the weight of the MSE (pixels 0..1) multiplies: the MSE, or what stands for it. [B, 3, H, W] -> []"""
    if distortion == "mse":
        return (x_hat - x).square().mean()
    with torch.autocast(x.device.type, enabled=False):
        return MS_SSIM_SHARE * (1 - ms_ssim_index(x, x_hat.float()).mean())


def rate_distortion(
    model: ImageModel, x: Tensor, reference: Reference | None, quality: Tensor, *, distortion: Distortion = "mse"
) -> RateDistortion:
    """Loss of coding `x` [B, 3, H, W] with or without a reference.

    The sum is divided by what rate-distortion theory makes of it at high rate (about 1.7 sqrt(rd_lambda) bits), so that
    every quality pulls on the shared weights with about the same force.
    """
    output = model(x, reference, quality=quality)
    bpp = (output.bits_y + output.bits_z) / (x.shape[0] * x.shape[2] * x.shape[3])
    error = image_error(x, output.x_hat, distortion=distortion) * PEAK_SQUARED
    mse = error if distortion == "mse" else image_error(x, output.x_hat.detach(), distortion="mse") * PEAK_SQUARED
    weight = rd_lambda_at(model, quality)
    return RateDistortion((bpp + weight * error) / (1 + 1.7 * weight.sqrt()), bpp, mse)


class DecodedLook:
    """A picture as a neighbour coded at a quality would look, cheaply: a fixed DCT whose coefficients are rounded.

    Training on flawless references would teach the codec to trust what it will never get. The transform is not the
    model's own: that one is half of a pair with the learned corrections and on its own no longer gives a picture back.
    Its blocks lie anywhere: a neighbour's were somewhere else before it was warped.
    """

    def __init__(self, model: ImageModel) -> None:
        transform = BlockTransform(model.config.luma, model.config.chroma).requires_grad_(False)
        self.transform = transform.to(model.log_gain.device)
        self.model = model

    @torch.no_grad()
    def __call__(self, picture: Tensor, quality: Tensor) -> Tensor:
        """[B, 3, H, W], 0..1, H and W multiples of 16 -> the same."""
        step = LOOK_STEP / rd_lambda_at(self.model, quality).sqrt()
        height, width = picture.shape[-2:]
        top, left = torch.randint(BLOCK, (2,)).tolist()
        moved = F.pad(picture - 0.5, (left, BLOCK - left, top, BLOCK - top), mode="replicate")
        rounded = torch.round(self.transform.analyse(moved) / step)
        shown = self.transform.synthesise(rounded * step)[..., top : top + height, left : left + width]
        return (shown + 0.5).clamp(0, 1)


def random_quality(rng) -> float:
    """Uniform over the qualities a user can ask for."""
    return float(rng.uniform(1.0, QUALITIES))
