"""Between z-depth in world units at any resolution and the normalised full-resolution map the depth codec sees.

Normalised depth is z / unit, within `NEAREST` .. 1, so that one network fits scenes of every scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.layers.rounding import clamp_straight, round_half_up

RADIUS_SCALE = 6.0
"""The paper's unit of depth, in radii of the ring of cameras."""
NEAREST = 2.0**-10
DECODED_STEPS = 1 << 16
"""Decoded depth is rounded to this many steps a unit: rounding errors of another machine then rarely move a pixel."""
FAR_QUANTILE = 0.98


def depth_unit(views: Sequence[View], depths: Sequence[np.ndarray]) -> float:
    """World units that normalised depth 1 stands for, for views coded together; exact in float32.

    The paper takes 6 radii, 1.1 times the largest distance of a camera from their mean. That is nothing for a single
    view, and leaves everything beyond it out of range or squeezes a near scene into a corner; so the unit is kept
    within 1 to 4 times the far end of the depth that is to be coded.

    Args:
        depths: z-depth maps, positive.
    """
    centers = np.stack([view.center for view in views])
    radius = 1.1 * float(np.linalg.norm(centers - centers.mean(0), axis=1).max())
    far = max(float(np.quantile(depth, FAR_QUANTILE)) for depth in depths)
    return float(np.float32(np.clip(RADIUS_SCALE * radius, far, 4 * far)))


def at_full_resolution(depth: Tensor, *, height: int, width: int) -> Tensor:
    """z-depth on any grid over a photograph -> on its pixels, 1 / z being interpolated. [h, w] -> [height, width]"""
    if depth.shape == (height, width):
        return depth
    inverse = F.interpolate(1.0 / depth[None, None], size=(height, width), mode="bilinear", align_corners=False)
    return 1.0 / inverse[0, 0]


def normalise(depth: Tensor, unit: float) -> Tensor:
    """z-depth -> `NEAREST` .. 1."""
    return (depth / unit).clamp(NEAREST, 1.0)


def restore(normalised: Tensor, unit: float, *, rounded: bool) -> Tensor:
    """What the depth decoder says -> z-depth, world units, positive; `rounded` as real coding does it."""
    inside = clamp_straight(normalised, NEAREST, 1.0)
    if rounded:
        inside = round_half_up(inside * DECODED_STEPS) / DECODED_STEPS
    return inside * unit


def is_depth_unit(value: float) -> bool:
    """Whether a number read from a file can be a unit of depth."""
    return bool(np.isfinite(value)) and 1e-30 < value < 1e30


def on_grid(depth: np.ndarray, *, height: int, width: int) -> Tensor:
    """A depth prior as the depth codec takes it. float32 [1, 1, height, width]"""
    return at_full_resolution(torch.from_numpy(depth).float(), height=height, width=width)[None, None]
