"""In which order the cells of a grid are coded, coarse to fine, and what each is predicted from.

(0, 0) --> spacing 64, 32, 16, .. 1: cell centres between known cells, then the cells between those
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

COARSEST_RESIDUAL_STEP = 16
"""Step of the residuals between direct neighbours; half of it at twice the spacing, and so on down to 1.

A cell that many others are interpolated from must be exact to a fraction of a pixel; one that none depends on need not.
"""


@dataclass(frozen=True, eq=False)
class Scan:
    """Cells coded together, and where their four neighbours' values come from.

    cells int64 [N]; nearest, farther int64 [4, N], opposite neighbours side by side. Inside the grid both are
    the neighbour; outside, the line through the two is continued: 2 * nearest - farther.
    """

    spacing: int
    cells: np.ndarray
    nearest: np.ndarray
    farther: np.ndarray

    @property
    def residual_step(self) -> int:
        return max(1, COARSEST_RESIDUAL_STEP // self.spacing)

    def neighbors(self, levels: np.ndarray) -> np.ndarray:
        """Values of the four neighbours. [4, N]"""
        nearest = levels[self.nearest]
        return 2 * nearest - levels[self.farther]


_DIAGONAL = np.array([(-1, -1), (1, 1), (-1, 1), (1, -1)])
_STRAIGHT = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])


@lru_cache(maxsize=16)
def interlaced_scans(height: int, width: int) -> tuple[Scan, ...]:
    """Every cell but (0, 0) exactly once, each after the cells it is predicted from."""
    scans = []
    spacing = 1 << max(height - 1, width - 1).bit_length()
    while spacing > 1:
        spacing //= 2
        row, column = np.meshgrid(np.arange(0, height, spacing), np.arange(0, width, spacing), indexing="ij")
        odd_row, odd_column = row // spacing % 2 == 1, column // spacing % 2 == 1
        for chosen, offsets in ((odd_row & odd_column, _DIAGONAL), (odd_row ^ odd_column, _STRAIGHT)):
            if chosen.any():
                scans.append(_scan(row[chosen], column[chosen], offsets * spacing, (height, width), spacing))
    return tuple(scans)


def _scan(row: np.ndarray, column: np.ndarray, offsets: np.ndarray, grid: tuple[int, int], spacing: int) -> Scan:
    near_row, far_row, row_exists = _continued(row, offsets[:, :1], grid[0])
    near_column, far_column, column_exists = _continued(column, offsets[:, 1:], grid[1])
    exists = row_exists & column_exists
    nearest, farther = near_row * grid[1] + near_column, far_row * grid[1] + far_column
    # A grid of a single row or column has nothing on either side: the other pair stands in.
    other = [2, 3, 0, 1]
    nearest, farther = np.where(exists, nearest, nearest[other]), np.where(exists, farther, farther[other])
    return Scan(spacing, row * grid[1] + column, nearest, farther)


def _continued(at: np.ndarray, offset: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates to read for `at + offset`: twice itself inside; outside, the opposite one and the next behind it."""
    inside = (at + offset >= 0) & (at + offset < size)
    nearest = np.where(inside, at + offset, at - offset)
    behind = np.where(inside, nearest, at - 3 * offset)
    farther = np.where((behind >= 0) & (behind < size), behind, nearest)
    return nearest, farther, (nearest >= 0) & (nearest < size)


def predict_cells(known: np.ndarray) -> np.ndarray:
    """Mean of the pairs of opposite neighbours, the pair that differs less counting more: edges stay. [4, N] -> [N]"""
    first, second = np.abs(known[0] - known[1]) + 1, np.abs(known[2] - known[3]) + 1
    weighted = (known[0] + known[1]) * second + (known[2] + known[3]) * first
    return (weighted + (first + second)) // (2 * (first + second))
