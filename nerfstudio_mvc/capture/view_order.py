"""In which order views are coded, and which coded views are near: cameras and sparse points, nothing about pixels.

Cutting the order into groups is `grouping`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from nerfstudio_mvc.capture.grouping import group_sizes, split_into_groups
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.errors import ShapeError

Order = Literal["distance", "overlap", "file", "random"]
ORDERS: tuple[str, ...] = get_args(Order)

SEED = 0
POINTS_FOR_OVERLAP = 20  # with fewer in common overlap says little, and camera distance decides


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


def shared_points(views: Sequence[View]) -> np.ndarray:
    """How many sparse points every view shares with every other; its own number on the diagonal. int64 [V, V]"""
    seen = [np.unique(view.point_idxs) for view in views]
    shared = np.zeros((len(views), len(views)), np.int64)
    for i, points in enumerate(seen):
        shared[i, i] = len(points)
        for j in range(i):
            shared[i, j] = shared[j, i] = len(np.intersect1d(points, seen[j], assume_unique=True))
    return shared


def dissimilarities(views: Sequence[View]) -> np.ndarray:
    """How little of view i each view j shows: 0 for all of it, 1 for nothing, more where only cameras can be compared.

    The share of the sparse points of i that j was matched at: points in common tell of the same surfaces seen at a
    similar angle and scale. Pairs with next to none are put behind, by the distance of their cameras.

    Returns:
        float64 [V, V], zero on the diagonal; not symmetric.
    """
    shared = shared_points(views)
    distances = camera_distances(views)
    missing = 1.0 - shared / np.maximum(np.diag(shared), 1)[:, None]
    result = np.where(shared >= POINTS_FOR_OVERLAP, missing, 1.0 + distances)
    np.fill_diagonal(result, 0.0)
    return result


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


def overlap_order(views: Sequence[View], *, group_size: int) -> list[int]:
    """Positions in `views` in an order in which each view of a group has the best coded view to be predicted from.

    A group starts at the view that the others left over show least (at the rim, so that what remains stays together)
    and takes next the view of which its own show most: Prim's spanning tree, of whichever of them.

    Args:
        views: in capture order.
        group_size: as for `grouping.split_into_groups`, which cuts the order.
    """
    missing = dissimilarities(views)
    left = np.ones(len(views), bool)
    order: list[int] = []
    for size in group_sizes(len(views), group_size):
        candidates = np.flatnonzero(left)
        among = missing[np.ix_(candidates, candidates)] + np.diag(np.full(len(candidates), np.inf))
        start = int(candidates[np.argmax(among.min(1))]) if len(candidates) > 1 else int(candidates[0])
        left[start] = False
        order.append(start)
        nearest = missing[:, start].copy()
        for _ in range(size - 1):
            following = int(np.argmin(np.where(left, nearest, np.inf)))
            left[following] = False
            order.append(following)
            nearest = np.minimum(nearest, missing[:, following])
    return order


def coding_groups(capture: Capture, order: Order, *, group_size: int) -> list[list[int]]:
    """view_idx of all views, group by group, in coding order. Views without geometry have groups of their own, in the
    order of the capture: what was taken one after the other is mostly alike.

    Args:
        order: see `order_views`.
        group_size: see `grouping.split_into_groups`.

    Raises:
        ShapeError: there is no such order, or `group_size` is below 1.
    """
    ordered = split_into_groups(order_views(capture.views, order, group_size=group_size), group_size)
    others = [view.view_idx for view in capture.views if not view.has_geometry]
    return [*ordered, *split_into_groups(others, group_size)]


def order_views(views: Sequence[View], order: Order, *, group_size: int) -> list[int]:
    """view_idx of those of `views` that have geometry in the order in which they are coded.

    Args:
        order: "distance", `coding_order`; "overlap", `overlap_order`; "file", as they come; "random", the same every
            time.
        group_size: as for `grouping.split_into_groups`.

    Raises:
        ShapeError: there is no such order.
    """
    views = [view for view in views if view.has_geometry]
    positions: list[int] | None = None
    if order == "distance":
        positions = coding_order(views) if views else []
    elif order == "overlap":
        positions = overlap_order(views, group_size=group_size) if views else []
    elif order == "file":
        positions = list(range(len(views)))
    elif order == "random":
        positions = np.random.default_rng(SEED).permutation(len(views)).tolist()
    if positions is not None:
        return [views[position].view_idx for position in positions]
    raise ShapeError(f'there is no coding order "{order}"; available: {", ".join(ORDERS)}')


def nearest_coded(view: View, coded_views: Sequence[View], *, count: int = 2) -> list[int]:
    """Positions in `coded_views` of the `count` cameras nearest to `view`, nearest first; ties go to the later coded.
    All views have geometry, or the answer is none.

    The scale is that of the views given, so encoder and decoder agree when they give the same ones.
    """
    if not all(known.has_geometry for known in (view, *coded_views)):
        return []
    distances = camera_distances([view, *coded_views])[0, 1:]
    latest_first = np.argsort(distances[::-1], kind="stable")[:count]
    return [len(coded_views) - 1 - int(position) for position in latest_first]
