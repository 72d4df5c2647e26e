"""Values at scattered positions -> values at the cells of a grid, linearly over Delaunay triangles.

Triangles are drawn row by row. Looking for the triangle of each cell, as SciPy's interpolator does, takes minutes where
many triangles are thin. What the values are, is the caller's business.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import Delaunay, QhullError

SMALLEST_AREA = 1e-9  # square cells, twice the area; a thinner triangle covers no centre
EDGE = 1e-9  # cells; a centre on an edge belongs to both sides


def interpolate_over_triangles(positions: np.ndarray, values: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Linear interpolation at the centres of a grid.

    Args:
        positions: (x, y) in cells; the centre of row i, column j is (j + 0.5, i + 0.5). [K, 2]
        values: at the positions. [K]

    Returns:
        NaN outside the convex hull, and everywhere when the positions span no triangle. float64 [height, width]
    """
    filled = np.full((height, width), np.nan)
    try:
        simplices = Delaunay(positions).simplices
    except (QhullError, ValueError):
        return filled
    corners, at_corners = positions[simplices], values[simplices]
    edges = np.roll(corners, -1, axis=1) - corners
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    kept = np.abs(area) > SMALLEST_AREA
    corners, at_corners, edges, area = corners[kept], at_corners[kept], edges[kept], area[kept]
    owner, row, left, count = _spans(corners, edges, np.sign(area), height=height, width=width)
    span, within = _counted(count)
    owner, row, column = owner[span], row[span], left[span] + within
    rise_1, rise_2 = at_corners[:, 1] - at_corners[:, 0], at_corners[:, 2] - at_corners[:, 0]
    first, second = edges[:, 0], -edges[:, 2]  # from the first corner to the two others
    slope_x = (rise_1 * second[:, 1] - rise_2 * first[:, 1]) / area
    slope_y = (rise_2 * first[:, 0] - rise_1 * second[:, 0]) / area
    x, y = column + 0.5 - corners[owner, 0, 0], row + 0.5 - corners[owner, 0, 1]
    value = at_corners[owner, 0] + slope_x[owner] * x + slope_y[owner] * y
    # Rounding in a thin triangle may leave the range of its corners.
    filled[row, column] = np.clip(value, at_corners.min(1)[owner], at_corners.max(1)[owner])
    return filled


def _spans(
    corners: np.ndarray, edges: np.ndarray, turn: np.ndarray, *, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Runs of cells whose centres lie in a triangle: which triangle, row, first column, how many. Each [S]"""
    # A centre (x, y) is inside where across * x + down * y + constant >= 0 for all three edges.
    across, down = -edges[..., 1] * turn[:, None], edges[..., 0] * turn[:, None]
    constant = -(across * corners[..., 0] + down * corners[..., 1])
    top = np.clip(np.ceil(corners[..., 1].min(1) - 0.5 - EDGE), 0, height).astype(np.int64)
    bottom = np.clip(np.floor(corners[..., 1].max(1) - 0.5 + EDGE), -1, height - 1).astype(np.int64)
    owner, within = _counted(np.maximum(bottom - top + 1, 0))
    row = top[owner] + within
    rest = down[owner] * (row + 0.5)[:, None] + constant[owner]
    slope = across[owner]
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = -rest / slope
    lowest = np.where(slope > 0, bound, -np.inf).max(1)
    highest = np.where(slope < 0, bound, np.inf).min(1)
    left = np.clip(np.ceil(lowest - 0.5 - EDGE), 0, width).astype(np.int64)
    right = np.clip(np.floor(highest - 0.5 + EDGE), -1, width - 1).astype(np.int64)
    return owner, row, left, np.maximum(right - left + 1, 0)


def _counted(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``[2, 0, 3]`` -> ``[0, 0, 2, 2, 2]`` and ``[0, 1, 0, 1, 2]``."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
