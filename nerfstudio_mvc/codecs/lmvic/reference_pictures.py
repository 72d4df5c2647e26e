"""From coded neighbours to the one picture that predicts a view: warp each through the coded depth, move, blend, fill.

Runs the same on both sides, on decoded pictures, decoded depth and coded corrections only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.block_motion import moved_reference
from nerfstudio_mvc.codecs.lmvic.image_inference import ImageInference
from nerfstudio_mvc.codecs.lmvic.image_model import ImageModel, Reference
from nerfstudio_mvc.codecs.lmvic.photometric import Photometric
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.geometry.hole_filling import fill_invalid
from nerfstudio_mvc.geometry.warping import warp_view

ALL_ON = LmvicSwitches()
INTERPOLATION = "bicubic"
"""Of references; against bilinear it took 0.2 to 3 % fewer bytes (quality 5, five views each of three captures)."""


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
    model: ImageModel | ImageInference,
    view: View,
    depth: Tensor,
    references: Sequence[DecodedView],
    *,
    light: Photometric | None = None,
    motion: np.ndarray | None = None,
    switches: LmvicSwitches = ALL_ON,
) -> Reference | None:
    """The reference of `view`, or None where no pixel of it is seen by one of `references` (nearest first, 1 or 2).

    Args:
        depth: z-depth of `view` at any resolution. [h, w]
        light: what has changed between references and view, see `photometric`.
        motion: of every reference, see `block_motion`. int64 [R, 2, h, w]
    """
    warped = warped_references(view, depth, references, switches=switches)
    return blended_reference(model, warped if motion is None else moved_references(warped, motion), light)


def warped_references(
    view: View,
    depth: Tensor,
    references: Sequence[DecodedView],
    *,
    switches: LmvicSwitches = ALL_ON,
) -> list[Reference]:
    """Each reference as the camera of `view` would see it; arguments as in `reference_picture`."""
    if not switches.align:
        return [_unaligned(view, reference) for reference in references]
    warped = [_warp(view, depth, reference) for reference in references]
    return warped if switches.mask else [_valid_everywhere(reference) for reference in warped]


def moved_references(warped: Sequence[Reference], motion: np.ndarray) -> list[Reference]:
    """References with their motion, int64 [R, 2, h, w]; one that does not move stays as it is."""
    return [
        moved_reference(filled(reference), own) if own.any() else reference
        for reference, own in zip(warped, motion, strict=True)
    ]


def blended_reference(
    model: ImageModel | ImageInference, warped: Sequence[Reference], light: Photometric | None = None
) -> Reference | None:
    """One reference of one or two warped ones; None where nothing is valid."""
    if light is not None:
        warped = [light.changed(reference, reference_idx) for reference_idx, reference in enumerate(warped)]
    blended = warped[0] if len(warped) == 1 else model.blend(warped[0], warped[1])
    if not bool(blended.valid.any()):
        return None
    return filled(blended)


def filled(reference: Reference) -> Reference:
    """With a picture that goes on smoothly where nothing is seen."""
    return Reference(fill_invalid(reference.picture[0], reference.valid[0])[None], reference.valid)


def _warp(view: View, depth: Tensor, reference: DecodedView) -> Reference:
    device = reference.picture.device
    # Geometry runs on the CPU in float64 where it matters; pictures are small next to the networks' work.
    picture, valid = warp_view(
        reference.picture[0].cpu(),
        depth.cpu(),
        reference.depth,
        current=view,
        reference=reference.view,
        interpolation=INTERPOLATION,
    )
    # Bicubic interpolation overshoots at edges.
    return Reference(picture.clamp_(0, 1)[None].to(device), valid[None].to(device))


def _valid_everywhere(warped: Reference) -> Reference:
    return Reference(filled(warped).picture, torch.ones_like(warped.valid))


def _unaligned(view: View, reference: DecodedView) -> Reference:
    size = (view.height, view.width)
    picture = reference.picture
    if picture.shape[-2:] != size:
        picture = F.interpolate(picture, size=size, mode="bilinear", align_corners=False, antialias=True)
    return Reference(picture, torch.ones_like(picture[:, :1]))


def to_picture(pixels, device: torch.device | str) -> Tensor:
    """uint8 [H, W, 3] -> float32 [1, 3, H, W], 0..1."""
    return torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float() / 255


def to_pixels(picture: Tensor):
    """float [1, 3, H, W], 0..1 -> uint8 [H, W, 3]."""
    return torch.floor(picture[0] * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
