"""How a training crop is cut from an array of pictures; where the arrays come from is others' business."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def random_crop(stacked: np.ndarray, crop_px: int, rng: np.random.Generator) -> Tensor | None:
    """A square out of uint8 [H, W, C], scaled down by 1 to 1.6 and turned at random; None when too small.

    Scaling hides what an earlier codec left in the photographs. float32 [C, crop_px, crop_px], 0..1
    """
    height, width = stacked.shape[:2]
    scale = float(rng.uniform(1.0, 1.6)) if rng.random() < 0.6 else 1.0
    side = min(round(crop_px * scale), height, width)
    if side < crop_px:
        return None
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    crop = torch.from_numpy(stacked[top : top + side, left : left + side].copy()).permute(2, 0, 1).float() / 255
    if side != crop_px:
        crop = F.interpolate(crop[None], size=(crop_px, crop_px), mode="bicubic", antialias=True)[0].clamp(0, 1)
    if rng.random() < 0.5:
        crop = crop.flip(2)
    return crop.transpose(1, 2) if rng.random() < 0.25 else crop
