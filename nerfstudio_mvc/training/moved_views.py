"""Photographs beside themselves, moved a little: training material for views that their references explain well.

Captures with wide baselines, which is what there is to train on, seldom have a neighbour that fits to a fraction of a
pixel; dense captures have nothing else. A picture that is moved by a smooth field, with patches that do not fit, holes,
another exposure and noise of its own looks like the neighbour of a dense capture after warping.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nerfstudio_mvc.training.loop import PredictedViews, SingleViews

LEAST_MOVE, MOST_MOVE = 0.05, 0.7  # pixels, of the smooth field: what is left of it where block motion was coded
PATCH_MOVE = 4.0  # pixels, of the patches that do not fit
NOISE = 0.012


class MovedViews:
    """Draws batches as `warped_views.WarpedViews` does.

    Args:
        pictures: where the photographs come from.
    """

    def __init__(self, pictures: SingleViews) -> None:
        self.pictures = pictures

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """View [B, 3, H, W], two moved copies [2, B, 3, H, W], their validity [2, B, 1, H, W]."""
        views = self.pictures.batch(count, crop_px, rng)
        copies = [moved_copy(view, rng) for _ in range(2) for view in views]
        pictures, valid = (torch.stack(parts).unflatten(0, (2, count)) for parts in zip(*copies, strict=True))
        return views, pictures, valid


class MixedViews:
    """Draws each view of a batch from one of several sources, at random.

    Args:
        sources: at least one.
    """

    def __init__(self, sources: Sequence[PredictedViews]) -> None:
        self.sources = list(sources)

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """View [B, 3, H, W], its two neighbours [2, B, 3, H, W], their validity [2, B, 1, H, W]."""
        counts = rng.multinomial(count, [1 / len(self.sources)] * len(self.sources)).tolist()
        drawn = [source.batch(own, crop_px, rng) for source, own in zip(self.sources, counts, strict=True) if own > 0]
        views, neighbours, valid = zip(*drawn, strict=True)
        return torch.cat(views), torch.cat(neighbours, 1), torch.cat(valid, 1)


def moved_copy(picture: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """[3, H, W], 0..1 -> what a well-aligned neighbour might show of it, and where it shows anything [1, H, W]"""
    height, width = picture.shape[-2:]
    move = math.exp(rng.uniform(math.log(LEAST_MOVE), math.log(MOST_MOVE)))
    field = move * (smooth_noise(2, height, width, 64, rng) + 0.5 * smooth_noise(2, height, width, 16, rng))
    unfit = smooth_noise(1, height, width, 32, rng) > rng.uniform(1.0, 4.0)
    field = field + unfit * PATCH_MOVE * smooth_noise(2, height, width, 48, rng)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = torch.stack([(columns + field[0] + 0.5) * (2 / width) - 1, (rows + field[1] + 0.5) * (2 / height) - 1], 2)
    moved = F.grid_sample(picture[None], grid[None], mode="bicubic", padding_mode="reflection", align_corners=False)[0]
    exposure = 1 + 0.02 * float(rng.normal()) + 0.02 * smooth_noise(3, height, width, 64, rng)
    noise = torch.from_numpy(rng.standard_normal(moved.shape, dtype=np.float32))
    moved = moved * exposure + noise * float(rng.uniform(0, NOISE))
    valid = smooth_noise(1, height, width, 48, rng) < rng.uniform(1.0, 5.0)
    return moved.clamp(0, 1), valid.float()


def smooth_noise(channels: int, height: int, width: int, cell: int, rng: np.random.Generator) -> Tensor:
    """Normal noise on a grid of `cell` pixels, interpolated. float32 [channels, H, W]"""
    rows, columns = height // cell + 3, width // cell + 3
    grid = torch.from_numpy(rng.standard_normal((1, channels, rows, columns), dtype=np.float32))
    top, left = (int(rng.integers(cell)) for _ in range(2))
    full = F.interpolate(grid, size=(rows * cell, columns * cell), mode="bicubic", align_corners=False)[0]
    return full[:, top + cell // 2 :, left + cell // 2 :][:, :height, :width]
