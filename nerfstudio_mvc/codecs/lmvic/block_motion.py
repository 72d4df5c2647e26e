"""Where the parts of a warped reference really belong: a shift per cell of 8x8 pixels, coded, so both sides use it.

    reference, warped through depth and filled --bicubic, moved by its cell's shift--> what is blended

Geometry brings a neighbour to within a pixel or two; its depth is coarse, its poses are estimates. What is left is what
motion compensation in video is for. `motion_search` finds the shifts, `motion_coding` makes bytes of them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.image_model import Reference
from nerfstudio_mvc.geometry.flow import sample

CELL_PX = 8
STEPS_PER_PX = 4
MOTION_LIMIT = 31
"""Largest shift along an axis, in steps."""
OVERLAP_PX = 4
"""Width of the band along the edges of cells in which their pictures are mixed."""
INTERPOLATION = "bicubic"


def motion_grid(height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of the shifts of a photograph of `height` x `width` pixels."""
    return -(-height // CELL_PX), -(-width // CELL_PX)


def moved_reference(reference: Reference, motion: np.ndarray) -> Reference:
    """A reference whose cells show what lies `motion` beside them; what is valid stays as it is.

    Along the edges of cells that move differently the pictures of both are mixed (overlapped block motion compensation,
    M. Orchard and G. Sullivan, "Overlapped block motion compensation: an estimation-theoretic approach", 1994).

    Args:
        reference: picture [1, 3, H, W].
        motion: (down, across) in quarter pixels. int64 [2, *motion_grid(H, W)]
    """
    picture = reference.picture[0]
    steps = torch.from_numpy(motion).to(picture.device, torch.int8)
    rows, columns = (torch.arange(size, device=picture.device) for size in picture.shape[1:])
    own = steps[:, rows // CELL_PX][:, :, columns // CELL_PX]
    moved = seen_beside(picture, rows[:, None].float(), columns.float(), own)
    corners = [
        (steps[:, row][:, :, column], row_share[:, None] * column_share)
        for row, row_share in _nearest_cells(rows, motion.shape[1])
        for column, column_share in _nearest_cells(columns, motion.shape[2])
    ]
    mixed = sum((other != own).any(0) & (share > 0) for other, share in corners).nonzero()
    row, column = mixed[:, :1].t(), mixed[:, 1:].t()
    moved[:, row, column] = sum(
        share[row, column] * seen_beside(picture, row, column, other[:, row, column]) for other, share in corners
    )
    # Bicubic interpolation overshoots at edges.
    return Reference(moved.clamp_(0, 1)[None], reference.valid)


def seen_beside(picture: Tensor, row: Tensor, column: Tensor, steps: Tensor) -> Tensor:
    """What lies `steps` quarter pixels (down, across) beside pixels of `picture` [C, H, W], its border repeated.

    Rows, columns and each of the `steps` must broadcast to one shape [R, K]; [C, R, K] is returned.
    """
    height, width = picture.shape[1:]
    down, across = steps.float() / STEPS_PER_PX
    y, x = (row + 0.5 + down) * (2.0 / height) - 1.0, (column + 0.5 + across) * (2.0 / width) - 1.0
    y, x = torch.broadcast_tensors(y, x)
    return sample(picture, x, y, torch.ones_like(x, dtype=torch.bool), INTERPOLATION)


def _nearest_cells(places: Tensor, cells: int) -> list[tuple[Tensor, Tensor]]:
    """Along one axis the two cells nearest to each pixel, and what share of it each has."""
    position = (places + 0.5) / CELL_PX - 0.5
    before = position.floor()
    share = ((position - before - 0.5) * (CELL_PX / OVERLAP_PX) + 0.5).clamp(0, 1)
    first, second = (cell.clamp(0, cells - 1).long() for cell in (before, before + 1))
    return [(first, 1 - share), (second, share)]
