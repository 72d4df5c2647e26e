"""Gaussians of a capture -> depth maps of all its views.

Where the photographs are at hand the sparse points have a say as well, through `depth_choice`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from colmap_io.records import Camera
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.splatting.capture_gaussians import CaptureGaussians
from nerfstudio_mvc.splatting.depth_choice import choose_depth
from nerfstudio_mvc.splatting.depth_map import DepthMap
from nerfstudio_mvc.splatting.median_depth import PinholeDepth, draw_depth, on_photograph
from nerfstudio_mvc.splatting.pinhole_views import PinholeView, SceneFrame, pinhole_view
from nerfstudio_mvc.splatting.sparse_depth import interpolate_sparse_depth
from nerfstudio_mvc.splatting.workers import Workers


def depth_of_views(
    found: CaptureGaussians,
    points: np.ndarray,
    *,
    long_side: int,
    workers: Workers,
    on_view: Callable[[int, int], None],
) -> list[DepthMap | None]:
    """Depth maps of all views; None for a view in which nothing is seen.

    Args:
        points: the capture's sparse points, world units. float64 [P, 3]
        on_view: called with (done, total).
    """
    pinholes = [pinhole_view(view, found.frame, long_side=long_side) for view in found.views]
    depths: list[PinholeDepth | None] = []
    for pinhole in pinholes:
        depths.append(draw_depth(found.gaussians, pinhole.camera, near=found.near, workers=workers))
        on_view(len(depths), len(pinholes))
    if found.photographs:
        sparse = [
            _sparse_depth(view, points, pinhole, found.frame)
            for view, pinhole in zip(found.views, pinholes, strict=True)
        ]
        depths = choose_depth(found.photographs, depths, sparse, workers=workers)
    return [
        None if depth is None else on_photograph(depth, pinhole, found.frame)
        for depth, pinhole in zip(depths, pinholes, strict=True)
    ]


def _sparse_depth(view: View, points: np.ndarray, pinhole: PinholeView, frame: SceneFrame) -> PinholeDepth | None:
    camera = pinhole.camera
    record = Camera(0, "PINHOLE", camera.width, camera.height, (camera.fx, camera.fy, camera.cx, camera.cy))
    undistorted = replace(view, width=camera.width, height=camera.height, camera=record)
    found = interpolate_sparse_depth(undistorted, points, long_side=max(camera.width, camera.height))
    if found is None:
        return None
    return PinholeDepth((found.depth * frame.scale).astype(np.float32), found.valid)
