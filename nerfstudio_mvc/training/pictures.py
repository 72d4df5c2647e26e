"""Random crops of photographs for training, read from decoded arrays on disk.

Photographs are decoded once into a cache folder of .npy files, which the operating system then keeps in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nerfstudio_mvc.capture.image_files import read_image


class Pictures:
    """Photographs to draw crops from.

    Args:
        paths: image files; one given twice is drawn twice as often.
        cache: folder for the decoded arrays.
    """

    def __init__(self, paths: Sequence[Path], *, cache: Path) -> None:
        self.paths = list(paths)
        self.cache = cache

    def pixels(self, path: Path) -> np.ndarray:
        """uint8 [H, W, 3], mapped from the cache."""
        name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]
        cached = self.cache / f"{name}.npy"
        if not cached.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            np.save(cached, read_image(path).pixels)
        return np.load(cached, mmap_mode="r")

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> Tensor:
        """`count` random crops. float32 [count, 3, crop_px, crop_px], 0..1"""
        crops = []
        while len(crops) < count:
            pixels = self.pixels(self.paths[int(rng.integers(len(self.paths)))])
            crop = random_crop(pixels, crop_px, rng)
            if crop is not None:
                crops.append(crop)
        return torch.stack(crops)


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
