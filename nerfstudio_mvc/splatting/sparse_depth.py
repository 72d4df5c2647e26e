"""The fallback prior: inverse depth of the sparse points a view sees, interpolated linearly over the image.

Inverse depth, because it is linear over the image wherever the scene is a plane. Which views get this prior
is decided in `prior`.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from colmap_io.camera_models import project
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.splatting.depth_map import DepthMap, grid_size, pixel_centers
from nerfstudio_mvc.splatting.triangle_interpolation import interpolate_over_triangles

NEIGHBORS = 8
MAX_DEPTH_RATIO = 3.0  # to the median of the neighbours; a mismatched track is usually off by far more


def interpolate_sparse_depth(view: View, points: np.ndarray, *, long_side: int = 320) -> DepthMap | None:
    """z-depth of `view` from the sparse points.

    Inside the convex hull of the points the inverse depth is interpolated linearly over Delaunay triangles;
    outside (where `valid` is False) every pixel takes the nearest point.

    Args:
        view: `point_idxs` names the points it sees; when empty, every point that projects into the frame counts.
        points: world units. float64 [P, 3]
        long_side: longer side of the depth map in pixels; never more than the photograph has.

    Returns:
        The depth map on the distorted pixel grid, or None when no point lies in the frame.
    """
    positions, inverse_depth = _seen_points(view, points)
    if len(inverse_depth) == 0:
        return None
    height, width = grid_size(view, long_side)
    centers = pixel_centers((view.height, view.width), (height, width))
    nearest = inverse_depth[KDTree(positions).query(centers)[1]]
    in_cells = positions * (width / view.width, height / view.height)
    interpolated = interpolate_over_triangles(in_cells, inverse_depth, height=height, width=width)
    valid = np.isfinite(interpolated)
    depth = 1.0 / np.where(valid, interpolated, nearest.reshape(height, width))
    return DepthMap(depth.astype(np.float32), valid)


def _seen_points(view: View, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the photograph [K, 2] and inverse depths [K] of the trustworthy points."""
    seen = points[view.point_idxs] if len(view.point_idxs) else points
    seen = seen[np.isfinite(seen).all(1)]
    in_camera = seen @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
    in_camera = in_camera[in_camera[:, 2] > 0]
    positions, in_frame = project(view.camera, in_camera)
    in_frame &= ((positions >= 0) & (positions <= (view.width, view.height))).all(1)
    positions, inverse_depth = positions[in_frame], 1.0 / in_camera[in_frame, 2]
    trusted = _agrees_with_neighbors(positions, inverse_depth)
    return positions[trusted], inverse_depth[trusted]


def _agrees_with_neighbors(positions: np.ndarray, inverse_depth: np.ndarray) -> np.ndarray:
    if len(inverse_depth) <= NEIGHBORS:
        return np.ones(len(inverse_depth), bool)
    neighbors = KDTree(positions).query(positions, NEIGHBORS + 1)[1][:, 1:]
    ratio = inverse_depth / np.median(inverse_depth[neighbors], axis=1)
    return (ratio < MAX_DEPTH_RATIO) & (ratio > 1 / MAX_DEPTH_RATIO)
