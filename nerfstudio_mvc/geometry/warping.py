"""Sample a map of the reference view where the pixels of the current view land.

Where they land is `flow`'s business; what to show where nothing was seen is `hole_filling`'s.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.geometry.flow import BAND_PIXELS, FlowField, bands, land, sample, view_pair

Interpolation = Literal["bilinear", "bicubic"]


def warp(image: Tensor, field: FlowField, *, interpolation: Interpolation = "bilinear") -> Tensor:
    """A map over the reference view, seen from the current view; differentiable in `image`.

    Args:
        image: values on a grid of any resolution over the reference photograph, e.g. features. [C, Hr, Wr]
        field: flow of a grid over the current view.

    Returns:
        float32 [C, H, W] on the grid of `field`; 0 where not valid.

    Raises:
        ShapeError: `image` is not [C, Hr, Wr].
    """
    _check_image(image)
    rows, columns = field.valid.shape
    device = field.flow.device
    reference_rows, reference_columns = field.reference_size
    x = (field.flow[0] + (torch.arange(columns, device=device) + 0.5)) * (2.0 / reference_columns) - 1.0
    y = (field.flow[1] + (torch.arange(rows, device=device)[:, None] + 0.5)) * (2.0 / reference_rows) - 1.0
    return sample(image.to(torch.float32), x, y, field.valid, interpolation)


@torch.no_grad()
def warp_view(
    reference_pixels: Tensor,
    depth: Tensor,
    reference_depth: Tensor | None = None,
    *,
    current: View,
    reference: View,
    interpolation: Interpolation = "bilinear",
    band_pixels: int = BAND_PIXELS,
) -> tuple[Tensor, Tensor]:
    """The reference photograph as the current camera would see it, in one pass over bands of rows.

    Args:
        reference_pixels: the reference photograph (or any map over it), on the device of the depths. [C, Hr, Wr]
        depth: z-depth of the current view, any resolution; cells <= 0 have none. [h, w]
        reference_depth: z-depth of the reference view, for occlusion; None: nothing is hidden. [hr, wr]
        current, reference: views; the result has the size of `current`.
        band_pixels: how many pixels are worked on together; changes memory, not the result.

    Returns:
        warped: 0 where not valid. float32 [C, H, W]
        valid: 1 where the current pixel is seen in the reference, else 0. float32 [1, H, W]

    Raises:
        ShapeError, CaptureError: as in `flow_to_reference`.
    """
    _check_image(reference_pixels)
    pair = view_pair(
        depth,
        current=current,
        reference=reference,
        reference_depth=reference_depth,
        height=current.height,
        width=current.width,
    )
    image = reference_pixels.to(torch.float32).contiguous()
    warped = torch.empty(image.shape[0], current.height, current.width, device=image.device)
    valid = torch.empty(1, current.height, current.width, device=image.device)
    for band in bands(current.height, current.width, band_pixels):
        landing = land(pair, band)
        warped[:, band] = sample(image, landing.x, landing.y, landing.valid, interpolation)
        valid[0, band] = landing.valid.to(torch.float32)
    return warped, valid


def _check_image(image: Tensor) -> None:
    if image.ndim != 3 or 0 in image.shape:
        raise ShapeError(
            f"the map to warp has shape {tuple(image.shape)}, expected [C, Hr, Wr] with at least one value"
        )
