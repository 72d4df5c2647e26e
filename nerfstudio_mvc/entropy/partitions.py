"""Which symbol is coded in which of the four steps (3D-GP-LMVIC's quadtree partition, QPEM).

Channels fall into four groups (channel index mod 4, so that each group holds low and high frequencies); each step codes
another quarter of every 2x2 cell per group, so that every position is touched in every step.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 4
POSITIONS = ((0, 0), (0, 1), (1, 0), (1, 1))
# PATTERN[step][group]: the position of the 2x2 cell that is coded.
PATTERN = ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2))


def step_cells(channels: int) -> Tensor:
    """True where a step codes a channel at a position of the 2x2 cell. bool [4, channels, 2, 2]"""
    cells = torch.zeros(STEPS, channels, 2, 2, dtype=torch.bool)
    for step, positions in enumerate(PATTERN):
        for group, position in enumerate(positions):
            row, column = POSITIONS[position]
            cells[step, group::4, row, column] = True
    return cells


def tile_cells(cells: Tensor, height: int, width: int) -> Tensor:
    """Repeat 2x2 cells over a map. [..., 2, 2] -> [..., height, width]"""
    rows, columns = (height + 1) // 2, (width + 1) // 2
    return cells.repeat(*(1,) * (cells.ndim - 2), rows, columns)[..., :height, :width]
