"""Pictures of views as AV1 codes them, those with a reference as inter frames of it, restored by a network.

Given the same reference, AV1 took 17 to 47 % fewer bytes than the network that ships for eight views of three captures
(docs/training-log.md, "AV1 on warped references"); on the sample the network is often ahead. What is put together here
is the string: what planes stand for, how strongly the picture is restored, then `video.av1_picture`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.layers.pictures import to_picture, to_pixels
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.restoration.restoration import Restoration
from nerfstudio_mvc.restoration.restored_planes import better_picture, shown_picture
from nerfstudio_mvc.video.av1_picture import SMALLEST_SIDE, decode_picture, encode_picture, try_picture
from nerfstudio_mvc.video.av1_rate import Rate, rate_of_crf
from nerfstudio_mvc.video.av1_speed import Effort
from nerfstudio_mvc.video.colour import (
    PlaneFormat,
    pack_format,
    planes_from_rgb,
    read_format,
    rgb_from_planes,
)
from nerfstudio_mvc.video.colour_axes import STRAIGHT, best_turn

QUALITIES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
CRF_AT_QUALITY = (49.0, 44.3, 39.5, 34.6, 29.3, 23.6, 17.6, 12.7)
"""Where a bit more takes off as much error as the network's rd_lambda at that quality says it is worth."""


class Av1Coder:
    """Codes single pictures as `image_coding.ImageCoder` does.

    Args:
        restoration: what `restoration.Restoration` does with pictures is said in the strings; None: nothing is.
        effort: how long encoding may take.
    """

    def __init__(self, restoration: Restoration | None = None, *, effort: Effort = "default") -> None:
        self.restoration, self.effort = restoration, effort

    def encode(self, x: Tensor, reference: Reference | None, *, quality: float) -> tuple[bytes, Tensor]:
        """Picture [1, 3, H, W], 0..1, any size -> its string and the picture the decoder will show.

        Raises:
            NoFfmpegError: there is no ffmpeg that codes AV1.
            MvcError: it failed.
        """
        rate, pixels, size = _rate(quality), to_pixels(x), x.shape[-2:]
        form = PlaneFormat(rate.levels, best_turn(pixels))
        planes, seen = planes_from_rgb(pixels, form), _planes(reference, size, form)
        payload = encode_picture(planes, seen, crf=rate.crf, effort=self.effort)
        decoded = _decoded(payload, size, reference, form)
        strengths, picture = better_picture(self.restoration, decoded, form, x=x, reference=reference, quality=quality)
        return pack_format(form, mark=strengths is not None) + bytes(strengths or ()) + payload, picture

    def decode(self, payload: bytes, size: Sequence[int], reference: Reference | None, *, quality: float) -> Tensor:
        """String -> picture [1, 3, *size], 0..1, on the CPU.

        Raises:
            ArchiveError: the string does not hold a picture of that size.
            MvcError: see `av1_picture.decode_picture`.
        """
        form, strengths, payload = _read_head(payload)
        decoded = _decoded(payload, size, reference, form)
        return shown_picture(self.restoration, decoded, form, strengths, reference, quality=quality)


class Av1Trials:
    """Codes about as `Av1Coder` does, in a fraction of the time, to compare references by; its strings say nothing."""

    def encode(self, x: Tensor, reference: Reference | None, *, quality: float) -> tuple[bytes, Tensor]:
        """As of `Av1Coder`; the string is of about the right length."""
        rate = _rate(quality)
        form = PlaneFormat(rate.levels, STRAIGHT)
        planes = planes_from_rgb(to_pixels(x), form)
        length, shown = try_picture(planes, _planes(reference, x.shape[-2:], form), crf=rate.crf)
        return bytes(length), to_picture(rgb_from_planes(shown, form), x.device)


def _read_head(string: bytes) -> tuple[PlaneFormat, tuple[int, int] | None, bytes]:
    """What planes stand for; strengths of what restores the picture, if anything does; what `encode_picture` wrote."""
    found = read_format(string)
    if found is None or (found[1] and len(found[2]) < 2):
        raise ArchiveError("an AV1 picture does not say what its planes stand for: the archive is damaged")
    form, restored, rest = found
    return (form, (rest[0], rest[1]), rest[2:]) if restored else (form, None, rest)


def _decoded(payload: bytes, size: Sequence[int], reference: Reference | None, form: PlaneFormat) -> np.ndarray:
    height, width = size
    return decode_picture(payload, _planes(reference, size, form), width=width, height=height)


def _rate(quality: float) -> Rate:
    return rate_of_crf(float(np.interp(quality, QUALITIES, CRF_AT_QUALITY)))


def _planes(reference: Reference | None, size: Sequence[int], form: PlaneFormat) -> np.ndarray | None:
    """What AV1 is to predict from, as planes at once and not rounded before; None for a picture by itself."""
    if reference is None or min(size) < SMALLEST_SIDE:
        return None
    picture = (reference.picture[0] * 255).permute(1, 2, 0).cpu().numpy()
    return planes_from_rgb(picture, form)
