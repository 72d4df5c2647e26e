"""Encoder side: about how many bits a view takes where its reference is moved, cell by cell.

Compared are DCTs of 8x8 pixels of luma, in steps of the quantiser, and what `mode_choice` takes a coefficient to cost.
Which motion to try is `motion_search`'s business.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.block_motion import CELL_PX, MOTION_LIMIT, STEPS_PER_PX, motion_grid, seen_beside
from nerfstudio_mvc.codecs.lmvic.luma import LUMA
from nerfstudio_mvc.codecs.lmvic.mode_choice import ERROR_WORTH, coding_bits


class MotionCosts:
    """Of a view x [1, 3, H, W] and the picture that is to be moved, of the same shape.

    Attributes:
        grid: rows and columns of cells.
    """

    def __init__(self, x: Tensor, picture: Tensor, *, rd_lambda: float) -> None:
        height, width = x.shape[-2:]
        self.grid = rows, columns = motion_grid(height, width)
        margin = MOTION_LIMIT // STEPS_PER_PX + 2
        below, right = rows * CELL_PX - height, columns * CELL_PX - width
        target = F.pad(_luma(x), (0, right, 0, below), mode="replicate")[0]
        self._target = target.view(rows, CELL_PX, columns, CELL_PX).permute(0, 2, 1, 3).reshape(-1, CELL_PX**2)
        source = F.pad(_luma(picture), (margin, margin + right, margin, margin + below), mode="replicate")
        row, column = torch.arange(source.shape[1])[:, None], torch.arange(source.shape[2])
        fractions = torch.cartesian_prod(torch.arange(STEPS_PER_PX), torch.arange(STEPS_PER_PX))[..., None, None]
        planes = torch.stack([seen_beside(source, row, column, fraction).half() for fraction in fractions])
        self._planes, self._plane_size, self._stride = planes.flatten(), planes[0].numel(), planes.shape[-1]
        # Where in a plane a cell starts, and each of its pixels from there.
        top, left = torch.arange(rows) * CELL_PX + margin, torch.arange(columns) * CELL_PX + margin
        self._starts = (top[:, None] * self._stride + left).flatten()
        self._within = (torch.arange(CELL_PX)[:, None] * self._stride + torch.arange(CELL_PX)).flatten()
        # In steps of the quantiser an error costs `ERROR_WORTH`, in grey levels what rate and distortion agree on.
        self._transform = _dct(CELL_PX) * math.sqrt(rd_lambda / ERROR_WORTH)

    def of(self, motion: Tensor) -> Tensor:
        """Bits of all cells. int64 [2, h, w], quarter pixels -> [h, w]"""
        return self.of_cells(slice(None), motion.flatten(1)).view(self.grid)

    def of_cells(self, cells: slice | Tensor, motion: Tensor) -> Tensor:
        """Bits of some cells, numbered rows first. int64 [2, N] -> [N]"""
        whole, part = motion.div(STEPS_PER_PX, rounding_mode="floor"), motion % STEPS_PER_PX
        first = self._starts[cells] + whole[0] * self._stride + whole[1]
        first += (part[0] * STEPS_PER_PX + part[1]) * self._plane_size
        seen = self._planes[first[:, None] + self._within].float()
        return coding_bits((self._target[cells] - seen) @ self._transform)


def _luma(picture: Tensor) -> Tensor:
    """Grey levels 0..255. [1, 3, H, W] -> [1, H, W]"""
    return torch.einsum("c,bchw->bhw", torch.tensor(LUMA), picture.cpu()) * 255


def _dct(side: int) -> Tensor:
    """Orthonormal, two-dimensional, from the right: flat cells @ this. [side^2, side^2]"""
    place, frequency = torch.arange(side)[:, None] + 0.5, torch.arange(side)
    basis = torch.cos(math.pi / side * place * frequency) * math.sqrt(2 / side)
    basis[:, 0] /= math.sqrt(2)
    return torch.kron(basis, basis)
