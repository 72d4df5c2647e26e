"""Pictures of views as AV1 codes them, those with a reference as inter frames of it; no network.

Given the same reference, AV1 took 17 to 47 % fewer bytes than the network that ships for eight views of three captures
(docs/training-log.md, "AV1 on warped references"); on the sample the network is often ahead. What is put together here
is the string: levels of white, then `video.av1_picture`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.image_model import Reference
from nerfstudio_mvc.codecs.lmvic.reference_pictures import to_picture, to_pixels
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.video.av1_picture import SMALLEST_SIDE, decode_picture, encode_picture, try_picture
from nerfstudio_mvc.video.av1_rate import Rate, rate_of_crf
from nerfstudio_mvc.video.colour import LEVELS_FIELD, pack_levels, planes_from_rgb, rgb_from_planes, unpack_levels

QUALITIES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
CRF_AT_QUALITY = (49.0, 44.3, 39.5, 34.6, 29.3, 23.6, 17.6, 12.7)
"""Where a bit more takes off as much error as the network's rd_lambda at that quality says it is worth."""


class Av1Coder:
    """Codes single pictures as `image_coding.ImageCoder` does; a picture here has whole grey levels."""

    def encode(self, x: Tensor, reference: Reference | None, *, quality: float) -> tuple[bytes, Tensor]:
        """Picture [1, 3, H, W], 0..1, any size -> its string and the picture the decoder will show.

        Raises:
            NoFfmpegError: there is no ffmpeg that codes AV1.
            MvcError: it failed.
        """
        rate = _rate(quality)
        planes = planes_from_rgb(to_pixels(x), levels=rate.levels)
        payload = encode_picture(planes, _planes(reference, x.shape[-2:], levels=rate.levels), crf=rate.crf)
        payload = pack_levels(rate.levels) + payload
        return payload, self.decode(payload, x.shape[-2:], reference).to(x.device)

    def decode(self, payload: bytes, size: Sequence[int], reference: Reference | None) -> Tensor:
        """String -> picture [1, 3, *size], 0..1, on the CPU.

        Raises:
            ArchiveError: the string does not hold a picture of that size.
            MvcError: see `av1_picture.decode_picture`.
        """
        levels = unpack_levels(payload[: LEVELS_FIELD.size])
        if levels is None:
            raise ArchiveError("an AV1 picture has an impossible number of levels: the archive is damaged")
        planes = _planes(reference, size, levels=levels)
        height, width = size
        planes = decode_picture(payload[LEVELS_FIELD.size :], planes, width=width, height=height)
        return to_picture(rgb_from_planes(planes, levels=levels), "cpu")


class Av1Trials:
    """Codes about as `Av1Coder` does, in a fraction of the time, to compare references by; its strings say nothing."""

    def encode(self, x: Tensor, reference: Reference | None, *, quality: float) -> tuple[bytes, Tensor]:
        """As of `Av1Coder`; the string is of about the right length."""
        rate = _rate(quality)
        planes = planes_from_rgb(to_pixels(x), levels=rate.levels)
        length, shown = try_picture(planes, _planes(reference, x.shape[-2:], levels=rate.levels), crf=rate.crf)
        return bytes(length), to_picture(rgb_from_planes(shown, levels=rate.levels), x.device)


def _rate(quality: float) -> Rate:
    return rate_of_crf(float(np.interp(quality, QUALITIES, CRF_AT_QUALITY)))


def _planes(reference: Reference | None, size: Sequence[int], *, levels: int) -> np.ndarray | None:
    """What AV1 is to predict from, None for a picture by itself."""
    if reference is None or min(size) < SMALLEST_SIDE:
        return None
    return planes_from_rgb(to_pixels(reference.picture), levels=levels)
