"""Points between camera frames: the pose from one view to another, unprojecting depth and projecting points.

Lens formulas are `cameras`'; whole flow fields are `flow`'s.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import CaptureError, ShapeError
from nerfstudio_mvc.geometry.cameras import lens_of, longest_ray, pixels_from_rays
from nerfstudio_mvc.geometry.ray_grids import ray_rows

NEAREST_RATIO = 1e-4  # a point this much nearer to one camera than to the other counts as behind it


def relative_pose(*, current: View, reference: View) -> np.ndarray:
    """`reference_from_current`: takes points of the current camera's frame into the reference's. float64 [4, 4]

    Raises:
        CaptureError: a pose that is not finite or cannot be inverted.
    """
    try:
        pose = reference.cam_from_world @ np.linalg.inv(current.cam_from_world)
    except np.linalg.LinAlgError:
        pose = np.full((4, 4), np.nan)
    if not np.isfinite(pose).all():
        raise CaptureError(
            f"the poses of {current.name!r} and {reference.name!r} cannot be combined; "
            "their camera matrices must be finite and invertible"
        )
    return pose


def unproject(depth: Tensor, *, view: View) -> Tensor:
    """Points of the camera's frame behind the cells of a z-depth grid over the view's photograph.

    Args:
        depth: z-depth, world units. [H, W]

    Returns:
        float32 [3, H, W]; NaN where the cell has no ray.
    """
    if depth.ndim != 2:
        raise ShapeError(f"depth has shape {tuple(depth.shape)}, expected [H, W]")
    height, width = depth.shape
    x, y = ray_rows(view.camera, height, width).to(depth.device).rows(slice(0, height))
    depth = depth.to(torch.float32)
    return torch.stack([x * depth, y * depth, depth])


def project(points: Tensor, *, view: View) -> tuple[Tensor, Tensor]:
    """Pixel coordinates of points given in the camera's frame.

    Args:
        points: x, y, z. [3, ...]

    Returns:
        pixels: (u, v), the frame spanning 0..width and 0..height; 0 where not visible. [2, ...]
        visible: in front of the camera and inside the frame. bool [...]
    """
    lens = lens_of(view.camera)
    ahead = points[2] > 0
    inverse = 1.0 / torch.where(ahead, points[2], torch.ones_like(points[2]))
    x, y = points[0] * inverse, points[1] * inverse
    ahead &= x * x + y * y <= longest_ray(view.camera) ** 2
    u, v = pixels_from_rays(lens, x, y)
    visible = ahead & (u >= 0) & (v >= 0) & (u <= view.width) & (v <= view.height)
    return torch.where(visible, torch.stack([u, v]), 0.0), visible
