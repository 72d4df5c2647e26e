"""From the planes that AV1 decodes to the picture that is shown: as they are, or restored by the network.

The encoder tries both and says which: a restored picture has two strengths in its string, another has none.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.layers.pictures import to_picture, to_pixels
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.restoration.restoration import Restoration
from nerfstudio_mvc.video.colour import PlaneFormat, rgb_from_planes, unrounded_from_planes

Strengths = tuple[int, int]


def better_picture(
    restoration: Restoration | None,
    planes: np.ndarray,
    form: PlaneFormat,
    *,
    x: Tensor,
    reference: Reference | None,
    quality: float,
) -> tuple[Strengths | None, Tensor]:
    """Encoder side: the strengths with which decoded planes, uint16 [3, H, W], come nearest to the photograph x, and
    that picture, on the device of x; None and the picture as it is where that is no worse. [1, 3, H, W]"""
    plain = to_picture(rgb_from_planes(planes, form), x.device)
    if restoration is None:
        return None, plain
    picture = _unrounded(planes, form).to(x.device)
    correction = restoration.correction(picture, reference, quality=quality)
    strengths = restoration.strengths(x, picture, correction)
    restored = restoration.restored(picture, correction, strengths)
    return (strengths, restored) if _error(x, restored) < _error(x, plain) else (None, plain)


def shown_picture(
    restoration: Restoration | None,
    planes: np.ndarray,
    form: PlaneFormat,
    strengths: Strengths | None,
    reference: Reference | None,
    *,
    quality: float,
) -> Tensor:
    """Decoder side: the picture, 0..1, on the CPU. [1, 3, H, W]

    Raises:
        ArchiveError: it is to be restored, and there is no network to do it.
    """
    if strengths is None:
        return to_picture(rgb_from_planes(planes, form), "cpu")
    if restoration is None:
        raise ArchiveError("an AV1 picture is to be restored by a network that its weights file does not hold")
    picture = _unrounded(planes, form)
    return restoration.restored(picture, restoration.correction(picture, reference, quality=quality), strengths)


def _unrounded(planes: np.ndarray, form: PlaneFormat) -> Tensor:
    return torch.from_numpy(unrounded_from_planes(planes, form)).permute(2, 0, 1)[None] / 255


def _error(x: Tensor, picture: Tensor) -> float:
    """Of the picture in whole grey levels."""
    return float((x - to_picture(to_pixels(picture), x.device)).square().mean())
