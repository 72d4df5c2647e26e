"""From coded neighbours to the one picture that predicts a view: warp each through the coded depth, blend, fill.

Runs the same on both sides, on decoded pictures, decoded depth and coded corrections only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.geometry.warping import warp_view
from nerfstudio_mvc.kernel_threads import side_by_side
from nerfstudio_mvc.prediction.blend import Blend
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.prediction.weighted_prediction import Photometric


@dataclass(frozen=True)
class DecodedView:
    """What a coded view leaves for the views that refer to it.

    Attributes:
        view: its camera.
        stored: its picture, in 8 bits or as float32 0..1. [1, 3, H, W]
        depth: z-depth, or None. [h, w]
    """

    view: View
    stored: Tensor
    depth: Tensor | None

    @property
    def picture(self) -> Tensor:
        """float32 0..1, made when asked for: a group of large photographs is kept in 8 bits. [1, 3, H, W]"""
        return self.stored.float() / 255 if self.stored.dtype == torch.uint8 else self.stored


def reference_picture(
    blend: Blend,
    view: View,
    depth: Tensor,
    references: Sequence[DecodedView],
    *,
    light: Photometric | None = None,
    align: bool = True,
    mask: bool = True,
) -> Reference | None:
    """The reference of `view`, or None where no pixel of it is seen by one of `references` (nearest first, 1 or 2).

    Args:
        depth: z-depth of `view` at any resolution. [h, w]
        light: what has changed between references and view, see `photometric`.
        align: warp through depth; False puts the references beside the view as they are.
        mask: say where a warped reference shows nothing; False fills it in and says that it is valid everywhere.
    """
    warped = warped_references(view, depth, references, align=align, mask=mask)
    return blended_reference(blend, warped, light)


def warped_references(
    view: View,
    depth: Tensor,
    references: Sequence[DecodedView],
    *,
    align: bool = True,
    mask: bool = True,
) -> list[Reference]:
    """Each reference as the camera of `view` would see it; arguments as in `reference_picture`."""
    if not align:
        return [_unaligned(view, reference) for reference in references]
    warped = list(side_by_side([partial(_warp, view, depth, reference) for reference in references]))
    return warped if mask else [_valid_everywhere(reference) for reference in warped]


def blended_reference(blend: Blend, warped: Sequence[Reference], light: Photometric | None = None) -> Reference | None:
    """One reference of one or two warped ones; None where nothing is valid."""
    if light is not None:
        warped = [light.changed(reference, reference_idx) for reference_idx, reference in enumerate(warped)]
    blended = warped[0] if len(warped) == 1 else blend(warped[0], warped[1])
    if not bool(blended.valid.any()):
        return None
    return blended.filled()


def _warp(view: View, depth: Tensor, reference: DecodedView) -> Reference:
    device = reference.stored.device
    picture, valid = warp_view(
        reference.stored[0].cpu(), depth, reference.depth, current=view, reference=reference.view
    )
    return Reference(picture[None].to(device), valid[None].to(device))


def _valid_everywhere(warped: Reference) -> Reference:
    return Reference(warped.filled().picture, torch.ones_like(warped.valid))


def _unaligned(view: View, reference: DecodedView) -> Reference:
    size = (view.height, view.width)
    picture = reference.picture
    if picture.shape[-2:] != size:
        picture = F.interpolate(picture, size=size, mode="bilinear", align_corners=False, antialias=True)
    return Reference(picture, torch.ones_like(picture[:, :1]))
