"""Rounding that asks what a symbol costs: one step towards zero where the error grows by less than the bits shrink.

Encoder and training share it. The decoder needs nothing of it: it decodes whatever symbols it is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.entropy.tables import logistic_mass

BITS_PER_SQUARED_STEP = (12.0, 28.0)
"""What a squared error of one quantiser step is worth, at the lowest and at the highest quality. A disturbance that has
nothing to do with the picture costs about 6 (measured with a trained model); pulling towards zero takes energy out of
every later prediction as well, the more so the less of it there is to predict."""
_MAGNITUDES = 64
_MOST_BITS = 30.0


def step_costs(scales: Sequence[float]) -> Tensor:
    """Bits that magnitude m costs more than m - 1 under zero-mean logistics; 0 for m = 0. float32 [T, 64]"""
    costs = np.zeros((len(scales), _MAGNITUDES), np.float32)
    for row, scale in enumerate(scales):
        mass = logistic_mass(_MAGNITUDES, scale)[_MAGNITUDES : 2 * _MAGNITUDES]
        bits = -np.log2(np.maximum(mass, 2.0**-_MOST_BITS))
        costs[row, 1:] = np.maximum(bits[1:] - bits[:-1], 0)
    return torch.from_numpy(costs)


def bits_per_squared_step(height: Tensor) -> Tensor:
    """`BITS_PER_SQUARED_STEP` between its ends, geometric in `height`: 0 is the lowest quality, 1 the highest. []"""
    low, high = BITS_PER_SQUARED_STEP
    return low * (high / low) ** height


def rate_aware_symbols(residual: Tensor, rows: Tensor, costs: Tensor, *, weight: Tensor) -> Tensor:
    """Integer symbols for `residual`, in quantiser steps, given the table row each is coded with.

    Args:
        residual: y - mean.
        rows: integers of any type; row 0 is not coded: its symbol is 0. Same shape.
        costs: `step_costs` of the rows' scales.
        weight: bits per squared step, `bits_per_squared_step`.
    """
    magnitude = residual.abs()
    symbols = (magnitude + 0.5).floor_()
    entry = (rows * _MAGNITUDES + symbols.clamp(max=_MAGNITUDES - 1)).to(torch.int32)
    # (|r| - (s - 1))^2 - (|r| - s)^2 = 2 (|r| - s) + 1
    saved = costs.view(-1)[entry]
    symbols -= (magnitude.sub_(symbols).mul_(2 * weight).add_(weight) < saved).to(symbols)
    return symbols.mul_(rows > 0).copysign_(residual)
