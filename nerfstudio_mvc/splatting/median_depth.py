"""Gaussians to depth maps: median z-depth on the pixels of each photograph, and how unseen pixels are filled.

The median (the splat at which transmittance falls through one half) keeps edges; the expected depth would smear them.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.splatting.depth_map import DepthMap
from nerfstudio_mvc.splatting.gaussians import Gaussians
from nerfstudio_mvc.splatting.pinhole_views import SceneFrame, depth_on_grid, pinhole_view
from nerfstudio_mvc.splatting.rasterizer import draw
from nerfstudio_mvc.splatting.workers import Workers

MIN_EXPECTED_ALPHA = 0.1  # from here on the expected depth is a better guess than the nearest seen pixel


def median_depth(
    gaussians: Gaussians, view: View, frame: SceneFrame, *, long_side: int, near: float, workers: Workers
) -> DepthMap | None:
    """z-depth of `view`, world units, with `valid` where the median exists.

    Elsewhere: the expected depth where the Gaussians cover at least a tenth of the pixel, else the nearest pixel that
    has a depth. None when no pixel has one.

    Args:
        gaussians: in the scene frame.
        near: z-depth in the scene frame in front of which nothing is drawn.
    """
    pinhole = pinhole_view(view, frame, long_side=long_side)
    drawing = draw(gaussians, pinhole.camera, workers=workers, near=near)
    seen = drawing.median_depth > 0
    alpha = 1 - drawing.transmittance
    expected = drawing.summed_depth / np.maximum(alpha, MIN_EXPECTED_ALPHA)
    known = seen | (alpha >= MIN_EXPECTED_ALPHA)
    if not known.any():
        return None
    depth = fill_from_nearest(np.where(seen, drawing.median_depth, expected), known)
    depth, valid = depth_on_grid(depth, seen, pinhole)
    depth = fill_from_nearest(depth, pinhole.grid_covered)
    return DepthMap((depth / frame.scale).astype(np.float32), valid)


def fill_from_nearest(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """`values` with those not `known` replaced by the nearest known one; as they are when none is known. [H, W]"""
    if known.all() or not known.any():
        return values
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return values[tuple(nearest)]
