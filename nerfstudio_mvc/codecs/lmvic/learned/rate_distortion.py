"""Encoder side: what an error of a picture is worth in bits, so that ways of coding it can be compared."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.entropy.quality_points import QUALITIES
from nerfstudio_mvc.layers.block_transform import BLOCK


def rd_lambda_of(rd_lambdas: tuple[float, ...], quality: float) -> float:
    """Weight of the MSE (0..255 scale) against bits per pixel at a quality between the trained ones."""
    below = min(int(quality), QUALITIES - 1)
    share = quality - below
    return math.exp((1 - share) * math.log(rd_lambdas[below - 1]) + share * math.log(rd_lambdas[below]))


def error_bits(x: Tensor, picture: Tensor, *, rd_lambda: float) -> float:
    """The error of a decoded picture as the bits that it would be worth to be without it. [1, 3, H, W] both, 0..1"""
    mse = float((picture - x).square().mean()) * 255**2
    return rd_lambda * mse * x.shape[-2] * x.shape[-1]


def position_error_bits(x: Tensor, picture: Tensor, *, rd_lambda: float) -> Tensor:
    """`error_bits` of every latent position. [1, 3, H, W] both, 0..1 -> [ceil(H / 16), ceil(W / 16)]"""
    squares = (picture - x).square().mean(1, keepdim=True) * (rd_lambda * 255**2)
    height, width = squares.shape[-2:]
    squares = F.pad(squares, (0, -width % BLOCK, 0, -height % BLOCK))
    return F.avg_pool2d(squares, BLOCK, divisor_override=1)[0, 0]
