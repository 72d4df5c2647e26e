"""Likelihoods for training: how many bits the symbols would take. Real coding uses the integer tables instead."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_LIKELIHOOD = 1e-9


def logistic_bits(value: Tensor, scale: Tensor) -> Tensor:
    """-log2 of the mass a zero-mean logistic with `scale` puts on [value - 1/2, value + 1/2]; elementwise.

    The logistic lies between Gaussian and Laplacian in the weight of its tails, which suits block-transform
    coefficients whose scale is predicted well but not perfectly. Symmetry keeps the difference away from 1 - 1.
    """
    magnitude = value.abs()
    upper = torch.sigmoid((0.5 - magnitude) / scale)
    lower = torch.sigmoid((-0.5 - magnitude) / scale)
    return -torch.log2((upper - lower).clamp_min(MIN_LIKELIHOOD))


def rounded_bits(value: Tensor, rounded: Tensor, scale: Tensor, *, noise: bool = True) -> Tensor:
    """Bits of the symbols `rounded`, with gradients for training.

    The scale learns from the symbols that are really coded. `value` learns from uniform noise in place of rounding,
    whose own bits would overstate by far what symbols cost that are almost surely zero.
    """
    coded = logistic_bits(rounded.detach(), scale)
    if not noise:
        return coded
    soft = logistic_bits(value + torch.empty_like(value).uniform_(-0.5, 0.5), scale.detach())
    return coded + (soft - soft.detach())
