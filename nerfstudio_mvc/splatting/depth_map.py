"""Depth maps and the pixel grids they live on.

A grid lies over the photograph as it is, at any lower resolution. Lens models are the business of
`colmap_io.camera_models`; filling a map is that of `sparse_depth` and `median_depth`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.capture.views import View


@dataclass(frozen=True)
class DepthMap:
    """z-depth of one view on the pixel grid of the photograph as it is, lens distortion included.

    Attributes:
        depth: z-depth in world units, positive and finite everywhere (unseen pixels are filled). float32 [h, w]
        valid: True where the scene was seen rather than filled in. bool [h, w]
    """

    depth: np.ndarray
    valid: np.ndarray


def grid_size(view: View, long_side: int) -> tuple[int, int]:
    """(height, width) of a grid over the photograph whose longer side is `long_side`, never finer than it."""
    scale = min(1.0, long_side / max(view.width, view.height))
    return max(1, round(view.height * scale)), max(1, round(view.width * scale))


def pixel_centers(photo_size: tuple[int, int], grid: tuple[int, int]) -> np.ndarray:
    """Pixel centres of a grid, in pixels of the photograph it lies over.

    Args:
        photo_size, grid: (height, width) of the photograph and of the grid.

    Returns:
        (x, y), row by row. float64 [h * w, 2]
    """
    (photo_height, photo_width), (height, width) = photo_size, grid
    x = (np.arange(width) + 0.5) * (photo_width / width)
    y = (np.arange(height) + 0.5) * (photo_height / height)
    return np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1).reshape(-1, 2)
