"""From coded neighbours to the one picture that predicts a view: warp each through the coded depth, blend, fill.

Runs the same on both sides, on decoded pictures and decoded depth only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.image_model import ImageModel, Reference
from nerfstudio_mvc.geometry.hole_filling import fill_invalid
from nerfstudio_mvc.geometry.warping import warp_view


@dataclass(frozen=True)
class DecodedView:
    """What a coded view leaves for the views that refer to it: camera, picture [1, 3, H, W], z-depth [h, w] or None."""

    view: View
    picture: Tensor
    depth: Tensor | None


def reference_picture(
    model: ImageModel, view: View, depth: Tensor, references: Sequence[DecodedView]
) -> Reference | None:
    """The reference of `view`, or None where no pixel of it is seen by one of `references` (nearest first, 1 or 2).

    Args:
        depth: z-depth of `view` at any resolution. [h, w]
    """
    warped = [_warp(view, depth, reference) for reference in references]
    blended = warped[0] if len(warped) == 1 else model.blend(warped[0], warped[1])
    if not bool(blended.valid.any()):
        return None
    filled = fill_invalid(blended.picture[0], blended.valid[0])
    return Reference(filled[None], blended.valid)


def _warp(view: View, depth: Tensor, reference: DecodedView) -> Reference:
    device = reference.picture.device
    # Geometry runs on the CPU in float64 where it matters; pictures are small next to the networks' work.
    picture, valid = warp_view(
        reference.picture[0].cpu(), depth.cpu(), reference.depth, current=view, reference=reference.view
    )
    return Reference(picture[None].to(device), valid[None].to(device))


def to_picture(pixels, device: torch.device | str) -> Tensor:
    """uint8 [H, W, 3] -> float32 [1, 3, H, W], 0..1."""
    return torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float() / 255


def to_pixels(picture: Tensor):
    """float [1, 3, H, W], 0..1 -> uint8 [H, W, 3]."""
    return torch.floor(picture[0] * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
