"""Rounding that training can pass a gradient through."""

from __future__ import annotations

import torch
from torch import Tensor


def round_half_up(x: Tensor) -> Tensor:
    """Nearest integer, halves upwards, as the integer path's shifts do; the gradient passes straight through."""
    return x + (torch.floor(x + 0.5) - x).detach()


def clamp_straight(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp whose gradient outside the bounds still points back inside, so that no activation dies at a bound."""
    return _ClampStraight.apply(x, low, high)


class _ClampStraight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bounds = (low, high)
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (x,) = ctx.saved_tensors
        low, high = ctx.bounds
        # Descent moves x by -gradient: let it through when that leads back into the interval.
        keep = ((x >= low) | (gradient < 0)) & ((x <= high) | (gradient > 0))
        return gradient * keep, None, None
