"""Makes a capture ready for `fitting`: photographs undistorted and small, points and cameras in the scene frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting.fitting import FittingSettings, TrainingView, fit, settings_for, starting_gaussians
from nerfstudio_mvc.splatting.gaussians import Gaussians
from nerfstudio_mvc.splatting.pinhole_views import SceneFrame, pinhole_view, undistort
from nerfstudio_mvc.splatting.workers import Workers

NEAREST_QUANTILE, NEAREST_SHARE = 0.01, 0.3  # nothing stands much nearer to a camera than the nearest sparse points
MAX_NEAR = 0.02


@dataclass(frozen=True, eq=False)
class FittedCapture:
    """Gaussians in the scene frame, the z-depth in front of which they mean nothing, and how they were fitted."""

    gaussians: Gaussians
    near: float
    settings: FittingSettings


def scene_frame(capture: Capture) -> SceneFrame:
    """The frame in which the camera centres lie within about 1 of the origin."""
    centers = np.stack([view.center for view in capture.views])
    return SceneFrame(offset=centers.mean(0), scale=1.0 / capture.scene_radius)


def near_plane(capture: Capture, frame: SceneFrame) -> float:
    """z-depth, in the scene frame, in front of which nothing is drawn."""
    return MAX_NEAR


def fit_capture(
    capture: Capture,
    frame: SceneFrame,
    *,
    effort: str,
    workers: Workers,
    on_iteration: Callable[[int, int], None] | None = None,
) -> FittedCapture:
    """Fit Gaussians to the photographs of `capture`.

    Raises:
        CaptureError: a photograph is missing or unreadable.
    """
    settings = settings_for(effort, len(capture.views))
    near = near_plane(capture, frame)
    finite = np.isfinite(capture.points).all(1)
    points = (capture.points[finite] - frame.offset) * frame.scale
    start = starting_gaussians(points, capture.point_colors[finite] / 255.0, max_count=settings.max_gaussians // 2)
    views = [_training_view(view, frame, settings.long_side) for view in capture.views]
    gaussians = fit(start, views, settings, near=near, workers=workers, on_iteration=on_iteration)
    return FittedCapture(gaussians, near, settings)


def _training_view(view: View, frame: SceneFrame, long_side: int) -> TrainingView:
    if view.image_path is None:
        raise CaptureError(f"{view.name}: the photograph is not on this machine; use depth method sparse or none")
    with Image.open(view.image_path) as image:
        pixels = np.asarray(image.convert("RGB"))
    pinhole = pinhole_view(view, frame, long_side=long_side)
    return TrainingView(pinhole.camera, *undistort(pixels, view, pinhole))
