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
