"""Gaussians of a whole capture: photographs, cameras and points made ready and fitted, or trained ones taken over.

The fitting itself is in `fitting` and `gsplat_backend`, the file formats in `gaussian_files`; `prior` decides which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from colmap_io.camera_models import project
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting import gsplat_backend
from nerfstudio_mvc.splatting.fitting import FittingSettings, TrainingView, fit, settings_for, starting_gaussians
from nerfstudio_mvc.splatting.gaussian_files import read_gaussians, trained_views
from nerfstudio_mvc.splatting.gaussians import Gaussians
from nerfstudio_mvc.splatting.median_depth import median_depth
from nerfstudio_mvc.splatting.pinhole_views import SceneFrame, pinhole_view, undistort
from nerfstudio_mvc.splatting.workers import Workers

NEAR_SHARE, FAR_SHARE = 0.25, 0.25
"""Nothing stands much nearer to a camera than its nearest sparse points; see `near_plane` and `scene_frame`."""
TRAINED_NEAR = 0.02
CHECKED_VIEWS, CHECKED_POINTS = 4, 30
MAX_DISAGREEMENT = 0.2  # median of |log(depth / depth of the sparse point)|; another world is off by far more


@dataclass(frozen=True, eq=False)
class CaptureGaussians:
    """Gaussians that show a capture.

    Attributes:
        gaussians: in `frame`.
        frame: the scene frame.
        near: z-depth in `frame` in front of which nothing is drawn.
        views: the capture's, their poses as the Gaussians were fitted to them.
        note: how the Gaussians came about, in a few words.
        photographs: of `views`, small and undistorted; empty where they were not needed.
    """

    gaussians: Gaussians
    frame: SceneFrame
    near: float
    views: tuple[View, ...]
    note: str
    photographs: tuple[TrainingView, ...] = ()


def scene_frame(capture: Capture) -> SceneFrame:
    """The frame in which camera centres lie within about 1 of the origin and the scene not much beyond 4.

    Learning rates and thresholds of `fitting` are made for it; cameras close together before a far scene (a short
    piece of video) would otherwise move nothing in depth.
    """
    centers = np.stack([view.center for view in capture.views])
    typical_depth = np.median([median for _, median in _depth_ranges(capture)] or [0.0])
    return SceneFrame(offset=centers.mean(0), scale=1.0 / max(capture.scene_radius, FAR_SHARE * float(typical_depth)))


def near_plane(capture: Capture, frame: SceneFrame) -> float:
    """z-depth in `frame` in front of which nothing is drawn: a quarter of the nearest sparse points' depth."""
    nearest = [near for near, _ in _depth_ranges(capture)]
    return NEAR_SHARE * min(nearest) * frame.scale if nearest else TRAINED_NEAR


def _depth_ranges(capture: Capture) -> list[tuple[float, float]]:
    """(0.01 quantile, median) of the depths of the sparse points in each view that sees some, world units."""
    ranges = []
    for view in capture.views:
        points = capture.points[view.point_idxs] if len(view.point_idxs) else capture.points
        depths = points @ view.cam_from_world[2, :3] + view.cam_from_world[2, 3]
        depths = depths[np.isfinite(depths) & (depths > 0)]
        if len(depths):
            ranges.append((float(np.quantile(depths, 0.01)), float(np.median(depths))))
    return ranges


def fitted_gaussians(
    capture: Capture,
    *,
    effort: str,
    long_side: int,
    device: str,
    workers: Workers,
    on_iteration: Callable[[int, int], None] | None = None,
) -> CaptureGaussians:
    """Fit Gaussians to the photographs of `capture`.

    Raises:
        CaptureError: a photograph is missing or unreadable, or there are fewer than four sparse points.
    """
    settings = settings_for(effort, len(capture.views), long_side=long_side)
    frame = scene_frame(capture)
    photographs = [training_view(view, frame, long_side=long_side) for view in capture.views]
    return fit_photographs(capture, photographs, settings, device=device, workers=workers, on_iteration=on_iteration)


