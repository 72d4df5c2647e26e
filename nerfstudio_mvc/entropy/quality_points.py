"""Qualities 1 to 8 as models and tables take them: shares of eight points, and the steps in which they are told."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

QUALITIES = 8
QUALITY_STEPS = 16  # of a point: shares of the quality points are then exact, as the integer path needs them


def whole_quality_steps(quality: float | np.ndarray) -> float | np.ndarray:
    """The nearest quality that is coded with, halves upwards."""
    return np.floor(quality * QUALITY_STEPS + 0.5) / QUALITY_STEPS


def quality_weights(quality: Tensor) -> Tensor:
    """Share of each of the eight quality points in a quality between 1 and 8. float [8]"""
    points = torch.arange(1, QUALITIES + 1, dtype=torch.float32, device=quality.device)
    return F.relu(1 - (quality.clamp(1, QUALITIES) - points).abs())


def nearest_quality(quality: Tensor) -> Tensor:
    """One-hot of the nearest quality point, halves upwards: what integer biases and tables are looked up by. [8]"""
    points = torch.arange(1, QUALITIES + 1, dtype=torch.float32, device=quality.device)
    return (points == torch.floor(quality.clamp(1, QUALITIES) + 0.5)).float()
