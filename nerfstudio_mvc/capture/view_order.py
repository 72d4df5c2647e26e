"""In which order views are coded, and which coded views are near: camera distances, nothing about pixels.

Cutting the order into groups is `grouping`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import ShapeError


def camera_distances(views: Sequence[View]) -> np.ndarray:
    """Distance of every camera from every other, without unit.

    3D-GP-LMVIC, Eq. 8: ``|| V_i V_j^-1 - I ||_F`` with V = cam_from_world, which is
    ``sqrt(|| R_i R_j^T - I ||_F^2 + || c_i - c_j ||^2)`` with c the camera centres. The authors' released code has
    camera-to-world matrices in its place, which makes the distance depend on where the world's origin is.

    Returns:
        float64 [V, V], symmetric, zero on the diagonal.
    """
    rotations = np.stack([view.cam_from_world[:3, :3] for view in views])
    centers = np.stack([view.center for view in views])
    # Eq. 8 adds a rotation to a length; dividing by the scene's radius makes the order independent of its scale.
    radius = np.linalg.norm(centers - centers.mean(0), axis=1).max()
    offsets = (centers[:, None] - centers[None]) / (radius if radius > 1e-9 else 1.0)
    # || A - I ||_F^2 = 6 - 2 trace(A) for a rotation A; rounding may leave it just below zero.
    traces = np.einsum("iab,jab->ij", rotations, rotations)
    distances = np.sqrt(np.maximum(6.0 - 2.0 * traces, 0.0) + (offsets**2).sum(2))
    np.fill_diagonal(distances, 0.0)
    return distances


def coding_order(views: Sequence[View], *, start: int = 0) -> list[int]:
    """Positions in `views` in the order in which they are coded: each next one is the nearest to the one before.

    Args:
        views: in capture order.
        start: position of the first one.

    Raises:
        ShapeError: `start` is not a position in `views`.
    """
    if not 0 <= start < len(views):
        raise ShapeError(f"cannot start the coding order at view {start} of {len(views)}")
    distances = camera_distances(views)
    order = [start]
    np.fill_diagonal(distances, np.inf)
    distances[:, start] = np.inf
    while len(order) < len(views):
        order.append(int(np.argmin(distances[order[-1]])))
        distances[:, order[-1]] = np.inf
    return order


def nearest_coded(view: View, coded_views: Sequence[View], *, count: int = 2) -> list[int]:
    """Positions in `coded_views` of the `count` cameras nearest to `view`, nearest first; ties go to the later coded.

    The scale is that of the views given, so encoder and decoder agree when they give the same ones.
    """
    distances = camera_distances([view, *coded_views])[0, 1:]
    latest_first = np.argsort(distances[::-1], kind="stable")[:count]
    return [len(coded_views) - 1 - int(position) for position in latest_first]
