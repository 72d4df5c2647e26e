"""The linear 16x16 block transform the learned codec starts from: a DCT on decorrelated colour axes.

A network that starts here is an image codec at step 0; from random weights the same network needs thousands of steps
to get as far.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK = 16
COLOR_AXES = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))


def zigzag() -> list[tuple[int, int]]:
    """All (row, column) frequencies of a block, low ones first, nearly square ones before elongated ones."""
    pairs = [(row, column) for row in range(BLOCK) for column in range(BLOCK)]
    return sorted(pairs, key=lambda pair: (sum(pair) + 0.01 * abs(pair[0] - pair[1]), pair))


def frequencies(luma: int, chroma: int) -> Tensor:
    """Row plus column frequency of every latent channel. float [luma + 2 * chroma]"""
    order = torch.tensor([float(row + column) for row, column in zigzag()])
    return torch.cat([order[:luma], order[:chroma], order[:chroma]])


def dct_basis(size: int) -> Tensor:
    """Orthonormal DCT-II, one frequency per row. float64 [size, size]"""
    index = torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi * (index + 0.5) * index[:, None] / size) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis


def dct_filters(luma: int, chroma: int) -> Tensor:
    """Orthonormal filters: `luma` of the grey axis, then `chroma` per colour axis. [luma + 2 * chroma, 3, 16, 16]"""
    basis = dct_basis(BLOCK)
    axes = F.normalize(torch.tensor(COLOR_AXES, dtype=torch.float64), dim=1)
    rows, columns = (list(part) for part in zip(*zigzag(), strict=True))
    planes = basis[rows][:, :, None] * basis[columns][:, None, :]
    parts = [
        axes[axis][None, :, None, None] * planes[:count, None] for axis, count in enumerate((luma, chroma, chroma))
    ]
    return torch.cat(parts).float()


class BlockTransform(nn.Module):
    """Analysis and synthesis with 16x16 filters at stride 16, both learned from the DCT on; always in float32.

    analyse: [B, 3, H, W], values around 0 -> [B, M, H/16, W/16];  synthesise: back. Both are one matrix product per
    block; PyTorch's transposed convolution takes a CPU five times as long for the same sums.
    """

    def __init__(self, luma: int, chroma: int) -> None:
        super().__init__()
        filters = dct_filters(luma, chroma)
        self.analysis = nn.Parameter(filters.clone())
        self.synthesis = nn.Parameter(filters.clone())

    def analyse(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(F.pixel_unshuffle(x.float(), BLOCK), self.analysis.flatten(1)[:, :, None, None])

    def synthesise(self, y: Tensor) -> Tensor:
        with torch.autocast(y.device.type, enabled=False):
            return F.pixel_shuffle(F.conv2d(y.float(), self.synthesis.flatten(1).t()[:, :, None, None]), BLOCK)
