"""Encoder side: about how many bits a view takes where its reference is moved, cell by cell.

Compared are DCTs of 8x8 pixels of luma, in steps of the quantiser, and what `mode_choice` takes a coefficient to cost.
Which motion to try is `motion_search`'s business, the loops are `motion_kernels`'.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.block_motion import CELL_PX, MOTION_LIMIT, STEPS_PER_PX, motion_grid, seen_beside
from nerfstudio_mvc.codecs.lmvic.kernel_threads import in_parts
from nerfstudio_mvc.codecs.lmvic.luma import LUMA
from nerfstudio_mvc.codecs.lmvic.mode_choice import ERROR_WORTH, LEAST_BITS, LEAST_SIZE
from nerfstudio_mvc.codecs.lmvic.motion_kernels import GREY_STEPS, cell_bits


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
        cells = target.view(rows, CELL_PX, columns, CELL_PX).permute(0, 2, 1, 3).reshape(-1, CELL_PX**2)
        self._target = _grey_steps(cells)
        source = F.pad(_luma(picture), (margin, margin + right, margin, margin + below), mode="replicate")
        row, column = torch.arange(source.shape[1])[:, None], torch.arange(source.shape[2])
        fractions = torch.cartesian_prod(torch.arange(STEPS_PER_PX), torch.arange(STEPS_PER_PX))[..., None, None]
        planes = np.stack([_grey_steps(seen_beside(source, row, column, fraction)[0]) for fraction in fractions])
        self._planes, self._plane_size, self._stride = planes.ravel(), planes[0].size, planes.shape[-1]
        # Where in a plane a cell starts.
        top, left = np.arange(rows) * CELL_PX + margin, np.arange(columns) * CELL_PX + margin
        self._starts = (top[:, None] * self._stride + left).ravel()
        # In steps of the quantiser an error costs `ERROR_WORTH`, in grey levels what rate and distortion agree on.
        self._scale = rd_lambda / ERROR_WORTH / GREY_STEPS**2

    def of(self, motion: Tensor) -> Tensor:
        """Bits of all cells. int64 [2, h, w], quarter pixels -> [h, w]"""
        return torch.from_numpy(self.of_cells(slice(None), motion.flatten(1).numpy())).view(self.grid)

    def of_cells(self, cells: slice | np.ndarray, motion: np.ndarray) -> np.ndarray:
        """Bits of some cells, numbered rows first. int64 [2, N] -> float32 [N]"""
        whole, part = motion // STEPS_PER_PX, motion % STEPS_PER_PX
        starts = self._starts[cells] + whole[0] * self._stride + whole[1]
        starts += (part[0] * STEPS_PER_PX + part[1]) * self._plane_size
        bits = np.empty(len(starts), np.float32)
        pictures = (self._target[cells], self._planes, self._stride, starts)
        in_parts(cell_bits, len(bits), *pictures, self._scale, LEAST_BITS, LEAST_SIZE, ERROR_WORTH, bits)
        return bits


def _luma(picture: Tensor) -> Tensor:
    """Grey levels 0..255. [1, 3, H, W] -> [1, H, W]"""
    return torch.einsum("c,bchw->bhw", torch.tensor(LUMA), picture.cpu()) * 255


def _grey_steps(luma: Tensor) -> np.ndarray:
    return (luma * GREY_STEPS).round_().to(torch.int16).numpy()
