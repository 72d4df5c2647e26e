"""rd_lambda * D + R for one batch, single and predicted views together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.config import QUALITIES
from nerfstudio_mvc.codecs.lmvic.image_model import ImageModel, Reference, quality_weights

PEAK_SQUARED = 255.0**2


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


def rate_distortion(model: ImageModel, x: Tensor, reference: Reference | None, quality: Tensor) -> RateDistortion:
    """Loss of coding `x` [B, 3, H, W] with or without a reference.

    The sum is divided by what rate-distortion theory makes of it at high rate (about 1.7 sqrt(rd_lambda) bits), so that
    every quality pulls on the shared weights with about the same force.
    """
    output = model(x, reference, quality=quality)
    bpp = (output.bits_y + output.bits_z) / (x.shape[0] * x.shape[2] * x.shape[3])
    mse = (output.x_hat - x).pow(2).mean() * PEAK_SQUARED
    weight = rd_lambda_at(model, quality)
    return RateDistortion((bpp + weight * mse) / (1 + 1.7 * weight.sqrt()), bpp, mse)


def decoded_look(model: ImageModel, picture: Tensor, quality: Tensor) -> Tensor:
    """`picture` as a neighbour coded at `quality` would look, cheaply: through the rounded linear transform.

    Training on flawless references would teach the codec to trust what it will never get.
    """
    with torch.no_grad():
        gain = model.gain(quality)
        rounded = torch.round(model.transform.analyse(picture - 0.5) * gain * 0.9)
        return (model.transform.synthesise(rounded / (0.9 * gain)) + 0.5).clamp(0, 1)


def random_quality(rng) -> float:
    """Uniform over the qualities a user can ask for."""
    return float(rng.uniform(1.0, QUALITIES))
