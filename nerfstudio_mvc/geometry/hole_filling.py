"""Smooth values for the cells that a warp or a splat left empty, by a push-pull pyramid.

Which cells are empty is decided in `flow` and `depth_splat`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.errors import ShapeError


def fill_invalid(warped: Tensor, valid: Tensor) -> Tensor:
    """`warped` where valid, elsewhere the average of the nearest valid surroundings, smoothly.

    Going down, each level averages the valid cells of 2 x 2; coming up, empty cells take the level below, bilinearly.

    Args:
        warped: any number of channels. [C, H, W]
        valid: 1 or True where `warped` holds a value. [1, H, W]

    Returns:
        [C, H, W]; equal to `warped` where valid; 0 everywhere when nothing is valid.

    Raises:
        ShapeError: the two do not fit together.
    """
    if warped.ndim != 3 or valid.shape != (1, *warped.shape[1:]):
        raise ShapeError(f"valid has shape {tuple(valid.shape)}, expected [1, H, W] for values {tuple(warped.shape)}")
    known = valid > 0.5
    return _fill(torch.where(known, warped, 0.0)[None], known[None])[0]


def _fill(values: Tensor, known: Tensor) -> Tensor:
    height, width = values.shape[-2:]
    if max(height, width) == 1 or bool(known.all()):
        return values
    # The padding is unknown, so odd sizes need no special weights.
    padding = (0, width % 2, 0, height % 2)
    weight = F.avg_pool2d(F.pad(known.to(values.dtype), padding), 2)
    coarse = F.avg_pool2d(F.pad(values, padding), 2) / weight.clamp_min(0.25)
    filled = _fill(coarse, weight > 0)
    surroundings = F.interpolate(filled, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return torch.where(known, values, surroundings)
