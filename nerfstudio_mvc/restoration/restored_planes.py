"""From the planes that AV1 decodes to the picture that is shown: as they are, or restored by the network.

The encoder tries both and says which: a restored picture has two strengths in its string, another has none.
"""

from __future__ import annotations

import numpy as np

from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.restoration.restoration import Restoration, Strengths
from nerfstudio_mvc.video.colour import PlaneFormat, rgb_from_planes


def better_pixels(
    restoration: Restoration | None,
    planes: np.ndarray,
    form: PlaneFormat,
    *,
    photograph: np.ndarray,
    reference: Reference | None,
    quality: float,
) -> tuple[Strengths | None, np.ndarray]:
    """Encoder side: the strengths with which decoded planes, uint16 [3, H, W], come nearest to the photograph, and what
    is shown then; None and the planes as they are where that is no worse. uint8 [H, W, 3]"""
    plain = rgb_from_planes(planes, form)
    if restoration is None:
        return None, plain
    correction = restoration.correction(planes, form, reference, quality=quality)
    strengths = restoration.strengths(planes, form, correction, photograph)
    restored = restoration.pixels(planes, form, correction, strengths)
    if _error(photograph, restored) < _error(photograph, plain):
        return strengths, restored
    return None, plain


def shown_pixels(
    restoration: Restoration | None,
    planes: np.ndarray,
    form: PlaneFormat,
    strengths: Strengths | None,
    reference: Reference | None,
    *,
    quality: float,
) -> np.ndarray:
    """Decoder side: uint8 [H, W, 3].

    Raises:
        ArchiveError: it is to be restored, and there is no network to do it.
    """
    if strengths is None:
        return rgb_from_planes(planes, form)
    if restoration is None:
        raise ArchiveError("an AV1 picture is to be restored by a network that its weights file does not hold")
    correction = restoration.correction(planes, form, reference, quality=quality)
    return restoration.pixels(planes, form, correction, strengths)


def _error(photograph: np.ndarray, pixels: np.ndarray) -> int:
    difference = photograph.astype(np.int16) - pixels
    return int(np.einsum("ijk,ijk->", difference, difference, dtype=np.int64))
