"""Carry z-depth from one view into another, nearest surface first.

Looking the other way, from a pixel to where it lands, is `flow`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.geometry.flow import bands, land, view_pair


@torch.no_grad()
def splat_depth(depth: Tensor, *, reference: View, current: View, height: int, width: int) -> tuple[Tensor, Tensor]:
    """What the depth of the reference view says about the depth of the current view: forward splatting with a z-buffer.

    3D-GP-LMVIC, Eq. 9. Each cell of the reference marks the one cell it falls into, and the nearest surface stays;
    where the surface is magnified, cells between the marks stay empty (see `hole_filling`, on inverse depth).

    Args:
        depth: z-depth of the reference view on a grid of any resolution; cells <= 0 have none. [h, w]
        height, width: grid over the current view.

    Returns:
        depth: z-depth in the current camera's frame, world units; 0 where no mark fell. float32 [height, width]
        mask: where a mark fell. bool [height, width]

    Raises:
        ShapeError, CaptureError: as in `flow_to_reference`.
    """
    if height < 1 or width < 1:
        raise ShapeError(f"cannot splat depth onto a grid of {width}x{height} cells; give at least one cell per side")
    pair = view_pair(depth, current=reference, reference=current, reference_depth=None)
    nearest = torch.full((height * width,), torch.inf, device=depth.device)
    for band in bands(pair.height, pair.width):
        landing = land(pair, band)
        column = ((landing.x[landing.valid] + 1) * (width / 2)).long().clamp(0, width - 1)
        row = ((landing.y[landing.valid] + 1) * (height / 2)).long().clamp(0, height - 1)
        nearest.scatter_reduce_(0, row * width + column, landing.z[landing.valid], reduce="amin")
    nearest = nearest.view(height, width)
    mask = torch.isfinite(nearest)
    return torch.where(mask, nearest, 0.0), mask
