"""Gaussians to depth: median z-depth of a pinhole view, how unseen pixels are filled, and back to the photograph.

The median (the splat at which transmittance falls through one half) keeps edges; the expected depth would smear them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, median_filter

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.splatting.depth_map import DepthMap
from nerfstudio_mvc.splatting.gaussians import Gaussians
from nerfstudio_mvc.splatting.pinhole_views import PinholeView, SceneFrame, depth_on_grid, pinhole_view
from nerfstudio_mvc.splatting.projection import PinholeCamera
from nerfstudio_mvc.splatting.rasterizer import draw
from nerfstudio_mvc.splatting.workers import Workers

MIN_EXPECTED_ALPHA = 0.1  # from here on the expected depth is a better guess than the nearest seen pixel
DESPECKLE_PX = 3  # neighbouring splats lie at slightly different depths; a median of pixels keeps the edges


@dataclass(frozen=True, eq=False)
class PinholeDepth:
    """z-depth of a pinhole view in the scene frame, filled everywhere, and where it was seen. float32, bool [H, W]"""

    depth: np.ndarray
    seen: np.ndarray


def draw_depth(gaussians: Gaussians, camera: PinholeCamera, *, near: float, workers: Workers) -> PinholeDepth | None:
    """Median depth of `camera`'s view; None when no pixel has any depth.

    Unseen pixels get the expected depth where the Gaussians cover at least a tenth of the pixel, else that of the
    nearest pixel that has one.

    Args:
        gaussians: in the scene frame.
        near: z-depth in the scene frame in front of which nothing is drawn.
    """
    drawing = draw(gaussians, camera, workers=workers, near=near)
    seen = drawing.median_depth > 0
    alpha = 1 - drawing.transmittance
    known = seen | (alpha >= MIN_EXPECTED_ALPHA)
    if not known.any():
        return None
    expected = drawing.summed_depth / np.maximum(alpha, MIN_EXPECTED_ALPHA)
    filled = fill_from_nearest(np.where(seen, drawing.median_depth, expected), known)
    return PinholeDepth(median_filter(filled, DESPECKLE_PX, mode="nearest"), seen)


def on_photograph(found: PinholeDepth, pinhole: PinholeView, frame: SceneFrame) -> DepthMap:
    """The same depth in world units, on the pixel grid of the photograph."""
    depth, valid = depth_on_grid(found.depth, found.seen, pinhole)
    depth = fill_from_nearest(depth, pinhole.grid_covered)
    return DepthMap((depth / frame.scale).astype(np.float32), valid)


def median_depth(
    gaussians: Gaussians, view: View, frame: SceneFrame, *, long_side: int, near: float, workers: Workers
) -> DepthMap | None:
    """`draw_depth` of `view`, `on_photograph`."""
    pinhole = pinhole_view(view, frame, long_side=long_side)
    found = draw_depth(gaussians, pinhole.camera, near=near, workers=workers)
    return None if found is None else on_photograph(found, pinhole, frame)


def fill_from_nearest(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """`values` with those not `known` replaced by the nearest known one; as they are when none is known. [H, W]"""
    if known.all() or not known.any():
        return values
    nearest = np.asarray(distance_transform_edt(~known, return_distances=False, return_indices=True))
    return values[tuple(nearest)]
