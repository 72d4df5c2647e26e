"""Encoder side: what a reference is worth, found by coding a sample of the view with it.

    view, reference --every fifth tile--> mosaic of tiles --coder--> bits + rd_lambda * error, for the whole view

No rule of thumb knows how much a coder makes of a reference; the coder itself does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.learned.rate_distortion import error_bits
from nerfstudio_mvc.layers.block_transform import BLOCK
from nerfstudio_mvc.prediction.luma import LUMA
from nerfstudio_mvc.prediction.reference import Reference

TILE_PX = 128
EVERY = 5  # tile of a view is coded
MOST_TILES = 24
_NOISE_VARIANCE = 4.0  # no codec cares about less


class PictureCoder(Protocol):
    """What codes pictures: `image_coding.ImageCoder`."""

    def encode(self, x: Tensor, reference: Reference | None, *, quality: float) -> tuple[bytes, Tensor]:
        """Picture [1, 3, H, W], 0..1 -> its string and the picture the decoder will show."""
        ...


@dataclass(frozen=True)
class TrialCost:
    """Bits of a whole view, and what its error is worth in bits."""

    bits: float
    error_bits: float

    @property
    def total(self) -> float:
        return self.bits + self.error_bits


class TrialCoder:
    """Costs of one view, at one quality, under different references."""

    def __init__(self, pictures: PictureCoder, x: Tensor, *, quality: float, rd_lambda: float) -> None:
        """x: the view. [1, 3, H, W], 0..1"""
        self._pictures = pictures
        self._quality = quality
        self._rd_lambda = rd_lambda
        self._tiles = _tiles(x.shape[-2], x.shape[-1])
        self._pixels = x.shape[-2] * x.shape[-1]
        self._sample = self._mosaic(x)

    def cost(self, reference: Reference | None) -> TrialCost:
        """What coding the whole view with this reference would cost."""
        chosen = None
        if reference is not None:
            chosen = Reference(self._mosaic(reference.picture), self._mosaic(reference.valid))
        payload, picture = self._pictures.encode(self._sample, chosen, quality=self._quality)
        sampled = self._sample.shape[-2] * self._sample.shape[-1]
        error = error_bits(self._sample, picture, rd_lambda=self._rd_lambda)
        return TrialCost(8 * len(payload) * self._pixels / sampled, error * self._pixels / sampled)

    def _mosaic(self, values: Tensor) -> Tensor:
        if len(self._tiles) == 0:
            return values
        rows = [
            torch.cat([values[..., top : top + TILE_PX, left : left + TILE_PX] for top, left in row], -1)
            for row in self._tiles
        ]
        return torch.cat(rows, -2)


def explained_bits(x: Tensor, reference: Reference) -> float:
    """About what `reference` tells of x [1, 3, H, W], bits per luma sample: how much smaller than the variation of
    blocks is that of their difference. A quick look that costs no trial."""
    difference = _block_variance(x - reference.picture)
    alone = _block_variance(x)
    seen = F.interpolate(reference.valid, size=alone.shape[-2:], mode="area") > 0.5
    rest = torch.where(seen, torch.minimum(difference, alone), alone)
    return float(0.5 * torch.log2((alone + _NOISE_VARIANCE) / (rest + _NOISE_VARIANCE)).mean())


def _block_variance(values: Tensor) -> Tensor:
    """Of luma within blocks of 16 x 16, grey levels squared. [1, 1, h, w]"""
    luma = torch.einsum("c,bchw->bhw", torch.tensor(LUMA).to(values), values)[:, None] * 255
    mean, square = (F.avg_pool2d(part, BLOCK, ceil_mode=True) for part in (luma, luma * luma))
    return (square - mean * mean).clamp_min(0)


def _tiles(height: int, width: int) -> list[list[tuple[int, int]]]:
    """(top, left) of the tiles to code, as rows of a mosaic; none when the whole view is as quick."""
    rows, columns = height // TILE_PX, width // TILE_PX
    every = max(EVERY, math.ceil(rows * columns / MOST_TILES))
    # Two columns on from row to row: no straight line of the picture passes through all of them.
    found = [
        (row * TILE_PX, column * TILE_PX)
        for row in range(rows)
        for column in range(columns)
        if (column + 2 * row) % every == every // 2
    ]
    across = max(1, round(math.sqrt(len(found))))
    # The mosaic is a full rectangle: what does not fill its last row is left out.
    return [found[first : first + across] for first in range(0, len(found) - across + 1, across)]
