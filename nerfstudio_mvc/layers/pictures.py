"""Photographs as arrays and as what networks take: the one place where a picture changes its form."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_picture(pixels: np.ndarray, device: torch.device | str) -> Tensor:
    """uint8 [H, W, 3] -> float32 [1, 3, H, W], 0..1."""
    return torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float() / 255


def to_pixels(picture: Tensor) -> np.ndarray:
    """float [1, 3, H, W], 0..1 -> uint8 [H, W, 3]."""
    return torch.floor(picture[0] * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