def fit_photographs(
    capture: Capture,
    photographs: Sequence[TrainingView],
    settings: FittingSettings,
    *,
    device: str,
    workers: Workers,
    seed: int = 0,
    on_iteration: Callable[[int, int], None] | None = None,
) -> CaptureGaussians:
    """Fit Gaussians to photographs of `capture`, from its sparse points on.

    Args:
        photographs: of any of its views, in its `scene_frame`.

    Raises:
        CaptureError: there are fewer than four sparse points.
    """
    frame = scene_frame(capture)
    near = near_plane(capture, frame)
    finite = np.isfinite(capture.points).all(1)
    if finite.sum() < 4:
        raise CaptureError(
            f"{finite.sum()} sparse points are too few to fit Gaussians; use depth method sparse or none"
        )
    points = (capture.points[finite] - frame.offset) * frame.scale
    start = starting_gaussians(
        points, capture.point_colors[finite] / 255.0, max_count=settings.max_gaussians // 2, seed=seed
    )
    views = list(photographs)
    problem = gsplat_backend.why_not(device) if device.startswith("cuda") else None
    if device.startswith("cuda") and problem is None:
        gaussians = gsplat_backend.fit_with_gsplat(
            start, views, settings, near=near, device=device, seed=seed, on_iteration=on_iteration
        )
        how = "gsplat"
    else:
        gaussians = fit(start, views, settings, near=near, workers=workers, seed=seed, on_iteration=on_iteration)
        how = "CPU" if problem is None else f"CPU: {problem}"
    note = f"fitted in {settings.iterations} iterations ({how})"
    return CaptureGaussians(gaussians, frame, near, capture.views, note, tuple(views))


def trained_gaussians(capture: Capture, path: Path, *, long_side: int, workers: Workers) -> CaptureGaussians:
    """Take over Gaussians trained elsewhere.

    Raises:
        CaptureError: `path` cannot be used, or shows another scene or the same one in another world.
    """
    trained = read_gaussians(path)
    frame = scene_frame(capture)
    views, note = list(capture.views), f"read from {path.name}"
    if trained.camera_shifts is not None:
        view_idxs = trained_views(len(trained.camera_shifts), len(views))
        if view_idxs is None:
            note += "; its camera corrections belong to other views and are left out"
        else:
            for view_idx, shift in zip(view_idxs, trained.camera_shifts, strict=True):
                view = views[view_idx]
                views[view_idx] = replace(view, cam_from_world=shift @ view.cam_from_world)
            note += "; cameras as its training corrected them"
    gaussians = trained.gaussians.moved(offset=frame.offset, scale=frame.scale)
    found = CaptureGaussians(gaussians, frame, TRAINED_NEAR, tuple(views), note)
    _check_world(found, capture, path, long_side=long_side, workers=workers)
    return found


def _check_world(found: CaptureGaussians, capture: Capture, path: Path, *, long_side: int, workers: Workers) -> None:
    """Hold the Gaussians' depth against that of the sparse points."""
    disagreements = []
    for view in found.views[:: max(1, len(found.views) // CHECKED_VIEWS)][:CHECKED_VIEWS]:
        points = capture.points[view.point_idxs]
        in_camera = points @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
        positions, inside = project(view.camera, in_camera)
        inside &= (in_camera[:, 2] > 0) & ((positions >= 0) & (positions < (view.width, view.height))).all(1)
        if inside.sum() < CHECKED_POINTS:
            continue
        depth_map = median_depth(
            found.gaussians, view, found.frame, long_side=long_side, near=found.near, workers=workers
        )
        if depth_map is None:
            disagreements.append(np.inf)
            continue
        height, width = depth_map.depth.shape
        columns, rows = (positions[inside] * (width / view.width, height / view.height)).astype(np.int64).T
        ratio = depth_map.depth[np.minimum(rows, height - 1), np.minimum(columns, width - 1)] / in_camera[inside, 2]
        disagreements.append(np.median(np.abs(np.log(ratio))))
    if disagreements and np.median(disagreements) > MAX_DISAGREEMENT:
        raise CaptureError(
            f"{path}: these Gaussians do not show this capture where its cameras are; give those trained on it,"
            " and for a .ply from nerfstudio put dataparser_transforms.json beside it"
        )


def training_view(view: View, frame: SceneFrame, *, long_side: int, pixels: np.ndarray | None = None) -> TrainingView:
    """A photograph, or `pixels` in its place, made small and undistorted, and its pinhole camera in `frame`.

    Raises:
        CaptureError: the photograph is missing or unreadable.
    """
    if pixels is None and view.image_path is None:
        raise CaptureError(f"{view.name}: the photograph is not on this machine; use depth method sparse or none")
    pinhole = pinhole_view(view, frame, long_side=long_side)
    photograph = read_image(view.image_path).pixels if pixels is None else pixels
    return TrainingView(pinhole.camera, *undistort(photograph, view, pinhole))
