"""The ray through every cell of a grid laid over a photograph, lens distortion removed.

The lens is inverted on nodes some pixels apart and interpolated between them, so large photographs stay cheap;
the inversion itself is `cameras`'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import Tensor

from colmap_io.records import Camera
from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.geometry.cameras import rays_from_pixels
from nerfstudio_mvc.geometry.resampling import cubic_taps

NODE_STEP_PX = 8.0  # pixels of the photograph; cubic interpolation then errs by less than 1e-3 pixel on phone lenses
SMALLEST_NODE_COUNT = 65  # per axis: a small photograph bends as much over fewer pixels
CACHED_GRIDS = 16


@dataclass(frozen=True, eq=False)
class RayGrid:
    """Rays of a grid, produced row by row.

    Attributes:
        nodes: rays at the nodes, x then y. float64 [2, node rows, node columns]
        first_row, first_column: the first of the four nodes mixed for every grid row and column. int64 [H], [W]
        row_weights, column_weights: the shares of the four. float64 [4, H], float32 [4, W]
    """

    nodes: Tensor
    first_row: Tensor
    row_weights: Tensor
    first_column: Tensor
    column_weights: Tensor

    def to(self, device: torch.device) -> RayGrid:
        """The same grid with its tensors on `device`."""
        return RayGrid(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def rows(self, rows: slice) -> tuple[Tensor, Tensor]:
        """x and y of the rays of these grid rows, each float32 [R, W]; NaN where a pixel has no ray."""
        first, weights = self.first_row[rows], self.row_weights[:, rows, None]
        nodes = self.nodes.index_select(1, first) * weights[0]
        for tap in range(1, 4):
            nodes += self.nodes.index_select(1, first + tap) * weights[tap]
        nodes = nodes.to(torch.float32)
        rays = nodes.index_select(2, self.first_column) * self.column_weights[0]
        for tap in range(1, 4):
            rays += nodes.index_select(2, self.first_column + tap) * self.column_weights[tap]
        return rays[0], rays[1]


def ray_grid(camera: Camera, height: int, width: int) -> Tensor:
    """Rays (x / z, y / z) through the cell centres of a `height` x `width` grid over the photograph of `camera`.

    Returns:
        float32 [height, width, 2]; NaN where a pixel sees nothing in front of the camera.

    Raises:
        CaptureError: a lens this geometry cannot follow.
        ShapeError: an empty grid.
    """
    return torch.stack(ray_rows(camera, height, width).rows(slice(0, height)), dim=-1)


@lru_cache(maxsize=CACHED_GRIDS)
def ray_rows(camera: Camera, height: int, width: int) -> RayGrid:
    """The grid of `ray_grid`, not yet evaluated; kept for the cameras used last (3 MB for a photograph of 12 MP)."""
    if min(height, width) < 1:
        raise ShapeError(f"a grid of {width}x{height} cells is empty; give at least one cell per side")
    node_u, column_position = _nodes(camera.width, width)
    node_v, row_position = _nodes(camera.height, height)
    grid_v, grid_u = torch.meshgrid(node_v, node_u, indexing="ij")
    nodes = torch.stack(rays_from_pixels(camera, grid_u, grid_v))
    first_row, row_weights = cubic_taps(row_position, len(node_v))
    first_column, column_weights = cubic_taps(column_position, len(node_u))
    return RayGrid(nodes, first_row, row_weights, first_column, column_weights.to(torch.float32))


def _nodes(photo_size: int, grid_size: int) -> tuple[Tensor, Tensor]:
    count = max(SMALLEST_NODE_COUNT, math.ceil(photo_size / NODE_STEP_PX) + 1)
    nodes = torch.linspace(0, photo_size, count, dtype=torch.float64)
    centers = (torch.arange(grid_size, dtype=torch.float64) + 0.5) * ((count - 1) / grid_size)
    return nodes, centers
