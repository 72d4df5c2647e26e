"""Of two depth maps of a view, takes at each pixel the one by which the neighbours predict the photograph better.

Fitted Gaussians win where surfaces are many and small, interpolated sparse points on large smooth ones and where few
views look. Which is which shows in the photographs: a wrong depth fetches the wrong pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import float32 as f4
from scipy.ndimage import gaussian_filter, uniform_filter

from nerfstudio_mvc.compiling import kernel
from nerfstudio_mvc.splatting.fitting import TrainingView
from nerfstudio_mvc.splatting.median_depth import PinholeDepth
from nerfstudio_mvc.splatting.projection import PinholeCamera
from nerfstudio_mvc.splatting.workers import PARTS, Workers

NEIGHBORS = 2
WINDOW_PX = 9  # differences are averaged over this square before they are compared
BACKGROUND_PX = 12.0  # what changes more slowly than this is exposure, and does not count
WORST = 0.15  # of the range of values; also where the neighbour does not see the point
OCCLUSION_SLACK = 1.05  # relative depth
ADVANTAGE = 0.97  # the second map has to be better by this factor: changing sides for nothing costs an edge


def choose_depth(
    views: Sequence[TrainingView],
    first: Sequence[PinholeDepth | None],
    second: Sequence[PinholeDepth | None],
    *,
    workers: Workers,
) -> list[PinholeDepth | None]:
    """The better of two depth maps of each view, pixel by pixel.

    Args:
        views: photographs with their pinhole cameras.
        first, second: of each view, in the scene frame; the first is kept where nothing speaks for the second, and
            tells which points a neighbour can see.
    """
    pictures = [_details(view) for view in views]
    centers = np.stack([-v.camera.cam_from_world[:3, :3].T @ v.camera.cam_from_world[:3, 3] for v in views])
    chosen: list[PinholeDepth | None] = []
    for index, view in enumerate(views):
        a, b = first[index], second[index]
        if a is None or b is None:
            chosen.append(a or b)
            continue
        nearest = np.argsort(np.linalg.norm(centers - centers[index], axis=1), kind="stable")
        neighbors = [other for other in nearest if other != index and first[other] is not None][:NEIGHBORS]
        costs = [np.full(view.mask.shape, WORST, np.float32) for _ in range(2)]
        for other in neighbors:
            for which, candidate in enumerate((a, b)):
                cost = _difference(
                    candidate.depth,
                    (view.camera, pictures[index], view.mask),
                    (views[other].camera, pictures[other], views[other].mask),
                    first[other].depth,
                    workers,
                )
                costs[which] = np.minimum(costs[which], uniform_filter(cost, WINDOW_PX, mode="nearest"))
        take = costs[1] < ADVANTAGE * costs[0]
        chosen.append(PinholeDepth(np.where(take, b.depth, a.depth), a.seen | (take & b.seen)))
    return chosen


def _details(view: TrainingView) -> np.ndarray:
    """The photograph without what changes slowly. float32 [H, W, 3]"""
    picture = view.image.astype(np.float32) / np.float32(255)
    return picture - gaussian_filter(picture, (BACKGROUND_PX, BACKGROUND_PX, 0), mode="nearest", truncate=2.0)


Shown = tuple[PinholeCamera, np.ndarray, np.ndarray]


def _difference(depth: np.ndarray, here: Shown, there: Shown, depth_there: np.ndarray, workers: Workers) -> np.ndarray:
    """Mean absolute difference between each pixel and what the neighbour shows of it. float32 [H, W]"""
    there_from_here = there[0].cam_from_world @ np.linalg.inv(here[0].cam_from_world)
    cameras = np.array([[c.fx, c.fy, c.cx, c.cy] for c in (here[0], there[0])], np.float32)
    out = np.empty(depth.shape, np.float32)
    pose = there_from_here[:3].astype(np.float32)
    workers.run(_difference_part, depth, cameras, pose, here[1], here[2], there[1], there[2], depth_there, out)
    return out


@kernel
def _difference_part(part, depth, cameras, pose, picture, mask, picture_there, mask_there, depth_there, out):
    height, width = depth.shape
    height_there, width_there = depth_there.shape
    half, worst, slack = f4(0.5), f4(WORST), f4(OCCLUSION_SLACK)
    for row in range(height * part // PARTS, height * (part + 1) // PARTS):
        for column in range(width):
            out[row, column] = worst
            z = depth[row, column]
            if mask[row, column] == f4(0):
                continue
            x = (f4(column) + half - cameras[0, 2]) / cameras[0, 0] * z
            y = (f4(row) + half - cameras[0, 3]) / cameras[0, 1] * z
            z_there = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3]
            if not (z_there > f4(1e-6)):
                continue
            u = (pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]) / z_there * cameras[1, 0] + cameras[
                1, 2
            ]
            v = (pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3]) / z_there * cameras[1, 1] + cameras[
                1, 3
            ]
            if not (u >= f4(0) and u < f4(width_there) and v >= f4(0) and v < f4(height_there)):
                continue
            near_column, near_row = int(u), int(v)
            if mask_there[near_row, near_column] == f4(0):
                continue
            if z_there > slack * depth_there[near_row, near_column]:
                continue
            u, v = max(u - half, f4(0)), max(v - half, f4(0))
            left, top = min(int(u), width_there - 1), min(int(v), height_there - 1)
            right, bottom = min(left + 1, width_there - 1), min(top + 1, height_there - 1)
            share_x, share_y = u - f4(left), v - f4(top)
            total = f4(0)
            for k in range(3):
                above = picture_there[top, left, k] * (f4(1) - share_x) + picture_there[top, right, k] * share_x
                below = picture_there[bottom, left, k] * (f4(1) - share_x) + picture_there[bottom, right, k] * share_x
                total += abs(above * (f4(1) - share_y) + below * share_y - picture[row, column, k])
            out[row, column] = min(total / f4(3), worst)
