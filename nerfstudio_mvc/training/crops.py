"""How a training crop is cut from an array of pictures; where the arrays come from is others' business."""

from __future__ import annotations

from collections.abc import Callable

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


def draw_crops(
    load: Callable[[int], np.ndarray], pictures: int, count: int, crop_px: int, rng: np.random.Generator
) -> Tensor:
    """Crops of arrays drawn at random, those too small passed over. float32 [count, C, crop_px, crop_px], 0..1

    Args:
        load: array number 0 to `pictures` - 1, uint8 [H, W, C].
        pictures: how many there are.
        count, crop_px, rng: how many crops of which side, and what decides.
    """
    crops: list[Tensor] = []
    while len(crops) < count:
        crop = random_crop(load(int(rng.integers(pictures))), crop_px, rng)
        if crop is not None:
            crops.append(crop)
    return torch.stack(crops)


def split_stacked(batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Crops of 11 channels [B, 11, H, W] -> view [B, 3, H, W], neighbours [2, B, 3, H, W], validity [2, B, 1, H, W]."""
    valid = (batch[:, 9:11] > 0.99).float()
    return batch[:, :3], torch.stack([batch[:, 3:6], batch[:, 6:9]]), torch.stack([valid[:, :1], valid[:, 1:]])
