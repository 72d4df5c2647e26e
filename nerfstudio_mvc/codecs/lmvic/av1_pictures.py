"""Pictures of views as AV1 codes them, those with a reference as inter frames of it, restored by a network.

Given the same reference, AV1 took 17 to 47 % fewer bytes than the network that ships for eight views of three captures
(docs/training-log.md, "AV1 on warped references"); on the sample the network is often ahead. What is put together here
is the string: levels of white, how strongly the picture is restored, then `video.av1_picture`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.image_model import Reference
from nerfstudio_mvc.codecs.lmvic.reference_pictures import to_picture, to_pixels
from nerfstudio_mvc.codecs.lmvic.restoration import Restoration
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.video.av1_picture import SMALLEST_SIDE, decode_picture, encode_picture, try_picture
from nerfstudio_mvc.video.av1_rate import Rate, rate_of_crf
from nerfstudio_mvc.video.colour import (
    LEVELS_FIELD,
    pack_levels,
    planes_from_rgb,
    rgb_from_planes,
    unpack_levels,
    unrounded_from_planes,
)

QUALITIES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
CRF_AT_QUALITY = (49.0, 44.3, 39.5, 34.6, 29.3, 23.6, 17.6, 12.7)
"""Where a bit more takes off as much error as the network's rd_lambda at that quality says it is worth."""

RESTORED = 1 << 15
"""Beside the levels of white: two strengths follow."""


class Av1Coder:
    """Codes single pictures as `image_coding.ImageCoder` does.

    Args:
        restoration: what `restoration.Restoration` does with pictures is said in the strings; None: nothing is.
    """

    def __init__(self, restoration: Restoration | None = None) -> None:
        self.restoration = restoration

    def encode(self, x: Tensor, reference: Reference | None, *, quality: float) -> tuple[bytes, Tensor]:
        """Picture [1, 3, H, W], 0..1, any size -> its string and the picture the decoder will show.

        Raises:
            NoFfmpegError: there is no ffmpeg that codes AV1.
            MvcError: it failed.
        """
        rate = _rate(quality)
        size = x.shape[-2:]
        planes = planes_from_rgb(to_pixels(x), levels=rate.levels)
        payload = encode_picture(planes, _planes(reference, size, levels=rate.levels), crf=rate.crf)
        decoded = _decoded(payload, size, reference, levels=rate.levels)
        plain = to_picture(rgb_from_planes(decoded, levels=rate.levels), x.device)
        plain_string = pack_levels(rate.levels) + payload
        if self.restoration is None:
            return plain_string, plain
        picture = _unrounded(decoded, levels=rate.levels).to(x.device)
        correction = self.restoration.correction(picture, reference, quality=quality)
        strengths = self.restoration.strengths(x, picture, correction)
        restored = self.restoration.restored(picture, correction, strengths)
        if _error(x, restored) >= _error(x, plain):
            return plain_string, plain
        return pack_levels(rate.levels | RESTORED) + bytes(strengths) + payload, restored

    def decode(self, payload: bytes, size: Sequence[int], reference: Reference | None, *, quality: float) -> Tensor:
        """String -> picture [1, 3, *size], 0..1, on the CPU.

        Raises:
            ArchiveError: the string does not hold a picture of that size.
            MvcError: see `av1_picture.decode_picture`.
        """
        strengths, levels, payload = _read_head(payload)
        decoded = _decoded(payload, size, reference, levels=levels)
        if strengths is None:
            return to_picture(rgb_from_planes(decoded, levels=levels), "cpu")
        if self.restoration is None:
            raise ArchiveError("an AV1 picture is to be restored by a network that its weights file does not hold")
        picture = _unrounded(decoded, levels=levels)
        correction = self.restoration.correction(picture, reference, quality=quality)
        return self.restoration.restored(picture, correction, strengths)


class Av1Trials:
    """Codes about as `Av1Coder` does, in a fraction of the time, to compare references by; its strings say nothing."""

    def encode(self, x: Tensor, reference: Reference | None, *, quality: float) -> tuple[bytes, Tensor]:
        """As of `Av1Coder`; the string is of about the right length."""
        rate = _rate(quality)
        planes = planes_from_rgb(to_pixels(x), levels=rate.levels)
        length, shown = try_picture(planes, _planes(reference, x.shape[-2:], levels=rate.levels), crf=rate.crf)
        return bytes(length), to_picture(rgb_from_planes(shown, levels=rate.levels), x.device)


def _read_head(string: bytes) -> tuple[tuple[int, int] | None, int, bytes]:
    """Strengths of what restores the picture, if anything does; levels; what `encode_picture` wrote."""
    field, rest = string[: LEVELS_FIELD.size], string[LEVELS_FIELD.size :]
    strengths = None
    if len(field) == LEVELS_FIELD.size and LEVELS_FIELD.unpack(field)[0] & RESTORED and len(rest) >= 2:
        strengths, rest = (rest[0], rest[1]), rest[2:]
        field = LEVELS_FIELD.pack(LEVELS_FIELD.unpack(field)[0] & ~RESTORED)
    levels = unpack_levels(field)
    if levels is None:
        raise ArchiveError("an AV1 picture has an impossible number of levels: the archive is damaged")
    return strengths, levels, rest


def _decoded(payload: bytes, size: Sequence[int], reference: Reference | None, *, levels: int) -> np.ndarray:
    height, width = size
    return decode_picture(payload, _planes(reference, size, levels=levels), width=width, height=height)


def _unrounded(planes: np.ndarray, *, levels: int) -> Tensor:
    pixels = unrounded_from_planes(planes, levels=levels)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255


def _error(x: Tensor, picture: Tensor) -> float:
    """Of the picture in whole grey levels."""
    return float((x - to_picture(to_pixels(picture), x.device)).square().mean())


def _rate(quality: float) -> Rate:
    return rate_of_crf(float(np.interp(quality, QUALITIES, CRF_AT_QUALITY)))


def _planes(reference: Reference | None, size: Sequence[int], *, levels: int) -> np.ndarray | None:
    """What AV1 is to predict from, as planes at once and not rounded before; None for a picture by itself."""
    if reference is None or min(size) < SMALLEST_SIDE:
        return None
    picture = (reference.picture[0] * 255).permute(1, 2, 0).cpu().numpy()
    return planes_from_rgb(picture, levels=levels)
